"""The command line as a person meets it: arguments in, files, lines and exit codes out."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import irtools as ir
from irtools.commands import main as cli
from irtools.methods import registry

RATE = 8000
NAMES = ("bass", "drums", "vocals")
COMMAND = [sys.executable, "-m", "irtools.commands.main"]
QUICK = ("--method", "am", "--set", "variant=notebook")


class Stage:
    """A folder with stems and bled microphones, and the command line run in this process."""

    def __init__(self, root: Path, monkeypatch, capsys):
        self.root, self._patch, self._capsys = root, monkeypatch, capsys

    def run(self, *arguments) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        self._patch.setattr(sys, "argv", ["irtools", *map(str, arguments)])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as done:
            cli.main()
        return done.value.code or 0, *self._capsys.readouterr()

    def refused(self, *arguments) -> str:
        """The one line on stderr of a call that is bad input and prints nothing else."""
        code, out, err = self.run(*arguments)
        assert code == 2 and out == "" and err.count("\n") == 1 and err.startswith("irtools: "), (code, out, err)
        return err

    @property
    def files(self) -> set[str]:
        """Everything under the root."""
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*")}


def stems(samples=4 * RATE, seed=0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (len(NAMES), samples)
    return 0.3 * torch.randn(shape, generator=generator) * torch.rand(shape, generator=generator) ** 4


@pytest.fixture
def stage(tmp_path, monkeypatch, capsys):
    sources = stems()
    mics = (torch.eye(3) + 0.2 * (1 - torch.eye(3))) @ sources
    ir.write_multitrack(tmp_path / "stems", ir.Multitrack(NAMES, sources, RATE))
    ir.write_multitrack(tmp_path / "mics", ir.Multitrack(NAMES, mics, RATE))
    monkeypatch.chdir(tmp_path)
    return Stage(tmp_path, monkeypatch, capsys)


# What is there


def test_methods_are_those_of_the_registry(stage):
    code, out, err = stage.run("methods", "--json")
    assert (code, err) == (0, "") and set(json.loads(out)) == set(ir.METHODS)
    code, out, err = stage.run("methods")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == list(ir.METHODS)


def test_version_and_help(stage):
    assert stage.run("--version") == (0, ir.__version__ + "\n", "")
    assert stage.run("-h") == stage.run("--help") == stage.run()
    code, out, err = stage.run()
    names = ("demo", "methods", "reduce", "score", "simulate", "bench", "train", "listen-test")
    assert (code, err) == (0, "") and all(name in out for name in names)
    assert stage.run("simulate")[0] == 0


COMMANDS = ["demo", "methods", "reduce", "score", "simulate linear", "simulate room", "bench", "train"]


@pytest.mark.parametrize("command", [*COMMANDS, "listen-test make", "listen-test analyse"])
def test_every_option_has_a_help_text(stage, command):
    code, out, _ = stage.run(*command.split(), "--help")
    assert code == 0
    for line in out.splitlines():
        words = line.split()
        if words and words[0].startswith("--"):
            following = out.splitlines()[out.splitlines().index(line) + 1]
            assert len(line) > 28 or following.startswith(" " * 12), f"{line!r}: no help text"
    listed = out.split("Options:")[0]
    if command in ("demo", "reduce", "score", "simulate linear", "simulate room"):
        assert "_DIR" in listed


def test_shell_completion_completes_commands():
    asked = os.environ | {"_IRTOOLS_COMPLETE": "complete_bash", "COMP_WORDS": "irtools re", "COMP_CWORD": "1"}
    script = "import sys; sys.argv = ['irtools']; from irtools.commands.main import main; main()"
    done = subprocess.run([sys.executable, "-c", script], env=asked, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["reduce"]


# Simulated stages


@pytest.mark.parametrize("kind", ["linear", "room"])
def test_a_simulated_stage_is_the_same_for_the_same_seed(stage, kind):
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert stage.run("simulate", kind, "stems", folder, "--seed", seed)[0] == 0
    for part in ("mics", "references"):
        first = ir.read_multitrack(stage.root / "a" / part)
        assert first.names == NAMES and first.sample_rate == RATE and first.samples == 4 * RATE
        assert torch.equal(first.waveforms, ir.read_multitrack(stage.root / "b" / part).waveforms)
    truths = [json.loads((stage.root / folder / "truth.json").read_text()) for folder in "abc"]
    assert truths[0] == truths[1] and truths[0]["details"] | {"gains": truths[0]["gains"]} != truths[2]["details"] | {
        "gains": truths[2]["gains"]
    }
    assert truths[0]["names"] == list(NAMES) and truths[0]["seed"] == 3 and truths[0]["irtools"] == ir.__version__


def test_a_linear_stage_is_the_gains_it_tells_times_the_stems(stage):
    assert stage.run("simulate", "linear", "stems", "out", "--low", 0.1, "--high", 0.4)[0] == 0
    gains = torch.tensor(json.loads((stage.root / "out/truth.json").read_text())["gains"])
    assert torch.equal(gains.diagonal(), torch.ones(3))
    bleed = gains[~torch.eye(3, dtype=torch.bool)]
    assert (bleed >= 0.1).all() and (bleed <= 0.4).all()
    found = ir.read_multitrack(stage.root / "out/mics").waveforms
    assert torch.allclose(found, gains @ stems(), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("linear", "stems", "out", "--low", "0.5", "--high", "0.1"), "low"),
        (("linear", "stems", "out", "--interference", "5,x"), "--interference: expected low, high"),
        (("linear", "stems", "out", "--interference", "loud"), "interference"),
        (("room", "stems", "out", "--rt60", "-1"), "rt60"),
        (("room", "stems", "out", "--distance", "0"), "distance"),
        (("room", "stems", "out", "--pattern", "square"), "pattern"),
        (("linear", "nowhere", "out"), "nowhere: no such folder"),
        (("linear", "mics", "."), "holds the input"),
        (("linear", "stems", "stems/bass.wav"), "stems/bass.wav"),
        (("square", "stems", "out"), "No such command 'square'"),
    ],
)
def test_bad_stages_are_refused(stage, arguments, words):
    before = stage.files
    assert words in stage.refused("simulate", *arguments)
    assert stage.files == before


def test_a_stage_is_replaced_by_the_next_but_foreign_files_are_not(stage):
    assert stage.run("simulate", "linear", "stems", "out")[0] == 0
    assert stage.run("simulate", "linear", "stems", "out", "--seed", 1)[0] == 0
    (stage.root / "out/truth.json").unlink()
    assert "out/mics/bass.wav: exists" in stage.refused("simulate", "linear", "stems", "out")
    assert stage.run("simulate", "linear", "stems", "out", "--overwrite")[0] == 0


def test_a_stage_of_other_names_is_not_mixed_with_an_earlier_one(stage):
    ir.write_multitrack(stage.root / "others", ir.Multitrack(("kick", "oud"), stems()[:2], RATE))
    assert stage.run("simulate", "linear", "stems", "out")[0] == 0
    before = stage.files
    for more in ((), ("--overwrite",)):
        line = stage.refused("simulate", "linear", "others", "out", *more)
        assert "out/mics/bass.wav: belongs to another recording; expected a folder without" in line
    assert stage.files == before


needs_falcon = pytest.mark.skipif(
    shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None, reason="Falcon 69 is decoded by ffmpeg"
)


@needs_falcon
def test_a_demo_in_a_folder_of_any_name_may_be_repeated(stage):
    (stage.root / "falcon69").mkdir()
    for _ in range(2):
        assert stage.run("demo", "falcon69", "--rt60", 0)[0] == 0


@needs_falcon
def test_demo_reduce_and_score_end_to_end(stage):
    pytest.importorskip("stempeg", reason="Falcon 69 comes with stempeg")
    code, out, err = stage.run("demo", "demo")
    assert (code, err) == (0, "") and "4 microphones, 6.1 s" in out
    code, out, err = stage.run("reduce", "demo/mics", "clean", *QUICK)
    assert code == 0 and out.startswith("am: 4 sources, 6.1 s in ")
    for name in ("vocals", "bass", "drums", "other"):
        info = soundfile.info(stage.root / f"clean/{name}.wav")
        assert (info.frames, info.samplerate, info.subtype) == (268288, 44100, "FLOAT")
    code, out, err = stage.run("score", "clean", "demo/references", "--inputs", "demo/mics", "--json")
    scores = json.loads(out)
    assert (code, err) == (0, "") and set(scores["stems"]) == {"vocals", "bass", "drums", "other"}
    assert -40 < scores["overall"]["si_sdr"]["mean"] < 40


def test_a_failure_that_is_not_the_input_exits_with_1(stage, monkeypatch):
    monkeypatch.setenv("PATH", "")
    code, out, err = stage.run("demo", "demo")
    assert (code, out) == (1, "") and err.count("\n") == 1 and "ffmpeg" in err and "IRTOOLS_DEBUG=1" in err
    assert not (stage.root / "demo").exists()


# Reducing


def test_reduce_writes_what_the_library_computes(stage):
    code, out, _ = stage.run("reduce", "mics", "out", *QUICK, "--chunk-seconds", "0.7")
    assert code == 0 and out.startswith("am: 3 sources, 4.0 s in ") and "-> out" in out
    mics = ir.read_multitrack(stage.root / "mics")
    expected = ir.reduce(mics.waveforms, RATE, method="am", variant="notebook")
    found = ir.read_multitrack(stage.root / "out")
    assert found.names == mics.names and found.sample_rate == RATE
    assert torch.allclose(found.waveforms, expected.sources, atol=1e-6)
    assert {soundfile.info(path).subtype for path in (stage.root / "out").glob("*.wav")} == {"FLOAT"}
    assert {path.name for path in (stage.root / "out").iterdir()} == {f"{name}.wav" for name in NAMES} | {"report.json"}


def test_the_report_tells_what_was_done(stage):
    stage.run("reduce", "mics", "out", *QUICK, "--set", "max_iter=7", "--set", "tol=0")
    report = json.loads((stage.root / "out/report.json").read_text(), parse_constant=pytest.fail)
    assert report["irtools"] == ir.__version__ and report["input"] == "mics" and report["method"] == "am"
    assert report["options"] == {"variant": "notebook", "max_iter": 7, "tol": 0}
    assert report["mics"] == report["outputs"] == list(NAMES)
    assert (report["sample_rate"], report["samples"], report["device"]) == (RATE, 4 * RATE, "cpu")
    assert np.shape(report["gains"]) == (3, 3) and len(report["cost"]) == 2 and report["elapsed_s"] > 0
    assert report["details"]["settings"]["max_iter"] == 7 and report["findings"] == []


def test_nothing_is_rescaled(stage):
    """Six decibels of input are six decibels of output, beyond full scale too."""
    loud = ir.read_multitrack(stage.root / "mics").waveforms * 8
    assert loud.abs().max() > 1.5
    ir.write_multitrack(stage.root / "loud", ir.Multitrack(NAMES, loud, RATE))
    # Blocks of the recording's power: eta and tol of 0 leave nothing that depends on the level.
    exact = (*QUICK, "--set", "eta=0", "--set", "tol=0", "--set", "max_iter=20")
    assert stage.run("reduce", "mics", "a", *exact)[0] == 0
    assert stage.run("reduce", "loud", "b", *exact)[0] == 0
    a, b = (ir.read_multitrack(stage.root / folder).waveforms for folder in "ab")
    assert b.abs().max() > 1 and torch.allclose(b, 8 * a, rtol=1e-4, atol=1e-5)


def test_a_subset_of_sources_is_named_after_its_close_microphones(stage):
    assert stage.run("reduce", "mics", "out", "--set", "assignment=[2, 0]")[0] == 0
    assert ir.read_multitrack(stage.root / "out").names == ("bass", "vocals")
    assert json.loads((stage.root / "out/report.json").read_text())["outputs"] == ["vocals", "bass"]


def test_ambient_microphones_are_files_too(stage):
    code, out, _ = stage.run("reduce", "mics", "out", "--ambient", "vocals", "--ambient", "bass", "--demix-ambient")
    assert code == 0 and out.startswith("closemic: 1 sources, ")
    report = json.loads((stage.root / "out/report.json").read_text())
    assert report["outputs"] == ["drums", "bass", "vocals"]
    assert report["ambient"] == {"bass": "demixed", "vocals": "demixed"}
    mics = ir.read_multitrack(stage.root / "mics").waveforms
    expected = ir.reduce(mics, RATE, assignment=[1], demix_ambient=True).sources
    assert torch.equal(ir.read_multitrack(stage.root / "out").waveforms, expected[[1, 0, 2]])


def test_a_mixdown_is_used(stage):
    mixdown = stems().sum(0, keepdim=True)
    ir.write_multitrack(stage.root / "mix", ir.Multitrack(("mixdown",), mixdown, RATE))
    assert stage.run("reduce", "mics", "out", *QUICK, "--mixdown", "mix/mixdown.wav")[0] == 0
    mics = ir.read_multitrack(stage.root / "mics").waveforms
    expected = ir.reduce(mics, RATE, method="am", mixture="mixdown", mixdown=mixdown[0], variant="notebook")
    found = ir.read_multitrack(stage.root / "out").waveforms
    assert torch.allclose(found, expected.sources, atol=1e-6)


def test_several_channels_and_lengths_are_what_the_option_says(stage):
    stereo = np.random.default_rng(0).uniform(-0.5, 0.5, (3 * RATE, 2))
    soundfile.write(stage.root / "mics/vocals.wav", stereo, RATE, subtype="FLOAT")
    code, *_ = stage.run("reduce", "mics", "out", "--channels", "right", "--lengths", "trim")
    assert code == 0 and soundfile.info(stage.root / "out/bass.wav").frames == 3 * RATE


def test_an_outcome_that_did_not_converge_is_a_warning_of_one_line(stage):
    arguments = ("--method", "am", "--set", "stop=objective", "--set", "max_iter=3", "--set", "tol=0")
    code, _, err = stage.run("reduce", "mics", "out", *arguments)
    assert code == 0 and all(line.startswith("irtools: warning: ") for line in err.splitlines())
    said = json.loads((stage.root / "out/report.json").read_text())["warnings"]
    assert len(said) == 1 and said[0] in err


def test_silent_and_clipped_microphones_are_reported_not_refused(stage):
    mics = ir.read_multitrack(stage.root / "mics").waveforms.clone()
    mics[0], mics[1] = 0, (20 * mics[1]).clamp(-1, 1)
    ir.write_multitrack(stage.root / "odd", ir.Multitrack(NAMES, mics, RATE))
    code, _, err = stage.run("reduce", "odd", "out", *QUICK, "--chunk-seconds", "0.5")
    assert code == 0
    findings = json.loads((stage.root / "out/report.json").read_text())["findings"]
    assert [finding.split(":")[:2] for finding in findings] == [["bass", " silent"], ["drums", " clipped"]]
    assert all(f"irtools: warning: {finding}" in err for finding in findings)


# Bad input: one line, exit code 2, nothing left behind


def _text(root):
    (root / "mics/vocals.wav").write_text("no audio\n")


def _truncated(root):
    path = root / "mics/vocals.wav"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty_file(root):
    (root / "mics/vocals.wav").write_bytes(b"")


def _no_samples(root):
    soundfile.write(root / "mics/vocals.wav", np.zeros(0), RATE)


def _other_rate(root):
    soundfile.write(root / "mics/vocals.wav", np.zeros(4 * RATE), 2 * RATE)


def _other_length(root):
    soundfile.write(root / "mics/vocals.wav", np.zeros(RATE), RATE)


def _stereo(root):
    soundfile.write(root / "mics/vocals.wav", np.zeros((4 * RATE, 2)), RATE)


def _nan(root):
    samples = stems()[0].numpy().copy()
    samples[3 * RATE] = np.nan
    soundfile.write(root / "mics/vocals.wav", samples, RATE, subtype="FLOAT")


def _infinite(root):
    samples = stems()[0].numpy().copy()
    samples[5] = np.inf
    soundfile.write(root / "mics/vocals.wav", samples, RATE, subtype="FLOAT")


def _two_of_one_name(root):
    soundfile.write(root / "mics/vocals.flac", np.zeros(4 * RATE), RATE)


def _folder_of_that_name(root):
    (root / "out/vocals.wav").mkdir(parents=True)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_text, "vocals.wav: not a readable audio file"),
        (_empty_file, "vocals.wav"),
        (_truncated, "vocals.wav: truncated"),
        (_no_samples, "vocals.wav: holds no samples"),
        (_other_rate, f"vocals.wav: {2 * RATE} Hz"),
        (_other_length, f"vocals.wav: {RATE} samples"),
        (_stereo, "vocals.wav: 2 channels"),
        (_nan, f"vocals.wav: non-finite value (nan) at sample {3 * RATE}"),
        (_infinite, "vocals.wav: non-finite value (inf) at sample 5"),
        (_two_of_one_name, "vocals"),
        (_folder_of_that_name, "out/vocals.wav"),
    ],
)
def test_bad_files_are_named(stage, damage, words):
    damage(stage.root)
    before = stage.files
    assert words in stage.refused("reduce", "mics", "out", "--chunk-seconds", "1")
    assert stage.files == before


BAD_CALLS = {
    "no folder": ("nowhere out", "nowhere: no such folder"),
    "a file": ("mics/bass.wav out", "mics/bass.wav: is a file"),
    "an empty folder": ("empty out", "empty: holds no audio"),
    "output is the input": ("mics mics", "mics: holds the input mics/bass.wav"),
    "output is the input by another name": ("mics stems/../mics", "holds the input"),
    "output is a file": ("mics mics/bass.wav", "mics/bass.wav: is a file"),
    "no output": ("mics", "Missing argument 'OUT_DIR'"),
    "unknown option": ("mics out --fast", "--fast"),
    "unknown method": ("mics out --method kamirr", "method: expected one of "),
    "unknown device": ("mics out --device abacus", "device: expected 'auto'"),
    "unknown setting": ("mics out --set speed=1", "speed: not a setting"),
    "no value": ("mics out --set max_iter", "--set: expected NAME=VALUE, got 'max_iter'"),
    "no name": ("mics out --set =3", "--set: expected NAME=VALUE, got '=3'"),
    "no identifier": ("mics out --set max-iter=3", "--set: expected NAME=VALUE, got 'max-iter=3'"),
    "a setting of another type": ("mics out --set max_iter=many", "max_iter=many"),
    "a setting that is an argument": ("mics out --set chunk_seconds=3", "chunk_seconds=3"),
    "a setting that is the recording": ("mics out --set sample_rate=3", "sample_rate=3"),
    "an unknown variant": ("mics out --method am --set variant=best", "variant: expected one of "),
    "no such microphone": ("mics out --set assignment=[0,9]", "assignment: expected microphone indices 0 to 2"),
    "one microphone twice": ("mics out --set assignment=[1,1]", "assignment: expected each microphone once"),
    "more sources than microphones": ("mics out --set n_sources=4", "n_sources: expected 1 to 3"),
    "no such ambient microphone": (
        "mics out --ambient room",
        "ambient: no microphone called 'room'; expected some of bass, drums",
    ),
    "an ambient microphone twice": ("mics out --ambient bass --ambient bass", "ambient: expected each microphone once"),
    "ambient microphones alone": (
        "mics out --ambient bass --ambient drums --ambient vocals",
        "ambient: expected a mic",
    ),
    "ambient and assignment": ("mics out --ambient bass --set assignment=[1]", "assignment: given beside ambient"),
    "ambient and n_sources": ("mics out --ambient bass --set n_sources=2", "n_sources: given beside ambient"),
    "ambient and close_mics": (
        "mics out --method mira --ambient bass --set close_mics=[[1],[2]]",
        "close_mics: given beside ambient",
    ),
    "demixed without ambient": ("mics out --demix-ambient", "demix_ambient: expected names of ambient microphones"),
    "demixed by a mask": (
        "mics out --method mira --ambient bass --demix-ambient",
        "demix_ambient: the method 'mira' estimates sources alone",
    ),
    "no length": ("mics out --chunk-seconds 0", "chunk_seconds: expected a positive number"),
    "an endless length": ("mics out --chunk-seconds inf", "chunk_seconds: expected a positive number"),
    "no number": ("mics out --chunk-seconds long", "--chunk-seconds"),
    "unknown channels": ("mics out --channels middle", "channels: expected one of error, mean, left, right"),
    "unknown lengths": ("mics out --lengths stretch", "lengths: expected one of error, pad, trim"),
    "no mixdown": ("mics out --mixdown mix.wav", "mix.wav: no such file"),
    "mixdown of another length": ("mics out --mixdown short.wav", f"short.wav: 100 samples at {RATE} Hz; expected"),
    "mixdown of another rate": ("mics out --mixdown fast.wav", f"fast.wav: {4 * RATE} samples at 96000 Hz; expected"),
    "a mixdown that is not used": ("mics out --mixdown right.wav --set mixture=mics", "mixdown: given, but"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_calls_are_named(stage, case):
    call, words = BAD_CALLS[case]
    (stage.root / "empty").mkdir()
    for name, samples, rate in (("short", 100, RATE), ("fast", 4 * RATE, 96000), ("right", 4 * RATE, RATE)):
        soundfile.write(stage.root / f"{name}.wav", np.zeros(samples), rate)
    before = stage.files
    assert words in stage.refused("reduce", *call.split())
    assert stage.files == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is present")
def test_a_device_that_is_missing_is_named(stage):
    assert "no CUDA device" in stage.refused("reduce", "mics", "out", "--device", "cuda")


def test_a_setting_that_makes_the_numbers_fail_exits_with_1(stage, monkeypatch):
    def fail(*_, **__):
        raise FloatingPointError("iteration 3: a singular matrix")

    monkeypatch.setitem(registry.METHODS, "closemic", registry.Method(fail))
    code, out, err = stage.run("reduce", "mics", "out")
    assert (code, out) == (1, "") and "FloatingPointError: iteration 3: a singular matrix" in err
    assert err.count("\n") == 1 and not (stage.root / "out").exists()


# Files that are there already


def test_foreign_files_are_refused_and_replaced_with_overwrite(stage):
    (stage.root / "out").mkdir()
    foreign = stage.root / "out/drums.wav"
    foreign.write_bytes(b"somebody's")
    assert "out/drums.wav: exists; expected a new or empty folder, or --overwrite" in stage.refused(
        "reduce", "mics", "out"
    )
    assert foreign.read_bytes() == b"somebody's" and len(list(foreign.parent.iterdir())) == 1
    assert stage.run("reduce", "mics", "out", *QUICK, "--overwrite")[0] == 0
    assert soundfile.info(foreign).frames == 4 * RATE


def test_own_output_is_replaced_and_other_files_are_left_alone(stage):
    assert stage.run("reduce", "mics", "out", *QUICK)[0] == 0
    first = ir.read_multitrack(stage.root / "out").waveforms
    (stage.root / "out/notes.txt").write_text("keep")
    assert stage.run("reduce", "mics", "out", "--method", "am", "--set", "variant=minimisation2")[0] == 0
    assert not torch.equal(ir.read_multitrack(stage.root / "out").waveforms, first)
    assert (stage.root / "out/notes.txt").read_text() == "keep"


def test_a_file_that_an_earlier_report_does_not_list_is_foreign(stage):
    assert stage.run("reduce", "mics", "out", "--set", "assignment=[0]")[0] == 0
    (stage.root / "out/vocals.wav").write_bytes(b"somebody's")
    assert "out/vocals.wav: exists" in stage.refused("reduce", "mics", "out")


@pytest.mark.parametrize("text", ["", "[]", '{"outputs": ["bass", "drums", "vocals"]}', "\xff"])
def test_a_report_of_something_else_is_foreign(stage, text):
    (stage.root / "out").mkdir()
    (stage.root / "out/report.json").write_text(text, encoding="latin-1")
    assert "out/report.json: exists" in stage.refused("reduce", "mics", "out")


def test_a_failed_run_leaves_the_earlier_output_as_it_was(stage):
    assert stage.run("reduce", "mics", "out", *QUICK)[0] == 0
    before = {path.name: path.read_bytes() for path in (stage.root / "out").iterdir()}
    _nan(stage.root)
    stage.refused("reduce", "mics", "out", *QUICK, "--chunk-seconds", "1")
    assert {path.name: path.read_bytes() for path in (stage.root / "out").iterdir()} == before


# Scoring


def test_score_of_the_references_themselves_and_as_a_table(stage):
    code, out, err = stage.run("score", "mics", "stems", "--json")
    scores = json.loads(out, parse_constant=pytest.fail)
    assert (code, err) == (0, "")
    s = stems().double()
    mics = ir.read_multitrack(stage.root / "mics").waveforms.double()
    expected = 10 * torch.log10(s.square().sum(1) / (mics - s).square().sum(1))
    # One second is one window; four windows of noise differ little from the whole.
    found = torch.tensor([scores["stems"][name]["sdr"]["mean"] for name in NAMES])
    assert torch.allclose(found.double(), expected, atol=0.3)
    code, out, err = stage.run("score", "mics", "stems", "--inputs", "mics")
    assert (code, err) == (0, "") and "SI-SDR improvement" in out and all(name in out for name in NAMES)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("nowhere stems", "nowhere: no such folder"),
        ("mics nowhere", "nowhere: no such folder"),
        ("one stems", "one: no file for microphone"),
        ("short stems", "short: number of samples 100; expected"),
        ("fast stems", f"fast: sample rate 96000; expected {RATE} as in stems"),
        ("mics stems --inputs short", "short: number of samples"),
        ("mics silent", "silence"),
    ],
)
def test_what_cannot_be_scored_is_named(stage, call, words):
    for folder, samples, rate in (("short", 100, RATE), ("fast", 4 * RATE, 96000), ("silent", 4 * RATE, RATE)):
        track = ir.Multitrack(NAMES, torch.zeros(3, samples), rate)
        ir.write_multitrack(stage.root / folder, track)
    ir.write_multitrack(stage.root / "one", ir.Multitrack(("bass",), torch.zeros(1, 4 * RATE), RATE))
    assert words in stage.refused("score", *call.split())


# As a process of its own


def test_a_process_elsewhere_with_absolute_paths_and_no_terminal(stage, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    call = ["reduce", stage.root / "mics", stage.root / "out", *QUICK, "--chunk-seconds", "0.1"]
    done = subprocess.run([*COMMAND, *call], cwd=elsewhere, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("\n") == 1
    assert "\r" not in done.stderr and "%" not in done.stderr and "\x1b" not in done.stdout + done.stderr
    assert list(elsewhere.iterdir()) == [] and len(list((stage.root / "out").iterdir())) == 4
    done = subprocess.run([*COMMAND, "reduce", "mics", "out"], cwd=elsewhere, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "irtools: mics: no such folder; expected a folder of .wav or .flac files\n"


def test_a_reader_that_goes_away_is_no_traceback():
    done = subprocess.run(
        f"'{sys.executable}' -m irtools.commands.main --help | true", shell=True, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr


def test_debugging_shows_where(stage):
    call = [*COMMAND, "reduce", "nowhere", "out"]
    done = subprocess.run(call, env=os.environ | {"IRTOOLS_DEBUG": "1"}, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" in done.stderr


@pytest.mark.parametrize("value", ["", "0"])
def test_debugging_is_off_where_its_variable_is_empty_or_zero(stage, monkeypatch, value):
    monkeypatch.setenv("IRTOOLS_DEBUG", value)
    assert "nowhere: no such folder" in stage.refused("reduce", "nowhere", "out")


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals on Windows")
def test_a_terminal_gets_progress_bars_and_no_colour(stage):
    import fcntl
    import pty
    import struct
    import termios

    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        pytest.skip(f"no pseudo-terminal to be had: {error}")
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    call = [*COMMAND, "reduce", "mics", "out", *QUICK, "--chunk-seconds", "0.5"]
    with subprocess.Popen(call, cwd=stage.root, stdout=theirs, stderr=theirs, stdin=theirs) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                seen += os.read(ours, 4096)
            except OSError:  # Linux says so when the other end closes
                break
        assert process.wait() == 0
    os.close(ours)
    lines = [line.rstrip("\r").split("\r")[-1] for line in seen.decode().split("\n")]
    assert [line.split()[:2] for line in lines[:2]] == [["learn", "100%"], ["separate", "100%"]]
    assert "\x1b[3" not in seen.decode() and max(map(len, lines[:2])) <= 80


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ on Windows")
def test_an_interrupted_run_leaves_nothing(stage):
    long = ir.Multitrack(NAMES, stems(60 * RATE), RATE)
    ir.write_multitrack(stage.root / "long", long)
    call = [*COMMAND, "reduce", "long", "out", *QUICK, "--chunk-seconds", "0.01"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}

    def listen_to_interrupts():
        # A shell's background job starts its children deaf to SIGINT.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(call, cwd=stage.root, preexec_fn=listen_to_interrupts, **pipes) as process:
        deadline = time.monotonic() + 300
        while not list(stage.root.glob("out/.*.part")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    assert process.returncode not in (0, 2) and out == "" and "Traceback" not in err
    assert not (stage.root / "out").exists()


MEMORY = r"""
import re
from pathlib import Path
from irtools.methods.streaming.files import reduce_files
from irtools.recording.reading import MultitrackReader
for part in ("short", "long"):
    with MultitrackReader(part) as reader:
        reduce_files(reader, Path("out_" + part), "am", chunk_seconds=1.0, variant="notebook")
    # Not ru_maxrss: that starts at the peak of the process that started this one.
    print(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_peak_memory_does_not_grow_with_the_length_of_the_recording(stage):
    """Sixteen times the length: 77 MB of input more, and not a fifth of it in memory."""
    noise = (0.1 * stems(30 * RATE)).repeat(1, 16).numpy()
    for folder, samples in (("short", 50 * RATE), ("long", 800 * RATE)):
        (stage.root / folder).mkdir()
        for name, row in zip(NAMES, np.tile(noise, 2)[:, :samples], strict=True):
            soundfile.write(stage.root / f"{folder}/{name}.wav", row, RATE, subtype="FLOAT")
    done = subprocess.run([sys.executable, "-c", MEMORY], cwd=stage.root, capture_output=True, text=True, check=True)
    short, long = map(int, done.stdout.split())
    assert long - short < 15_000
