"""What is believed of the gains before a frequency is looked at: their size, and what its neighbours say of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# In frequencies: half of the band that shares a prior, and the farthest neighbours that are compared.
_HALF_BAND, _SHIFTS = 64, 16
_LEAST_VARIANCE, _MOST_VARIANCE, _MOST_CORRELATION = 1e-8, 0.25, 0.98


@dataclass(frozen=True)
class GainPrior:
    """Gains (freqs, mics, mics, taps) of mean zero, along frequency a first-order autoregression.

    ``variance`` is theirs, ``correlation`` (complex) that of a gain with the one of the frequency below.
    """

    variance: Tensor
    correlation: Tensor

    def given_neighbours(self, below: Tensor, above: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        """Mean and variance of the gains of ``rows``, given those of the frequencies below and above each."""
        correlation = self.correlation[rows]
        shared = correlation.real**2 + correlation.imag**2
        mean = (correlation * below + correlation.conj() * above) / (1 + shared)
        return mean, (self.variance[rows] * (1 - shared) / (1 + shared)).clamp_min(_LEAST_VARIANCE)


def prior_from_gains(gains: Tensor, variance: Tensor, prior_variance: Tensor) -> GainPrior:
    """Prior that gains (freqs, mics, mics, taps) suggest, whose errors are told from them by their causality.

    ``gains`` are posterior means at each frequency alone, ``variance`` their posterior variances under a prior of mean
    zero and ``prior_variance``.

    The correlation of gains at neighbouring frequencies, transformed over their distance, is the energy of the filter
    over time lag. Bleed arrives after its source, errors at all lags alike: what the first tap shows at negative lags
    is error, as much of it lies at the positive ones, and that of the other taps is in proportion to their variances.
    """
    known = (1 - variance / prior_variance).clamp(1e-3, 1)
    bands = _Bands(len(gains))
    taper = torch.cos(torch.pi / 2 * torch.arange(_SHIFTS + 1) / (_SHIFTS + 1)).square().to(variance)
    points = 4 * _SHIFTS
    error_share = bands.sums(variance)
    error_share = error_share / error_share[..., :1].clamp_min(_LEAST_VARIANCE**2)
    correlation = gains.new_zeros(*error_share.shape, points)
    for distance in range(min(_SHIFTS, len(gains) - 1) + 1):
        upper, lower = slice(distance, None), slice(len(gains) - distance)
        products = bands.sums(gains[upper] * gains[lower].conj())
        counted = bands.sums(known[upper] * known[lower]).clamp_min(1e-9)
        value = products / counted * taper[distance]
        correlation[..., distance] = value
        correlation[..., -distance % points] = value.conj()
    energy = torch.fft.ifft(correlation).real
    place = torch.arange(points, device=gains.device)
    lag = (place + points // 2) % points - points // 2
    errors = energy[..., :1, :][..., -lag.abs() % points].clamp_min(0)
    filters = (energy - errors * error_share[..., None]).clamp_min(0)
    signal = torch.fft.fft(filters)[..., :2]
    total = signal[..., 0].real.clamp(_LEAST_VARIANCE, _MOST_VARIANCE)
    neighbour = signal[..., 1] / taper[1] / total
    size = neighbour.abs().clamp_min(1e-9)
    neighbour = neighbour * (size.clamp_max(_MOST_CORRELATION) / size)
    return GainPrior(bands.spread(total), bands.spread(neighbour))


class _Bands:
    """Overlapping bands of neighbouring frequencies."""

    def __init__(self, freqs: int):
        self.freqs = freqs
        self.halves = max(2, -(-freqs // _HALF_BAND))

    def sums(self, values: Tensor) -> Tensor:
        """Sums over each band of values (freqs, ...), of which the last may be missing."""
        padded = values.new_zeros(self.halves * _HALF_BAND, *values.shape[1:])
        padded[: len(values)] = values
        halves = padded.unflatten(0, (self.halves, _HALF_BAND)).sum(1)
        return halves[:-1] + halves[1:]

    def spread(self, values: Tensor) -> Tensor:
        """Values (bands, ...) at every frequency: linear between the centres of the bands."""
        at = ((torch.arange(self.freqs, device=values.device) + 0.5) / _HALF_BAND - 1).clamp(0, self.halves - 2)
        lower = at.long().clamp_max(max(self.halves - 3, 0))
        upper = (lower + 1).clamp_max(self.halves - 2)
        weight = (at - lower).to(values.real.dtype).reshape(-1, *[1] * (values.ndim - 1))
        return torch.lerp(values[lower], values[upper], weight.to(values.dtype))
