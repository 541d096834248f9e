"""Separators of other packages: right on what they are made for, brought back by the microphones, never a reference."""

import sys

import numpy as np
import pytest
import soundfile
import torch
from scipy.signal import convolve
from typer.testing import CliRunner

from irtools.band.songs import split_of
from irtools.commands.main import app
from irtools.comparison.jobs import plan
from irtools.comparison.rivals import RIVALS, check_entrant, reduce_with
from irtools.comparison.rivals.pyroomacoustics import assign
from irtools.comparison.running import run_benchmark
from irtools.comparison.scoreboard import SONGS, entrants, scoreboard_plan, scoreboard_scenes
from irtools.methods.registry import METHODS
from irtools.metrics import si_sdr

RATE = 8000
QUICK = {"norbert": {}, "auxiva": {"n_iter": 3}, "ilrma": {"n_iter": 3}, "fastmnmf2": {"n_iter": 2}}


def bursts(sources=2, seconds=6, seed=0):
    """Noise that comes and goes, each source in its own time: what IVA is made for."""
    random = np.random.default_rng(seed)
    on = np.repeat(random.random((sources, seconds * 8)) ** 4, RATE // 8, axis=1)
    return on * random.standard_normal(on.shape)


def reverberant(dry, own=1.0, bleed=0.5, seed=1):
    """Microphones and own-mic images in a room of 20 ms."""
    random = np.random.default_rng(seed)
    decay = np.exp(-np.arange(160) / 30)
    images = np.array(
        [
            [convolve(s, (own if k == n else bleed) * random.standard_normal(160) * decay)[: dry.shape[1]]
             for n, s in enumerate(dry)]
            for k in range(len(dry))
        ]
    )  # fmt: skip
    return torch.from_numpy(images.sum(1)), torch.from_numpy(images[range(len(dry)), range(len(dry))])


@pytest.mark.parametrize(("name", "least"), [("auxiva", 8), ("ilrma", 8), ("fastmnmf2", 4), ("norbert", 3)])
def test_each_separates_what_it_is_made_for(name, least):
    mics, images = reverberant(bursts())
    found = reduce_with(mics, RATE, name)
    gain = si_sdr(found.sources, images) - si_sdr(mics, images)
    assert gain.min() > least
    # The level is that of the image at the microphone: the error without any rescaling is small, too.
    assert ((found.sources - images).square().sum(1) / images.square().sum(1)).max() < 0.35
    assert found.method == name and found.seconds > 0 and found.gains is None


@pytest.mark.parametrize("name", ["auxiva", "ilrma"])
def test_every_source_comes_back_to_its_own_microphone_when_the_package_swaps_them(name, monkeypatch):
    import pyroomacoustics

    mics, _ = reverberant(bursts())
    as_is = reduce_with(mics, RATE, name)
    method = getattr(pyroomacoustics.bss, name)
    monkeypatch.setattr(pyroomacoustics.bss, name, lambda *x, **options: 7j * method(*x, **options)[..., ::-1])
    swapped = reduce_with(mics, RATE, name)
    assert as_is.details["assignment"] == [0, 1] and swapped.details["assignment"] == [1, 0]
    assert torch.allclose(swapped.sources, as_is.sources, atol=1e-9)


def test_the_assignment_is_the_best_of_all_permutations():
    from itertools import permutations

    random = np.random.default_rng(0)
    mixtures = random.standard_normal((9, 5, 4)) + 1j * random.standard_normal((9, 5, 4))
    images = random.standard_normal((9, 5, 4, 4)) + 1j * random.standard_normal((9, 5, 4, 4))

    def explained(k, j):
        x, y = mixtures[..., k].ravel(), images[..., k, j].ravel()
        return abs(np.vdot(x, y)) ** 2 / (np.vdot(x, x) * np.vdot(y, y)).real

    best = max(permutations(range(4)), key=lambda order: sum(explained(k, j) for k, j in enumerate(order)))
    assert assign(mixtures, images) == list(best)


@pytest.mark.parametrize("name", RIVALS)
def test_shape_dtype_input_and_seed(name):
    mics = reverberant(bursts(3, 2))[0].float()
    before, state = mics.clone(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (reduce_with(mics, RATE, name, **QUICK[name]) for _ in range(2))
    assert first.sources.shape == mics.shape and first.sources.dtype == torch.float32
    assert torch.equal(first.sources, second.sources) and torch.equal(mics, before)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize("name", RIVALS)
def test_silence_a_silent_microphone_and_one_microphone(name):
    mics = torch.from_numpy(bursts(3, 2))
    assert not reduce_with(torch.zeros(2, 6000), RATE, name, **QUICK[name]).sources.any()
    mics[1] = 0
    found = reduce_with(mics, RATE, name, **QUICK[name]).sources
    assert not found[1].any() and found[0].any() and torch.isfinite(found).all()
    single = reduce_with(mics[:1], RATE, name, **QUICK[name]).sources
    assert torch.isfinite(single).all() and (name == "norbert" or torch.allclose(single, mics[:1], atol=1e-9))


@pytest.mark.parametrize("name", ["auxiva", "ilrma", "fastmnmf2"])
def test_a_recording_of_fewer_frames_than_microphones_is_refused(name):
    with pytest.raises(ValueError, match=r"mics: expected more than \d+ samples, got 1"):
        reduce_with(torch.ones(3, 1), RATE, name)


@pytest.mark.parametrize("name", ["auxiva", "ilrma", "fastmnmf2"])
def test_microphones_that_hear_the_same_are_no_obstacle(name):
    """Covariances that could not be inverted as they are."""
    mics = torch.from_numpy(bursts(1, 2)).repeat(2, 1)
    found = reduce_with(mics, RATE, name, **QUICK[name]).sources
    assert torch.isfinite(found).all() and found.abs().max() < 2 * mics.abs().max()


def test_what_norbert_makes_of_its_options():
    mics, images = reverberant(bursts(4))
    masked = reduce_with(mics, RATE, "norbert", wiener=None).sources
    # Its smoothing runs over the sources too, so that its mask is nearly the same everywhere.
    assert (si_sdr(masked, images) - si_sdr(mics, images)).abs().max() < 0.5
    assert torch.allclose((masked * mics).sum(1), (mics * mics).sum(1), rtol=0.05)
    ratio, wiener = (reduce_with(mics, RATE, "norbert", wiener=n).sources for n in (0, 1))
    assert si_sdr(wiener, images).mean() > si_sdr(ratio, images).mean() > si_sdr(mics, images).mean()
    with pytest.raises(ValueError, match="wiener: expected at least 0, got -1"):
        reduce_with(mics, RATE, "norbert", wiener=-1)


def test_a_package_that_is_missing_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "norbert", None)
    with pytest.raises(ModuleNotFoundError, match=r"norbert: not installed .*pip install 'irtools"):
        reduce_with(torch.ones(2, 100), RATE, "norbert")


def test_a_rival_is_a_row_of_the_benchmark_as_a_method_is(tmp_path):
    scene = {"kind": "linear", "song": "band:12", "seconds": 2.0, "seed": 1}
    rows = run_benchmark(plan([scene], [("auxiva", {"n_iter": 2}), ("norbert", {"wiener": -1})]), tmp_path / "t.csv")
    found = [row for row in rows if row["method"] == "auxiva"]
    assert len(found) == 4 and all(row["elapsed_s"] > 0 and row["peak_mib"] > 0 for row in found)
    (failed,) = [row for row in rows if row["method"] == "norbert"]
    assert failed["error"].startswith("ValueError: wiener: expected")


def test_names():
    for name in (*METHODS, *RIVALS):
        check_entrant(name)
    assert not set(METHODS) & set(RIVALS)
    with pytest.raises(ValueError, match=r"expected one of am, .*fastmnmf2, got 'nobody'"):
        check_entrant("nobody")


# The scoreboard


def test_the_scoreboard_has_everything_on_every_scene(tmp_path):
    for name in ("mdn_funk", "webxr_trio"):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "bass.wav", np.ones(800), RATE)
    jobs = scoreboard_plan(tmp_path)
    scenes = scoreboard_scenes(tmp_path)
    assert {job.fields["song"] for job in jobs} == set(SONGS)
    assert len({str(job.scene) for job in jobs}) == len(scenes) == 5 * len(SONGS)
    wanted = {(name, str(options)) for name, options in entrants()}
    assert {name for name, _ in wanted} == {*METHODS, *RIVALS} and ("am", "{'mixture': 'clean'}") in wanted
    for scene in scenes:
        here = {(job.method, str(job.options)) for job in jobs if job.scene == scene}
        baselines = {"input", "oracle-linear", "oracle-mask"} | ({"oracle-inverse"} - {scene["kind"]})
        if scene["kind"] != "linear":
            baselines -= {"oracle-inverse"}
        assert here == wanted | {(name, "{}") for name in baselines}
    assert sorted({scene["rt60_s"] for scene in scenes if scene["kind"] == "room"}) == [0.2, 0.35, 0.6]
    assert len({scene["seed"] for scene in scenes}) == len(SONGS)


