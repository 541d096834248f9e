"""How far a mean or a median would move with other songs: percentile bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple

import numpy as np

STATISTICS: dict[str, Callable[[np.ndarray], float]] = {"mean": np.mean, "median": np.median}


class Interval(NamedTuple):
    """A statistic with its interval.

    Attributes
    ----------
    value, low, high : float
        NaN where there is nothing to average; ``low`` and ``high`` also where there is one group only.
    count : int
        Values that are not NaN.
    groups : int
        Groups that have one.
    """

    value: float
    low: float
    high: float
    count: int
    groups: int


def bootstrap(
    values: Iterable[float],
    groups: Iterable[Hashable] | None = None,
    *,
    statistic: str = "mean",
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """A mean or a median with the percentile interval of resampled groups.

    Parameters
    ----------
    values : iterable of float
        NaN is left out: a stem without a score.
    groups : iterable, optional
        Of each value the group that is drawn or not drawn as a whole, such as its song: stems of one song are not
        independent. By default each value is a group of its own.
    statistic : {"mean", "median"}
    level : float
        Between 0 and 1.
    draws : int
    seed : int

    Returns
    -------
    Interval
        The same for the same arguments.

    Raises
    ------
    ValueError
        Unknown statistic, a level outside 0 to 1, no draws, an infinite value, or groups that are not as many as the
        values.

    Notes
    -----
    As many groups as there are are drawn with replacement, the statistic is taken over all their values, and the
    interval reaches from the (1 - level)/2 to the (1 + level)/2 quantile of the draws. With few groups it is too
    narrow: five groups cover the truth in about 80 of 100 cases at a level of 95 %.

    References
    ----------
    .. [1] B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, Chapman & Hall, 1993.

    Examples
    --------
    >>> found = bootstrap([1.0, 2.0, 3.0, float("nan")])
    >>> found.value, found.count, found.low < 2 < found.high
    (2.0, 3, True)
    """
    if statistic not in STATISTICS:
        raise ValueError(f"statistic: expected one of {', '.join(STATISTICS)}, got {statistic!r}")
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number between 0 and 1, got {level!r}")
    if draws < 1:
        raise ValueError(f"draws: expected 1 or more, got {draws}")
    members = _members(list(values), groups)
    measure = STATISTICS[statistic]
    count = sum(map(len, members))
    if not members:
        return Interval(math.nan, math.nan, math.nan, 0, 0)
    value = float(measure(np.concatenate(members)))
    if len(members) == 1:
        return Interval(value, math.nan, math.nan, count, 1)
    random = np.random.default_rng(seed)
    chosen = random.integers(len(members), size=(draws, len(members)))
    if statistic == "mean":
        sums, sizes = (np.array([of(group) for group in members]) for of in (np.sum, len))
        found = sums[chosen].sum(1) / sizes[chosen].sum(1)
    else:
        found = [measure(np.concatenate([members[group] for group in draw])) for draw in chosen]
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), count, len(members))


def _members(values: list[float], groups) -> list[np.ndarray]:
    """The values of each group, without NaN and without groups that have nothing else."""
    labels = list(range(len(values))) if groups is None else list(groups)
    if len(labels) != len(values):
        raise ValueError(f"groups: expected {len(values)}, one a value, got {len(labels)}")
    if any(math.isinf(value) for value in values):
        raise ValueError("values: expected finite values or NaN, got an infinite one")
    by_group: dict[Hashable, list[float]] = {}
    for label, value in zip(labels, values, strict=True):
        if not math.isnan(value):
            by_group.setdefault(label, []).append(value)
    return [np.array(group) for group in by_group.values()]
