"""What a published table of means can prove: bounds on a paired difference from means, medians and n alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from irtools.checks import check_int, check_number

# Rajesh R, synopsis seminar, 8 February 2024, "Listening Test Results: 44 Participants", live recordings (Saraga):
# (stem, scale): (mean of KAMIR, of dfUNet, median of KAMIR, of dfUNet).
SARAGA_LISTENERS = 44
SARAGA = {
    ("vocal", "IRQ"): (3.71, 3.41, 4.0, 3.5),
    ("mridangam", "IRQ"): (3.73, 3.53, 4.0, 4.0),
    ("violin", "IRQ"): (3.68, 3.45, 4.0, 3.0),
    ("vocal", "AQ"): (3.71, 3.25, 4.0, 3.0),
    ("mridangam", "AQ"): (3.45, 3.28, 3.0, 3.0),
    ("violin", "AQ"): (3.86, 3.08, 4.0, 3.0),
}


@dataclass(frozen=True)
class PairedBounds:
    """What means alone say about a paired difference; ``verdict`` holds whatever the marks were, or is "undecided"."""

    difference: float  # first mean minus second
    sd_low: float  # no differences with these means spread less (standard deviation, n - 1) ...
    sd_high: float  # ... or more
    sd_significant: float  # the paired t test is significant exactly where the differences spread less than this
    p_low: float  # p-values at sd_low ...
    p_high: float  # ... and at sd_high
    verdict: str


def paired_bounds(first: float, second: float, n: int, *, medians: tuple[float, float] | None = None) -> PairedBounds:
    """What can be concluded of two means of marks from 1 to 5 over the same ``n`` listeners, and perhaps of medians.

    Notes
    -----
    With d = first - second, the paired t test at 5 % is significant exactly where the standard deviation of the
    differences is below ``|d| √n / t(.975, n-1)``. Means do not tell that deviation, they bound it: over all joint
    distributions of marks with the two means (and medians), the mean square of the differences is linear in the
    probabilities, so that a linear programme gives its least and largest value. Published means are rounded, and shares
    need not be multiples of 1/n: the bounds are of the means as printed. Means of several stems cannot be pooled into a
    sign test, because the same listeners rated all of them.
    """
    from scipy import stats

    check_int("n", n, 2)
    for name, values in {"first": [first], "second": [second], "medians": medians or []}.items():
        for value in values:
            check_number(name, value, 1, 5)
    difference = first - second
    root = math.sqrt(n)
    spread = [
        math.sqrt(max(square - difference**2, 0.0) * n / (n - 1)) for square in _mean_squares(first, second, medians)
    ]
    threshold = abs(difference) * root / float(stats.t.ppf(0.975, n - 1))

    def p(sd: float) -> float:
        if difference == 0:
            return 1.0
        return float(2 * stats.t.sf(abs(difference) * root / sd, n - 1)) if sd > 0 else 0.0

    verdict = "significant" if spread[1] < threshold else "not significant" if spread[0] >= threshold else "undecided"
    return PairedBounds(difference, *spread, threshold, *map(p, spread), verdict)


def is_attainable(mean: float, n: int) -> bool:
    """Whether ``n`` whole marks can have a mean that is printed as ``mean`` with two decimals.

    The GRIM test (N. J. L. Brown, J. A. J. Heathers, Social Psychological and Personality Science 8(4), 2017).
    """
    half = 0.005 + 1e-9
    # Either way of rounding a tie is allowed.
    return any(abs(total / n - mean) <= half for total in (math.floor(mean * n), math.ceil(mean * n)))


def _mean_squares(first, second, medians) -> list[float]:
    """Least and largest E(a - b)² of marks a, b with the given means and medians."""
    from scipy.optimize import linprog

    a, b = (marks.ravel() for marks in np.mgrid[1.0:6.0, 1.0:6.0])
    equal, upper = [np.ones_like(a), a, b], []
    for marks, median in zip((a, b), medians or (), strict=False):
        upper += [-(marks <= median).astype(float), -(marks >= median).astype(float)]
    squares = (a - b) ** 2
    found = []
    for sign in (1, -1):
        answer = linprog(
            sign * squares,
            A_eq=np.stack(equal),
            b_eq=[1.0, first, second],
            A_ub=np.stack(upper) if upper else None,
            b_ub=np.full(len(upper), -0.5) if upper else None,
        )
        if answer.status != 0:
            raise ValueError(f"first, second, medians: no marks have the means {first}, {second} and medians {medians}")
        found.append(sign * answer.fun)
    return found