def test_no_network_was_trained_on_a_song_of_the_scoreboard():
    seeds = [int(name.removeprefix("band:")) for name in SONGS if name.startswith("band:")]
    assert len(seeds) == 2 and {split_of(seed) for seed in seeds} == {"test"}


def test_folders_are_there_when_they_are_there(tmp_path):
    assert {scene["song"] for scene in scoreboard_scenes(tmp_path)} == {"band:12", "band:21", "falcon69"}
    with pytest.raises(ValueError, match="got 'mdn_funk', which is not there in"):
        scoreboard_scenes(tmp_path, ["mdn_funk"])
    with pytest.raises(ValueError, match="scenes: expected one of low, high, hall, got 'room'"):
        scoreboard_plan(scenes=["room"])


def test_a_second_run_of_a_part_has_nothing_to_do_and_finds_the_same(tmp_path):
    jobs = scoreboard_plan(songs=["falcon69"], scenes=["low"], methods=[("ica", {})])
    told = []
    first = run_benchmark(jobs, tmp_path / "t.csv", threads=1, on_job=lambda *job: told.append(job))
    assert told[-1] == (5, 5) and not any(row["error"] for row in first)
    told.clear()
    second = run_benchmark(jobs, tmp_path / "t.csv", threads=1, on_job=lambda *job: told.append(job))
    assert told == [(0, 0)] and [row["key"] for row in second] == [row["key"] for row in first]


