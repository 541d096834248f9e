"""Distortion of an estimate against its reference as one number: SDR and its scale- and delay-invariant kin."""

from __future__ import annotations

import torch
from torch import Tensor


def decibels(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Energy ratio in dB: +inf over zero, -inf of zero, NaN for zero over zero.

    Parameters
    ----------
    numerator, denominator : Tensor
        Energies, not negative; any shapes that broadcast.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> decibels(torch.tensor([100.0, 1.0, 0.0]), torch.tensor([1.0, 0.0, 0.0]))
    tensor([20., inf, nan])
    """
    return 10 * torch.log10(numerator / denominator)


def check_signals(estimates: Tensor, references: Tensor, name: str = "estimates") -> tuple[Tensor, Tensor]:
    """Both arguments of a metric as float64, after checking that they can be compared.

    Parameters
    ----------
    estimates, references : Tensor, shape (..., sources, samples), float32 or float64
    name : str
        How a message calls the first argument.

    Returns
    -------
    tuple of two Tensors, float64

    Raises
    ------
    TypeError
        Not real floating-point tensors.
    ValueError
        Shapes that differ, fewer than two axes, no source or sample, or a non-finite sample.

    Examples
    --------
    >>> check_signals(torch.zeros(2, 8), torch.zeros(3, 8))
    Traceback (most recent call last):
      ...
    ValueError: estimates: expected the shape of references, (3, 8), got (2, 8)
    """
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
        # A finite sum of finite float32 numbers in float64: no mask of the signal's size is made.
        if not torch.isfinite(signals.sum(dtype=torch.float64)):
            bad = (~torch.isfinite(signals)).nonzero()
            if len(bad):
                place = tuple(bad[0].tolist())
                raise ValueError(
                    f"{label}: expected finite samples, got {signals[place].item()} at source {place[-2]}, "
                    f"sample {place[-1]}"
                )
    return estimates.double(), references.double()


def sdr(estimates: Tensor, references: Tensor) -> Tensor:
    """Signal-to-distortion ratio of BSS Eval v4 (images), over the whole signal: a plain signal-to-noise ratio.

    Parameters
    ----------
    estimates, references : Tensor, shape (..., sources, samples), float32 or float64

    Returns
    -------
    Tensor, shape (..., sources), float64, in dB
        NaN for a silent reference; 0 dB for a silent estimate of an active source.

    Raises
    ------
    TypeError, ValueError
        See :func:`check_signals`.

    Notes
    -----
    SDR = 10 log10(|s|² / |s - ŝ|²). It depends on level, delay and polarity: a gain g on a perfect estimate
    gives -20 log10|1 - g|. In BSS Eval v4 the distortion filters cancel out of this ratio [1]_.

    References
    ----------
    .. [1] F.-R. Stöter, A. Liutkus, N. Ito, "The 2018 Signal Separation Evaluation Campaign", LVA/ICA 2018.

    Examples
    --------
    >>> s = torch.tensor([[1.0, -2.0, 3.0]])
    >>> round(sdr(0.9 * s, s).item(), 4)
    20.0
    """
    h, s = check_signals(estimates, references)
    return _unless_silent(decibels(_energy(s), _energy(s - h)), s)


def si_sdr(estimates: Tensor, references: Tensor, zero_mean: bool = False) -> Tensor:
    """Scale-invariant signal-to-distortion ratio: the best gain is applied to the reference.

    Parameters
    ----------
    estimates, references : Tensor, shape (..., sources, samples), float32 or float64
    zero_mean : bool
        Remove each signal's mean first. Off by default: an offset counts as distortion.

    Returns
    -------
    Tensor, shape (..., sources), float64, in dB
        NaN where the reference or the estimate is silent (0/0: silence has no shape to compare).

    Raises
    ------
    TypeError, ValueError
        See :func:`check_signals`.

    Notes
    -----
    SI-SDR = 10 log10(|a s|² / |a s - ŝ|²) with a = <ŝ, s> / |s|², eq. (3) of [1]_.

    References
    ----------
    .. [1] J. Le Roux, S. Wisdom, H. Erdogan, J. R. Hershey, "SDR - half-baked or well done?", ICASSP 2019.

    Examples
    --------
    >>> s = torch.tensor([[1.0, 1.0, 0.0]])
    >>> round(si_sdr(s + torch.tensor([0.1, -0.1, 0.0]), s).item(), 4)
    20.0
    """
    h, s = check_signals(estimates, references)
    if zero_mean:
        h, s = h - h.mean(-1, keepdim=True), s - s.mean(-1, keepdim=True)
    h, s = _unit_peak(h), _unit_peak(s)
    target = _gain_onto(s, h) * s
    return _unless_silent(decibels(_energy(target), _energy(target - h)), s)


def gain_aligned_sdr(estimates: Tensor, references: Tensor) -> Tensor:
    """SDR after the best gain is applied to the estimate.

    Parameters
    ----------
    estimates, references : Tensor, shape (..., sources, samples), float32 or float64

    Returns
    -------
    Tensor, shape (..., sources), float64, in dB, never negative
        NaN for a silent reference; 0 dB for a silent estimate.

    Raises
    ------
    TypeError, ValueError
        See :func:`check_signals`.

    Notes
    -----
    10 log10(|s|² / |s - g ŝ|²) with g = <s, ŝ> / |ŝ|². With the squared correlation ρ² of the two this is
    -10 log10(1 - ρ²), while SI-SDR, which scales the reference instead, is 10 log10(ρ² / (1 - ρ²)): hence
    10^(this/10) = 1 + 10^(SI-SDR/10). The two agree for good estimates and part below about 10 dB.

    Examples
    --------
    >>> s = torch.tensor([[3.0, 4.0]])
    >>> round(gain_aligned_sdr(torch.tensor([[0.0, 9.0]]), s).item(), 4)
    4.437
    """
    h, s = check_signals(estimates, references)
    h, s = _unit_peak(h), _unit_peak(s)
    return _unless_silent(decibels(_energy(s), _energy(s - _gain_onto(h, s) * h)), s)


def delay_aligned_sdr(estimates: Tensor, references: Tensor, max_delay: int) -> tuple[Tensor, Tensor]:
    """SDR after the best gain and the best whole-sample delay are applied to the estimate.

    Parameters
    ----------
    estimates, references : Tensor, shape (..., sources, samples), float32 or float64
    max_delay : int
        Largest shift tried, in samples, either way; less than the number of samples.

    Returns
    -------
    sdr_db : Tensor, shape (..., sources), float64, in dB
        NaN for a silent reference; 0 dB for a silent estimate.
    delay_samples : Tensor, shape (..., sources), int64
        By how much the estimate is late; negative when it is early, 0 where either is silent.

    Raises
    ------
    TypeError, ValueError
        See :func:`check_signals`; also a ``max_delay`` that is no integer, negative, or not below the length.

    Notes
    -----
    10 log10(|s|² / min over g, d of Σ_t (s(t) - g ŝ(t + d))²), ŝ zero outside its samples. For every d the best g
    removes <s, ŝ_d>² / |ŝ_d|² from |s|²; the inner products come from one FFT cross-correlation and the
    energies |ŝ_d|² from a running sum, so the shift found is the exact minimum.

    Examples
    --------
    >>> s = torch.tensor([[0.0, 1.0, 2.0, -1.0, 0.0, 0.0, 0.0]])
    >>> value, delay = delay_aligned_sdr(0.5 * s.roll(2, -1), s, max_delay=3)
    >>> value.item() > 100, delay.item()
    (True, 2)
    """
    h, s = check_signals(estimates, references)
    samples = s.shape[-1]
    if isinstance(max_delay, bool) or not isinstance(max_delay, int):
        raise TypeError(f"max_delay: expected an int in samples, got {type(max_delay).__name__} {max_delay!r}")
    if not 0 <= max_delay < samples:
        raise ValueError(f"max_delay: expected 0 to {samples - 1} samples (below the length), got {max_delay}")
    h, s = _unit_peak(h), _unit_peak(s)
    delays = torch.arange(-max_delay, max_delay + 1, device=s.device)
    explained = _cross_correlation(s, h, delays).square() / _shifted_energy(h, delays)
    delay = delays[explained.nan_to_num(0.0, 0.0).argmax(-1)]
    delay = torch.where((_energy(h) * _energy(s)) > 0, delay, 0)
    positions = torch.arange(samples, device=s.device) + delay[..., None]
    inside = (positions >= 0) & (positions < samples)
    aligned = h.gather(-1, positions.clamp(0, samples - 1)) * inside
    return _unless_silent(decibels(_energy(s), _energy(s - _gain_onto(aligned, s) * aligned)), s), delay


def _energy(signals: Tensor) -> Tensor:
    return signals.square().sum(-1)


def _unit_peak(signals: Tensor) -> Tensor:
    # A scale-invariant ratio must not overflow or underflow on the way.
    peak = signals.abs().amax(-1, keepdim=True)
    return signals / torch.where(peak > 0, peak, 1.0)


def _gain_onto(basis: Tensor, signals: Tensor) -> Tensor:
    """Least-squares gain of ``basis`` that reaches ``signals``, 0 for a silent basis; keeps the last axis."""
    energy = basis.square().sum(-1, keepdim=True)
    return (basis * signals).sum(-1, keepdim=True) / torch.where(energy > 0, energy, 1.0)


def _unless_silent(ratios: Tensor, references: Tensor) -> Tensor:
    return ratios.masked_fill((references == 0).all(-1), torch.nan)


def _cross_correlation(first: Tensor, second: Tensor, delays: Tensor) -> Tensor:
    """Σ_t first(t) second(t + d) for each d of ``delays``."""
    from scipy.fft import next_fast_len

    n_fft = next_fast_len(first.shape[-1] + int(delays.abs().max()), real=True)
    product = torch.fft.rfft(first, n_fft).conj() * torch.fft.rfft(second, n_fft)
    return torch.fft.irfft(product, n_fft)[..., delays % n_fft]


def _shifted_energy(signals: Tensor, delays: Tensor) -> Tensor:
    """Energy of the samples that stay inside when ``signals`` is advanced by each of ``delays``."""
    running = torch.nn.functional.pad(signals.square().cumsum(-1), (1, 0))
    kept = torch.where(delays >= 0, running[..., -1:] - running[..., delays.clamp(min=0)], 0.0)
    return torch.where(delays < 0, running[..., signals.shape[-1] + delays.clamp(max=0)], kept)
