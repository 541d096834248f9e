"""What every method of the registry promises, whatever it computes."""

import inspect
import json
import os
import re
import subprocess
import sys
import warnings

import pytest
import torch

import irtools as ir
from irtools.checks import check_assignment
from irtools.commands import main as cli
from irtools.methods.registry import register
from irtools.methods.separator import ConvergenceWarning, Recording, Separator

# Low, so that windows in seconds are short.
RATE = 8000


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
    found = ir.reduce(torch.zeros(2, 2000), RATE, method=method)
    assert found.sources.abs().max() == 0
    assert found.gains is None or torch.isfinite(found.gains).all()


@pytest.mark.parametrize("method", ir.METHODS)
@pytest.mark.parametrize("mic", [0, 2])
def test_a_silent_microphone_stays_silent_among_others(method, mic):
    mics = recording()
    mics[mic] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = ir.reduce(mics, RATE, method=method)
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
        found = ir.reduce(mics, RATE, method=method)
    assert found.sources.shape == mics.shape and torch.isfinite(found.sources).all()
    assert found.sources.abs().max() <= 10 * mics.abs().max()
    assert found.gains is None or torch.isfinite(found.gains).all()
    assert torch.equal(mics, ODD_SIGNALS[case])


@pytest.mark.parametrize("method", ir.METHODS)
@pytest.mark.parametrize("samples", [1, 300, 4000])
def test_one_microphone_comes_back(method, samples):
    mics = recording()[:1, :samples] + 0.1
    found = ir.reduce(mics, RATE, method=method)
    assert torch.allclose(found.sources, mics, atol=1e-5)
    assert found.gains is None or torch.allclose(found.gains, torch.ones(1, 1))


@pytest.mark.parametrize("method", ir.METHODS)
@pytest.mark.parametrize("options", [{"n_sources": 2}, {"assignment": [2, 0]}, {"assignment": (1,), "n_sources": 1}])
def test_fewer_sources_than_microphones(method, options):
    mics = recording()
    close_mics = check_assignment(options.get("assignment"), 3, options.get("n_sources"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = ir.reduce(mics, RATE, method=method, **options)
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
        ir.reduce(recording(), RATE, method=method, **options)
    read_nothing = Recording(3, 4000, RATE, lambda start, end: pytest.fail("read"), [(0, 4000)])
    with pytest.raises(error, match=words):
        ir.METHODS[method].learn(read_nothing, **options)


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


@pytest.mark.parametrize("method", ir.METHODS)
def test_ambient_files_stay_and_leave_the_sources_to_the_others(method, tmp_path, monkeypatch, capsys):
    mics = recording()
    ir.write_multitrack(tmp_path / "mics", ir.Multitrack(("a", "b", "c"), mics, RATE))
    assert (
        run(monkeypatch, capsys, "reduce", tmp_path / "mics", tmp_path / "out", "--method", method, "--ambient", "b")[0]
        == 0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        expected = ir.reduce(mics, RATE, method, assignment=[0, 2]).sources
    found = ir.read_multitrack(tmp_path / "out")
    assert found.names == ("a", "b", "c") and torch.equal(found.waveforms[1], mics[1])
    assert torch.equal(found.waveforms[[0, 2]], expected)


def run(monkeypatch, capsys, *arguments):
    """Exit code and stderr of the command line."""
    monkeypatch.setattr(sys, "argv", ["irtools", *map(str, arguments)])
    with pytest.raises(SystemExit) as done:
        cli.main()
    return done.value.code or 0, capsys.readouterr().err


# Signatures


@pytest.mark.parametrize("method", ir.METHODS)
def test_every_method_has_the_one_signature(method):
    parameters = list(inspect.signature(ir.METHODS[method].learn).parameters.values())
    assert parameters[0].name == "recording"
    assert all(p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in parameters[1:])
    options = ir.METHODS[method].options
    assert options["assignment"] is None and options["n_sources"] is None


@pytest.mark.parametrize("method", ir.METHODS)
def test_every_option_that_is_listed_is_taken_and_its_default_changes_nothing(method):
    mics, listed = recording(samples=2000), ir.METHODS[method].options
    own = {name: listed[name] for name in inspect.signature(ir.METHODS[method].learn).parameters if name in listed}
    assert torch.equal(ir.reduce(mics, RATE, method, **own).sources, ir.reduce(mics, RATE, method).sources)
    if fields := {name: value for name, value in listed.items() if name not in own}:
        assert ir.METHODS[method].settings(**fields) == ir.METHODS[method].settings()


def test_a_method_says_in_one_line_what_it_does():
    assert all(40 < len(method.summary) < 120 and method.summary.endswith(".") for method in ir.METHODS.values())


# Methods of one's own


def halved(recording, *, amount=0.5, assignment=None):
    """Every microphone at half its level, a method of nobody's."""
    close_mics = recording.close_mics(assignment)
    return Separator(lambda mics, mixdown: amount * mics[close_mics], close_mics)


@pytest.fixture
def registered():
    register("halved", halved)
    yield
    del ir.METHODS["halved"]


def test_a_registered_method_is_a_method_like_any_other(registered, tmp_path, monkeypatch, capsys):
    mics = recording()
    assert torch.equal(ir.reduce(mics, 8000, "halved", amount=0.25, assignment=[1]).sources, mics[[1]] / 4)
    assert ir.METHODS["halved"].summary.startswith("Every microphone at half")
    assert ir.METHODS["halved"].options == {"amount": 0.5, "assignment": None}
    ir.write_multitrack(tmp_path / "mics", ir.Multitrack(("a", "b", "c"), mics, 8000))
    call = ("reduce", tmp_path / "mics", tmp_path / "out", "--method", "halved", "--set", "amount=0.75")
    assert run(monkeypatch, capsys, *call)[0] == 0
    assert torch.equal(ir.read_multitrack(tmp_path / "out").waveforms, 0.75 * mics)


def test_a_name_is_not_taken_from_another_method(registered):
    register("halved", halved)
    with pytest.raises(ValueError, match="name: 'kamir' is a method already"):
        register("kamir", halved)
    with pytest.raises(TypeError, match="learn: expected a function of a recording, got str"):
        register("other", "halved")
    assert ir.METHODS["kamir"].learn is not halved and "other" not in ir.METHODS


def test_a_method_of_an_installed_package_is_found_by_every_process(tmp_path):
    """An entry point names it; one that cannot be loaded is left out with a warning."""
    (tmp_path / "plug.py").write_text(
        "import irtools as ir\n"
        "def learn(recording, *, amount=0.5):\n"
        "    'Every microphone at half its level, from another package.'\n"
        "    return ir.Separator(lambda mics, mixdown: amount * mics, recording.close_mics())\n"
    )
    info = tmp_path / "plug-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[irtools.methods]\nplugged = plug:learn\nbroken = plug:nothing\n")
    ir.write_multitrack(tmp_path / "mics", ir.Multitrack(("a", "b"), recording(2), 8000))
    command = [sys.executable, "-m", "irtools.commands.main", "reduce", tmp_path / "mics", tmp_path / "out"]
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [*map(str, command), "--method", "plugged"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    assert done.returncode == 0, done.stderr
    assert torch.equal(ir.read_multitrack(tmp_path / "out").waveforms, recording(2) / 2)
    assert "method 'broken' (plug:nothing) left out" in done.stderr
