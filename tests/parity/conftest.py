import sys
from pathlib import Path

import pytest
import torch

# The tests of the fused kernels share one module.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def nan_in_new_memory(monkeypatch):
    """New memory holds NaN, so that a number which was never written shows."""
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *sides, **kind: empty(*sides, **kind).fill_(torch.nan))
