"""What chapters show: one gain for a comparison, alt text, sliders that need no kernel, results in plain types."""

import base64
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.utils.capture import capture_output

from irtools import notebook as nb
from irtools.notebook import display, players, results

RATE = 44100


@pytest.fixture
def page(monkeypatch):
    """List of the HTML pieces that were shown."""
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda item, **kwargs: shown.append(item._repr_html_()))
    return shown


def _noise(level, seconds=1.0, rate=RATE, seed=0):
    return level * torch.randn(int(seconds * rate), generator=torch.Generator().manual_seed(seed))


def _decoded(html):
    data = re.findall(r"data:audio/mpeg;base64,([^']+)", html)
    return [soundfile.read(io.BytesIO(base64.b64decode(item))) for item in data]


def _rms_db(wave):
    return 20 * np.log10(np.sqrt(np.mean(np.square(wave))))


@pytest.mark.parametrize("ratio_db", [0.0, -6.0, -30.0])
def test_decoded_players_keep_the_level_ratio(page, ratio_db):
    low = torch.sin(2 * torch.pi * 440 * torch.arange(RATE) / RATE) * 0.02
    nb.listen({"mic": low, "after": low * 10 ** (ratio_db / 20)}, RATE)
    (first, _), (second, _) = _decoded(page[0])
    assert _rms_db(second) - _rms_db(first) == pytest.approx(ratio_db, abs=0.2)


def test_loudest_player_of_all_sits_at_minus_one_dbfs_and_the_caption_says_the_gain(page):
    tone = torch.sin(2 * torch.pi * 440 * torch.arange(RATE) / RATE)
    nb.listen({"a": tone * 0.01, "b": tone * 0.001}, RATE, caption="Two tones")
    stated = float(re.search(r"gain of \+([\d.]+) dB", page[0]).group(1))
    (first, _), (second, _) = _decoded(page[0])
    assert _rms_db(first) - _rms_db(0.01 * tone.numpy()) == pytest.approx(stated, abs=0.2)
    assert _rms_db(first) == pytest.approx(-1 - 3.01, abs=0.2)  # a sine is 3.01 dB below its peak
    assert _rms_db(second) == pytest.approx(-21 - 3.01, abs=0.2)


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_shared_gain_never_passes_the_peak_and_wastes_less_than_a_tenth_of_a_db(peaks):
    gain_db = players.shared_gain_db([torch.tensor([0.0, -peak], dtype=torch.float64) for peak in peaks])
    reached = 20 * np.log10(max(peaks)) + gain_db
    assert -1.1 - 1e-9 <= reached <= -1.0 + 1e-9


def test_grid_has_one_gain_and_row_and_column_headers(page):
    loud, quiet = _noise(0.5), _noise(0.05, seed=1)
    nb.listening_grid({"vocals": {"input": loud, "after": quiet}, "bass": {"input": quiet}}, RATE)
    assert page[0].count("<audio") == 3 and page[0].count("scope='row'") == 2 and page[0].count("scope='col'") == 2
    levels = [_rms_db(wave) for wave, _ in _decoded(page[0])]
    assert levels[0] - levels[1] == pytest.approx(20, abs=0.5)
    assert levels[1] == pytest.approx(levels[2], abs=1e-6)


def test_players_hold_the_excerpt_at_a_rate_that_mp3_knows(page):
    for rate in (8000, 11025, 22050, 44100, 48000, 96000):
        nb.listen({"hum": _noise(0.1, 3.0, rate)}, rate, start=1.0, seconds=0.5)
        ((wave, decoded_rate),) = _decoded(page[-1])
        assert decoded_rate == min(rate, 32000)
        assert len(wave) / decoded_rate == pytest.approx(0.5, abs=0.06)


def test_silence_is_playable_and_arguments_are_not_modified(page):
    clip = torch.zeros(RATE)
    nb.listen({"rest": clip}, RATE)
    assert not _decoded(page[0])[0][0].any() and "gain" not in page[0]
    loud = torch.full((100,), 4.0)
    nb.listen({"clipped": loud}, RATE)
    assert torch.equal(loud, torch.full((100,), 4.0))


