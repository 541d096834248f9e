"""Recordings of any length in windows of the one length that a network was made for."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad


def split_windows(mics: Tensor, size: int) -> Tensor:
    """(batch, mics, samples) as consecutive windows (batch, windows, mics, size), the last one filled with zeros."""
    padded = pad(mics, (0, -mics.shape[-1] % size))
    return padded.unflatten(-1, (-1, size)).transpose(1, 2)


def join_windows(windows: Tensor, samples: int) -> Tensor:
    """Undo :func:`split_windows`; what follows ``samples`` is dropped."""
    return windows.transpose(1, 2).flatten(2)[..., :samples]
