"""A recording reduced from file to file is the recording reduced in memory, whatever the pieces."""

import gc
import math
import tempfile
import warnings
import weakref
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import irtools as ir
from irtools.methods import registry
from irtools.methods.registry import Method
from irtools.methods.separator import ConvergenceWarning, Recording, Reduction, Separator
from irtools.methods.streaming.files import reduce_files
from irtools.methods.streaming.pieces import CrossFade, cut, fade_in
from irtools.recording.multitrack import read_multitrack, write_multitrack
from irtools.recording.reading import MultitrackReader

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
                report = reduce_files(mics, Path(out), mixdown=reader, **{"method": "am"} | options)
        else:
            report = reduce_files(mics, Path(out), **{"method": "am"} | options)
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
    ends = [end for _, end in cut(SAMPLES, size)]
    assert [told[1] for told in heard if told[0] == "learn"] == ends
    assert [told[1] for told in heard if told[0] == "separate"] == [0, *ends]
    assert {told[2] for told in heard} == {SAMPLES}
    assert [told[0] for told in heard] == sorted(told[0] for told in heard)


def test_sources_carry_the_names_of_their_close_microphones(folder):
    report, found = reduce_in_pieces(folder, assignment=(2, 0))
    assert report["outputs"] == ["vocals", "kick"] and report["mics"] == list(NAMES)
    whole = ir.reduce(stage(), RATE, method="am", assignment=(2, 0))
    assert torch.allclose(found.waveforms, whole.sources, atol=2e-6)


IN_A_ROOM = {"method": "closemic", "mode": "room", "window_size": 16}


def test_ambient_microphones_are_heard_and_copied_bit_for_bit(folder):
    report, found = reduce_in_pieces(folder, ambient=["snare"], **IN_A_ROOM)
    assert report["overlap_seconds"] > 0 and len(report["pieces"]) > 1
    assert report["outputs"] == ["kick", "vocals", "snare"] and report["ambient"] == {"snare": "copied"}
    assert torch.equal(found.waveforms[2], stage()[1])
    _, without = reduce_in_pieces(folder, assignment=(0, 2), **IN_A_ROOM)
    assert torch.equal(found.waveforms[:2], without.waveforms)


def test_ambient_microphones_are_demixed_as_in_memory(folder):
    report, found = reduce_in_pieces(folder, SAMPLES, ambient=("vocals", "kick"), demix_ambient=True, **IN_A_ROOM)
    assert report["outputs"] == ["snare", "kick", "vocals"]
    assert report["ambient"] == {"kick": "demixed", "vocals": "demixed"}
    whole = ir.reduce(stage(), RATE, assignment=[1], demix_ambient=True, **IN_A_ROOM)
    assert torch.equal(found.waveforms, whole.sources)


def test_a_method_that_takes_no_assignment_has_no_ambient_microphones(folder, monkeypatch):
    monkeypatch.setitem(registry.METHODS, "plain", Method(lambda recording, *, amount=1.0: pytest.fail("learned")))
    with pytest.raises(ValueError, match="ambient: the method 'plain' needs a source at every microphone"):
        reduce_in_pieces(folder, method="plain", ambient=["kick"])


def test_a_name_alone_is_no_list_of_ambient_microphones(folder):
    with pytest.raises(TypeError, match="ambient: expected a sequence of names, got the string 'kick'"):
        reduce_in_pieces(folder, ambient="kick")


def test_learning_keeps_no_piece(folder):
    seen = []

    def read(start, end):
        block = reader.read(start, end - start)
        seen.append(weakref.ref(block))
        return block, None

    with MultitrackReader(folder / "mics") as reader:
        separator = ir.METHODS["am"].learn(Recording(3, SAMPLES, RATE, read, cut(SAMPLES, 100)))
    gc.collect()
    assert len(seen) == 10 and not any(piece() is not None for piece in seen)
    assert separator.gains.shape == (3, 3)


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
    opened = MultitrackReader(folder / mixdown) if mixdown else nullcontext()
    with MultitrackReader(folder / "mics") as mics, opened as reader, pytest.raises(ValueError, match=words):
        reduce_files(mics, out, mixdown=reader, **{"method": "am"} | options)
    assert not out.exists()


def test_a_failure_between_pieces_leaves_nothing(folder, tmp_path):
    def stop(stage_name, done, total):
        if stage_name == "separate" and done > 500:
            raise KeyboardInterrupt

    with MultitrackReader(folder / "mics") as mics, pytest.raises(KeyboardInterrupt):
        reduce_files(mics, tmp_path / "out", "am", chunk_seconds=0.3, on_chunk=stop)
    assert not (tmp_path / "out").exists()


def test_odd_microphones_are_found_whatever_the_pieces(tmp_path):
    mics = stage()
    mics[0], mics[2] = 0, (50 * mics[2]).clamp(-1, 1)
    write_multitrack(tmp_path / "mics", ir.Multitrack(NAMES, mics, RATE))
    reports = [reduce_in_pieces(tmp_path, size)[0]["findings"] for size in (64, 2000)]
    assert [finding.split(":")[0] for finding in reports[0]] == ["kick", "vocals"]
    assert reports[0] == reports[1]


