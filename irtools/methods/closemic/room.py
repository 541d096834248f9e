"""Learning how a stage in a room bleeds: filters over several frames, by regression on the other sources."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d

from irtools.checks import check_int, check_number
from irtools.kernels.blocks import frequency_blocks
from irtools.kernels.lagged_covariance import lagged_covariance
from irtools.methods.closemic.filters import BleedFilters, filtered
from irtools.methods.closemic.gain_prior import GainPrior, prior_from_gains
from irtools.methods.iteration import Iterations

# Complex values of the delayed sources of a block: they stay in the cache of a core.
_VALUES_AT_ONCE = 1 << 16
_SMALLEST = 1e-12
# From tap to tap, in windows.
_SHIFT = 0.25


@dataclass(frozen=True)
class RoomSettings:
    """How to learn a room.

    Attributes
    ----------
    taps : int
        Frames over which bleed lasts.
    bleed : float
        Standard deviation of the gain from a source's own microphone to another one, before anything is known.
    decay_s : float
        Time in which bleed is taken to decay by 60 dB, before anything is known.
    floors : tuple of float
        Least power of a source in a bin, of its mean power at that frequency: one value after the other.
    n_iter : int
        Iterations at each floor.
    learned_floors : int
        Number of floors after which the prior of the gains is learned anew, from the second floor on.
    spread : float
        Weight of the mean power of three frames beside that of the frame.
    leftover : float
        Fraction of the others' power assumed left in an output.
    frames_counted : float
        Independent frames in one frame: overlapping windows repeat each other.
    every : int
        Frames from one that is regressed on to the next.
    """

    taps: int = 7
    bleed: float = 0.2
    decay_s: float = 0.35
    floors: tuple[float, ...] = tuple(10 ** (-1 - 3 * n / 11) for n in range(12))
    n_iter: int = 1
    learn: tuple[int, ...] = tuple(range(3, 11))
    spread: float = 0.1
    leftover: float = 3e-3
    frames_counted: float = 0.5
    every: int = 2

    def __post_init__(self):
        for name in ("bleed", "decay_s", "frames_counted"):
            check_number(name, getattr(self, name), 1e-6)
        for name in ("spread", "leftover"):
            check_number(name, getattr(self, name), 0)
        for name in ("taps", "n_iter", "every"):
            check_int(name, getattr(self, name), 1)


def first_prior(freqs: int, n_mics: int, close_mics: list[int], settings: RoomSettings, hop_s: float, like: Tensor):
    """Before anything is heard: decaying bleed of a known size into close microphones, of any size into others."""
    size = like.real.new_full((n_mics, n_mics), settings.bleed**2)
    size[[k for k in range(n_mics) if k not in close_mics]] = 1.0
    decay = 10 ** (-6 * hop_s / settings.decay_s * torch.arange(settings.taps).to(size))
    variance = (size[:, :, None] * decay).expand(freqs, -1, -1, -1).clone()
    return GainPrior(variance, torch.zeros_like(variance).to(like.dtype))


class RoomLearner:
    """Learns filters from spectra x (freqs, mics, frames), which become its own, and from frames that are heard whole."""

    def __init__(self, x, heard, close_mics, settings, hop_s, callback=None):
        freqs, n_mics, _ = x.shape
        for block in frequency_blocks(x):
            scale = x[block].abs().square().mean((1, 2), keepdim=True).sqrt()
            x[block] /= scale.clamp_min(torch.finfo(scale.dtype).tiny)
            # Subnormal numbers would slow every product down.
            x[block][x[block].abs() < _SMALLEST] = 0
        self.x, self.heard = x, heard
        self.z = self.x.clone()
        self.settings, self.callback = settings, callback
        self.order = [k for k in range(n_mics) if k not in close_mics] + list(close_mics)
        self.prior = first_prior(freqs, n_mics, close_mics, settings, hop_s, x)
        # A row of zeros at either end: the neighbours of the first and last frequency.
        self.padded = x.new_zeros(freqs + 2, n_mics, n_mics, settings.taps)
        self.gains = self.padded[1:-1]
        self.variance = self.prior.variance.clone()

    def learn(self):
        settings = self.settings
        loop = Iterations("closemic", len(settings.floors) * settings.n_iter, self.callback)
        for n in loop:
            stage, part = divmod(n - 1, settings.n_iter)
            last = part == settings.n_iter - 1
            alone = None
            if last and stage in settings.learn:
                alone = torch.zeros_like(self.gains), self.prior.variance.clone()
            cost = 0
            for parity in (0, 1):
                for rows in self._blocks(parity):
                    cost = cost + self._step(rows, settings.floors[stage], alone, n == loop.max_iter)
            loop.record(cost / len(self.x), gains=self.gains)
            if alone:
                self.prior = prior_from_gains(*alone, self.prior.variance, _SHIFT)
        self.cost = torch.stack(loop.cost).double().cpu()
        return BleedFilters(self.gains, self.variance, self.order)

    def _blocks(self, parity):
        values = (self.x.shape[1] - 1) * self.settings.taps * self.x.shape[2] // self.settings.every
        size = max(4, min(256, _VALUES_AT_ONCE * torch.get_num_threads() // max(1, values)))
        return [slice(start, min(start + 2 * size, len(self.x)), 2) for start in range(parity, len(self.x), 2 * size)]

    def _step(self, rows, floor, alone, ends):
        settings = self.settings
        x, z, gains, variance = self.x[rows], self.z[rows].contiguous(), self.gains[rows], self.variance[rows]
        above = slice(rows.start + 2, rows.stop + 2, 2)
        mean, spread = self.prior.given_neighbours(self.padded[rows], self.padded[above], rows)
        n_mics, taps = x.shape[1], settings.taps
        cost = 0
        for k in self.order:
            others = [j for j in range(n_mics) if j != k]
            heard = z[:, others]
            power = self._power(z[:, k], heard, floor)
            cost = cost + power.log().mean(1).sum()
            weights = self.heard * (settings.frames_counted * settings.every) / power
            covariance, cross = lagged_covariance(heard, x[:, k], weights, taps, every=settings.every)
            a, factor = regress(covariance, cross, mean[:, k, others].flatten(1), spread[:, k, others].flatten(1))
            gains[:, k, others] = a.unflatten(1, (-1, taps))
            if ends:
                variance[:, k, others] = variances(factor).unflatten(1, (-1, taps))
            if alone:
                untied = self.prior.variance[rows][:, k, others].flatten(1)
                b, factor = regress(covariance, cross, torch.zeros_like(cross), untied)
                alone[0][rows][:, k, others] = b.unflatten(1, (-1, taps))
                alone[1][rows][:, k, others] = variances(factor).unflatten(1, (-1, taps))
            z[:, k] = x[:, k] - filtered(heard, gains[:, k, others])
        self.z[rows] = z
        instant = gains[..., 0] + torch.eye(n_mics, dtype=x.dtype, device=x.device)
        return cost + 2 * torch.linalg.slogdet(instant).logabsdet.sum()

    def _power(self, z, others, floor):
        """What the regression takes as the power of the source itself."""
        settings = self.settings
        power = z.real**2 + z.imag**2
        power = power + settings.spread * avg_pool1d(power[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
        left = settings.leftover * (others.real**2 + others.imag**2).sum(1)
        return power + left + floor * power.mean(1, keepdim=True) + _SMALLEST


def regress(covariance: Tensor, cross: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Posterior mean of ``a`` in ``a covariance = cross`` under a prior, and the factor of its precision."""
    precision = 1 / variance
    factor = torch.linalg.cholesky(covariance.conj() + torch.diag_embed(precision).to(covariance.dtype))
    return torch.cholesky_solve((cross + mean * precision)[..., None], factor)[..., 0], factor


def variances(factor: Tensor) -> Tensor:
    """Posterior variances, of the factor of the precision."""
    return torch.diagonal(torch.cholesky_inverse(factor), dim1=1, dim2=2).real
