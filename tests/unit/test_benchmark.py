"""The benchmark: rows equal to direct calls, a table that survives a kill, and the same rows wherever jobs run."""

import json
import math
import os
import pickle
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import irtools as ir
from irtools.commands import main as cli
from irtools.comparison import running
from irtools.comparison.jobs import BASELINES, Job, plan, run_job
from irtools.comparison.measured import measure
from irtools.comparison.rivals import RIVALS
from irtools.comparison.running import run_benchmark, threads_per_job
from irtools.comparison.scenes import STAGES, make_scene, scenes_of
from irtools.comparison.summary import summarise, summary_table
from irtools.comparison.table import COLUMNS, Table, read_rows
from irtools.methods.separator import Reduction
from irtools.provenance import provenance, usable_cores

RATE = 8000
NAMES = ("bass", "drums", "vocals")
# Columns that are another at every run.
TIMES = ("elapsed_s", "times_real_time", "peak_mib", "extra_mib", "gpu_mib")


@pytest.fixture
def song(tmp_path):
    """A folder of three stems of two seconds."""
    folder = tmp_path / "songs" / "monday"
    folder.mkdir(parents=True)
    draws = np.random.default_rng(0)
    for name in NAMES:
        waveform = 0.1 * draws.standard_normal(2 * RATE) * draws.random(2 * RATE) ** 4
        soundfile.write(folder / f"{name}.wav", waveform, RATE)
    return folder


def linear(song, **options):
    return scenes_of(["linear"], [str(song)], seconds=1, **options)


def same(rows: list[dict]) -> list[dict]:
    """What two runs of the same jobs must agree on, in any order."""
    kept = [{name: repr(value) for name, value in row.items() if name not in TIMES} for row in rows]
    return sorted(kept, key=lambda row: (row["key"], row["stem"]))


# Scenes


