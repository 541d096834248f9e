"""The level of a recording, taken out before a network and put back after it."""

from __future__ import annotations

import torch
from torch import Tensor


def without_level(mics: Tensor) -> tuple[Tensor, Tensor]:
    """Recordings at a level of 1, and the level they had.

    Parameters
    ----------
    mics : Tensor, shape (batch, mics, samples), float32 or float64

    Returns
    -------
    scaled : Tensor, shape (batch, mics, samples)
        Silence stays silence.
    level : Tensor, shape (batch, 1, 1)
        RMS over all microphones and samples of a recording, 0 for silence: ``scaled * level`` is ``mics``.

    Notes
    -----
    The peak is taken out first, so that squares neither overflow nor vanish. One level for all microphones keeps
    their ratios, and with them Λ.

    Examples
    --------
    >>> scaled, level = without_level(torch.tensor([[[3.0, 4.0], [4.0, 3.0]]]) * 1e-30)
    >>> print(f"{level.item():.4g} {scaled.square().mean():.4f}")
    3.536e-30 1.0000
    """
    peak = mics.abs().amax((1, 2), keepdim=True)
    scaled = mics / torch.where(peak > 0, peak, 1)
    rms = scaled.square().mean((1, 2), keepdim=True).sqrt()
    return scaled / torch.where(rms > 0, rms, 1), peak * rms
