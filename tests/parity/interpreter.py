"""Where the tests of the fused kernels run: on a GPU, or in Triton's interpreter in a process of its own."""

import os
import subprocess
import sys

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"
on_triton = pytest.mark.skipif(DEVICE == "cpu" and not INTERPRETED, reason="no GPU: runs in the interpreter, below")
without_triton = pytest.mark.skipif(DEVICE == "cuda" or INTERPRETED, reason="the tests above run here")


def assert_passes_in_interpreter(path):
    """Every test of the file that needs Triton, in a process of its own."""
    pytest.importorskip("triton")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", path]
    here = os.environ | {"TRITON_INTERPRET": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, env=here, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout + done.stderr


def inside_nan(values):
    """The values as a view with steps into memory that holds NaN everywhere else."""
    room = torch.full([2 * side + 3 for side in values.shape], torch.nan, dtype=values.dtype, device=DEVICE)
    view = room[tuple(slice(1, 2 * side, 2) for side in values.shape)]
    view.copy_(values)
    return view
