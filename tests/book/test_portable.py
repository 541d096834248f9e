"""Results are the same on any machine: none is rounding, every tolerance has a reason, other code paths are tried."""

import csv
import subprocess

import nbformat
import portable
import pytest
import update_expected
import yaml
from chapters import EXPECTED, ROOT, chapters, expected_record, fits, not_portable, tolerance, top_level
from nbformat.v4 import new_code_cell, new_notebook
from rerun import COLUMNS


@pytest.mark.parametrize("chapter", [path.stem for path in chapters()])
def test_no_recorded_result_is_rounding(chapter):
    assert not_portable(expected_record(chapter)["results"]) == []


@pytest.mark.parametrize("chapter", [path.stem for path in chapters()])
def test_every_tolerance_says_why_and_is_used(chapter):
    record = expected_record(chapter)
    left = {top_level(name) for name in record["results"]}
    for stated in record["tolerances"]:
        assert set(stated) <= {"of", "rel", "abs", "why"} and {"rel", "abs"} & set(stated)
        assert stated["why"].endswith(".") and len(stated["why"].split()) > 4
        for pattern in stated["of"]:
            used = {name for name in left if fits({"of": [pattern]}, name)}
            assert used, f"{pattern} has no result that an earlier pattern has not"
            left -= used


@pytest.mark.parametrize(
    ("results", "names"),
    [
        ({"musical": 3.1e-9}, ["musical"]),
        ({"musical": -3.1e-9}, ["musical"]),
        ({"again_db": 4.8e-5}, ["again_db"]),
        ({"ceiling_db": 127.7}, ["ceiling_db"]),
        ({"difference_db": -131.9}, ["difference_db"]),
        ({"scores_db": {"bass": [7.0, 140.0]}}, ["scores_db.bass[1]"]),
        ({"order": "55.3 dB above"}, ["order"]),
        ({"nothing": 0.0, "capped_db": 100.0, "count": 130, "exact": True, "best": "KAMIR", "none": None}, []),
        ({"small": 3.7e-4, "hertz": 130.5, "run_seconds": 1e-6}, []),
    ],
)
def test_rounding_is_recognised(results, names):
    assert [line.split(":")[0] for line in not_portable(results)] == names


@pytest.mark.parametrize(("value", "recorded"), [(6.3e-9, False), (0.5, True)])
def test_rounding_is_not_recorded(value, recorded, tmp_path, capsys):
    publish = (
        "import json, os, pathlib\n"
        f"text = json.dumps({{'results': {{'hiss': {value}}}}})\n"
        "pathlib.Path(os.environ['IRTOOLS_RESULTS'], 'small.json').write_text(text)"
    )
    cells = [new_code_cell("profile = 'book'", metadata={"tags": ["parameters"]}), new_code_cell(publish)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=kernel), tmp_path / "small.ipynb")
    assert update_expected.update(tmp_path / "small.ipynb", tmp_path) is recorded
    assert ("not recorded" in capsys.readouterr().out) is not recorded
    assert (tmp_path / "small.json").is_file() is recorded and not (EXPECTED / "small.json").exists()


def test_the_first_tolerance_that_fits_counts():
    stated = [{"of": ["live_a_db"], "abs": 3.0}, {"of": ["live_*", "late"], "rel": 0.2}]
    assert tolerance("live_a_db", stated) == (1e-3, 3.0)
    assert tolerance("live_b_db[2]", stated) == (0.2, 0.05)
    assert tolerance("late", stated) == (0.2, 0.0)
    assert tolerance("other", stated) == (1e-3, 0.0)


@pytest.fixture
def reruns(monkeypatch, tmp_path):
    """Runs of rerun.py that are only noted; each reports one result inside its tolerance and one outside."""
    noted = []

    def run(command, env, **_):
        folder = portable.OUT / command[command.index("--out") + 1]
        folder.mkdir(parents=True)
        with (folder / "moved.csv").open("w", newline="") as file:
            rows = [("kamir", "a_db", 1.0, 1.02, "abs 0.05", 0.4, 0), ("cae", "b_db", 1.0, 2.0, "abs 0.05", 20.0, 1)]
            csv.writer(file).writerows([COLUMNS, *rows])
        (folder / "moved.md").write_text("| cae | `b_db` |")
        noted.append((command, env))
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(portable, "OUT", tmp_path)
    monkeypatch.setattr(portable.subprocess, "run", run)
    return noted


def test_a_variant_restricts_the_libraries_and_says_what_moved(reruns, capsys):
    assert portable.main(["sse", "one-thread", "--", "kamir", "--jobs", "1"]) == 1
    assert [command[-3:] for command, _ in reruns] == [["kamir", "--jobs", "1"]] * 2
    assert portable.VARIANTS["sse"].items() <= reruns[0][1].items()
    assert "MKL_CBWR" not in reruns[1][1] and reruns[1][1]["OMP_NUM_THREADS"] == "1"
    said = capsys.readouterr().out
    assert "sse: 2 moved, 1 outside; most of its tolerance: cae b_db 2000.0%, kamir a_db 40.0%" in said
    assert "| cae | `b_db` |" in said


def test_a_run_that_breaks_off_is_no_success(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(portable, "OUT", tmp_path)
    monkeypatch.setattr(portable.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, -9))
    assert portable.main(["one-thread"]) == 2
    assert capsys.readouterr().out == "one-thread: rerun.py ended with -9\n"


def test_the_nightly_workflow_tries_every_variant():
    workflow = yaml.safe_load((ROOT / ".github/workflows/nightly.yml").read_text())
    assert workflow["jobs"]["portable"]["strategy"]["matrix"]["variant"] == list(portable.VARIANTS)


def test_a_variant_that_the_processor_lacks_is_named_and_left_out(reruns, monkeypatch, capsys):
    monkeypatch.setitem(portable.NEEDS, "avx512", "no_such_instructions")
    assert portable.main(["avx512"]) == 0 and reruns == []
    assert capsys.readouterr().out == "avx512: not run, this processor has no no_such_instructions\n"
    assert portable.main(["sparc"]) == 2 and "sparc" in capsys.readouterr().err
