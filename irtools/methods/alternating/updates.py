"""The update rules of alternating minimisation, on second moments, with every published variant.

With the mixdown taken as one more microphone, Z = [X; m] and H = [Λ; bᵀ], the objective is ‖Z - HS‖², and every
iterate of S is a fixed linear map of the recording, S = A Z. All updates then need only M = Z Zᵀ, a matrix of
(K+1)x(K+1) numbers: one pass over the samples, whatever the number of iterations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from irtools.checks import check_choice, check_int, check_number
from irtools.methods.iteration import Iterations


@dataclass(frozen=True)
class AMSettings:
    """Everything that the published variants of the algorithm disagree about.

    Attributes
    ----------
    diagonal, off_diagonal : (float, float)
        Bounds to which the own-mic gains λ_nn and all other gains (γ1, γ2) are clipped: the published projection.
    dominant : bool
        Also keep λ_kj <= λ_kk in the row of every close microphone, the constraint that the slides state and no
        published code enforces.
    weights : "ones", "learned" or a sequence of N floats
        The mixdown weights b: fixed at one, learned from a start at one, or fixed at the given values.
    weights_range : (float, float), optional
        Bounds to which learned weights are clipped.
    eta : float
        Regulariser of the published rules, in units of the summed power of the recording (so its effect depends
        on level and length, as published).
    eta_in : "gram", "both" or "sources"
        Where eta I enters: in S Sᵀ; in S Sᵀ and X Sᵀ (which pulls Λ towards I); in S Sᵀ and the rule for S.
    stop : "decrease" or "objective"
        Stop when the objective falls by at most ``tol`` in one iteration, or when it is itself below ``tol``.
    tol : float
        In the units of the objective (summed power).
    max_iter : int
    block_samples : int, optional
        Solve independent problems on blocks of this many samples, as one published code does with 25.
    """

    diagonal: tuple[float, float] = (1.0, 1.0)
    off_diagonal: tuple[float, float] = (1e-3, 0.5)
    dominant: bool = False
    weights: str | tuple[float, ...] = "ones"
    weights_range: tuple[float, float] | None = None
    eta: float = 1e-5
    eta_in: str = "gram"
    stop: str = "decrease"
    tol: float = 1e-6
    max_iter: int = 1000
    block_samples: int | None = None

    def __post_init__(self):
        for name in ("diagonal", "off_diagonal", "weights_range"):
            bounds = getattr(self, name)
            if bounds is None and name == "weights_range":
                continue
            if not (isinstance(bounds, list | tuple) and len(bounds) == 2):
                raise ValueError(f"{name}: expected (lower, upper), got {bounds!r}")
            lower = check_number(name, bounds[0])
            check_number(name, bounds[1], lower)
        check_number("eta", self.eta, 0)
        check_number("tol", self.tol, 0)
        check_int("max_iter", self.max_iter, 1)
        if self.block_samples is not None:
            check_int("block_samples", self.block_samples, 1)
        check_choice("eta_in", self.eta_in, ("gram", "both", "sources"))
        check_choice("stop", self.stop, ("decrease", "objective"))
        if isinstance(self.weights, str):
            check_choice("weights", self.weights, ("ones", "learned"))


VARIANTS = {
    # The update rules of the slides, with b learned as in their line 9.
    "slides": AMSettings(weights="learned", eta_in="gram"),
    # Factorisation/Codes/solver.py: blocks of 25 samples, b = 1, eta in both products.
    "solver": AMSettings(eta_in="both", tol=1e-3, block_samples=25),
    # The April notebooks: b = 1 or an oracle, the diagonal fixed or free in [.75, 1].
    "notebook": AMSettings(eta_in="both", tol=1e-6),
    "notebook-free-diagonal": AMSettings(eta_in="both", tol=1e-6, diagonal=(0.75, 1.0), off_diagonal=(1e-4, 1.0)),
    # NNBL/Minimisation2.0: b learned in [.4, 2], the diagonal in [.6, 1].
    "minimisation2": AMSettings(
        diagonal=(0.6, 1.0),
        off_diagonal=(1e-4, 0.3),
        weights="learned",
        weights_range=(0.4, 2.0),
        eta_in="sources",
        tol=1e-12,
    ),
}
VARIANTS["minimisation2-wide"] = replace(VARIANTS["minimisation2"], off_diagonal=(1e-4, 0.5))


@dataclass(frozen=True)
class Solution:
    """Result of :func:`solve` for a batch of ``B`` independent problems, float64 arrays.

    Attributes
    ----------
    gains : shape (B, mics, sources)
    weights : shape (B, sources)
    demixing : shape (B, sources, mics + 1)
        A of S = A [X; m].
    cost : shape (n_iter + 1,)
        Objective summed over the batch, before the first and after each iteration.
    n_iter : int
    converged : shape (B,), bool
    """

    gains: np.ndarray
    weights: np.ndarray
    demixing: np.ndarray
    cost: np.ndarray
    n_iter: int
    converged: np.ndarray


def project(gains: np.ndarray, close_mics: list[int], settings: AMSettings) -> np.ndarray:
    """The published projection of Λ (B, mics, sources): element-wise clipping, and row dominance where asked for."""
    sources = np.arange(len(close_mics))
    own = np.clip(gains[:, close_mics, sources], *settings.diagonal)
    gains = np.clip(gains, *settings.off_diagonal)
    if settings.dominant:
        gains[:, close_mics] = np.minimum(gains[:, close_mics], own[:, :, None])
    gains[:, close_mics, sources] = own
    return gains


def solve(
    moments: np.ndarray, close_mics: list[int], settings: AMSettings, callback: Callable | None = None
) -> Solution:
    """Alternating minimisation on second moments.

    Parameters
    ----------
    moments : ndarray, shape (B, mics + 1, mics + 1), float64
        Z Zᵀ of B independent problems, Z = [X; m].
    close_mics : list of int, length sources
        Close microphone of each source; S starts there.
    settings : AMSettings
    callback : callable, optional
        ``callback(iteration, cost, gains=...)``, see :class:`irtools.methods.iteration.Iterations`.

    Returns
    -------
    Solution

    Raises
    ------
    FloatingPointError
        A singular or non-finite iterate; the message names the iteration.

    Warns
    -----
    ConvergenceWarning
        The stopping rule was not met within ``max_iter`` iterations by every problem.

    Notes
    -----
    One iteration, in this order, with M the moments, P = [I 0] and e = (0, ..., 0, 1)ᵀ::

        Λ ← P M Aᵀ (A M Aᵀ + ηI)⁻¹      the rule Λ ← X Sᵀ (S Sᵀ + ηI)⁻¹
        Λ ← projection(Λ)
        A ← (HᵀH)⁻¹ Hᵀ                   the rule S ← (ΛᵀΛ + bbᵀ)⁻¹ (ΛᵀX + bm)
        b ← (A M Aᵀ + ηI)⁻¹ A M e        the rule b ← (S Sᵀ + ηI)⁻¹ S mᵀ

    Differs from the slides [1]_ in two misprints: they write X S Sᵀ where the rule needs X Sᵀ, and give b the length
    of the recording where it has one entry per source.

    References
    ----------
    .. [1] R. Rajesh, "Interference reduction in live recordings for music source separation", synopsis seminar,
       Indian Institute of Technology Mandi, 2024.

    Examples
    --------
    Two sources of power 1, mixed by [[1, .2], [.2, 1]], with the clean sum given as the mixdown:

    >>> mixing = np.array([[1, 0.2], [0.2, 1], [1, 1]])
    >>> found = solve((mixing @ mixing.T)[None], [0, 1], AMSettings(tol=1e-14))
    >>> found.gains[0].round(3)
    array([[1. , 0.2],
           [0.2, 1. ]])
    """
    batch, rows, _ = moments.shape
    n_sources = len(close_mics)
    gains = np.zeros((batch, rows - 1, n_sources))
    gains[:, close_mics, np.arange(n_sources)] = 1.0
    demixing = np.swapaxes(np.concatenate([gains, np.zeros((batch, 1, n_sources))], axis=1), 1, 2)
    weights = np.ones((batch, n_sources))
    if not isinstance(settings.weights, str):
        if len(settings.weights) != n_sources:
            raise ValueError(f"weights: expected {n_sources} numbers (one per source), got {len(settings.weights)}")
        weights = weights * np.asarray(settings.weights, dtype=float)

    done = np.zeros(batch, dtype=bool)
    active = np.arange(batch)
    objective = _objective(moments, gains, weights, demixing)
    loop = Iterations("alternating minimisation", settings.max_iter, callback)
    loop.cost.append(objective.sum())
    for iteration in loop:
        m = moments if len(active) == batch else moments[active]
        try:
            step = _iterate(m, demixing[active], weights[active], close_mics, settings)
        except np.linalg.LinAlgError as error:
            raise FloatingPointError(f"alternating minimisation: singular matrix at iteration {iteration}") from error
        gains[active], weights[active], demixing[active] = step
        before, objective[active] = objective[active], _objective(m, *step)
        loop.record(objective.sum(), gains=gains)
        after = objective[active]
        met = after < settings.tol if settings.stop == "objective" else before - after <= settings.tol
        done[active] = met
        active = active[~met]
        if not len(active):
            loop.stop()
    loop.warn_unless_converged(f"{len(active)} of {batch} problem(s) still moving (tol={settings.tol:g})")
    return Solution(gains, weights, demixing, np.array(loop.cost), loop.done, done)


def _iterate(moments, demixing, weights, close_mics, settings):
    """One pass through the four rules; returns (gains, weights, demixing)."""
    eta = settings.eta * np.eye(len(close_mics))
    a_m = demixing @ moments
    gram = a_m @ np.swapaxes(demixing, 1, 2) + eta
    cross = a_m[:, :, :-1]
    if settings.eta_in == "both":
        cross = cross + settings.eta * np.eye(*cross.shape[1:])
    gains = project(np.swapaxes(np.linalg.solve(gram, cross), 1, 2), close_mics, settings)
    mixing = np.concatenate([gains, weights[:, None]], axis=1)
    mixing_t = np.swapaxes(mixing, 1, 2)
    normal = mixing_t @ mixing
    demixing = np.linalg.solve(normal + eta if settings.eta_in == "sources" else normal, mixing_t)
    if settings.weights == "learned":
        a_m = demixing @ moments
        gram = a_m @ np.swapaxes(demixing, 1, 2) + eta
        weights = np.linalg.solve(gram, a_m[:, :, -1:])[:, :, 0]
        if settings.weights_range is not None:
            weights = np.clip(weights, *settings.weights_range)
    return gains, weights, demixing


def _objective(moments, gains, weights, demixing):
    """‖Z - HAZ‖² of each problem, as the quadratic form tr(E M Eᵀ) with E = I - HA."""
    residual = np.eye(moments.shape[1]) - np.concatenate([gains, weights[:, None]], axis=1) @ demixing
    # A sum of squares; rounding can leave it a hair below zero.
    return ((residual @ moments) * residual).sum((1, 2)).clip(min=0)
