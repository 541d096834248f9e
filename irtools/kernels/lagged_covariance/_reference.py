"""The shortest correct lagged covariance; runs on any device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


def lagged_covariance(z: Tensor, x: Tensor, weights: Tensor, taps: int, every: int) -> tuple[Tensor, Tensor]:
    frames = z.shape[-1]
    past = pad(z, (taps - 1, 0))
    lagged = [past[..., taps - 1 - lag : taps - 1 - lag + frames : every] for lag in range(taps)]
    b = torch.stack(lagged, dim=2).flatten(1, 2)
    sums = weights[:, None, ::every] * torch.cat([b, x[:, None, ::every]], dim=1) @ b.mH
    return sums[:, :-1], sums[:, -1]
