"""Waveforms at another sample rate."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from irtools.checks import check_rate


def resample(waveforms: Tensor, sample_rate: int, new_rate: int) -> Tensor:
    """Waveforms, shape (..., samples), at another rate, by a polyphase filter without delay, on the CPU.

    Notes
    -----
    :func:`scipy.signal.resample_poly`: a Kaiser-windowed sinc of 20 periods of the lower rate, 6 dB down at the lower
    Nyquist frequency. The recording is taken to be silent before and after.

    Examples
    --------
    >>> resample(torch.ones(2, 441), 44100, 22050).shape
    torch.Size([2, 221])
    """
    check_rate(sample_rate)
    check_rate(new_rate, "new_rate")
    if sample_rate == new_rate:
        return waveforms
    from scipy.signal import resample_poly

    common = math.gcd(sample_rate, new_rate)
    found = resample_poly(waveforms.detach().cpu().numpy(), new_rate // common, sample_rate // common, axis=-1)
    return torch.from_numpy(found).to(waveforms)
