"""The command that executes chapters again: what it compares, writes and exits with."""

import csv
import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest
import rerun as command
from chapters import EXPECTED, ROOT, top_level
from nbformat.v4 import new_code_cell, new_notebook

PUBLISH = """
import os, pathlib, json
text = json.dumps({"chapter": "small", "profile": profile, "results": {"level_db": 1.0, "count": 3}})
pathlib.Path(os.environ["IRTOOLS_RESULTS"], "small.json").write_text(text)
"""


@pytest.fixture
def small(tmp_path):
    """A notebook that publishes two results, and the folder for what comes of it."""
    cells = [new_code_cell("profile = 'book'", metadata={"tags": ["parameters"]}), new_code_cell(PUBLISH)]
    path = tmp_path / "small.ipynb"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)
    (tmp_path / "out").mkdir()
    return path, tmp_path / "out"


def outside(folder):
    """Rows of the table that left their tolerance."""
    with (folder / "moved.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["outside"] == "1"]


def record(**results):
    return {"results": results, "tolerances": []}


@pytest.mark.parametrize(
    ("expected", "right", "verdict"),
    [
        (record(level_db=1.0, count=3), True, "0 outside, 0 moved within tolerance"),
        (record(level_db=1.04, count=3), True, "0 outside, 1 moved within tolerance"),
        (record(level_db=1.2, count=3), False, "1 outside, 0 moved within tolerance"),
        (record(count=3), False, "1 outside, 0 moved within tolerance"),
        (None, True, "executed, not compared"),
    ],
)
def test_a_chapter_is_compared_with_its_record(small, expected, right, verdict):
    notebook, out = small
    run = command.rerun(notebook, "smoke", out, expected)
    assert (run.is_right, run.verdict) == (right, verdict)
    assert json.loads((out / "small.json").read_text())["profile"] == "smoke"
    assert (out / "small.ipynb").is_file()
    text = command.write([run], out)
    assert text == (out / "moved.md").read_text() and verdict in text
    assert [row["result"] for row in outside(out)] == ([] if right else ["level_db"])


def test_a_failed_chapter_says_why_and_leaves_its_notebook(small):
    notebook, out = small
    broken = nbformat.read(notebook, as_version=4)
    broken.cells.append(new_code_cell("1 / 0"))
    nbformat.write(broken, notebook)
    run = command.rerun(notebook, "smoke", out, record(level_db=1.0, count=3))
    assert not run.is_right and "ZeroDivisionError" in command.markdown([run])
    assert "ZeroDivisionError" in (out / "small.ipynb").read_text()


def test_report_goes_to_the_summary_of_a_workflow(tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    text = command.write([command.Rerun("small", 1.0)], tmp_path)
    assert (tmp_path / "summary").read_text() == text


def test_results_outside_come_first():
    rows = [command.Moved("a", 1.0, 1.0001, "rel 0.001", 0.1), command.Moved("b", 1.0, 2.0, "rel 0.001", 1000.0)]
    text = command.markdown([command.Rerun("x", 1.0, rows[:1]), command.Rerun("y", 1.0, rows[1:])])
    assert text.index("`b`") < text.index("`a`")


def test_another_run_is_compared_in_its_own_profile(tmp_path):
    (tmp_path / "kamir.json").write_text(json.dumps({"profile": "book", "results": {"x_db": 1.0}}))
    assert command.record_of("kamir", tmp_path, "book")["results"] == {"x_db": 1.0}
    with pytest.raises(ValueError, match="expected results of profile 'smoke', got 'book'"):
        command.record_of("kamir", tmp_path, "smoke")
    with pytest.raises(ValueError, match=r"expected .*tunet\.json"):
        command.record_of("tunet", tmp_path, "book")
    assert command.record_of("kamir", None, "book") is None
    assert command.record_of("kamir", None, "smoke")["results"]


@pytest.mark.parametrize("arguments", [["nothing_of_that_name"], ["--jobs", "0"], ["kamir", "--against", "/nowhere"]])
def test_bad_arguments_end_with_two(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    assert stopped.value.code == 2
    assert "expected" in capsys.readouterr().err


BROKEN_METHOD = """
_whole = reduce


def reduce(mics, *positional, **options):
    found = _whole(mics, *positional, **options)
    return replace(found, sources=0.7 * found.sources + 0.3 * found.sources.roll(1, -2))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("chapter", "broken"), [("alternating_minimisation", False), ("cae", True)])
def test_canary_a_method_broken_on_purpose(tmp_path, chapter, broken):
    """The same command on a copy of the library: 0 as it is, 1 and the results named with every method broken."""
    shutil.copytree(ROOT / "irtools", tmp_path / "irtools", ignore=shutil.ignore_patterns("__pycache__"))
    if broken:
        with (tmp_path / "irtools" / "methods" / "registry.py").open("a") as file:
            file.write(BROKEN_METHOD)
    arguments = [chapter, "--out", str(tmp_path / "out")]
    run = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "book" / "rerun.py"), *arguments],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == int(broken), run.stdout + run.stderr
    names = {top_level(row["result"]) for row in outside(tmp_path / "out")}
    assert bool(names) == broken
    assert names <= set(json.loads((EXPECTED / f"{chapter}.json").read_text())["results"])
