"""A recording reduced from file to file is the recording reduced in memory, whatever the pieces."""

import gc
import math
import tempfile
import weakref
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import irtools as ir
from irtools.methods.registry import LEARNERS
from irtools.methods.streaming import reduce_files
from irtools.multitrack.files import MultitrackReader, read_multitrack, write_multitrack

RATE = 1000
SAMPLES = 1013  # a prime: no piece but one sample divides it
NAMES = ("kick", "snare", "vocals")


def stage():
    generator = torch.Generator().manual_seed(5)
    draw = torch.randn(3, SAMPLES, generator=generator) * torch.rand(3, SAMPLES, generator=generator) ** 4
    return (torch.eye(3) + 0.15) @ (0.3 * draw)


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as root:
        write_multitrack(Path(root, "mics"), ir.Multitrack(NAMES, stage(), RATE))
        write_multitrack(Path(root, "mix"), ir.Multitrack(("mix",), stage().sum(0, keepdim=True) / 2, RATE))
        write_multitrack(Path(root, "short"), ir.Multitrack(("mix",), torch.zeros(1, SAMPLES - 1), RATE))
        write_multitrack(Path(root, "fast"), ir.Multitrack(("mix",), torch.zeros(1, SAMPLES), 2 * RATE))
        yield Path(root)


def reduce_in_pieces(folder, samples_a_piece=400, mixdown=None, **options):
    """The report, and the estimates as (sources, samples) in the order of the report."""
    with MultitrackReader(folder / "mics") as mics, tempfile.TemporaryDirectory() as out:
        options.setdefault("chunk_seconds", samples_a_piece / RATE)
        if mixdown:
            with MultitrackReader(folder / mixdown) as reader:
                report = reduce_files(mics, Path(out), mixdown=reader, **options)
        else:
            report = reduce_files(mics, Path(out), **options)
        return report, read_multitrack(out, names=report["outputs"])


@settings(max_examples=15, deadline=None)
@given(size=st.integers(3, SAMPLES + 50), variant=st.sampled_from(["slides", "notebook", "minimisation2"]))
def test_any_size_of_pieces_gives_the_result_in_memory(folder, size, variant):
    report, found = reduce_in_pieces(folder, size, variant=variant)
    whole = ir.reduce(stage(), RATE, method="am", variant=variant)
    assert torch.allclose(found.waveforms, whole.sources, atol=2e-6)
    assert torch.allclose(torch.tensor(report["gains"]), whole.gains, atol=1e-5)
    assert found.sample_rate == RATE and found.samples == SAMPLES
    assert report["n_iter"] == whole.n_iter and report["converged"] == whole.converged


@settings(max_examples=10, deadline=None)
@given(size=st.integers(1, 300), block=st.sampled_from([7, 25, 100]))
def test_blocks_are_never_cut_by_pieces(folder, size, block):
    """Each block is a problem of its own: a piece that ended within one would solve two others."""
    options = {"variant": "solver", "block_samples": block, "max_iter": 5, "tol": 1e9}
    report, found = reduce_in_pieces(folder, max(size, 10), **options)
    assert round(report["chunk_seconds"] * RATE) % block == 0
    whole = ir.reduce(stage(), RATE, method="am", **options)
    assert torch.allclose(found.waveforms, whole.sources, atol=2e-6)


@settings(max_examples=10, deadline=None)
@given(size=st.integers(20, SAMPLES + 50))
def test_a_mixdown_is_read_in_the_same_pieces(folder, size):
    options = {"mixture": "mixdown", "variant": "notebook"}
    _, found = reduce_in_pieces(folder, size, mixdown="mix", **options)
    whole = ir.reduce(stage(), RATE, method="am", mixdown=stage().sum(0) / 2, **options)
    assert torch.allclose(found.waveforms, whole.sources, atol=2e-6)


