"""Bootstrap intervals: they cover what they should, and say so where they cannot."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irtools.comparison.intervals import bootstrap


def test_an_interval_covers_the_mean_in_about_95_percent_of_experiments():
    random = np.random.default_rng(1)
    found = [bootstrap(random.normal(3.0, 2.0, 40), draws=400) for _ in range(400)]
    covered = np.mean([interval.low <= 3.0 <= interval.high for interval in found])
    assert 0.90 < covered < 0.98


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_the_width_is_that_of_the_sampling_distribution(statistic):
    """Of n normal values the mean has a standard deviation of 1/√n, the median of √(π/2)/√n."""
    n = 400
    found = bootstrap(np.random.default_rng(0).normal(size=n), statistic=statistic)
    expected = 2 * 1.96 * {"mean": 1.0, "median": math.sqrt(math.pi / 2)}[statistic] / math.sqrt(n)
    assert found.high - found.low == pytest.approx(expected, rel=0.2)


def test_values_of_one_group_count_as_one():
    """Twenty copies of each song's value tell no more than the song does."""
    songs = np.random.default_rng(2).normal(size=12)
    once = bootstrap(songs)
    copies = bootstrap(np.repeat(songs, 20), np.repeat(np.arange(12), 20))
    assert copies == pytest.approx(once._replace(count=240))
    naive = bootstrap(np.repeat(songs, 20))
    assert naive.high - naive.low < 0.5 * (once.high - once.low)


def test_five_groups_cover_less_than_is_written_on_the_interval():
    """What the documentation says of the few songs of the scoreboard."""
    random = np.random.default_rng(3)
    found = [bootstrap(random.normal(size=5), draws=300) for _ in range(400)]
    assert 0.74 < np.mean([interval.low <= 0 <= interval.high for interval in found]) < 0.90


def test_the_median_draws_whole_groups_too():
    """Two groups, constant each: a draw of both groups has the median in the middle or at one of them."""
    found = bootstrap([0.0] * 5 + [1.0] * 5, ["a"] * 5 + ["b"] * 5, statistic="median")
    assert found == (0.5, 0.0, 1.0, 10, 2)


def test_nothing_one_value_and_one_group():
    empty = bootstrap([math.nan, math.nan])
    assert empty.count == empty.groups == 0 and all(map(math.isnan, empty[:3]))
    single = bootstrap([2.5])
    assert single.value == 2.5 and math.isnan(single.low) and math.isnan(single.high)
    song = bootstrap([1.0, 2.0, math.nan], ["a", "a", "b"])
    assert song.value == 1.5 and song.groups == 1 and math.isnan(song.low)
    assert bootstrap([4.0] * 3) == (4.0, 4.0, 4.0, 3, 3)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=12), st.integers(0, 5), st.sampled_from(["mean", "median"]))
@settings(max_examples=40, deadline=None)
def test_the_same_twice_within_the_values_and_moved_with_them(values, seed, statistic):
    options = {"statistic": statistic, "draws": 50, "seed": seed}
    found = bootstrap(values, **options)
    assert found == bootstrap(values, **options)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    moved = bootstrap([value + 10 for value in values], **options)
    assert moved[:3] == pytest.approx([value + 10 for value in found[:3]], abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"statistic": "mode"}, "statistic: expected one of mean, median"),
        ({"draws": 0}, "draws: expected at least 1"),
        ({"groups": ["a"]}, "groups: expected 2, one per value, got 1"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        bootstrap([1.0, 2.0], **arguments)
    with pytest.raises(ValueError, match="values: expected finite"):
        bootstrap([1.0, math.inf])
