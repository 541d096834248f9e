"""Demixing of linear mixtures: one real matrix for all frequencies, found by annealed sparsity."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from irtools.kernels.weighted_covariance import outer_products, weighted_covariance
from irtools.methods.iteration import Iterations

# Least power of an output in a bin, of the power of all microphones there: from smooth to sparse.
SPARSITY_STEPS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8)
_LOADING = 1e-11
_AUDIBLE = 1e-9
# The 2 % quantile of unit exponential noise; ten times that exceeds nearly all of it.
_QUIET = 0.02
_NOISE = 10 / -math.log1p(-_QUIET)


@dataclass(frozen=True)
class LinearDemixing:
    """``gains`` Λ (sources, sources) with a unit diagonal, float64; the outputs are ``inv(gains) @ mics``."""

    gains: Tensor
    cost: Tensor
    n_iter: int
    converged: bool


def demix_linear(
    bins: Tensor,
    *,
    max_iter: int = 60,
    tol: float = 1e-5,
    steps=SPARSITY_STEPS,
    callback: Callable | None = None,
) -> LinearDemixing:
    """The real matrix that makes time-frequency bins sparsest.

    Parameters
    ----------
    bins : Tensor, shape (mics, bins), complex
        Spectra of as many microphones as sources; the order of the bins does not matter.
    max_iter : int
        Most iterations at each step.
    tol : float
        A step ends when no gain changes by more.
    steps : sequence of float
        ε, falling.
    callback : callable, optional
        ``callback(iteration, cost, demixing=...)`` hears of each iteration.

    Returns
    -------
    LinearDemixing
        ``cost`` is the objective at the last ε, per bin.

    Raises
    ------
    FloatingPointError
        A non-finite iterate; the message names the iteration.

    Notes
    -----
    Minimises ``Σ_n mean log r_n - 2 log|det W|``, ``r_n = |z_n|² + ε |x|² + ν_n``, with ``z = W x``,
    ``W = inv(Λ)``, by iterative projection [1]_: ``C_n = Re mean x xᴴ / r_n``, ``w_n = (W C_n)⁻¹ e_n``. A large ε is
    nearly the second-order statistics, with few optima; a small one asks for outputs that are zero where another
    source plays alone, which fixes the gains. ν is the noise of each output, a multiple of the power that its quietest
    bins stay below, taken anew for each ε: without it the noise, which is no mixture, would decide at small ε, and
    without noise it vanishes with the bleed. After each step the outputs are put in the order in which the product of
    own gains is largest, which no scale of a channel changes.

    References
    ----------
    .. [1] N. Ono, "Stable and fast update rules for independent vector analysis based on auxiliary function
       technique", WASPAA, 2011.

    Examples
    --------
    >>> import torch
    >>> draw = torch.randn(2, 2, 4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> sources = torch.complex(draw[0], draw[1]) * torch.rand(2, 4000, dtype=torch.float64) ** 8
    >>> bins = torch.tensor([[1.0, 0.3], [0.2, 1.0]], dtype=torch.complex128) @ sources
    >>> demix_linear(bins).gains.round(decimals=2)
    tensor([[1.0000, 0.3000],
            [0.2000, 1.0000]], dtype=torch.float64)
    """
    n = bins.shape[0]
    eye = torch.eye(n, dtype=torch.float64, device=bins.device)
    power = bins.abs().square().sum(0)
    x = bins[:, power > _AUDIBLE * power.mean()].to(torch.complex128)
    if n == 1 or x.shape[1] == 0:
        return LinearDemixing(eye, torch.zeros(1, dtype=torch.float64), 0, True)
    # In units of each microphone's level, so that loud and quiet channels are numerically alike.
    level = x.abs().square().mean(1).sqrt().clamp_min(1e-150)
    x = x / level[:, None]
    # W is real: of x xᴴ it meets the real part alone.
    products = outer_products(x)[: n * (n + 1) // 2]
    power = products[:n].sum(0)
    w, done = eye.clone(), 0
    for step in steps:
        w = _unit_images(w)
        noise = _noise(_output_powers(w, products))
        loop = Iterations("closemic", max_iter, callback, done)
        for _ in loop:
            w = _unit_images(w)
            spread = _output_powers(w, products).add_(step * power).add_(noise[:, None])
            cost = _mean_log(spread) - 2 * torch.linalg.slogdet(w).logabsdet
            covariances = weighted_covariance(x.real, spread.reciprocal_(), products=products)
            w, before = _project(w, covariances), w
            loop.record(cost, demixing=w)
            if (torch.linalg.inv(_unit_images(w)) - torch.linalg.inv(before)).abs().max() < tol:
                loop.stop()
        w, done = _ordered(w), loop.done
    gains = level[:, None] * torch.linalg.inv(_unit_images(w)) / level
    return LinearDemixing(gains, torch.stack(loop.cost).cpu(), done, loop.converged)


def _output_powers(w, products):
    """|W x|² from the products of pairs of microphones."""
    i, j = torch.triu_indices(len(w), len(w), 1, device=w.device)
    return (torch.cat([w.square(), 2 * w[:, i] * w[:, j]], 1) @ products).clamp_min_(0)


def _mean_log(spread):
    """Sum over the outputs of their mean log power: one logarithm for four of them."""
    return sum(part.prod(0).log_().mean() for part in spread.split(4))


def _noise(power):
    quiet = max(1, round(_QUIET * power.shape[1]))
    return _NOISE * power.kthvalue(quiet, dim=1).values


def _unit_images(w):
    """Rows scaled so that each output is its source's image at its own microphone: inv(w) has a unit diagonal."""
    return torch.linalg.inv(w).diagonal()[:, None] * w


def _ordered(w):
    """Outputs in the order of the microphones: that of the largest product of own gains, whatever their scales."""
    from scipy.optimize import linear_sum_assignment

    gains = torch.linalg.inv(w).abs().clamp_min(1e-300).log()
    return w[linear_sum_assignment(gains.cpu().numpy(), maximize=True)[1].tolist()]


def _project(w, covariances):
    w = w.clone()
    n = len(w)
    eye = torch.eye(n, dtype=w.dtype, device=w.device)
    for k, c in enumerate(covariances):
        # A source that never plays leaves its covariance singular.
        c = c + _LOADING * c.trace() / n * eye
        row = torch.linalg.solve(w @ c, eye[k])
        w[k] = row / (row @ c @ row).sqrt()
    return w
