"""What every chapter's source must be: stripped, of one form, and without typed results."""

import re
import subprocess
import sys

import nbformat
import pytest
from chapters import ROOT, chapters

INSTALL = (ROOT / "book/_install_cell.py").read_text().rstrip("\n")
PAGES = sorted((ROOT / "book").glob("*.md"))


@pytest.fixture(params=chapters(), ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def _code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _prose(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def test_no_outputs_are_committed():
    paths = [str(path) for path in chapters()]
    run = subprocess.run([sys.executable, "-m", "nbstripout", "--keep-id", "--verify", *paths], capture_output=True)
    assert run.returncode == 0, run.stdout.decode() + run.stderr.decode()


def test_cell_ids_are_stable_words(notebook):
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    # Random ids, which every conversion draws anew, are eight hexadecimal digits (or four such groups).
    assert not [name for name in ids if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4,})*", name)]


def test_kernel_is_python3(notebook):
    assert notebook.metadata.kernelspec.name == "python3"


def test_one_title(notebook):
    assert len(re.findall(r"^# ", _without_code(_prose(notebook)), flags=re.MULTILINE)) == 1
    assert notebook.cells[0].source.startswith("# ")


def test_first_code_cell_is_the_shared_one(notebook):
    assert _code(notebook)[0].source == INSTALL


def test_one_parameters_cell_with_the_four_parameters(notebook):
    tagged = [cell for cell in _code(notebook) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    values = {}
    exec(tagged[0].source, values)
    values.pop("__builtins__")
    assert values == {"profile": "book", "seed": 0, "data_root": None, "device": "auto"}


def test_last_code_cell_publishes(notebook):
    assert "results.publish()" in _code(notebook)[-1].source


@pytest.mark.parametrize(
    ("forbidden", "instead"),
    [
        (r"\bplt\.show\(", "nb.show(figure, alt=...), which has alt text"),
        (r"\bAudio\(", "nb.listen, which does not normalise each clip"),
        (r"myst_nb", "nb.Results, which works on Colab"),
        (r"allow_errors|raises-exception", "a cell that shows the error with try/except"),
    ],
)
def test_chapters_use_the_shared_tools(notebook, forbidden, instead):
    found = [cell.source for cell in _code(notebook)[1:] if re.search(forbidden, cell.source)]
    assert not found, f"use {instead}"


def test_code_fits_the_page(notebook):
    long = [line for cell in _code(notebook)[1:] for line in cell.source.splitlines() if len(line) > 88]
    assert not long


def test_pictures_in_prose_have_alt_text(notebook):
    assert not re.search(r"!\[\s*\]\(|<img(?![^>]*\balt=['\"]\w)", _prose(notebook))


def test_results_in_prose_are_glued(notebook):
    assert typed_results(_prose(notebook)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_results_in_pages_are_glued(page):
    assert typed_results(page.read_text()) == []


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("It gains 7.3 dB.", True),
        ("The SDR rose to 12.25 on the bass.", True),
        ("It gains −7.3\u202fdB.", True),
        ("It gains {glue:text}`gain_db:.1f` dB.", False),
        ("Reported as 2.03 dB in {cite:t}`rajesh2023`.", False),
        ("Set `level = -3.5` dB.", False),
        ("Off-diagonals lie in $[0.1, 0.4]$, the room has 0.2 s.", False),
        ("```\nSDR 3.2 dB\n```", False),
    ],
)
def test_typed_results_are_recognised(text, typed):
    assert bool(typed_results(text)) is typed


def typed_results(text):
    """Decimals beside a score or a level that are neither glued nor cited."""
    pattern = r"\d+\.\d+\s*dB\b|\b(?:SI-)?(?:SDR|SIR|SAR|ISR)\b[^.|\n]{0,30}?\d+\.\d+"
    paragraphs = re.split(r"\n\s*\n", _without_code(text))
    return [found for part in paragraphs if "{cite" not in part for found in re.findall(pattern, _bare(part))]


def _without_code(text):
    return re.sub(r"^(`{3,}|:{3,}).*?^\1\s*$", "", text, flags=re.DOTALL | re.MULTILINE)


def _bare(text):
    return re.sub(r"\$\$.*?\$\$|\$[^$]*\$|(?:\{[\w:]+\})?`[^`]*`", " ", text, flags=re.DOTALL)


@pytest.mark.parametrize("path", [*chapters(), *PAGES], ids=lambda path: path.name)
def test_numbers_of_another_page_have_a_format(path):
    # Without one the path is taken for the key, which only the build of the whole book finds out.
    assert not re.findall(r"\{glue:text\}`[^`:]+::\w+`", path.read_text())
