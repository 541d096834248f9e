"""The shortest correct median filter; runs on any device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


def median_filter(values: Tensor, footprint: Tensor) -> Tensor:
    rows, columns = footprint.shape
    above, left = rows // 2, columns // 2
    edges = (left, columns - 1 - left, above, rows - 1 - above)
    freqs, frames = values.shape[-2:]
    wide = pad(values.reshape(values.shape[:-2].numel(), freqs, frames), edges, mode="replicate")
    taps = [wide[..., i : i + freqs, j : j + frames] for i, j in footprint.nonzero().tolist()]
    return torch.stack(taps).kthvalue(len(taps) // 2 + 1, dim=0).values.view(values.shape)