def test_every_stage_is_plain_and_makes_the_same_samples_again(song):
    scenes = scenes_of(STAGES, [str(song)], rt60_s=[0.2, 0.4], seconds=0.5, start_s=0.25, seeds=[3, 4])
    rooms = [stage for stage in STAGES.values() if stage["kind"] == "room" and "rt60_s" not in stage]
    assert len(scenes) == 2 * (len(STAGES) + len(rooms)) == len({Job(scene, "am").key for scene in scenes})
    dry, _ = soundfile.read(song / "drums.wav", start=RATE // 4, frames=RATE // 2, dtype="float32")
    for scene in scenes:
        again = make_scene(json.loads(json.dumps(scene)))
        assert pickle.loads(pickle.dumps(scene)) == scene
        assert torch.equal(make_scene(scene).mics, again.mics) and again.names == NAMES
        assert np.array_equal(again.sources[1].numpy(), dry)
        assert again.details["kind"] == scene["kind"]
    first, second = (make_scene(scene) for scene in scenes[:2])
    assert not torch.equal(first.mics, second.mics)


def test_the_stages_are_what_their_names_say(song):
    def stage(name):
        scene = scenes_of([name], [str(song)], rt60_s=[0.3], seconds=1)[0]
        return make_scene(scene)

    gains = stage("linear").gains
    off = gains[~torch.eye(3, dtype=bool)]
    assert torch.equal(gains.diagonal(), torch.ones(3)) and (off >= 0.01).all() and (off <= 0.5).all()
    assert (stage("attenuated").gains.diagonal() < 1).all()
    assert abs(np.mean(stage("loud").details["input_sdr_db"])) <= 1 + 1e-6
    noisy = stage("noisy")
    noise = noisy.mics - noisy.gains @ noisy.sources
    level = 10 * torch.log10(noise.square().sum(1) / noisy.mics.square().sum(1))
    assert torch.allclose(level, torch.full((3,), -30.0), atol=0.5)
    for name, (low, high) in {"low": (10, 20), "high": (0, 10)}.items():
        assert low <= np.mean(stage(name).details["input_sdr_db"]) <= high
    assert stage("room").gains is None and stage("hall").details["room_m"] != stage("room").details["room_m"]


def test_a_kit_has_a_microphone_at_every_drum_and_two_without_one():
    (described,) = scenes_of(["kit"], ["kit:0"], rt60_s=[0.2, 0.4], seconds=8)
    scene = make_scene(described)
    assert described["rt60_s"] == 0.3 and scene.details["mean_measured_rt60_s"] == pytest.approx(0.3, rel=0.05)
    assert scene.names == ("kick", "snare", "hihat", "tom_high", "tom_low") and scene.n_mics == 7
    # Each drum is loudest at its own microphone, and the snare's bleeds most into the hi-hat's.
    bleed = np.array(scene.details["bleed_db"])
    assert (bleed[~np.eye(7, 5, dtype=bool)] < -6).all() and bleed[:, 1].argsort()[-2] == 2
    with pytest.raises(ValueError, match="song: expected kit:SEED with a number, got 'kit:drum'"):
        make_scene(described | {"song": "kit:drum"})


def test_a_folder_of_songs_is_its_songs_and_a_key_knows_their_content_not_their_place(song):
    other = song.parent / "tuesday"
    other.mkdir()
    for path in song.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    scenes = linear(song.parent)
    assert [scene["song"] for scene in scenes] == [str(song), str(other)]
    keys = [Job(scene, "am").key for scene in scenes]
    moved = song.parent.parent / "moved" / "monday"
    moved.parent.mkdir()
    song.rename(moved)
    assert Job(linear(moved)[0], "am").key == keys[0] != keys[1]
    soundfile.write(moved / "bass.wav", np.ones(2 * RATE) / 2, RATE)
    assert Job(linear(moved)[0], "am").key != keys[0]


def test_a_key_knows_the_names_of_the_stems(song):
    """The same files in the same order under another name are other rows of the table."""
    before = Job(linear(song)[0], "am").key
    (song / "drums.wav").rename(song / "cajon.wav")
    renamed = Job(linear(song)[0], "am").key
    (song / "cajon.wav").rename(song / "drums.wav")
    assert renamed != before == Job(linear(song)[0], "am").key


def test_what_is_no_scene_is_refused(song, tmp_path):
    with pytest.raises(ValueError, match="stages: expected one of linear"):
        scenes_of(["moon"], ["band:3"])
    with pytest.raises(ValueError, match="songs: expected falcon69, band:SEED, kit:SEED or a folder"):
        scenes_of(["linear"], [str(tmp_path / "nowhere")])
    with pytest.raises(ValueError, match=r"start_s: .*16000 samples"):
        make_scene(linear(song, start_s=9)[0])
    with pytest.raises(ValueError, match="kind: expected one of linear, room, got 'moon'"):
        make_scene({"kind": "moon", "song": "band:3"})
    with pytest.raises(ValueError, match="expected the field 'kind'"):
        make_scene({"song": "band:3"})
    with pytest.raises(ValueError, match="seconds: expected a positive number, got 0"):
        scenes_of(["linear"], ["band:3"], seconds=0)


# Jobs


def test_the_rows_of_a_job_are_those_of_direct_calls(song):
    described = linear(song)[0]
    options = {"max_iter": 2, "seed": 0}
    rows = run_job(Job(described, "ica", options, "cpu"), threads=1)
    scene = make_scene(described)
    with pytest.warns(ir.ConvergenceWarning) as said:
        found = ir.reduce(scene.mics, scene.sample_rate, "ica", device="cpu", **options)
    after = ir.score(
        found.sources, scene.references, RATE, inputs=scene.mics, gains=found.gains, true_gains=scene.gains
    )
    assert [row["stem"] for row in rows] == list(NAMES) and {row["error"] for row in rows if "error" in row} == set()
    for n, row in enumerate(rows):
        expected = {
            "si_sdr_db": after.si_sdr[n],
            "sdr_db": after.median("sdr")[n],
            "sir_db": after.median("sir")[n],
            "bleed_db": after.bleed[n],
            "gains_error": after.gains_error,
            "input_si_sdr_db": scene.details["input_si_sdr_db"][n],
        }
        assert {name: row[name] for name in expected} == pytest.approx({k: float(v) for k, v in expected.items()}, 1e-3)
        assert row["si_sdr_improvement_db"] == pytest.approx(row["si_sdr_db"] - row["input_si_sdr_db"])
        assert row["n_iter"] == 2 and row["converged"] is False and row["warnings"] == str(said[0].message)
        assert row["threads"] == 1 and row["device"] == "cpu" and row["elapsed_s"] > 0
        assert row["times_real_time"] == pytest.approx(1 / row["elapsed_s"])
        assert {name: row[name] for name in provenance("torch", "numpy")} == provenance("torch", "numpy")
        assert set(row) <= set(COLUMNS)


@pytest.mark.parametrize("stage", STAGES)
def test_baselines_are_ordered_as_they_must_be(song, stage):
    scene = scenes_of([stage], [str(song)], seconds=1)[0]
    jobs = plan([scene], [])
    assert [job.method for job in jobs] == [n for n in BASELINES if n != "oracle-inverse" or scene["kind"] == "linear"]
    found = {job.method: run_job(job) for job in jobs}
    for n in range(3):
        best = found["oracle-linear"][n]
        assert found["input"][n]["si_sdr_improvement_db"] == 0
        assert best["si_sdr_db"] == pytest.approx(best["oracle_linear_si_sdr_db"])
        assert all(found[oracle][n]["si_sdr_improvement_db"] > 0 for oracle in ("oracle-linear", "oracle-mask"))
        if scene["kind"] == "linear":
            assert best["si_sdr_db"] >= found["oracle-inverse"][n]["si_sdr_db"] - 30 * (stage != "noisy")
            assert stage == "noisy" or found["oracle-inverse"][n]["si_sdr_db"] > 80


def test_a_failed_method_is_a_row_and_no_other_job_minds(song, tmp_path):
    jobs = plan(linear(song), [("am", {"max_iter": -1}), "no such method", ("ica", {"colour": "red"})])
    jobs.append(Job({"kind": "room", "song": str(tmp_path / "gone")}, "input"))
    rows = run_benchmark(jobs, tmp_path / "t.csv")
    failed = {row["method"]: row["error"] for row in rows if row["error"]}
    assert set(failed) == {"am", "no such method", "ica", "input"}
    assert "max_iter" in failed["am"] and "no such method" in failed["no such method"] and "colour" in failed["ica"]
    good = [row for row in rows if not row["error"]]
    assert {row["method"] for row in good} == set(BASELINES) and len(good) == 12
    assert all(row["stem"] == "" and math.isnan(row["si_sdr_db"]) for row in rows if row["error"])


def test_a_method_that_takes_too_long_is_a_row(song):
    (row,) = run_job(Job(linear(song)[0], "am"), timeout_s=0.05)
    assert row["error"].startswith("TimeoutExpired")


MEMORY = """
import torch
from irtools.comparison.measured import measure
from irtools.comparison.rivals import RIVALS
from irtools.methods.separator import Reduction

def greedy(mics, sample_rate):
    block = torch.ones(int(mics.shape[1] / 16000 * (256 << 20)), dtype=torch.uint8)
    return Reduction(mics * block[0])

RIVALS["greedy"] = greedy
mics = torch.ones(2, 16000)
found = measure(mics=mics, mixdown=None, sample_rate=1000, method="greedy", options={}, device="cpu", threads=1)
print(found["extra_mib"], found["peak_mib"])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system does not tell")
def test_the_peak_of_memory_is_that_of_the_call():
    done = subprocess.run([sys.executable, "-c", MEMORY], check=True, capture_output=True, text=True)
    extra, peak = map(float, done.stdout.split())
    assert 250 < extra < 275 and peak > extra + 50


@pytest.fixture
def listening(monkeypatch):
    """A method that notes how it is called, and what it draws."""
    heard = []

    def method(mics, sample_rate, **options):
        heard.append({"samples": mics.shape[1], "drawn": torch.rand(()).item(), **options})
        return Reduction(mics.clone(), torch.eye(len(mics)), n_iter=7)

    monkeypatch.setitem(RIVALS, "listening", method)
    return heard


def measured(**changes) -> dict:
    call = {"mics": torch.ones(2, 3 * RATE), "mixdown": None, "sample_rate": RATE, "method": "listening"}
    return measure(**call | {"options": {}, "device": "cpu", "threads": torch.get_num_threads()} | changes)


def test_a_second_is_run_before_the_call_that_counts_and_both_draw_the_same(listening):
    found = measured()
    assert [call["samples"] for call in listening] == [RATE, 3 * RATE]
    torch.rand(5)
    measured()
    assert len({call["drawn"] for call in listening}) == 1 and len(listening) == 4
    assert (
        found["sources"].shape == (2, 3 * RATE) and found["n_iter"] == 7 and torch.equal(found["gains"], torch.eye(2))
    )


def test_a_method_gets_its_options_as_typed_and_as_much_of_the_mixdown_as_of_the_microphones(listening):
    measured(mixdown=torch.arange(3.0 * RATE), options={"steps": [1, 2], "seed": 3, "mixture": "clean"})
    for call in listening:
        assert call["steps"] == (1, 2) and call["seed"] == 3
        assert torch.equal(call["mixdown"], torch.arange(float(call["samples"])))


def test_the_clean_mixdown_is_the_sum_of_the_references(song):
    described = linear(song)[0]
    scene = make_scene(described)
    rows = run_job(Job(described, "am", {"mixture": "clean", "max_iter": 3}, "cpu"), threads=1)
    with pytest.warns(ir.ConvergenceWarning):
        told = ir.reduce(scene.mics, RATE, "am", mixture="clean", mixdown=scene.references.sum(0), max_iter=3)
    expected = ir.score(told.sources, scene.references, RATE).si_sdr
    assert [row["si_sdr_db"] for row in rows] == pytest.approx(expected.tolist(), abs=1e-3)


RUN = """
import sys
from irtools.comparison.jobs import Job, run_job
from irtools.comparison.running import run_benchmark
from irtools.comparison.scenes import scenes_of

if __name__ == "__main__":
    scenes = scenes_of(["linear"], [sys.argv[1]], seconds=0.5, seeds=[0, 1])
    jobs = [Job(scene, "am", {"max_iter": 1}) for scene in scenes]
    for row in run_job(jobs[0]) + run_benchmark(jobs, sys.argv[2], n_jobs=2):
        print(row.get("error") or row["stem"])
"""


@pytest.mark.slow
def test_nothing_in_the_current_folder_is_ever_imported(song, tmp_path):
    """As the installed command runs, whose own folder comes first, not the current one."""
    script, trap = tmp_path / "bin" / "run.py", tmp_path / "trapped"
    script.parent.mkdir()
    script.write_text(RUN)
    for name in ("soundfile", "numpy", "json", "irtools"):
        (song / f"{name}.py").write_text(f"open({str(trap)!r}, 'a').write({name!r})\n")
    call = [sys.executable, script, song, tmp_path / "t.csv"]
    root = str(Path(ir.__file__).parents[1])
    environment = dict(os.environ) | {"PYTHONPATH": root}
    environment.pop("PYTHONSAFEPATH", None)
    done = subprocess.run(call, cwd=song, env=environment, capture_output=True, text=True)
    assert not trap.exists(), trap.read_text()
    assert done.stdout.split() == 3 * list(NAMES), done.stderr


# The table

TEXTS = st.text(max_size=20)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
JOB_ROWS = st.lists(st.lists(st.tuples(TEXTS, NUMBERS), min_size=1, max_size=3), min_size=1, max_size=4)


def filled(path, jobs) -> list[list[dict]]:
    made = [
        [
            {"key": f"k{i}", "stems": len(job), "stem": "x", "error": error, "sdr_db": value, "converged": True}
            for error, value in job
        ]
        for i, job in enumerate(jobs)
    ]
    path.unlink(missing_ok=True)
    with Table(path) as table:
        for rows in made:
            table.append(rows)
    return made


@settings(max_examples=40, deadline=None)
@given(jobs=JOB_ROWS)
def test_a_table_gives_back_what_was_written(tmp_path_factory, jobs):
    path = tmp_path_factory.mktemp("table") / "t.csv"
    made = [row for rows in filled(path, jobs) for row in rows]
    found = read_rows(path)
    assert [row["key"] for row in found] == [row["key"] for row in made]
    for ours, its in zip(made, found, strict=True):
        assert its["sdr_db"] == pytest.approx(ours["sdr_db"], rel=1e-5, nan_ok=True)
        assert its["error"] == " ".join(ours["error"].split()) and its["converged"] is True
        assert math.isnan(its["sir_db"]) and its["warnings"] == ""


@settings(max_examples=40, deadline=None)
@given(jobs=JOB_ROWS, cut=st.floats(0, 1))
def test_a_table_cut_anywhere_keeps_its_whole_jobs_and_goes_on(tmp_path_factory, jobs, cut):
    path = tmp_path_factory.mktemp("table") / "t.csv"
    made = filled(path, jobs)
    whole = path.read_bytes()
    size = int(cut * len(whole))
    path.write_bytes(whole[:size])
    with Table(path) as table:
        kept = set(table.jobs)
        assert kept == {rows[0]["key"] for rows in made[: len(kept)]}
        assert whole.startswith(path.read_bytes()) and (kept or size < len(whole))
        for rows in made:
            if rows[0]["key"] not in kept:
                table.append(rows)
    assert path.read_bytes() == whole


def test_a_table_is_one_run_s_and_no_other_file_is_touched(tmp_path):
    path = tmp_path / "new" / "t.csv"
    with Table(path), pytest.raises(ValueError, match="another run writes to it"), Table(path):
        pass
    with pytest.raises(ValueError, match="is a folder"), Table(tmp_path):
        pass
    for content in (b"a,b\n1,2\n", path.read_bytes() + b"nonsense\n"):
        foreign = tmp_path / "foreign.csv"
        foreign.write_bytes(content)
        with pytest.raises(ValueError, match=r"foreign\.csv: "), Table(foreign):
            pass
        with pytest.raises(ValueError, match=r"foreign\.csv: "):
            read_rows(foreign)
        assert foreign.read_bytes() == content
    with pytest.raises(ValueError, match="no such file"):
        read_rows(tmp_path / "none.csv")


# Runs


def test_a_second_run_does_only_what_is_new(song, tmp_path, monkeypatch):
    path, told = tmp_path / "t.csv", []
    first = run_benchmark(plan(linear(song), []), path, on_job=lambda *job: told.append(job))
    assert told == [(i, 4) for i in range(5)] and len(first) == 12
    content = path.read_bytes()
    monkeypatch.setattr(running, "run_job", lambda *_, **__: pytest.fail("ran again"))
    assert same(run_benchmark(plan(linear(song), []), path)) == same(first)
    assert path.read_bytes() == content
    monkeypatch.undo()
    more = plan(linear(song, seeds=[0, 1]), [])
    told.clear()
    rows = run_benchmark(more, path, on_job=lambda *job: told.append(job))
    assert told[-1] == (4, 4) and path.read_bytes().startswith(content) and len(rows) == 24
    assert [row["key"] for row in rows] == [job.key for job in more for _ in NAMES]


def test_what_failed_runs_again_when_asked(song, tmp_path, monkeypatch):
    jobs, path = [Job(linear(song)[0], "am")], tmp_path / "t.csv"
    (row,) = run_benchmark(jobs, path, timeout_s=0.05)
    assert row["error"]
    assert same(run_benchmark(jobs, path)) == same([row])
    rows = run_benchmark(jobs, path, retry_failed=True)
    assert [row["stem"] for row in rows] == list(NAMES) and not any(row["error"] for row in rows)


@pytest.mark.slow
def test_several_processes_find_what_one_finds_and_share_the_cores(song, tmp_path, monkeypatch):
    jobs, asked, parallel = plan(linear(song), ["am"]), [], joblib.Parallel
    monkeypatch.setattr(joblib, "Parallel", lambda n_jobs, **how: asked.append(n_jobs) or parallel(n_jobs, **how))
    one = run_benchmark(jobs, tmp_path / "one.csv", threads=1)
    two = run_benchmark(jobs, tmp_path / "two.csv", n_jobs=2)
    share = max(1, usable_cores() // 2)
    assert asked == [1, 2]
    assert {row["threads"] for row in two if row["method"] == "am"} == {share}
    for rows in (one, two):
        for row in rows:
            row["threads"] = None
    assert same(one) == same(two)
    with pytest.raises(ValueError, match="n_jobs: expected at least 1, got 0"):
        run_benchmark(jobs, tmp_path / "two.csv", n_jobs=0)


@given(cores=st.integers(1, 128), jobs=st.integers(1, 128))
def test_jobs_share_the_cores(cores, jobs):
    threads = threads_per_job(cores, jobs)
    assert threads >= 1 and (threads * jobs <= cores < (threads + 1) * jobs or threads == 1)


def bench(*arguments) -> list[str]:
    command = [sys.executable, "-m", "irtools.commands.main", "bench", "--scenes", "linear", "--seconds", "1"]
    return [*command, *map(str, arguments)]


@pytest.mark.slow
def test_a_killed_run_is_gone_on_with(song, tmp_path):
    path = tmp_path / "t.csv"
    call = bench("--methods", "am", "--songs", song, "--seeds", "0,1,2", "--out", path)
    run = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + 300
        while time.monotonic() < limit and not (path.exists() and len(path.read_bytes().splitlines()) > 6):
            time.sleep(0.02)
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    before = path.read_bytes()
    done = len(read_rows(path))
    assert 0 < done < 3 * 5 * 3
    finished = subprocess.run(call, capture_output=True, text=True, check=True)
    assert path.read_bytes().startswith(before[: before.rindex(b"\n") + 1]) and len(read_rows(path)) == 3 * 5 * 3
    assert f"{3 * 5 * 3} rows" in finished.stdout


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_workers_of_a_cluster_find_what_this_process_finds(song, tmp_path):
    distributed = pytest.importorskip("distributed")
    jobs = plan(linear(song), ["am", ("am", {"max_iter": -1})])
    here = run_benchmark(jobs, tmp_path / "here.csv", threads=1)
    told = []
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        there = run_benchmark(
            jobs, tmp_path / "there.csv", scheduler=cluster.scheduler_address, on_job=lambda *job: told.append(job)
        )
    share = max(1, usable_cores() // 2)
    assert {row["threads"] for row in there if row["method"] == "am" and not row["error"]} == {share}
    for row in (*here, *there):
        row["threads"] = None
    assert same(here) == same(there) and told[-1] == (len(jobs), len(jobs))


def test_a_cluster_that_is_not_there_is_one_clear_error(song, tmp_path, monkeypatch):
    jobs = plan(linear(song), [])
    pytest.importorskip("distributed")
    with pytest.raises(RuntimeError, match="no Dask scheduler answers at 'nonsense'"):
        run_benchmark(jobs, tmp_path / "t.csv", scheduler="nonsense")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'irtools\[cluster\]'"):
        run_benchmark(jobs, tmp_path / "t.csv", scheduler="tcp://127.0.0.1:1")


# Summary


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.floats(-50, 50) | st.just(math.nan)), min_size=1
    )
)
def test_a_summary_is_mean_median_and_worst_of_each_group(rows):
    table = [
        {"scene": s, "song": "blue", "method": m, "stem": str(i), "si_sdr_db": v, "si_sdr_improvement_db": v}
        for i, (s, m, v) in enumerate(rows)
    ]
    groups = summarise(table)
    assert {(g["scene"], g["method"]) for g in groups} == {(s, m) for s, m, _ in rows}
    for group in groups:
        values = [v for s, m, v in rows if (s, m) == (group["scene"], group["method"])]
        known = [v for v in values if not math.isnan(v)]
        assert group["stems"] == len(known) and group["missing"] == len(values) - len(known)
        if known:
            expected = [sum(known) / len(known), statistics.median(known), min(known)]
            assert [group["mean"], group["median"], group["worst"]] == pytest.approx(expected, abs=1e-9)
            assert rows[int(group["worst_stem"].removeprefix("blue: "))][2] == min(known)
        else:
            assert math.isnan(group["mean"])
    assert len(summary_table(table).splitlines()) == len(groups) + 1


def test_a_summary_splits_by_song_and_by_room_and_counts_failures():
    row = {"method": "am", "options": "{}", "stem": "x", "si_sdr_db": 1.0, "error": ""}
    rows = [
        row | {"song": "blue", "scene": "linear", "rt60_s": math.nan},
        row | {"song": "red", "scene": "linear", "rt60_s": math.nan},
        row | {"song": "blue", "scene": "room 0.2 s", "rt60_s": 0.2},
        row | {"song": "blue", "scene": "room 0.2 s", "rt60_s": 0.2, "error": "no", "si_sdr_db": math.nan},
    ]
    assert [(g["song"], g["stems"], g["failed"]) for g in summarise(rows, ("song",))] == [("blue", 2, 1), ("red", 1, 0)]
    assert [(g["scene"], g["stems"]) for g in summarise(rows)] == [("linear", 2), ("room 0.2 s", 1)]
    assert [g["stems"] for g in summarise(rows, ("rt60_s",))] == [2, 1]
    assert [g["stems"] for g in summarise(rows, ())] == [3]
    with pytest.raises(ValueError, match="by: expected columns of the table, got 'moon'"):
        summarise(rows, ("moon",))


# The command


@pytest.fixture
def command(monkeypatch, capsys):
    """`irtools bench` in this process: exit code, stdout, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["irtools", *bench(*arguments)[3:]])
        with pytest.raises(SystemExit) as done:
            cli.main()
        return done.value.code or 0, *capsys.readouterr()

    return run