@pytest.mark.parametrize(
    ("clips", "kwargs", "error", "message"),
    [
        ({}, {}, ValueError, "at least one clip"),
        ({"x": torch.tensor([0.0, float("nan")])}, {}, ValueError, "'x'.*finite"),
        ({"x": torch.tensor([float("inf")])}, {}, ValueError, "finite"),
        ({"x": np.zeros(4)}, {}, TypeError, "torch.Tensor"),
        ({"x": torch.zeros(2, 4)}, {}, ValueError, r"\(samples,\)"),
        ({"x": torch.zeros(44100)}, {"start": 2.0}, ValueError, "inside 'x'"),
        ({"x": torch.zeros(44100)}, {"seconds": 0.0}, ValueError, "inside 'x'"),
        ({"x": torch.zeros(44100)}, {"start": -0.5}, ValueError, "inside 'x'"),
    ],
)
def test_players_refuse_what_cannot_be_heard(clips, kwargs, error, message):
    with pytest.raises(error, match=message):
        nb.listen(clips, RATE, **kwargs)


def test_labels_are_escaped(page):
    nb.listen({"<b>'x'": torch.zeros(100)}, RATE)
    assert "<b>" not in page[0] and "&lt;b&gt;&#x27;x&#x27;" in page[0]


def test_show_puts_alt_text_and_a_white_background_in_the_page(page):
    nb.show(nb.plot_gains({"Λ": torch.eye(2)}), alt='gain "1" & less', caption="The identity")
    assert "alt='gain &quot;1&quot; &amp; less'" in page[0] and "background:#fff" in page[0]
    assert "<figcaption>The identity</figcaption>" in page[0]
    for empty in ("", "  "):
        with pytest.raises(ValueError, match="alt"):
            nb.show(nb.plot_gains({"Λ": torch.eye(2)}), alt=empty)


def test_a_figure_is_the_same_bytes_twice_and_no_pyplot_figure_stays_open(page):
    from matplotlib import pyplot as plt

    nb.use_style()
    for _ in range(2):
        nb.show(nb.plot_convergence({"am": torch.tensor([3.0, 1.0])}, label="cost"), alt="falls")
    assert page[0] == page[1]
    nb.show(plt.figure(), alt="nothing")
    assert plt.get_fignums() == []


def test_plots_draw_what_they_were_given():
    gains = torch.tensor([[1.0, 0.25], [0.125, 1.0]])
    texts = [text.get_text() for text in nb.plot_gains({"Λ": gains}).axes[0].texts]
    assert texts == ["1.00", "0.25", "0.12", "1.00"]
    scores = nb.plot_scores({"input": {"bass": 1.0, "drums": 2.0}, "am": {"drums": 5.0}}).axes[0]
    assert [line.get_xdata().tolist() for line in scores.lines] == [[1.0, 2.0], [5.0]]
    # A tone at 1 kHz, 60 dB below another clip's: the brightest row of each panel is at 1 kHz, the second 60 dB darker.
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(8000) / 8000)
    panels = nb.plot_spectrograms({"loud": tone, "quiet": tone / 1000}, 8000).axes[:2]
    levels = [np.asarray(panel.collections[0].get_array()) for panel in panels]
    assert levels[0].max() == pytest.approx(0, abs=1e-4) and levels[1].max() == pytest.approx(-60, abs=0.01)
    assert np.unravel_index(levels[0].argmax(), levels[0].shape)[0] == 1000 * 2048 // 8000
    with pytest.raises(ValueError, match="room_m"):
        nb.plot_stage({})


def test_slider_holds_every_step_and_shows_one(page):
    steps = {str(level): nb.Step(numbers={"SDR": f"{level} dB"}, clips={"mic": _noise(0.1)}) for level in (1, 2, 3)}
    nb.slider("level", "Bleed (dB)", steps, start=1, sample_rate=RATE)
    html = page[0]
    assert html.count("data-value=") == 3 and html.count(" hidden>") == 2
    assert "<label for='slider-level-input'" in html and "id='slider-level-input'" in html
    assert not re.search(r"\son\w+=", html)  # no inline event handlers
    nb.slider("level", "Bleed (dB)", steps, start=1, sample_rate=RATE)
    assert page[1] == html


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"name": "Two words"}, "name"),
        ({"steps": {"a": nb.Step()}}, "at least two"),
        ({"start": 2}, "start"),
        ({"steps": {"a": nb.Step(clips={"x": torch.zeros(9)}), "b": nb.Step()}}, "sample_rate"),
    ],
)
def test_slider_refuses(kwargs, message):
    arguments = {"name": "x", "label": "x", "steps": {"a": nb.Step(), "b": nb.Step()}} | kwargs
    with pytest.raises(ValueError, match=message):
        nb.slider(**arguments)


