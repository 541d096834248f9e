"""Learning how a stage in a room bleeds: filters over several frames, by regression on the other sources."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d

from irtools.checks import check_int, check_number
from irtools.kernels.blocks import frequency_blocks, on_threads
from irtools.kernels.lagged_covariance import lagged_covariance
from irtools.methods.closemic.filters import filtered
from irtools.methods.closemic.gain_prior import GainPrior, prior_from_gains
from irtools.methods.iteration import Iterations

# Complex values of the delayed sources of a block: they stay in the cache of a core.
_VALUES_AT_ONCE = 1 << 17
_SMALLEST = 1e-12
# Iterations under the first prior; later ones learn it anew.
_FIRST_LEARNED = 3


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
        Least power of a source in a bin, of its mean power at that frequency: one value for each iteration.
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
    spread: float = 0.1
    leftover: float = 3e-3
    frames_counted: float = 0.5
    every: int = 2

    def __post_init__(self):
        for name in ("bleed", "decay_s", "frames_counted"):
            check_number(name, getattr(self, name), 1e-6)
        for name in ("spread", "leftover"):
            check_number(name, getattr(self, name), 0)
        for name in ("taps", "every"):
            check_int(name, getattr(self, name), 1)
        if not isinstance(self.floors, (tuple, list)) or not self.floors:
            raise ValueError(f"floors: expected a tuple of numbers, one for each iteration, got {self.floors!r}")
        for floor in self.floors:
            check_number("floors", floor, 0)


def first_prior(freqs: int, n_mics: int, close_mics: list[int], settings: RoomSettings, hop_s: float, like: Tensor):
    """Before anything is heard: decaying bleed of a known size into close microphones, of any size into others."""
    size = like.real.new_full((n_mics, n_mics), settings.bleed**2)
    size[[k for k in range(n_mics) if k not in close_mics]] = 1.0
    decay = 10 ** (-6 * hop_s / settings.decay_s * torch.arange(settings.taps).to(size))
    variance = (size[:, :, None] * decay).expand(freqs, -1, -1, -1).clone()
    return GainPrior(variance, torch.zeros_like(variance).to(like.dtype))


class RoomLearner:
    """Learns how sources bleed from spectra of the microphones.

    Parameters
    ----------
    x : Tensor, shape (freqs, mics, frames), complex
        Spectra from 0 to half the sample rate on windows of four hops; overwritten.
    heard : Tensor, shape (frames,)
        1 for the frames to learn from, 0 for those that are not heard in full.
    close_mics : list of int
        Microphones with a source of their own. The others come first in each iteration: what they hold besides the
        sources is an output too.
    settings : RoomSettings
    hop_s : float
        Seconds from frame to frame.
    callback : callable, optional
        ``callback(iteration, cost, gains=...)`` hears of each iteration.

    Notes
    -----
    The model is ``x_k(t) = z_k(t) + Σ_j Σ_l a_kjl z_j(t - l)``, per frequency: microphone k hears its own source as it
    is, the others through filters of L frames. Given the other outputs b (all ``z_j(t - l)``), ``a_k`` is a regression
    whose error is the source itself, of power ``r_k = |z_k|²`` (plus a floor that falls from iteration to iteration),
    and the gains have a Gaussian prior of mean μ and variances σ²::

        R = c Σ_t b bᴴ / r_k + diag(1/σ²),   a_k = (c Σ_t x_k bᴴ / r_k + μ/σ²) R⁻¹,   z_k = x_k - a_k b

    microphone after microphone, always with the newest z, from ``z = x``; c is the number of independent frames in one.
    μ and σ² come from the neighbouring frequencies: a filter that is short in time is smooth over frequency. How
    smooth, and how strong, each pair of microphones says in each band (:func:`prior_from_gains`). The prior is what
    keeps a bin right in which a source does not play: there nothing is known of its gains, and a maximum of the
    likelihood takes the reverberation of another source for it. Even and odd frequencies take turns, so that the
    neighbours of those that move stand still.

    The objective is ``Σ_k mean log r_k + 2 log|det(I + A_0)|``, A_0 the gains of the first frame: the negative
    log-likelihood of the microphones given the powers, per bin, up to a constant.
    """

    def __init__(self, x, heard, close_mics, settings, hop_s, callback=None):
        freqs, n_mics, _ = x.shape
        self.scale = torch.cat([x[block].abs().square().mean((1, 2), keepdim=True) for block in frequency_blocks(x)])
        self.scale = self.scale.sqrt().clamp_min(torch.finfo(self.scale.dtype).tiny)
        for block in frequency_blocks(x):
            x[block] /= self.scale[block]
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

    def learn(self) -> Tensor:
        """Gains (freqs, mics, mics, taps); the sources of the excerpts are left in ``z``, the objective in ``cost``."""
        floors = self.settings.floors
        loop = Iterations("closemic", len(floors), self.callback)
        for n in loop:
            alone = None
            if _FIRST_LEARNED < n < len(floors):
                alone = torch.zeros_like(self.gains), self.prior.variance.clone()
            step = partial(self._step, floor=floors[n - 1], alone=alone)
            cost = sum(sum(on_threads(step, self._blocks(parity))) for parity in (0, 1))
            loop.record(cost / len(self.x), gains=self.gains)
            if alone:
                self.prior = prior_from_gains(*alone, self.prior.variance)
        self.cost = torch.stack(loop.cost).double().cpu()
        return self.gains

    def levels(self) -> Tensor:
        """Level of each source at each microphone relative to that at its own, over all frequencies: (mics, mics)."""
        n_mics, taps = self.z.shape[1], self.gains.shape[-1]
        heard, own = self.scale.new_zeros(n_mics, n_mics), self.scale.new_zeros(n_mics)
        for rows in frequency_blocks(self.z):
            z, gains = self.z[rows] * self.scale[rows], self.gains[rows]
            for j in range(n_mics):
                late, _ = lagged_covariance(z[:, j : j + 1], z[:, j], torch.ones_like(z[:, j].real), taps)
                own[j] += late[:, 0, 0].real.sum()
                heard[:, j] += torch.einsum("fkl,flm,fkm->k", gains[:, :, j], late, gains[:, :, j].conj()).real
        return (heard / own.clamp_min(torch.finfo(own.dtype).tiny)).sqrt().fill_diagonal_(1)

    def _blocks(self, parity):
        values = (self.x.shape[1] - 1) * self.settings.taps * self.x.shape[2] // self.settings.every
        size = max(4, min(256, _VALUES_AT_ONCE // max(1, values)))
        return [slice(start, min(start + 2 * size, len(self.x)), 2) for start in range(parity, len(self.x), 2 * size)]

    def _step(self, rows, floor, alone):
        settings = self.settings
        x, z, gains = self.x[rows], self.z[rows].contiguous(), self.gains[rows]
        above = slice(rows.start + 2, rows.stop + 2, 2)
        mean, spread = self.prior.given_neighbours(self.padded[rows], self.padded[above], rows)
        n_mics, taps = x.shape[1], settings.taps
        cost = 0
        for k in self.order:
            others = [j for j in range(n_mics) if j != k]
            if not others:
                continue
            heard, open_bins = z[:, others], x[:, k] != 0
            power = self._power(z[:, k], heard, floor)
            cost = cost + power.log().mean(1).sum()
            weights = open_bins * self.heard * (settings.frames_counted * settings.every) / power
            covariance, cross = lagged_covariance(heard, x[:, k], weights, taps, every=settings.every)
            a, _ = regress(covariance, cross, mean[:, k, others].flatten(1), spread[:, k, others].flatten(1))
            gains[:, k, others] = a.unflatten(1, (-1, taps))
            if alone:
                untied = self.prior.variance[rows][:, k, others].flatten(1)
                b, factor = regress(covariance, cross, torch.zeros_like(cross), untied)
                alone[0][rows][:, k, others] = b.unflatten(1, (-1, taps))
                alone[1][rows][:, k, others] = variances(factor).unflatten(1, (-1, taps))
            z[:, k] = open_bins * (x[:, k] - filtered(heard, gains[:, k, others]))
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