def test_the_command_prints_a_summary_and_writes_the_table(song, tmp_path, command):
    path = tmp_path / "t.csv"
    arguments = ("--methods", "am:max_iter=50,am:max_iter=-1", "--songs", song, "--out", path)
    code, out, err = command(*arguments)
    assert code == 0 and "16 rows" in out and "monday: " in out
    assert err.count("warning: am on linear, monday: ") == 1
    assert {row["method"] for row in read_rows(path)} == {*BASELINES, "am"}
    assert next(line for line in out.splitlines() if "max_iter=-1" in line).split()[-1] == "-"
    code, out, _ = command(*arguments, "--json")
    told = json.loads(out)
    assert code == 0 and len(told["rows"]) == 16 and [g["song"] for g in told["by_song"]] == ["monday"] * 6


def test_the_command_refuses_what_it_cannot_run(song, tmp_path, command):
    for arguments, said in (
        (("--methods", "nope"), "expected one of am"),
        (("--rt60", "a"), "--rt60: expected numbers"),
        (("--seeds", "1.5"), "--seeds: expected whole numbers"),
        (("--scenes", "moon"), "stages: expected"),
        (("--jobs", "0"), "n_jobs: expected at least 1"),
        (("--methods", "am:tol"), "--methods: expected NAME=VALUE"),
    ):
        code, out, err = command("--songs", song, "--out", tmp_path / "t.csv", *arguments)
        assert code == 2 and out == "" and err.count("\n") == 1 and said in err, (arguments, err)
    assert not (tmp_path / "t.csv").exists()
