"""What every method takes and returns: the :class:`Reduction`, or a :class:`Separator` for recordings in pieces."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from irtools.checks import check_assignment, check_mics

__all__ = ["ConvergenceWarning", "Reduction", "Separator", "check_assignment", "check_mics"]


class ConvergenceWarning(UserWarning):
    """An iterative method used all its iterations before its stopping rule was met."""


@dataclass(frozen=True)
class Reduction:
    """The outcome of one reduction.

    Attributes
    ----------
    sources : Tensor, shape (sources, samples)
        Estimate of each source as heard at its own microphone; dtype, device and length of the input.
    gains : Tensor, shape (mics, sources), or None
        Interference matrix Λ in amplitude, where the method estimates one.
    cost : Tensor, shape (n_iter + 1,), or None
        Objective before the first and after each iteration, float64.
    n_iter : int
    converged : bool
        True when the stopping rule was met; True for a method without iterations.
    seconds : float
        Wall-clock time of the call.
    method : str
    details : dict
        What only this method has to say (its learned mixing weights, its demixing matrix, ...).
    """

    sources: Tensor
    gains: Tensor | None = None
    cost: Tensor | None = None
    n_iter: int = 0
    converged: bool = True
    seconds: float = math.nan
    method: str = ""
    details: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Separator:
    """A learned reduction, ready to be applied to a recording piece by piece.

    Attributes
    ----------
    separate : callable
        ``separate(mics, mixdown)`` maps a piece (mics, samples), with the piece of the mixdown (samples,) or None, to
        the :class:`Reduction` of that piece. It is called once a piece, in order, so that it may carry a state.
    close_mics : list of int
        Close microphone of each source.
    align : int
        Pieces other than the last hold, and share, a multiple of this many samples.
    overlap : int
        Samples that each piece shares with the one before, where the outputs of both are cross-faded.
    gains, cost, n_iter, converged, details
        As in :class:`Reduction`, of what was learned from the whole recording.
    """

    separate: Callable[[Tensor, Tensor | None], Reduction]
    close_mics: list[int]
    align: int = 1
    overlap: int = 0
    gains: Tensor | None = None
    cost: Tensor | None = None
    n_iter: int = 0
    converged: bool = True
    details: dict = field(default_factory=dict)
