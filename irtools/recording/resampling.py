"""Waveforms at another sample rate."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def resample(waveforms: Tensor, sample_rate: int, new_rate: int) -> Tensor:
    """Waveforms at another rate, by a polyphase filter without delay.

    Parameters
    ----------
    waveforms : Tensor, shape (..., samples), float32 or float64
        On any device; computed on the CPU.
    sample_rate, new_rate : int
        In Hz.

    Returns
    -------
    Tensor, shape (..., ceil(samples * new_rate / sample_rate))
        Dtype and device of ``waveforms``; ``waveforms`` itself where the rates are equal.

    Raises
    ------
    ValueError
        A rate that is not positive.

    Notes
    -----
    :func:`scipy.signal.resample_poly`: a Kaiser-windowed sinc of 20 periods of the lower rate, 6 dB down at the lower
    Nyquist frequency. The recording is taken to be silent before and after.

    Examples
    --------
    >>> resample(torch.ones(2, 441), 44100, 22050).shape
    torch.Size([2, 221])
    """
    for name, rate in (("sample_rate", sample_rate), ("new_rate", new_rate)):
        if rate < 1:
            raise ValueError(f"{name}: expected a positive number of Hz, got {rate}")
    if sample_rate == new_rate:
        return waveforms
    from scipy.signal import resample_poly

    common = math.gcd(sample_rate, new_rate)
    found = resample_poly(waveforms.detach().cpu().numpy(), new_rate // common, sample_rate // common, axis=-1)
    return torch.from_numpy(found).to(waveforms)
