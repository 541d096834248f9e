"""The shortest correct second moments; runs on any device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def second_moments(rows: Sequence[Tensor], chunk: int) -> Tensor:
    wide = torch.complex128 if any(part.is_complex() for part in rows) else torch.float64
    total = 0
    for start in range(0, max(rows[0].shape[-1], 1), chunk):
        z = torch.cat([part[..., start : start + chunk].to(wide) for part in rows], dim=-2)
        total = total + z @ z.mH
    return total
