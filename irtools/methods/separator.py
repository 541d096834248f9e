"""What every method takes and returns: from a :class:`Recording` it learns a :class:`Separator` of pieces of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace

from torch import Tensor

from irtools.checks import check_assignment, check_choice


class ConvergenceWarning(UserWarning):
    """An iterative method used all its iterations before its stopping rule was met."""


@dataclass(frozen=True)
class Recording:
    """The recording that a method learns from, read in consecutive pieces, so that none has to fit into memory.

    Attributes
    ----------
    n_mics, samples : int
    sample_rate : int or None
        In Hz; None where nobody said.
    read : callable
        ``read(start, end)`` gives the microphones (mics, samples) and the mixdown (samples,) or None.
    cuts : list of (int, int)
        First and end sample of each piece.
    progress : callable
        ``progress("learn", end, samples)`` is called after each piece that was read.
    """

    n_mics: int
    samples: int
    sample_rate: int | None
    read: Callable[[int, int], tuple[Tensor, Tensor | None]]
    cuts: list[tuple[int, int]]
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None

    @classmethod
    def in_memory(
        cls,
        mics: Tensor,
        sample_rate: int | None = None,
        mixdown: Tensor | None = None,
        cuts: list[tuple[int, int]] | None = None,
    ) -> Recording:
        """Microphones (mics, samples) and perhaps a mixdown (samples,), as one piece or cut as asked for."""

        def read(start, end):
            return mics[:, start:end], None if mixdown is None else mixdown[start:end]

        return cls(len(mics), mics.shape[1], sample_rate, read, cuts or [(0, mics.shape[1])])

    def pieces(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Microphones and mixdown of each piece, in order."""
        for start, end in self.cuts:
            yield self.read(start, end)
            self.progress("learn", end, self.samples)

    def close_mics(self, assignment=None, n_sources: int | None = None) -> list[int]:
        """Close microphone of each source: see :func:`irtools.checks.check_assignment`."""
        return check_assignment(assignment, self.n_mics, n_sources)


@dataclass(frozen=True)
class Reduction:
    """The outcome of one reduction.

    Attributes
    ----------
    sources : Tensor, shape (sources, samples)
        Estimate of each source as heard at its own microphone; dtype, device and length of the input. Rows after those
        are of microphones without a source of their own, where a method was asked for them.
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
    """What a method learned, ready to be applied to a recording piece by piece.

    Attributes
    ----------
    separate : callable
        ``separate(mics, mixdown)`` maps a piece (mics, samples), with the piece of the mixdown (samples,) or None, to
        its estimates (sources, samples), or to a :class:`Reduction` where a piece has gains or a cost of its own. It is
        called once per piece, in order, so that it may carry a state.
    close_mics : list of int
        Close microphone of each source.
    align : int
        Pieces other than the last hold, and share, a multiple of this many samples.
    overlap : int
        Samples that each piece shares with the one before, where the outputs of both are cross-faded.
    gains, cost, n_iter, converged, details
        As in :class:`Reduction`, of what was learned from the whole recording.
    """

    separate: Callable[[Tensor, Tensor | None], Tensor | Reduction]
    close_mics: list[int]
    align: int = 1
    overlap: int = 0
    gains: Tensor | None = None
    cost: Tensor | None = None
    n_iter: int = 0
    converged: bool = True
    details: dict = field(default_factory=dict)

    def reduce(self, mics: Tensor, mixdown: Tensor | None = None) -> Reduction:
        """A piece, with what was learned from the whole recording where the piece has nothing of its own."""
        found = self.separate(mics, mixdown)
        if isinstance(found, Reduction):
            return found
        gains = None if self.gains is None else self.gains.to(mics)
        return Reduction(found, gains, self.cost, self.n_iter, self.converged, details=self.details)


def choose_settings(presets: dict, preset: str, changes: dict, *, argument: str = "preset"):
    """The settings (a dataclass) called ``preset``, with ``changes`` to its fields; wrong names are refused."""
    chosen = presets[check_choice(argument, preset, presets)]
    known = [field.name for field in fields(chosen)]
    for name in changes:
        if name not in known:
            raise TypeError(f"{name}: not a setting of this method; expected one of {', '.join(known)}")
    return replace(chosen, **changes)
