"""Demixing of a stage in a room: one complex matrix per frequency, with a prior on how much a microphone can bleed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from irtools.checks import check_int, check_number
from irtools.kernels.weighted_covariance import outer_products, weighted_covariance
from irtools.methods.closemic.gain_smoothing import smooth_gains
from irtools.methods.iteration import Iterations

_FREQS_AT_ONCE = 256
_SMALLEST = 1e-12


@dataclass(frozen=True)
class RoomSettings:
    """How to demix a room.

    Attributes
    ----------
    bleed : float
        Standard deviation of the gain from a source's own microphone to another one, before anything is known.
    bleed_smoothed : float
        The same around the gain that the neighbouring frequencies predict.
    competition : float
        Exponent p of the first iterations, in which the close microphones decide who is who.
    first_iter : int
        Iterations of that kind.
    n_iter : tuple of int
        Iterations with p = 0, in parts; between two parts the gains are smoothed over frequency.
    floor : float
        Least power of a source in a bin, of its mean power at that frequency.
    leftover : float
        Fraction of the others' power assumed left in an output.
    frames_counted : float
        Independent frames in one frame: overlapping windows repeat each other.
    """

    bleed: float = 0.2
    bleed_smoothed: float = 0.1
    competition: float = 3.0
    first_iter: int = 10
    n_iter: tuple[int, ...] = (8, 6, 6)
    floor: float = 1e-4
    leftover: float = 3e-3
    frames_counted: float = 0.25

    def __post_init__(self):
        for name in ("bleed", "bleed_smoothed", "frames_counted"):
            check_number(name, getattr(self, name), 1e-6)
        for name in ("competition", "floor", "leftover"):
            check_number(name, getattr(self, name), 0)
        check_int("first_iter", self.first_iter, 0)
        if not isinstance(self.n_iter, (tuple, list)) or not self.n_iter:
            raise ValueError(f"n_iter: expected a tuple of iterations, each 1 or more, got {self.n_iter!r}")
        for count in self.n_iter:
            check_int("n_iter", count, 1)


@dataclass
class RoomGains:
    """What is known of the gains (freqs, mics, mics) from each own microphone to the others: mean and variance."""

    mean: Tensor
    variance: Tensor


@dataclass(frozen=True)
class RoomDemixing:
    """``w`` (freqs, mics, mics) gives each own-microphone image; ``cost`` is the objective of each iteration."""

    w: Tensor
    gains: RoomGains
    cost: Tensor
    n_iter: int


def first_belief(freqs: int, close_mics: list[int], n_mics: int, settings: RoomSettings, like: Tensor) -> RoomGains:
    """Before anything is heard: bleed of a known size into close microphones, of any size into the others."""
    variance = torch.full((n_mics, n_mics), settings.bleed**2, dtype=like.real.dtype, device=like.device)
    variance[[k for k in range(n_mics) if k not in close_mics]] = 1.0
    mean = torch.zeros(freqs, n_mics, n_mics, dtype=like.dtype, device=like.device)
    return RoomGains(mean, variance.expand(freqs, -1, -1).clone())


def demix_room(
    x: Tensor,
    belief: RoomGains,
    settings: RoomSettings,
    close_mics: list[int],
    w: Tensor | None = None,
    callback: Callable | None = None,
) -> RoomDemixing:
    """Demixing matrices of a room.

    Parameters
    ----------
    x : Tensor, shape (freqs, mics, frames), complex
        Spectra from 0 to half the sample rate.
    belief : RoomGains
        Prior of the gains, not modified: :func:`first_belief`, or what an earlier piece taught.
    settings : RoomSettings
    close_mics : list of int
        Microphones with a source of their own. The others come first in each iteration and do not compete: what they
        hold besides the sources is an output too.
    w : Tensor, shape (freqs, mics, mics), optional
        Demixing matrices of an earlier piece to start from, in place of the iterations with competition.
    callback : callable, optional
        ``callback(iteration, cost, demixing=...)`` hears of each iteration; the frequencies are then moved together.

    Returns
    -------
    RoomDemixing
        ``cost`` has one value per iteration with p = 0.

    Raises
    ------
    FloatingPointError
        A non-finite iterate; the message names the iteration.

    Notes
    -----
    The model is ``x_k = z_k + Σ_j a_kj z_j``: microphone k hears its own source as it is, the others through gains.
    Given the other outputs, ``a_k`` is a regression whose error is the source itself, of power ``r_k = |z_k|²`` (plus
    a floor), and the gains have a Gaussian prior of mean μ and variance σ²::

        a_k = (Σ_t x_k z*ᵀ / r_k + μ/σ²) (Σ_t z zᴴ / r_k + 1/σ²)⁻¹,    w_k = e_k - Σ_j a_kj w_j

    With σ → ∞ its fixed points are those of iterative projection [1]_, ``E[z_j* z_k / r_k] = 0``. The prior is what
    keeps a bin right in which a source does not play: there nothing is known of its gains, and a maximum of the
    likelihood takes the reverberation of another source for it.

    References
    ----------
    .. [1] N. Ono, "Stable and fast update rules for independent vector analysis based on auxiliary function
       technique", WASPAA, 2011.
    """
    freqs, n_mics, _ = x.shape
    fresh = w is None
    w = torch.eye(n_mics, dtype=x.dtype, device=x.device).repeat(freqs, 1, 1) if fresh else w.clone()
    gains = RoomGains(belief.mean.clone(), belief.variance.clone())
    mean, variance = belief.mean, belief.variance
    parts = [[settings.competition] * settings.first_iter * fresh + [0.0] * settings.n_iter[0]]
    parts += [[0.0] * n for n in settings.n_iter[1:]]
    costs, done = [], 0
    for part, exponents in enumerate(parts):
        if part:
            mean = _smoothed(gains, mean)
            variance = belief.variance.clamp_max(settings.bleed_smoothed**2)
        part_costs = 0
        at_once = freqs if callback else _FREQS_AT_ONCE
        for start in range(0, freqs, at_once):
            rows = slice(start, start + at_once)
            block = _Block(x[rows], settings, close_mics)
            loop = Iterations("closemic", len(exponents), callback, done)
            found = block.iterate(w[rows], mean[rows], variance[rows], exponents, loop)
            w[rows], gains.mean[rows], gains.variance[rows], cost = found
            part_costs = part_costs + cost
        costs.append(part_costs / freqs)
        done += len(exponents)
    return RoomDemixing(w, gains, torch.cat(costs).double().cpu(), done)


def _smoothed(gains, mean):
    n = mean.shape[-1]
    off = ~torch.eye(n, dtype=torch.bool, device=mean.device)
    out = mean.clone()
    out[:, off] = smooth_gains(gains.mean[:, off], gains.variance[:, off], start=mean[:, off])
    return out


class _Block:
    """Neighbouring frequencies, which the iterations treat each on its own."""

    def __init__(self, x, settings, close_mics):
        scale = x.abs().square().mean((1, 2), keepdim=True).sqrt().clamp_min(torch.finfo(x.real.dtype).tiny)
        x = x / scale
        # Subnormal numbers would slow every product down.
        self.x = torch.where(x.abs() < _SMALLEST, torch.zeros_like(x), x)
        self.products = outer_products(self.x)
        self.settings, self.close_mics = settings, close_mics
        self.order = [k for k in range(x.shape[1]) if k not in close_mics] + close_mics

    def iterate(self, w, mean, variance, exponents, loop):
        n, frames = w.shape[-1], self.x.shape[-1]
        counted = max(1.0, frames * self.settings.frames_counted)
        w, gains, spread = w.clone(), mean.clone(), variance.clone()
        for _, exponent in zip(loop, exponents, strict=True):
            powers, cost = self._powers(w, exponent), None
            if not exponent:
                cost = powers.log().mean(2).sum() - 2 * torch.linalg.slogdet(w).logabsdet.sum()
            covariances = weighted_covariance(self.x, 1 / powers, products=self.products) * counted
            for k in self.order:
                others = [j for j in range(n) if j != k]
                prior = mean[:, k, others], variance[:, k, others]
                a, v = _regress(w[:, others], covariances[:, k], k, *prior)
                gains[:, k, others], spread[:, k, others] = a, v
                w[:, k] = -(a[:, None] @ w[:, others])[:, 0]
                w[:, k, k] += 1
            loop.record(cost, demixing=w)
        return w, gains, spread, torch.stack(loop.cost) if loop.cost else w.real.new_zeros(0)

    def _powers(self, w, exponent):
        z = w @ self.x
        power = z.real**2 + z.imag**2
        total = power[:, self.close_mics].sum(1, keepdim=True)
        own = power * (power / torch.maximum(total, power).clamp_min(_SMALLEST)) ** exponent if exponent else power
        least = self.settings.floor * power.mean(2, keepdim=True) + _SMALLEST
        return own + self.settings.leftover * (total - power).clamp_min(0) + least


def _regress(others, covariance, k, mean, variance):
    """Posterior mean and variance of the gains into microphone k."""
    crossed = covariance @ others.mH
    if not others.shape[1]:
        return mean, variance
    precision = 1 / variance
    inverse = torch.linalg.inv(others @ crossed + torch.diag_embed(precision).to(covariance.dtype))
    gains = (crossed[:, k] + mean * precision)[:, None] @ inverse
    return gains[:, 0], torch.diagonal(inverse, dim1=1, dim2=2).real
