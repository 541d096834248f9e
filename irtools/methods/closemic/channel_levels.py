"""Levels that the channels of a recording were given, from the symmetry of bleed."""

from __future__ import annotations

import torch
from torch import Tensor

_LOUDEST, _QUANTILE = 0.2, 0.25


def channel_levels(bins: Tensor) -> Tensor:
    """Amplification of each channel relative to the others, roughly.

    Parameters
    ----------
    bins : Tensor, shape (mics, bins), complex

    Returns
    -------
    Tensor, shape (mics,)
        Amplitude factors of geometric mean 1; 1 for a silent channel.

    Notes
    -----
    Where microphone j is loudest its own source plays, and ``|x_k| / |x_j|`` is low: its lower quartile there is the
    bleed ``q_kj``. Between two close microphones bleed is as strong both ways, so that ``q_kj / q_jk = (g_k / g_j)²``
    of their amplifications g; log g is the least-squares solution over all pairs. Spectra differ, so that it is right
    to within about a factor 2: enough to see that channels differ by much more.

    Examples
    --------
    >>> import torch
    >>> draw = torch.randn(2, 4000, dtype=torch.cfloat, generator=torch.Generator().manual_seed(0))
    >>> sources = draw * draw.abs() ** 3
    >>> mics = torch.tensor([[1, 0.1], [0.1, 1]], dtype=torch.cfloat) @ sources
    >>> (channel_levels(mics * torch.tensor([[10.0], [1.0]])) ** 2).round().tolist()
    [10.0, 0.0]
    """
    power = bins.abs().square()
    loud = (power.mean(1) > 0).nonzero().flatten().tolist()
    bleed = torch.zeros(len(bins), len(bins), dtype=power.dtype, device=power.device)
    for j in loud:
        own = power[j].topk(max(1, round(_LOUDEST * power.shape[1]))).indices
        for k in loud:
            if k != j:
                ratio = power[k, own] / power[j, own].clamp_min(torch.finfo(power.dtype).tiny)
                bleed[k, j] = ratio.kthvalue(max(1, round(_QUANTILE * len(own)))).values.clamp_min(1e-12).log() / 2
    levels = torch.zeros(len(bins), dtype=power.dtype, device=power.device)
    if len(loud) > 1:
        levels[loud] = ((bleed - bleed.T)[loud][:, loud] / 2).mean(1)
    return levels.exp()
