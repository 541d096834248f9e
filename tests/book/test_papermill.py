"""Every chapter runs in its small profile and publishes what it published before, within stated tolerances."""

import nbformat
import pytest
from chapters import chapters, compare, execute, expected_record
from nbformat.v4 import new_code_cell


def test_there_are_chapters():
    assert chapters()


@pytest.mark.parametrize("notebook", chapters(), ids=lambda path: path.stem)
def test_chapter_publishes_what_is_expected(notebook, first_run):
    table, outside = compare(expected_record(notebook.stem), first_run(notebook))
    print(*table, sep="\n")
    assert not outside, "\n".join(
        [f"{notebook.stem} moved (python tests/book/update_expected.py records this on purpose):", *table]
    )


@pytest.fixture
def shortest():
    """A chapter to break, as a notebook in memory."""
    path = min(chapters(), key=lambda path: path.stat().st_size)
    return path, nbformat.read(path, as_version=4)


def _first_with(notebook, text):
    return next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code" and text in cell.source)


def test_canary_raising_cell_is_detected(shortest, tmp_path):
    path, notebook = shortest
    notebook.cells.insert(_first_with(notebook, "profile =") + 1, new_code_cell("raise RuntimeError('canary sings')"))
    nbformat.write(notebook, tmp_path / path.name)
    (tmp_path / "out").mkdir()
    with pytest.raises(RuntimeError, match="canary sings"):
        execute(tmp_path / path.name, tmp_path / "out")


def test_canary_altered_result_is_detected(shortest, tmp_path):
    path, notebook = shortest
    alter = (
        "names = [name for name, value in results.items() if isinstance(value, float)]\n"
        "key = next(name for name in names if not name.endswith('_seconds'))\n"
        "results[key] = 1.1 * results[key] + 1\n"
        "results['canary'] = 1.0"
    )
    notebook.cells.insert(_first_with(notebook, "results.publish()"), new_code_cell(alter))
    nbformat.write(notebook, tmp_path / path.name)
    (tmp_path / "out").mkdir()
    _, outside = compare(expected_record(path.stem), execute(tmp_path / path.name, tmp_path / "out"))
    assert "canary" in outside and len(outside) == 2


@pytest.mark.parametrize(
    ("old", "new", "moved"),
    [
        ({"x_db": 10.0}, {"x_db": 10.049}, []),
        ({"x_db": 10.0}, {"x_db": 10.051}, ["x_db"]),
        ({"x": 10.0}, {"x": 10.009}, []),
        ({"x": 10.0}, {"x": 10.011}, ["x"]),
        ({"wide": 10.0}, {"wide": 14.0}, []),
        ({"n": 3}, {"n": 3.0}, []),
        ({"n": 300}, {"n": 301}, ["n"]),
        ({"flag": True}, {"flag": False}, ["flag"]),
        ({"text": "a"}, {"text": "b"}, ["text"]),
        ({"x": None}, {"x": 0.0}, ["x"]),
        ({"gains": [[1.0, 0.5]]}, {"gains": [[1.0, 0.6]]}, ["gains[0][1]"]),
        ({"a": {"b": 1.0}}, {"a": {}}, ["a.b"]),
        ({}, {"x": 1.0}, ["x"]),
        ({"am_seconds": 1.0}, {"am_seconds": 9.0}, []),
        ({"am_seconds": 1.0}, {}, ["am_seconds"]),
    ],
)
def test_comparison(old, new, moved):
    table, outside = compare({"results": old, "tolerances": [{"of": ["w*"], "abs": 5.0}]}, new)
    assert outside == moved
    assert not moved or all(any(name in line for line in table) for name in moved)
