"""A slider over precomputed steps: it works in the built page, offline, with no kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

from torch import Tensor

from irtools.checks import check_int
from irtools.notebook.display import check_name, show_html, table_rows
from irtools.notebook.images import image_html
from irtools.notebook.players import audio_html, caption_of, shared_gain_db

# Every step is in the page; the script only moves the `hidden` attribute, so each step keeps its own alt text.
_SCRIPT = """
(function () {
  var root = document.getElementById("%s");
  var input = root.querySelector("input"), output = root.querySelector("output");
  var steps = root.querySelectorAll("[data-value]");
  function show() {
    steps.forEach(function (step, index) {
      step.hidden = index !== Number(input.value);
      if (step.hidden) step.querySelectorAll("audio").forEach(function (audio) { audio.pause(); });
    });
    var value = steps[input.value].dataset.value;
    output.textContent = value;
    input.setAttribute("aria-valuetext", value);
  }
  input.addEventListener("input", show);
  show();
})();
"""


@dataclass(frozen=True)
class Step:
    """What a slider shows at one position: any of a figure with its alt text, formatted numbers and clips."""

    figure: object = None
    alt: str = ""
    numbers: Mapping[str, str] = field(default_factory=dict)
    clips: Mapping[str, Tensor] = field(default_factory=dict)


def slider(
    name: str,
    label: str,
    steps: Mapping[str, Step],
    *,
    caption: str | None = None,
    start: int = 0,
    sample_rate: int | None = None,
) -> None:
    """Show a slider that swaps precomputed results: text of the position to its :class:`Step`, ``start`` shown first.

    ``name`` is an identifier, once on a page; ``label`` says what the slider changes, with its unit. All clips of all
    steps share one gain.

    Examples
    --------
    >>> slider("bleed", "Bleed (dB)", {"-20": Step(numbers={"SDR": "18 dB"}), "0": Step(numbers={"SDR": "2 dB"})})
    Slider: Bleed (dB) (-20, 0)
    """
    check_name(name)
    if len(steps) < 2:
        raise ValueError(f"steps: expected at least two, got {len(steps)}")
    check_int("start", start, 0, len(steps) - 1)
    clips = [clip for step in steps.values() for clip in step.clips.values()]
    if clips and sample_rate is None:
        raise ValueError("sample_rate: expected a rate in Hz because steps have clips, got None")
    gain_db = shared_gain_db(clips) if clips else 0.0
    shown = "".join(
        f"<div data-value='{escape(value)}'{'' if index == start else ' hidden'}>"
        f"{_step_html(step, sample_rate, gain_db)}</div>"
        for index, (value, step) in enumerate(steps.items())
    )
    root = f"slider-{name}"
    control = (
        f"<div style='display:flex;flex-wrap:wrap;gap:.3em 1em;align-items:center;margin-bottom:.6em'>"
        f"<label for='{root}-input' style='margin:0'>{escape(label)}</label>"
        f"<input type='range' id='{root}-input' min='0' max='{len(steps) - 1}' step='1' value='{start}' "
        f"aria-valuetext='{escape(list(steps)[start])}' autocomplete='off' style='flex:1 1 10em;max-width:24em'>"
        f"<output for='{root}-input' style='min-width:4em;font-weight:bold'>{escape(list(steps)[start])}</output></div>"
    )
    text = caption_of(caption, gain_db=gain_db)
    foot = f"<figcaption>{text}</figcaption>" if text else ""
    html = f"<figure id='{root}' style='margin:1em 0'>{control}{shown}{foot}</figure><script>{_SCRIPT % root}</script>"
    show_html(html, plain=f"Slider: {label} ({', '.join(steps)})")


def _step_html(step, sample_rate, gain_db):
    parts = []
    if step.figure is not None:
        parts.append(image_html(step.figure, step.alt, dpi=110))
    if step.numbers:
        rows = table_rows(step.numbers.items())
        parts.append(f"<table class='table' style='width:auto;margin:.5em 0'><tbody>{rows}</tbody></table>")
    for label, clip in step.clips.items():
        player = audio_html(clip * 10 ** (gain_db / 20), sample_rate, label)
        parts.append(f"<div style='max-width:22em'><div>{escape(label)}</div>{player}</div>")
    return "".join(parts)
