"""The shortest correct second moments; runs on any device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Widened to double precision at a time.
_SAMPLES_AT_ONCE = 1 << 16


def second_moments(rows: Sequence[Tensor]) -> Tensor:
    total = 0
    for start in range(0, max(rows[0].shape[-1], 1), _SAMPLES_AT_ONCE):
        z = torch.cat([part[..., start : start + _SAMPLES_AT_ONCE].double() for part in rows], dim=-2)
        total = total + z @ z.mT
    return total
