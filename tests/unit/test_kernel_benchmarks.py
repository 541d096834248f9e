"""What the benchmarks of kernels and of whole methods measure, and what they run without."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import bench_clips
import bench_kernels
import pytest
import tables
import torch
from kernel_cases import CASES, Case, tensors_of

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

ON_PROCESSOR = [case for case in CASES if "cpu" in case.devices]


@pytest.mark.parametrize("case", ON_PROCESSOR, ids=lambda case: f"{case.op}, {case.size}")
def test_the_plain_version_and_ours_give_the_same(case):
    arguments = case.draw("cpu")
    for ours, plain in zip(tensors_of(case.ours(*arguments)), tensors_of(case.plain(*arguments)), strict=True):
        assert (ours - plain).abs().max() <= case.tolerance * plain.abs().max()


def test_traffic_is_every_argument_and_the_answer_once():
    case = Case("op", "size", ("cpu",), tuple, torch.add, torch.add, 0.0)
    x, y = torch.zeros(3, 5), torch.zeros(5, dtype=torch.float64)
    assert case.traffic((x, y, 2.0), x + y) == 15 * 4 + 5 * 8 + 15 * 8
    assert case.traffic((x,), (x, x)) == 3 * 15 * 4


def test_every_committed_row_is_of_a_size_that_is_still_measured():
    sizes = {(case.op, case.size) for case in CASES}
    for op in {case.op for case in CASES}:
        with (BENCHMARKS / f"results/kernels_{op}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert {(op, row["size"]) for row in rows} <= sizes
        # Parity comes first: what differs has no time.
        assert all(float(row["error"]) < 1e-3 if row["p50_ms"] else row["note"] for row in rows)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from /proc")
def test_peak_memory_is_that_of_the_call():
    # A process of its own, whose allocator holds nothing of other tests.
    code = "import torch; from on_device import peak_of; print(peak_of(lambda: torch.ones(10 << 20), 'cpu'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, check=True)
    assert 39 < float(done.stdout) < 44


def test_whole_methods_are_measured_without_optional_packages():
    blocked = ("pyroomacoustics", "librosa", "musdb", "museval", "stempeg", "hypothesis", "sklearn")
    code = "; ".join(
        [
            "import runpy, sys",
            f"sys.modules.update(dict.fromkeys({blocked}))",
            "sys.argv = ['bench_clips.py', 'kamir', '--only', 'torch', '--device', 'cpu', '--clips', '1']",
            "runpy.run_path('bench_clips.py', run_name='__main__')",
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout.splitlines()[-1])
    assert row["method"] == "kamir" and float(row["error"]) < 1e-3 and float(row["run_s"]) > 0
    assert float(row["s_for_100"]) == pytest.approx(100 * float(row["run_s"]), rel=0.05)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (bench_clips, "methods: expected of kamir, kamir-paper"),
        (bench_kernels, "ops: expected of second_moments, weighted_covariance, lagged_covariance, psd_update"),
    ],
    ids=["clips", "kernels"],
)
def test_an_unknown_name_is_refused_before_anything_runs(script, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [script.__name__, "wave"])
    with pytest.raises(SystemExit, match="2"):
        script.main()
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_row_replaces_the_one_with_its_keys_and_a_table_of_other_columns(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    keys = ("method", "mics")
    for method, mics, s in (("am", 4, 1.5), ("am", 8, 3.5), ("am", 4, 2.5)):
        path = tables.write_rows("times", [{"method": method, "mics": mics, "s": s}], keys)
    assert path.read_text() == "method,mics,s\nam,8,3.5\nam,4,2.5\n"
    tables.write_rows("times", [{"method": "am", "mics": 4, "minutes": 1}], keys)
    assert path.read_text() == "method,mics,minutes\nam,4,1\n"