def test_table_headers_caption_and_missing_values(page):
    nb.show_table(["stem", "dB"], [["bass", 1.25], ["drums", None]], caption="A & B", fmt=".2f")
    assert "<caption style='caption-side:top'>A &amp; B</caption>" in page[0] and ">1.25<" in page[0]
    assert page[0].count("scope='row'") == 2 and page[0].count("scope='col'") == 2 and ">–<" in page[0]
    with pytest.raises(ValueError, match="2 cells"):
        nb.show_table(["stem", "dB"], [["bass"]], caption="x")


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**53), 2**53))
def test_every_kind_of_number_becomes_the_plain_one(real, whole):
    record = nb.Results("chapter", "smoke")
    for value in (real, np.float64(real), torch.tensor(real, dtype=torch.float64)):
        record["x"] = value
        assert type(record["x"]) is float and record["x"] == real
    for value in (whole, np.int64(whole), torch.tensor(whole)):
        record["x"] = value
        assert type(record["x"]) is int and record["x"] == whole


@pytest.mark.parametrize("bad", [float("nan"), np.inf, torch.tensor([1.0, float("nan")]), {"a": [float("-inf")]}])
def test_results_refuse_what_json_cannot_say(bad):
    record = nb.Results("chapter", "smoke")
    with pytest.raises(ValueError, match=r"results\['x'\].*finite"):
        record["x"] = bad
    with pytest.raises(TypeError, match="object"):
        record["x"] = object()
    assert len(record) == 0


def test_publish_writes_sorted_json_once_and_glues_the_scalars(tmp_path, monkeypatch):
    monkeypatch.setenv("IRTOOLS_RESULTS", str(tmp_path / "new"))
    glued = {}
    monkeypatch.setattr(results, "glue_bundle", lambda name, bundle: glued.update({name: bundle["text/plain"]}))
    record = nb.Results("chapter", "smoke", seed=3)
    record.update(b=1.5, a="text", gains=torch.eye(2), missing=None)
    record.publish()
    (written,) = (tmp_path / "new").iterdir()
    first = written.read_text()
    assert json.loads(first)["results"] == dict(record) and json.loads(first)["seed"] == 3
    assert glued == {"b": "1.5", "a": "'text'"}
    other = nb.Results("chapter", "smoke", seed=3)
    other.update(missing=None, gains=torch.eye(2), a="text", b=1.5)
    other.publish()
    assert written.read_text() == first


def test_results_folder_is_beside_the_toc(tmp_path, monkeypatch):
    monkeypatch.delenv("IRTOOLS_RESULTS", raising=False)
    (tmp_path / "_toc.yml").touch()
    (tmp_path / "book").mkdir()
    monkeypatch.chdir(tmp_path / "book")
    assert results.results_folder() == tmp_path / "results"


def test_glue_is_the_format_that_myst_nb_reads():
    """A real IPython shell publishes what myst_nb's own reader accepts."""
    from IPython.core.interactiveshell import InteractiveShell
    from myst_nb.ext.glue import extract_glue_data
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    InteractiveShell.instance()
    try:
        with capture_output() as captured:
            display.glue_bundle("rms", {"text/plain": "0.25", "text/html": "<p>x</p>"})
    finally:
        InteractiveShell.clear_instance()
    (output,) = captured.outputs
    cell = new_code_cell(outputs=[new_output("display_data", data=output.data, metadata=output.metadata)])
    found = extract_glue_data(new_notebook(cells=[cell]), [], _NoWarnings())
    assert found["rms"]["data"] == {"text/plain": "0.25", "text/html": "<p>x</p>"}


class _NoWarnings:
    def warning(self, message, **kwargs):
        raise AssertionError(message)


def test_importing_the_notebook_tools_needs_no_plotting_or_book_package():
    heavy = {"matplotlib", "librosa", "IPython", "myst_nb", "scipy.signal"}
    code = f"import sys, irtools.notebook; print(sorted({heavy!r} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
