"""What every method of the registry promises, whatever it computes."""

import inspect
import json
import re
import sys
import warnings

import pytest
import torch

import irtools as ir
from irtools.commands import main as cli
from irtools.methods.registry import LEARNERS
from irtools.methods.separator import ConvergenceWarning, check_assignment
from irtools.methods.streaming.files import reduce_in_chunks


def recording(n=3, samples=4000):
    generator = torch.Generator().manual_seed(7)
    draw = torch.randn(n, samples, generator=generator) * torch.rand(n, samples, generator=generator) ** 4
    return 0.2 * (torch.eye(n) + 0.1) @ draw


BAD_INPUT = {
    "not a tensor": ([[0.0]], 44100, TypeError, "torch.Tensor"),
    "integers": (torch.zeros(2, 8, dtype=torch.int64), 44100, TypeError, "float32 or float64"),
    "one axis": (torch.zeros(8), 44100, ValueError, r"got \(8,\)"),
    "three axes": (torch.zeros(1, 2, 8), 44100, ValueError, r"got \(1, 2, 8\)"),
    "no samples": (torch.zeros(2, 0), 44100, ValueError, "at least one sample"),
    "no microphones": (torch.zeros(0, 8), 44100, ValueError, "at least 1 microphone"),
    "NaN": (torch.tensor([[0.0, 1.0], [0.0, torch.nan]]), 44100, ValueError, "microphone 1 .*nan.* sample 1"),
    "infinity": (torch.tensor([[0.0, torch.inf]]), 44100, ValueError, "microphone 0 .*inf.* sample 1"),
    "rate is a float": (torch.zeros(2, 8), 44100.0, TypeError, "sample_rate"),
    "rate is zero": (torch.zeros(2, 8), 0, ValueError, "sample_rate"),
}


@pytest.mark.parametrize("method", ir.METHODS)
@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_refused_by_name(method, case):
    mics, sample_rate, error, words = BAD_INPUT[case]
    with pytest.raises(error, match=words):
        ir.reduce(mics, sample_rate, method=method)
    with pytest.raises(error, match=words):
        ir.METHODS[method](mics, sample_rate)