@settings(max_examples=20, deadline=None)
@given(size=st.integers(3, SAMPLES + 50))
def test_the_caller_hears_of_every_sample_of_both_stages(folder, size):
    heard = []
    reduce_in_pieces(folder, size, on_chunk=lambda *told: heard.append(told))
    for stage_name in ("learn", "separate"):
        done = [told[1] for told in heard if told[0] == stage_name]
        assert done == [min(SAMPLES, size * (i + 1)) for i in range(math.ceil(SAMPLES / size))]
    assert {told[2] for told in heard} == {SAMPLES}
    assert [told[0] for told in heard] == sorted(told[0] for told in heard)


def test_sources_carry_the_names_of_their_close_microphones(folder):
    report, found = reduce_in_pieces(folder, assignment=(2, 0))
    assert report["outputs"] == ["vocals", "kick"] and report["mics"] == list(NAMES)
    whole = ir.reduce(stage(), RATE, method="am", assignment=(2, 0))
    assert torch.allclose(found.waveforms, whole.sources, atol=2e-6)


def test_learning_keeps_no_piece(folder):
    seen = []

    def pieces(reader):
        for block in reader.blocks(100):
            seen.append(weakref.ref(block))
            yield block, None

    with MultitrackReader(folder / "mics") as reader:
        separator = LEARNERS["am"](pieces(reader), RATE)
    gc.collect()
    assert len(seen) == 11 and not any(piece() is not None for piece in seen)
    assert separator.gains.shape == (3, 3)


@pytest.mark.parametrize("method", LEARNERS)
def test_learn_and_separate_are_the_method(method):
    mics = stage()
    separator = LEARNERS[method]([(mics, None)], RATE)
    assert torch.allclose(separator.separate(mics, None).sources, ir.METHODS[method](mics, RATE).sources, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "kamirr"}, "method: expected one of"),
        ({"device": "abacus"}, "device: expected"),
        ({"chunk_seconds": 0}, "chunk_seconds: expected a positive number"),
        ({"chunk_seconds": math.nan}, "chunk_seconds: expected a positive number"),
        ({"chunk_seconds": math.inf}, "chunk_seconds: expected a positive number"),
        ({"assignment": (0, 3)}, "assignment: expected microphone indices 0 to 2"),
        ({"mixdown": "mics"}, "mixdown: expected one file, got 3"),
        ({"mixdown": "short"}, r"mix\.wav: 1012 samples at 1000 Hz; expected the recording's 1013 at 1000 Hz"),
        ({"mixdown": "fast"}, r"mix\.wav: 1013 samples at 2000 Hz; expected"),
        ({"mixdown": "mix"}, "mixdown: given, but mixture='mics'"),
        ({"mixture": "mixdown"}, "mixdown: expected a Tensor"),
    ],
)
def test_what_cannot_be_reduced_writes_nothing(folder, tmp_path, options, words):
    mixdown = options.get("mixdown")
    options = {name: value for name, value in options.items() if name != "mixdown"}
    out = tmp_path / "out"
    with MultitrackReader(folder / "mics") as mics:
        reader = MultitrackReader(folder / mixdown) if mixdown else None
        try:
            with pytest.raises(ValueError, match=words):
                reduce_files(mics, out, mixdown=reader, **options)
        finally:
            if reader:
                reader.close()
    assert not out.exists()


def test_a_failure_between_pieces_leaves_nothing(folder, tmp_path):
    def stop(stage_name, done, total):
        if stage_name == "separate" and done > 500:
            raise KeyboardInterrupt

    with MultitrackReader(folder / "mics") as mics, pytest.raises(KeyboardInterrupt):
        reduce_files(mics, tmp_path / "out", chunk_seconds=0.3, on_chunk=stop)
    assert not (tmp_path / "out").exists()


def test_odd_microphones_are_found_whatever_the_pieces(tmp_path):
    mics = stage()
    mics[0], mics[2] = 0, (50 * mics[2]).clamp(-1, 1)
    write_multitrack(tmp_path / "mics", ir.Multitrack(NAMES, mics, RATE))
    reports = [reduce_in_pieces(tmp_path, size)[0]["findings"] for size in (64, 2000)]
    assert [finding.split(":")[0] for finding in reports[0]] == ["kick", "vocals"]
    assert reports[0] == reports[1]
