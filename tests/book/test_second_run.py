"""A second run of every chapter, in a live kernel: it publishes the same bits, and its controls are answered."""

import json
import os
import subprocess
import sys

import nbformat
import pytest
from chapters import PATIENCE_S, ROOT, chapters, without_times

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


@pytest.mark.slow
@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_a_live_kernel_publishes_the_same_bits_and_answers_to_its_controls(path, first_run, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    # All cells, also those that the build skips.
    assert any("skip-execution" in cell.metadata.get("tags", []) for cell in notebook.cells)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
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
    # A float survives JSON bit by bit: Python writes the shortest text that reads back as the same number.
    second = json.loads((tmp_path / f"{path.stem}.json").read_text())["results"]
    assert without_times(second) == without_times(first_run(path))
