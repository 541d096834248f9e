"""Gains over frequency as filters over time lag: what neighbouring frequencies say of each other."""

from __future__ import annotations

import torch
from torch import Tensor


def smooth_gains(
    gains: Tensor, variance: Tensor, *, start: Tensor, trust: float = 1e-3, lags: int = 64, n_iter: int = 4
) -> Tensor:
    """Posterior mean of gains (freqs, pairs) whose filters have an envelope over time lag.

    ``gains`` were estimated one frequency at a time, from 0 to half the sample rate, each with its ``variance``;
    ``start`` is what is believed of the frequencies that say nothing; an estimate counts half at the variance
    ``trust``; the envelope is averaged over ``lags`` samples to either side.

    Expectation-maximisation: estimates of a high variance are replaced by the present mean, the filter ``h`` over time
    lag is the inverse transform, its envelope ``E`` the mean of ``h²`` over neighbouring lags, and the new mean is
    the transform of ``max(0, 1 - ν / E) h`` with ν the variance that the estimates cause at one lag.
    """
    size = 2 * (gains.shape[0] - 1)
    lags = min(lags, (size - 1) // 2)
    confidence = trust / (variance + trust)
    noise = (confidence * variance).mean(0) / size
    mean = start
    for _ in range(n_iter):
        filters = torch.fft.irfft(mean + confidence * (gains - mean), n=size, dim=0)
        padded = torch.nn.functional.pad(filters.square().T[:, None], (lags, lags), mode="circular")
        envelope = torch.nn.functional.avg_pool1d(padded, 2 * lags + 1, 1)[:, 0].T
        shrink = (1 - noise / envelope.clamp_min(torch.finfo(envelope.dtype).tiny)).clamp_min(0)
        mean = torch.fft.rfft(shrink * filters, n=size, dim=0)
    return mean
