"""Where the tests of the fused kernels run: on a GPU, or in Triton's interpreter."""

import os

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"
on_triton = pytest.mark.skipif(
    DEVICE == "cpu" and not INTERPRETED, reason="no GPU: test_triton_interpreted.py runs this in the interpreter"
)


def inside_nan(values):
    """The values as a view with steps into memory that holds NaN everywhere else."""
    room = torch.full([2 * side + 3 for side in values.shape], torch.nan, dtype=values.dtype, device=DEVICE)
    view = room[tuple(slice(1, 2 * side, 2) for side in values.shape)]
    view.copy_(values)
    return view