def asked(monkeypatch, *arguments: str) -> dict:
    """What `irtools bench` would run."""
    found = {}
    monkeypatch.setattr(
        "irtools.comparison.running.run_benchmark", lambda jobs, out, **how: found.update(how, jobs=jobs) or []
    )
    done = CliRunner().invoke(app, ["bench", *arguments])
    if done.exception is not None:
        raise done.exception
    return found


def test_the_command_plans_the_scoreboard_and_selects_from_it(monkeypatch):
    everything = asked(monkeypatch, "scoreboard")
    assert [job.key for job in everything["jobs"]] == [job.key for job in scoreboard_plan()]
    assert everything["threads"] == 1
    part = asked(monkeypatch, "scoreboard", "--songs", "falcon69", "--scenes", "hall", "--methods", "ilrma:n_iter=3")
    assert len(part["jobs"]) == 3 * 4 and {job.scene["song"] for job in part["jobs"]} == {"falcon69"}
    assert [job.options for job in part["jobs"] if job.method == "ilrma"] == [{"n_iter": 3}] * 3
    usual = asked(monkeypatch, "--methods", "ilrma")
    assert {job.scene["name"] for job in usual["jobs"]} == {"linear", "room 0.2 s"} and usual["threads"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["other"], "preset: expected scoreboard, got 'other'"),
        (["scoreboard", "--seconds", "3"], "--seconds: the scoreboard has its own"),
        (["--data-root", "."], "--data-root: belongs to `irtools bench scoreboard`"),
        (["scoreboard", "--methods", "magic"], "method: expected one of am, "),
    ],
)
def test_what_the_command_refuses(monkeypatch, arguments, message):
    with pytest.raises(ValueError, match=message):
        asked(monkeypatch, *arguments)
