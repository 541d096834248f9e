"""The level of a recording, taken out before a network and put back after it."""

from __future__ import annotations

import torch
from torch import Tensor


def without_level(mics: Tensor) -> tuple[Tensor, Tensor]:
    """Recordings (batch, mics, samples) at an RMS of 1, and the level (batch, 1, 1) they had; 0 for silence."""
    # The peak goes first, so that squares neither overflow nor vanish. One level for all microphones keeps Λ.
    peak = mics.abs().amax((1, 2), keepdim=True)
    scaled = mics / torch.where(peak > 0, peak, 1)
    rms = scaled.square().mean((1, 2), keepdim=True).sqrt()
    return scaled / torch.where(rms > 0, rms, 1), peak * rms
