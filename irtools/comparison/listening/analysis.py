"""What the ratings say: means with intervals, paired tests between conditions, and who rated the reference low."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from irtools.comparison.listening.ratings import SCALES, Rating
from irtools.comparison.listening.trials import ANCHOR, REFERENCE

CONFIDENCE = 0.95
SCREEN_BELOW, SCREEN_SHARE = 4, 0.15


def analyse(ratings: Sequence[Rating], *, screen: bool = False) -> dict:
    """Sum up a listening test in which every listener has rated the same.

    Parameters
    ----------
    ratings : sequence of Rating
    screen : bool
        Leave out the listeners whom the rule of :func:`screened_out` names. They are named in any case.

    Returns
    -------
    dict
        ``listeners`` that were used, ``screening`` with its rule, those it names and whether they are left out;
        ``conditions``: per scale, condition and stem (``None``: all stems) the mean, median, interval and spread;
        ``pairs``: per scale and pair of conditions (without reference and anchor) the mean difference, its interval,
        and the p-values of both tests, as they are and after Holm. ``None`` is what cannot be computed.

    Notes
    -----
    Listeners are the sample, so that each counts once: a listener's ratings of a condition are averaged first. Mean
    and 95 % t interval are of those averages, ``m ± t(.975, n-1) s/√n``; the median is of the ratings themselves. The
    tests compare the averages of the same listener: the paired t test, and Wilcoxon's signed-rank test (zero
    differences dropped), which needs no normal distribution. Holm's correction (Scand. J. Stat. 6(2), 1979) holds the
    chance of any false alarm among all pairs and both scales at 5 %, for each of the tests. The intervals are not
    corrected. Conclusions hold for listeners like these and for these excerpts, which are not a sample of music.
    """
    if not ratings:
        raise ValueError("ratings: expected at least one, got none")
    named = screened_out(ratings)
    kept = [rating for rating in ratings if not (screen and named and rating.listener in named)]
    if not kept:
        raise ValueError("ratings: the screening left no listener")
    stems = list(dict.fromkeys(rating.stem for rating in kept))
    conditions = sorted(dict.fromkeys(rating.condition for rating in kept), key=lambda name: (name == ANCHOR, 0))
    rows = [
        {"scale": scale, "stem": stem, "condition": condition} | _summary(kept, scale, condition, stem)
        for scale in SCALES
        for stem in ([None, *stems] if len(stems) > 1 else [None])
        for condition in conditions
    ]
    systems = [name for name in conditions if name not in (REFERENCE, ANCHOR)]
    pairs = [
        {"scale": scale, "first": first, "second": second}
        | compare(listener_means(kept, scale, first), listener_means(kept, scale, second))
        for scale in SCALES
        for first, second in combinations(systems, 2)
    ]
    for test in ("p_t", "p_wilcoxon"):
        for pair, corrected in zip(pairs, holm([pair[test] for pair in pairs]), strict=True):
            pair[f"{test}_holm"] = corrected
    return {
        "listeners": list(dict.fromkeys(rating.listener for rating in kept)),
        "screening": {"rule": SCREENING_RULE, "named": named, "left_out": screen and bool(named)},
        "conditions": rows,
        "pairs": pairs,
    }


SCREENING_RULE = (
    f"a listener who rates the hidden reference below {SCREEN_BELOW} on a scale in more than {SCREEN_SHARE:.0%} of the "
    "trials"
)


def screened_out(ratings: Sequence[Rating]) -> list[str] | None:
    """Listeners who rate the hidden reference low; None where no reference was rated.

    The rule of ITU-R BS.1534-3 (below 90 of 100 for more than 15 % of the items) on a scale of 1 to 5: the reference
    has no bleed and no artefact, so that a mark below 4 in more than 15 % of the trials says that the listener did not
    hear it, or did not use the scale as asked.
    """
    low: dict[str, list[bool]] = {}
    for rating in ratings:
        if rating.condition == REFERENCE:
            low.setdefault(rating.listener, []).append(min(rating.IRQ, rating.AQ) < SCREEN_BELOW)
    return [listener for listener, marks in low.items() if np.mean(marks) > SCREEN_SHARE] if low else None


def listener_means(ratings: Sequence[Rating], scale: str, condition: str, stem: str | None = None) -> np.ndarray:
    """Mean mark that each listener gave to a condition, in the order in which they come first in ``ratings``."""
    marks: dict[str, list[int]] = {rating.listener: [] for rating in ratings}
    for rating in ratings:
        if rating.condition == condition and stem in (None, rating.stem):
            marks[rating.listener].append(getattr(rating, scale))
    return np.array([np.mean(given) for given in marks.values()], dtype=float)


def compare(first, second) -> dict:
    """Paired comparison of the mean marks that the same listeners gave to two conditions, first minus second.

    With one listener, or differences that are all the same and not zero, the t test is undefined and ``None``;
    differences of zero throughout have p = 1.
    """
    from scipy import stats

    differences = np.subtract(first, second, dtype=float)
    mean, sd, low, high = mean_interval(differences)
    p_t = p_wilcoxon = None
    if not differences.any():
        p_t = p_wilcoxon = 1.0
    elif len(differences) > 1:
        # Averages of equal marks may differ in their last bit, which would make ties of ranks unequal.
        p_wilcoxon = float(stats.wilcoxon(np.round(differences, 9)).pvalue)
        if sd > 1e-9:
            p_t = float(stats.ttest_1samp(differences, 0).pvalue)
    return {"difference": mean, "low": low, "high": high, "sd": sd, "p_t": p_t, "p_wilcoxon": p_wilcoxon}


def mean_interval(values) -> tuple[float, float | None, float | None, float | None]:
    """Mean, standard deviation (n - 1), and the ends of the t interval; None where one value tells no spread."""
    from scipy import stats

    values = np.asarray(values, dtype=float)
    mean = float(values.mean())
    if len(values) < 2:
        return mean, None, None, None
    sd = float(values.std(ddof=1))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * sd / math.sqrt(len(values))
    return mean, sd, mean - half, mean + half


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values after Holm's step-down correction; those that are None stay so and do not count."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        corrected[place] = largest
    return corrected


def _summary(ratings, scale, condition, stem) -> dict:
    mean, sd, low, high = mean_interval(listener_means(ratings, scale, condition, stem))
    marks = [getattr(r, scale) for r in ratings if r.condition == condition and stem in (None, r.stem)]
    return {"mean": mean, "median": float(np.median(marks)), "low": low, "high": high, "sd": sd, "ratings": len(marks)}
