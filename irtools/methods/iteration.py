"""The one loop of every iterative method: counts, keeps the cost, refuses what is not finite, calls back, warns."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator

from irtools.methods.separator import ConvergenceWarning


class Iterations:
    """``for n in loop: ...; loop.record(cost, gains=gains)`` until ``loop.stop()`` or the last iteration.

    Parameters
    ----------
    method : str
        Whose name errors and warnings carry.
    max_iter : int
    callback : callable, optional
        ``callback(iteration, cost, **state)`` hears of each iteration; the state is the method's own tensors, not
        copies of them.
    done : int
        Iterations before the first of this loop.
    """

    def __init__(self, method: str, max_iter: int, callback: Callable | None = None, done: int = 0):
        self.method, self.max_iter, self.callback = method, max_iter, callback
        self.done, self.cost, self.converged = done, [], False
        self._last = done + max_iter

    def __iter__(self) -> Iterator[int]:
        while self.done < self._last and not self.converged:
            self.done += 1
            yield self.done

    def record(self, cost=None, **state) -> None:
        """Keep the cost of this iteration and check that it and every tensor or array of ``state`` are finite."""
        for name, value in (("objective", cost), *state.items()):
            # One sum says it without a mask; it is NaN or infinite as soon as one value is.
            if value is not None and not math.isfinite(abs(complex(value.sum() if hasattr(value, "sum") else value))):
                raise FloatingPointError(f"{self.method}: {name} not finite at iteration {self.done}")
        if cost is not None:
            self.cost.append(cost)
        if self.callback is not None:
            self.callback(self.done, cost, **state)

    def stop(self) -> None:
        """The stopping rule is met: this iteration is the last."""
        self.converged = True

    def warn_unless_converged(self, why: str) -> None:
        """Tell the user that all iterations were used, and ``why`` the method would have gone on."""
        if not self.converged:
            warn_not_converged(self.method, self.done, why)


def warn_not_converged(method: str, n_iter: int, why: str) -> None:
    """The one warning of iterations that ended too early."""
    warnings.warn(f"{method}: not converged after {n_iter} iterations; {why}", ConvergenceWarning, stacklevel=2)
