"""The SDR of this library, and its scale- and delay-invariant kin: distortion as one number for a whole signal.

All take estimates and references of shape (..., sources, samples), float32 or float64, and give dB of shape
(..., sources), float64.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from irtools.checks import check_int
from irtools.metrics.correlations import correlations
from irtools.metrics.signals import blocks, check_signals, decibels, energy


def sdr(estimates: Tensor, references: Tensor) -> Tensor:
    """Signal-to-distortion ratio of BSS Eval v4 (images) [1]_: a plain signal-to-noise ratio.

    NaN for a silent reference; 0 dB for a silent estimate of an active source.

    Notes
    -----
    SDR = 10 log10(|s|² / |s - ŝ|²). It depends on level, delay and polarity: a gain g on a perfect estimate
    gives -20 log10|1 - g|.

    References
    ----------
    .. [1] F.-R. Stöter, A. Liutkus, N. Ito, "The 2018 Signal Separation Evaluation Campaign", LVA/ICA 2018.

    >>> s = torch.tensor([[1.0, -2.0, 3.0]])
    >>> round(sdr(0.9 * s, s).item(), 4)
    20.0
    """
    check_signals(estimates, references)
    signal = distortion = 0.0
    for h, s in blocks(estimates, references):
        signal, distortion = signal + energy(s), distortion + energy(s - h)
    return decibels(signal, distortion).masked_fill(signal == 0, torch.nan)


def si_sdr(estimates: Tensor, references: Tensor, zero_mean: bool = False) -> Tensor:
    """Scale-invariant signal-to-distortion ratio: the best gain is applied to the reference.

    NaN where either is silent: silence has no shape to compare. ``zero_mean`` removes each signal's mean first;
    without, an offset counts as distortion.

    Notes
    -----
    SI-SDR = 10 log10(|a s|² / |a s - ŝ|²) with a = <ŝ, s> / |s|², eq. (3) of [1]_.

    References
    ----------
    .. [1] J. Le Roux, S. Wisdom, H. Erdogan, J. R. Hershey, "SDR - half-baked or well done?", ICASSP 2019.

    >>> s = torch.tensor([[1.0, 1.0, 0.0]])
    >>> round(si_sdr(s + torch.tensor([0.1, -0.1, 0.0]), s).item(), 4)
    20.0
    """
    check_signals(estimates, references)
    if zero_mean:
        estimates, references = (x.double() - x.double().mean(-1, keepdim=True) for x in (estimates, references))
    total, explained, left = _explained_by(references, estimates)
    return decibels(explained, left).masked_fill(total == 0, torch.nan)


def gain_aligned_sdr(estimates: Tensor, references: Tensor) -> Tensor:
    """SDR after the best gain is applied to the estimate: never negative, 0 dB for a silent one.

    NaN for a silent reference.

    Notes
    -----
    10 log10(|s|² / |s - g ŝ|²) with g = <s, ŝ> / |ŝ|². With the squared correlation ρ² of the two this is
    -10 log10(1 - ρ²), while SI-SDR, which scales the reference instead, is 10 log10(ρ² / (1 - ρ²)): hence
    10^(this/10) = 1 + 10^(SI-SDR/10). The two agree for good estimates and part below about 10 dB.

    >>> s = torch.tensor([[3.0, 4.0]])
    >>> round(gain_aligned_sdr(torch.tensor([[0.0, 9.0]]), s).item(), 4)
    4.437
    """
    check_signals(estimates, references)
    _, explained, left = _explained_by(estimates, references)
    return decibels(explained + left, left)


def delay_aligned_sdr(estimates: Tensor, references: Tensor, max_delay: int) -> tuple[Tensor, Tensor]:
    """SDR after the best gain and the best whole-sample delay are applied to the estimate, and that delay.

    ``max_delay``, below the number of samples, is the largest tried either way. The delay, int64, is by how many
    samples the estimate is late; 0 where either is silent.

    Notes
    -----
    10 log10(|s|² / min over g, d of Σ_t (s(t) - g ŝ(t + d))²), ŝ zero outside its samples. For every d the best g
    removes <s, ŝ_d>² / |ŝ_d|² from |s|², so the shift found is the exact minimum.

    >>> s = torch.tensor([[0.0, 1.0, 2.0, -1.0, 0.0, 0.0, 0.0]])
    >>> value, delay = delay_aligned_sdr(0.5 * s.roll(2, -1), s, max_delay=3)
    >>> value.item() > 100, delay.item()
    (True, 2)
    """
    check_signals(estimates, references)
    samples = references.shape[-1]
    check_int("max_delay", max_delay, 0, samples - 1, "samples (below the length)")
    h, s = _unit_peak(estimates), _unit_peak(references)
    inner = correlations(s[..., None, :], [h[..., None, :]], max_delay, max_delay)[..., 0, 0, :]
    explained = inner.square() / _shifted_energy(h, max_delay)
    delays = explained.nan_to_num(0.0, 0.0).argmax(-1) - max_delay
    delays = torch.where(inner.any(-1), delays, 0)
    aligned = torch.zeros_like(h)
    for source, late in zip(itertools.product(*map(range, delays.shape)), delays.flatten().tolist(), strict=True):
        aligned[source][max(-late, 0) : samples - max(late, 0)] = h[source][max(late, 0) : samples - max(-late, 0)]
    _, explained, left = _explained_by(aligned, s)
    return decibels(explained + left, left), delays


def _explained_by(basis: Tensor, signals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Energies of the basis, of what its best gain explains of the signals, and of what that leaves."""
    basis, signals = _unit_peak(basis), _unit_peak(signals)
    total = inner = left = 0.0
    for b, x in blocks(basis, signals):
        total, inner = total + energy(b), inner + torch.linalg.vecdot(b, x)
    gain = inner / torch.where(total > 0, total, 1.0)
    for b, x in blocks(basis, signals):
        left = left + energy(x - gain[..., None] * b)
    return total, gain.square() * total, left


def _unit_peak(signals: Tensor) -> Tensor:
    """Signals whose squares neither overflow nor underflow in float64."""
    if signals.dtype == torch.float32:  # no float32 does
        return signals
    peak = signals.abs().amax(-1, keepdim=True)
    return signals / torch.where(peak > 0, peak, 1.0)


def _shifted_energy(signals: Tensor, most: int) -> Tensor:
    """Energy of the samples that stay inside when the signals are advanced by each of -most to most samples."""
    total = sum(energy(x) for (x,) in blocks(signals))[..., None]
    first, last = signals[..., :most].double(), signals[..., signals.shape[-1] - most :].double()
    kept_early = total - last.square().flip(-1).cumsum(-1).flip(-1)
    return torch.cat([kept_early, total, total - first.square().cumsum(-1)], -1)