# Pieces


def joined(parts, overlap):
    faded = CrossFade(overlap)
    return torch.cat([*[faded.add(part) for part in parts], faded.rest()], dim=1)


@settings(max_examples=300, deadline=None)
@given(samples=st.integers(1, 3000), size=st.integers(1, 400), share=st.floats(0, 0.5))
def test_pieces_cover_the_recording_and_none_is_a_stub(samples, size, share):
    overlap = int(share * size)
    cuts = cut(samples, size, overlap)
    assert cuts[0][0] == 0 and cuts[-1][1] == samples
    for (_, end), (start, later_end) in pairwise(cuts):
        assert end - start == overlap and later_end > end
    lengths = [end - start for start, end in cuts]
    assert set(lengths[:-1]) <= {size}
    assert len(cuts) == 1 or size / 2 <= lengths[-1] < 1.5 * size
    assert samples > size or len(cuts) == 1


@given(overlap=st.integers(0, 500))
def test_the_weights_of_two_pieces_sum_to_one(overlap):
    later = fade_in(overlap)
    assert torch.allclose(later + later.flip(0), torch.ones(overlap, dtype=torch.float64), atol=1e-12)
    assert (later.diff() > 0).all() and later.shape == (overlap,)


@settings(max_examples=30, deadline=None)
@given(size=st.integers(2, 300), share=st.floats(0, 0.5), samples=st.integers(1, 1000))
def test_pieces_that_agree_are_joined_to_the_very_samples(size, share, samples):
    signal = torch.randn(2, samples, generator=torch.Generator().manual_seed(samples))
    overlap = int(share * size)
    parts = [signal[:, start:end] for start, end in cut(samples, size, overlap)]
    assert torch.equal(joined(parts, overlap), signal)


def test_pieces_that_disagree_are_joined_without_a_step():
    """Plus and minus one: the largest step is the slope of the fade, and the middle of the fade is zero."""
    overlap = 100
    parts = [torch.full((1, 400), (-1.0) ** i, dtype=torch.float64) for i in range(4)]
    whole = joined(parts, overlap)[0]
    assert whole.shape == (4 * 400 - 3 * overlap,) and whole.abs().max() <= 1
    assert whole.diff().abs().max() <= math.pi / overlap + 1e-12
    assert whole[300:400].mean().abs() < 1e-12


@pytest.mark.parametrize(("samples", "size", "overlap"), [(0, 4, 0), (4, 0, 0), (9, 4, 3), (9, 4, -1)])
def test_cuts_that_make_no_sense_are_refused(samples, size, overlap):
    with pytest.raises(ValueError, match="expected"):
        cut(samples, size, overlap)


# A method of one's own that reduces each piece by itself


def piece_level(recording, *, assignment=None, n_sources=None, overlap=0.0, slow=False):
    """Estimates and gains that depend on the piece: its level."""
    chosen = recording.close_mics(assignment, n_sources)

    def separate(mics, mixdown):
        if slow:
            warnings.warn(f"not converged on {mics.shape[1]} samples", ConvergenceWarning, stacklevel=2)
        level = mics.std()
        gains = torch.full((len(mics), len(chosen)), level.item())
        return Reduction(level * mics[chosen], gains=gains, n_iter=mics.shape[1], converged=not slow)

    return Separator(separate, chosen, overlap=round(overlap * recording.sample_rate))


def identity(recording, *, overlap=0.0):
    """What came in."""
    close_mics, overlap = recording.close_mics(), round(overlap * recording.sample_rate)
    return Separator(lambda mics, mixdown: mics.clone(), close_mics, overlap=overlap)


@pytest.fixture
def own(monkeypatch):
    monkeypatch.setitem(registry.METHODS, "identity", Method(identity))
    monkeypatch.setitem(registry.METHODS, "level", Method(piece_level))


@pytest.mark.parametrize("overlap", [0.0, 0.05, 0.9])
@pytest.mark.parametrize("size", [64, 100, 411, 5000])
def test_identity_in_is_identity_out(folder, own, size, overlap):
    _, found = reduce_in_pieces(folder, size, method="identity", overlap=overlap)
    assert torch.equal(found.waveforms, stage())


