"""Cells for a live kernel, which the build skips, run and answer to their controls."""

import os
import subprocess
import sys

import nbformat
import pytest
from chapters import PATIENCE_S, ROOT, chapters

# Moves every control to its other end, as a reader would, and presses the button of a cell that waits for one; each
# move must print or show something new.
MOVE_CONTROLS = """
import contextlib, io
from ipywidgets import Button, Checkbox, FloatSlider
from ipywidgets.widgets.widget import _instances

controls = [widget for widget in _instances.values() if isinstance(widget, (Checkbox, FloatSlider))]
buttons = [widget for widget in _instances.values() if isinstance(widget, Button)]
assert controls, "no control"
for control in controls:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        control.value = (not control.value) if isinstance(control, Checkbox) else control.max
        for button in buttons:
            button.click()
    assert said.getvalue() and "Error" not in said.getvalue(), said.getvalue()
print("controls moved:", len(controls))
"""


def live(notebook):
    return [cell for cell in notebook.cells if "skip-execution" in cell.metadata.get("tags", [])]


@pytest.mark.slow
@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_live_cells_answer_to_their_controls(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    assert live(notebook), "no cell for a live kernel"
    last = max(notebook.cells.index(cell) for cell in live(notebook))
    code = [cell.source for cell in notebook.cells[: last + 1] if cell.cell_type == "code"]
    code = [source.replace('profile = "book"', 'profile = "smoke"') for source in code]
    script = tmp_path / "chapter.ipy"
    script.write_text("\n\n".join([*code, MOVE_CONTROLS]))
    run = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", str(script)],
        capture_output=True,
        text=True,
        cwd=ROOT / "book",
        env=os.environ | {"IRTOOLS_RESULTS": str(tmp_path), "IPYTHONDIR": str(tmp_path)},
        timeout=PATIENCE_S,
        check=False,
    )
    assert run.returncode == 0 and "controls moved:" in run.stdout, run.stdout[-2000:] + run.stderr[-2000:]
