"""What every metric asks of its signals: that they can be compared, blocks that fit the cache, ratios in dB."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from irtools.checks import check_rate

_BLOCK = 1 << 16


def decibels(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Energy ratio in dB: +inf over zero, -inf of zero, NaN for zero over zero."""
    return 10 * torch.log10(numerator / denominator)


def energy(signals: Tensor) -> Tensor:
    """Σ_t x(t)² over the last axis."""
    return torch.linalg.vecdot(signals, signals)


def blocks(*signals: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The same samples of all signals in float64, some at a time: no copy of a whole signal is made."""
    for begin in range(0, signals[0].shape[-1], _BLOCK):
        yield tuple(each[..., begin : begin + _BLOCK].double() for each in signals)


def samples_in(name: str, seconds: float, sample_rate: int) -> int:
    """A time of at least one sample, in samples."""
    check_rate(sample_rate)
    if not (isinstance(seconds, int | float) and math.isfinite(seconds) and round(seconds * sample_rate) >= 1):
        raise ValueError(f"{name}: expected at least one sample at {sample_rate} Hz, in seconds, got {seconds!r}")
    return round(seconds * sample_rate)


def check_signals(estimates: Tensor, references: Tensor, name: str = "estimates") -> None:
    """Both real, finite, of one shape (..., sources, samples); ``name`` is what a message calls the first."""
    both = ((name, estimates), ("references", references))
    for label, signals in both:
        if not isinstance(signals, Tensor):
            kind = type(signals).__name__
            raise TypeError(f"{label}: expected a torch.Tensor of shape (..., sources, samples), got {kind}")
        if signals.dtype not in (torch.float32, torch.float64):
            kind = str(signals.dtype).removeprefix("torch.")
            raise TypeError(f"{label}: expected dtype float32 or float64, got {kind}")
        if signals.ndim < 2 or signals.shape[-1] == 0 or signals.shape[-2] == 0:
            raise ValueError(f"{label}: expected shape (..., sources, samples), got {tuple(signals.shape)}")
    if estimates.shape != references.shape:
        raise ValueError(
            f"{name}: expected the shape of references, {tuple(references.shape)}, got {tuple(estimates.shape)}"
        )
    for label, signals in both:
        # A finite sum has finite terms, and needs no mask of the signals' size.
        if not torch.isfinite(signals.sum()):
            bad = (~torch.isfinite(signals)).nonzero()
            if len(bad):
                place = tuple(bad[0].tolist())
                raise ValueError(
                    f"{label}: expected finite samples, got {signals[place].item()} at source {place[-2]}, "
                    f"sample {place[-1]}"
                )