def test_what_changes_from_piece_to_piece_makes_no_click(own, tmp_path):
    """A tone whose level jumps: each piece is scaled by its own level, and the joins are as smooth as the tone."""
    time = torch.arange(6 * RATE, dtype=torch.float64) / RATE
    tone = 0.25 * (2 * math.pi * 5 * time).sin()[None] * (1 + (time > 3))
    write_multitrack(tmp_path / "mics", ir.Multitrack(("tone",), tone.float(), RATE))
    _, found = reduce_in_pieces(tmp_path, 1000, method="level", overlap=0.25)
    _, hard = reduce_in_pieces(tmp_path, 970, method="level", overlap=0.0)
    before_the_jump = slice(0, 3 * RATE - RATE // 2)
    bends = [one.waveforms.double()[:, before_the_jump].diff().diff().abs().max() for one in (found, hard)]
    assert bends[0] < 2e-4 < bends[1]
    step = tone.diff().abs().max() * 2 * tone.std() + 0.001
    assert found.waveforms.diff().abs().max() < step and found.waveforms.shape == tone.shape


def test_a_recording_no_longer_than_a_chunk_is_reduced_in_one(folder, own):
    for method in ("level", "am"):
        report, found = reduce_in_pieces(folder, SAMPLES, method=method)
        whole = ir.reduce(stage(), RATE, method=method)
        assert torch.equal(found.waveforms, whole.sources)
        assert len(report["pieces"]) == 1 and report["overlap_seconds"] == 0 and report["gains_from"] == "recording"
        assert report["chunk_seconds"] == SAMPLES / RATE


def test_the_report_tells_each_piece(folder, own):
    report, _ = reduce_in_pieces(folder, 400, method="level", overlap=0.1)
    told = report["pieces"]
    assert [(piece["start_s"], piece["end_s"]) for piece in told] == [(0, 0.4), (0.3, 0.7), (0.6, 1.013)]
    assert [piece["n_iter"] for piece in told] == [400, 400, 413] and report["n_iter"] == 413
    assert (report["chunk_seconds"], report["overlap_seconds"]) == (0.4, 0.1)
    lengths = torch.tensor([400.0, 400, 413])
    mean = (torch.tensor([piece["gains"] for piece in told]) * lengths[:, None, None]).sum(0) / lengths.sum()
    assert report["gains_from"] == "mean of pieces" and torch.allclose(torch.tensor(report["gains"]), mean)


def test_pieces_that_do_not_converge_are_one_warning(folder, own):
    with pytest.warns(ConvergenceWarning, match=r"not converged on 400 samples \(3 of 3 pieces\)") as said:
        report, _ = reduce_in_pieces(folder, 400, method="level", overlap=0.1, slow=True)
    assert len(said) == 1 and report["converged"] is False
    assert [piece["converged"] for piece in report["pieces"]] == [False] * 3


def test_a_separator_carries_its_state_and_gets_the_overlap_it_asks_for(folder, monkeypatch):
    """Pieces come in order, once each, aligned; the learner need not read any."""
    seen = []

    def stateful(recording):
        def separate(mics, mixdown):
            seen.append(mics)
            return mics.clone()

        return Separator(separate, recording.close_mics(), align=32, overlap=50)

    monkeypatch.setitem(registry.METHODS, "stateful", Method(stateful))
    _, found = reduce_in_pieces(folder, 100, method="stateful")
    assert torch.equal(found.waveforms, stage())
    assert {piece.shape[1] for piece in seen[:-1]} == {128} and len(seen) == 15
    for before, after in pairwise(seen):
        assert torch.equal(before[:, -64:], after[:, :64])


def test_a_mixdown_is_for_methods_that_use_one(folder, own):
    with pytest.raises(ValueError, match="mixdown: given, but the method 'level' does not use one"):
        reduce_in_pieces(folder, mixdown="mix", method="level")
    with pytest.raises(ValueError, match="mixdown: given, but the method 'level' does not use one"):
        ir.reduce(stage(), RATE, "level", mixdown=stage()[0])
    for wrong in (torch.zeros(5), 3):
        with pytest.raises(ValueError, match=r"mixdown: expected a Tensor of shape \(1013,\)"):
            ir.reduce(stage(), RATE, "am", mixdown=wrong, mixture="mixdown")


def test_a_report_holds_what_is_plain_and_small(folder, monkeypatch):
    def detailed(recording):
        found = {"small": torch.ones(2), "large": torch.ones(5000), "spectrum": torch.ones(2) * 1j, "notes": ["a"]}
        found |= {"deep": {"f": len, "n": (1, 2.5, None)}}
        return Separator(lambda mics, mixdown: mics, recording.close_mics(), details=found)

    monkeypatch.setitem(registry.METHODS, "detailed", Method(detailed))
    report, _ = reduce_in_pieces(folder, method="detailed")
    assert report["details"] == {"small": [1, 1], "notes": ["a"], "deep": {"n": [1, 2.5, None]}}


def test_samples_that_two_pieces_share_are_audited_once(own, tmp_path):
    mics = stage().clamp(-0.9, 0.9)
    mics[0, 100:160], mics[0, 160:220] = 1, -1
    write_multitrack(tmp_path / "mics", ir.Multitrack(NAMES, mics, RATE))
    report, _ = reduce_in_pieces(tmp_path, 64, method="identity", overlap=0.02)
    assert report["findings"] == ["kick: clipped: 120 samples in runs at 1.000"] and len(report["pieces"]) == 23
