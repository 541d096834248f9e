"""Time-frequency bins of a recording: a bounded sample of them, and what they say of mixing and channels."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from irtools.stft import stft

# Of the mean power of a microphone: a bin below it in both microphones says nothing.
_AUDIBLE = 1e-4
# Bins of one or a few frequencies.
_NEIGHBOURS = 64
# Of the bins: where a microphone is loudest, and the quantile of the level ratios there that is bleed alone.
_LOUDEST, _QUANTILE = 0.2, 0.25


def sample_bins(pieces: Iterable[Tensor], *, window_size: int, max_bins: int) -> Tensor:
    """At most ``max_bins`` evenly spaced bins (mics, bins), complex, of a recording in pieces (mics, samples)."""
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
    """How far the phases of two microphones lie apart, from 0 (gains alone) to 1; 2/π where they are unrelated.

    The mean over the pairs of ``Σ |Im S_ij| / Σ |S_ij|``, S the mean of ``x_i x_j*`` over neighbouring bins: of a
    linear mixture it tends to a real number, however many sources play; in a room delays turn it. Products are
    square-rooted first, so quiet bins count.
    """
    values = []
    power = bins.abs().square()
    audible = power > _AUDIBLE * power.mean(1, keepdim=True)
    for i in range(len(bins)):
        for j in range(i):
            both = audible[i] & audible[j]
            product = bins[i, both] * bins[j, both].conj()
            product = product / product.abs().clamp_min(torch.finfo(product.real.dtype).tiny).sqrt()
            # A last part that is shorter is padded: one of many.
            product = torch.nn.functional.pad(product, (0, -len(product) % _NEIGHBOURS))
            means = product.unflatten(0, (-1, _NEIGHBOURS)).sum(1)
            size = means.abs().sum()
            if size > 0:
                values.append(float(means.imag.abs().sum() / size))
    return sum(values) / len(values) if values else 0.0


def channel_levels(bins: Tensor) -> Tensor:
    """Amplification of each channel relative to the others, roughly: factors of geometric mean 1; 1 for a silent one.

    Where microphone j is loudest its own source plays, and ``|x_k| / |x_j|`` is low: its lower quartile there is the
    bleed ``q_kj``. Between two close microphones bleed is as strong both ways, so that ``q_kj / q_jk = (g_k / g_j)²``
    of their amplifications g; log g is the least-squares solution over all pairs. Spectra differ, so that it is right
    to within about a factor 2: enough to see that channels differ by much more.
    """
    power = bins.abs().square()
    loud = (power.mean(1) > 0).nonzero().flatten().tolist()
    bleed = torch.zeros(len(bins), len(bins), dtype=power.dtype, device=power.device)
    for j in loud:
        own = power[j].topk(max(1, round(_LOUDEST * power.shape[1]))).indices
        for k in loud:
            if k != j:
                # A microphone that is off says nothing.
                both = own[power[k, own] > 0]
                ratio = power[k, both] / power[j, both]
                if len(both):
                    bleed[k, j] = ratio.kthvalue(max(1, round(_QUANTILE * len(both)))).values.clamp_min(1e-12).log() / 2
    levels = torch.zeros(len(bins), dtype=power.dtype, device=power.device)
    if len(loud) > 1:
        levels[loud] = ((bleed - bleed.T)[loud][:, loud] / 2).mean(1)
    return levels.exp()
