"""Time-frequency bins of a recording: a bounded sample of them, and what they say of the way it was mixed."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from irtools.stft import stft

# Of the mean power of a microphone: a bin below it in both microphones says nothing.
_AUDIBLE = 1e-4


def sample_bins(pieces: Iterable[Tensor], *, window_size: int, max_bins: int) -> Tensor:
    """Evenly spaced bins of a recording that comes in pieces.

    Parameters
    ----------
    pieces : iterable of Tensor, shape (mics, samples)
    window_size : int
        In samples; the hop is a quarter of it.
    max_bins : int
        At most twice this many are in memory at a time, at most this many are returned.

    Returns
    -------
    Tensor, shape (mics, bins), complex

    Examples
    --------
    >>> import torch
    >>> sample_bins([torch.rand(2, 1000), torch.rand(2, 500)], window_size=64, max_bins=1000).shape
    torch.Size([2, 784])
    """
    kept, stride, count = [], 1, 0
    for mics in pieces:
        bins = stft(mics, window_size, window_size // 4).flatten(1)
        kept.append(bins[:, ::stride].clone())
        count += kept[-1].shape[1]
        while count > max_bins:
            kept, stride = [part[:, ::2].clone() for part in kept], 2 * stride
            count = sum(part.shape[1] for part in kept)
    return torch.cat(kept, dim=1)


def phase_spread(bins: Tensor) -> float:
    """How far the phases of two microphones lie apart, from 0 (gains alone) to 1; 2/π if they are unrelated.

    Parameters
    ----------
    bins : Tensor, shape (mics, bins), complex

    Returns
    -------
    float
        The mean over the pairs of ``Σ |Im x_i x_j*| / Σ |x_i x_j*|`` with each bin's product under a square root, so
        that quiet bins count too; 0 for one microphone or silence.

    Notes
    -----
    In a linear mixture a bin with one source has equal phases in all microphones; in a room no bin has.

    Examples
    --------
    >>> import torch
    >>> source = torch.randn(1, 500, dtype=torch.cfloat, generator=torch.Generator().manual_seed(0))
    >>> round(phase_spread(torch.cat([source, 0.3 * source])), 6)
    0.0
    """
    values = []
    power = bins.abs().square()
    audible = power > _AUDIBLE * power.mean(1, keepdim=True)
    for i in range(len(bins)):
        for j in range(i):
            both = audible[i] & audible[j]
            product = bins[i, both] * bins[j, both].conj()
            size = product.abs().clamp_min(torch.finfo(product.real.dtype).tiny)
            weight = size.sqrt()
            if both.any():
                values.append(float((weight * (product.imag.abs() / size)).sum() / weight.sum()))
    return sum(values) / len(values) if values else 0.0