@pytest.mark.parametrize("method", ir.METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_dtype_and_input_are_kept(method, dtype):
    mics = recording().to(dtype)
    before = mics.clone()
    found = ir.reduce(mics, 44100, method=method)
    assert found.sources.shape == mics.shape and found.sources.dtype == dtype
    assert torch.isfinite(found.sources).all()
    assert torch.equal(mics, before)
    assert found.method == method and found.seconds > 0


@pytest.mark.parametrize("method", ir.METHODS)
def test_silence_is_silence(method):
    found = ir.reduce(torch.zeros(2, 2000), 44100, method=method)
    assert found.sources.abs().max() == 0
    assert found.gains is None or torch.isfinite(found.gains).all()


@pytest.mark.parametrize("method", ir.METHODS)
@pytest.mark.parametrize("mic", [0, 2])
def test_a_silent_microphone_stays_silent_among_others(method, mic):
    mics = recording()
    mics[mic] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = ir.reduce(mics, 44100, method=method)
    assert torch.isfinite(found.sources).all() and found.sources.abs().max() > 0
    assert found.sources[mic].square().mean() < 0.05 * mics.square().mean()


ODD_SIGNALS = {
    "an offset": recording() + 0.5,
    "nothing but an offset": torch.tensor([[0.5], [-0.25], [0.1]]).repeat(1, 3000),
    "clipped": recording().mul(50).clamp(-1, 1),
    "all at full scale": torch.ones(3, 3000),
    "one signal three times": recording()[:1].repeat(3, 1),
    "one impulse": torch.eye(3).repeat_interleave(1000, dim=1) * (torch.arange(3000) % 1000 == 500),
    "very quiet": recording() * 1e-12,
    "very loud": recording() * 1e8,
    "1 sample": recording()[:, :1],
    "2 samples": recording()[:, :2],
    "17 samples": recording()[:, :17],
    "one microphone, 1 sample": recording()[:1, :1],
}


@pytest.mark.parametrize("method", ir.METHODS)
@pytest.mark.parametrize("case", ODD_SIGNALS)
def test_odd_signals_are_input_like_any_other(method, case):
    mics = ODD_SIGNALS[case].clone()
    with warnings.catch_warnings():
        # So little, or so much of one signal, need not converge: saying so is enough.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = ir.reduce(mics, 44100, method=method)
    assert found.sources.shape == mics.shape and torch.isfinite(found.sources).all()
    assert found.sources.abs().max() <= 10 * mics.abs().max()
    assert found.gains is None or torch.isfinite(found.gains).all()
    assert torch.equal(mics, ODD_SIGNALS[case])


@pytest.mark.parametrize("method", ir.METHODS)
@pytest.mark.parametrize("samples", [1, 300, 4000])
def test_one_microphone_comes_back(method, samples):
    mics = recording()[:1, :samples] + 0.1
    found = ir.reduce(mics, 44100, method=method)
    assert torch.allclose(found.sources, mics, atol=1e-5)
    assert found.gains is None or torch.allclose(found.gains, torch.ones(1, 1))


@pytest.mark.parametrize("method", ir.METHODS)
@pytest.mark.parametrize("options", [{"n_sources": 2}, {"assignment": [2, 0]}, {"assignment": (1,), "n_sources": 1}])
def test_fewer_sources_than_microphones(method, options):
    mics = recording()
    close_mics = check_assignment(options.get("assignment"), 3, options.get("n_sources"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = ir.reduce(mics, 44100, method=method, **options)
    assert found.sources.shape == (len(close_mics), mics.shape[1]) and torch.isfinite(found.sources).all()
    assert found.gains is None or found.gains.shape == (3, len(close_mics))
    for source, mic in zip(found.sources, close_mics, strict=True):
        # More of its own microphone than of any other.
        alike = [torch.corrcoef(torch.stack([source, other]))[0, 1].item() for other in mics]
        assert max(range(3), key=alike.__getitem__) == mic


BAD_OPTIONS = {
    "more sources than microphones": ({"n_sources": 4}, ValueError, "n_sources: expected 1 to 3"),
    "no source": ({"n_sources": 0}, ValueError, "n_sources: expected 1 to 3"),
    "a microphone that is not there": ({"assignment": [0, 3]}, ValueError, "assignment: expected microphone indices"),
    "a microphone twice": ({"assignment": [1, 1]}, ValueError, "assignment: expected each microphone once"),
    "assignment and number differ": ({"assignment": [1], "n_sources": 2}, ValueError, "assignment: expected 2"),
    "unknown": ({"no_such_option": 1}, TypeError, "no_such_option"),
}


@pytest.mark.parametrize("method", ir.METHODS)
@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_options_are_refused_by_name(method, case):
    options, error, words = BAD_OPTIONS[case]
    with pytest.raises(error, match=words):
        ir.reduce(recording(), 44100, method=method, **options)
    for chunk_seconds in (1, 0.02):
        with pytest.raises(error, match=words):
            reduce_in_chunks(recording(), 44100, method, chunk_seconds=chunk_seconds, **options)
    if method in LEARNERS:
        with pytest.raises(error, match=words):
            LEARNERS[method](iter([(recording(), None)]), 44100, **options)


# From files

BAD_FILES = {
    "other length": (500, 8000, r"b\.wav: 500 samples"),
    "other rate": (1000, 16000, r"b\.wav: 16000 Hz"),
}


@pytest.mark.parametrize("method", ir.METHODS)
@pytest.mark.parametrize("case", BAD_FILES)
def test_files_that_are_no_recording_write_nothing(method, case, tmp_path, monkeypatch, capsys):
    samples, rate, words = BAD_FILES[case]
    ir.write_multitrack(tmp_path / "mics", ir.Multitrack(("a",), torch.zeros(1, 1000), 8000))
    ir.write_multitrack(tmp_path / "mics", ir.Multitrack(("b",), torch.zeros(1, samples), rate))
    code, err = run(monkeypatch, capsys, "reduce", tmp_path / "mics", tmp_path / "out", "--method", method)
    assert code == 2 and re.search(words, err) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", ir.METHODS)
@pytest.mark.parametrize(("samples", "chunk"), [(1, 30), (1000, 30), (16000, 0.5)])
def test_any_length_of_files_is_reduced(method, samples, chunk, tmp_path, monkeypatch, capsys):
    mics = recording(samples=16000)[:, :samples]
    ir.write_multitrack(tmp_path / "mics", ir.Multitrack(("a", "b", "c"), mics, 8000))
    call = ("reduce", tmp_path / "mics", tmp_path / "out", "--method", method, "--chunk-seconds", chunk)
    assert run(monkeypatch, capsys, *call)[0] == 0
    found = ir.read_multitrack(tmp_path / "out")
    assert found.names == ("a", "b", "c") and found.waveforms.shape == mics.shape and found.sample_rate == 8000
    report = json.loads((tmp_path / "out/report.json").read_text(), parse_constant=pytest.fail)
    assert report["method"] == method and report["pieces"][-1]["end_s"] == samples / 8000
    if samples <= chunk * 8000:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            assert torch.equal(found.waveforms, ir.reduce(mics, 8000, method=method).sources)


def run(monkeypatch, capsys, *arguments):
    """Exit code and stderr of the command line."""
    monkeypatch.setattr(sys, "argv", ["irtools", *map(str, arguments)])
    with pytest.raises(SystemExit) as done:
        cli.main()
    return done.value.code or 0, capsys.readouterr().err


# Signatures


@pytest.mark.parametrize("method", ir.METHODS)
def test_every_method_has_the_one_signature(method):
    parameters = list(inspect.signature(ir.METHODS[method]).parameters.values())
    assert [p.name for p in parameters[:2]] == ["mics", "sample_rate"]
    assert all(p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in parameters[2:])
    options = {p.name: p.default for p in parameters[2:]}
    assert options["assignment"] is None and options["n_sources"] is None


def test_unknown_names_list_what_there_is():
    with pytest.raises(ValueError, match=r"method: expected one of am.*got 'kamirr'"):
        ir.reduce(recording(), 44100, method="kamirr")
    with pytest.raises(ValueError, match="device: expected 'auto'"):
        ir.reduce(recording(), 44100, device="abacus")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is present")
def test_an_explicit_device_that_is_missing_is_an_error():
    with pytest.raises(ValueError, match="no CUDA device"):
        ir.reduce(recording(), 44100, device="cuda")


def test_learners_are_methods():
    assert set(LEARNERS) <= set(ir.METHODS)


@pytest.mark.parametrize("method", LEARNERS)
def test_a_learner_takes_what_its_method_takes(method):
    """But for the mixdown, which comes with the pieces."""
    ours, its = (dict(inspect.signature(f).parameters) for f in (LEARNERS[method], ir.METHODS[method]))
    assert list(ours)[:2] == ["pieces", "sample_rate"]
    assert {name: p.default for name, p in list(ours.items())[1:]} == {
        name: p.default for name, p in its.items() if name not in ("mics", "mixdown")
    }
