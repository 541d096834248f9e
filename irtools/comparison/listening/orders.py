"""The order in which a listener hears trials and conditions: random, balanced, and known from the listener's name."""

from __future__ import annotations

from collections.abc import Iterator

from irtools.checks import check_int


def listener_order(listener: str, n_trials: int, n_conditions: int, seed: int = 0) -> tuple[list[int], list[list[int]]]:
    """Trials as a listener hears them, and for each of these its conditions as they are heard.

    Trials are shuffled. Conditions follow a Latin square with rows, columns and symbols shuffled, a new one for every
    ``n_conditions`` trials: within it, a listener hears each condition once in each position, so that position and
    condition are not confounded. The page computes the same with the same generator (FNV-1a of "seed/listener", then
    mulberry32), so that an order can be told again from a listener's name and the ``seed`` of the test.
    """
    check_int("n_trials", n_trials, 1)
    check_int("n_conditions", n_conditions, 1)
    draws = _mulberry32(_fnv1a(f"{seed}/{listener}"))
    trials, conditions = _shuffled(n_trials, draws), []
    for _ in range(-(-n_trials // n_conditions)):
        symbols, rows, columns = (_shuffled(n_conditions, draws) for _ in range(3))
        conditions += [[symbols[(row + column) % n_conditions] for column in columns] for row in rows]
    return trials, conditions[:n_trials]


def _shuffled(n: int, draws: Iterator[int]) -> list[int]:
    """0 to n - 1, Fisher-Yates."""
    values = list(range(n))
    for last in range(n - 1, 0, -1):
        other = next(draws) * (last + 1) >> 32
        values[last], values[other] = values[other], values[last]
    return values


def _fnv1a(text: str) -> int:
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def _mulberry32(state: int) -> Iterator[int]:
    """32-bit numbers without end."""
    while True:
        state = state + 0x6D2B79F5 & 0xFFFFFFFF
        mixed = (state ^ state >> 15) * (1 | state) & 0xFFFFFFFF
        mixed ^= mixed + ((mixed ^ mixed >> 7) * (61 | mixed) & 0xFFFFFFFF) & 0xFFFFFFFF
        yield mixed ^ mixed >> 14
