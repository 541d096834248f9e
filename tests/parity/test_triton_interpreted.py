"""Without a GPU, the tests of the fused kernels run in Triton's interpreter, in one process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from interpreter import DEVICE, INTERPRETED

FILES = sorted(Path(__file__).parent.glob("test_*_triton.py"))


@pytest.mark.skipif(DEVICE == "cuda" or INTERPRETED, reason="they run here")
def test_the_fused_kernels_in_the_interpreter():
    pytest.importorskip("triton")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-rN", "-p", "no:cacheprovider", *map(str, FILES)]
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0 and "passed" in done.stdout and "skipped" not in done.stdout, done.stdout + done.stderr
