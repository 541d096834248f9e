"""What every network's ``reduce`` returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Estimate(NamedTuple):
    """Sources of a batch of recordings.

    Attributes
    ----------
    sources : Tensor, shape (batch, sources, samples)
        Each source as heard at its own microphone; dtype, device and length of the input.
    gains : Tensor, shape (batch, mics, sources), or None
        Λ in amplitude, where the network estimates it; the mean over windows, where it estimates one per window.
    """

    sources: Tensor
    gains: Tensor | None = None
