"""What a method changed, each output against its microphone: its level, and how spiky (musical) its spectrum became.

Both take waveforms of shape (mics, samples) and, as ``where``, the samples that count: a bool tensor of shape
(mics, samples) or (samples,) as :func:`irtools.metrics.blind.rests.detect_rests` finds them, all by default.
"""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.checks import check_mics
from irtools.metrics.signals import decibels
from irtools.stft import stft

# Frequencies further below the loudest hold dither and what the window leaks.
_RANGE_DB = 60.0


def energy_change_db(after: Tensor, before: Tensor, where: Tensor | None = None) -> Tensor:
    """Level of each output over that of its microphone, in dB: (mics,), float64.

    10 log10(Σ after² / Σ before²) over the samples that count: ``-inf`` where nothing is left, NaN where there was
    nothing before, or no sample counts. In rests it should be large and negative; while the source plays it is the
    bleed that went *and* whatever of the source went with it, which this cannot tell apart.
    """
    before, after, counts = _checked(before, after, where)
    return decibels((after.square() * counts).sum(1), (before.square() * counts).sum(1))


def log_kurtosis_ratio(
    after: Tensor,
    before: Tensor,
    where: Tensor | None = None,
    *,
    window_size: int = 1024,
    hop: int = 512,
) -> Tensor:
    """Musical noise: by how much the powers of a spectrogram became more spiky, as a natural logarithm: (mics,).

    0 where nothing changed but the level. NaN where no frequency has power before and after. Only frames of which
    every sample counts are used, and frequencies whose power before is within 60 dB of that of the loudest.

    Notes
    -----
    Mean over f of log(κ_after(f) / κ_before(f)), with κ(f) = <p⁴> / <p²>² the kurtosis of the powers p(f, t) over the
    frames, of raw moments as in [1]_: 6 for Gaussian noise. Isolated peaks that a mask leaves standing raise it, and
    are heard as tones that come and go. It is defined for stationary noise, where it grows with what listeners call
    musical noise. Of T frames κ is at most T. Differs from the paper in what it is applied to: bleed in rests, which
    is not stationary; so values compare between methods on the same samples, not between recordings.

    References
    ----------
    .. [1] Y. Uemura, Y. Takahashi, H. Saruwatari, K. Shikano, K. Kondo, "Automatic optimization scheme of spectral
       subtraction based on musical noise assessment via higher-order statistics", IWAENC 2008.
    """
    before, after, counts = _checked(before, after, where)
    # A frame counts where no sample under its window is masked; the half windows at both ends are no samples.
    padded = torch.nn.functional.pad((~counts).double(), (window_size // 2, window_size // 2))
    whole = padded.unfold(1, window_size, hop).amax(2) == 0
    values = []
    for one, other, frames in zip(after, before, whole, strict=True):
        new, old = (stft(x, window_size, hop).abs().square()[:, frames] for x in (one, other))
        loud = old.sum(1)
        used = (loud > 10 ** (-_RANGE_DB / 10) * loud.max()) & (new > 0).any(1)
        # The mean of no frequency is NaN.
        values.append((_kurtosis(new[used]).log() - _kurtosis(old[used]).log()).mean())
    return torch.stack(values)


def _kurtosis(power: Tensor) -> Tensor:
    power = power / power.sum(1, keepdim=True)
    return power.pow(4).mean(1) / power.square().mean(1).square()


def _checked(before: Tensor, after: Tensor, where: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Both in float64, and which of their samples count."""
    check_mics(before, name="before")
    check_mics(after, name="after")
    if before.shape != after.shape:
        raise ValueError(f"after: expected the shape of before, {tuple(before.shape)}, got {tuple(after.shape)}")
    if where is None:
        where = torch.ones_like(before, dtype=torch.bool)
    if not isinstance(where, Tensor) or where.dtype != torch.bool:
        raise TypeError(f"where: expected a bool tensor, got {getattr(where, 'dtype', type(where).__name__)}")
    if where.shape not in (before.shape, before.shape[1:]):
        raise ValueError(f"where: expected shape {tuple(before.shape)} or its last axis, got {tuple(where.shape)}")
    return before.double(), after.double(), where.expand_as(before)
