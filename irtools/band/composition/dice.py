"""Seeded choices that come out the same in every process, on every platform and with every Python version."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from random import Random
from typing import TypeVar

Choice = TypeVar("Choice")


class Dice:
    """A stream of random choices named by its labels: equal labels give equal streams, others independent ones."""

    def __init__(self, *labels):
        # Python promises to keep the sequence of this method, and of no other, between versions.
        self._draw = Random(stable_hash(*labels)).random

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self._draw()

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self._draw() < probability

    def integer(self, low: int, high: int) -> int:
        """An integer in low .. high, both included."""
        return low + int(self._draw() * (high - low + 1))

    def normal(self, sigma: float) -> float:
        """A bell-shaped number with standard deviation ``sigma``, never beyond 3 sigma (three uniforms summed)."""
        return sigma * 2.0 * (self._draw() + self._draw() + self._draw() - 1.5)

    def choice(self, options: Sequence[Choice]) -> Choice:
        """One of the options, all equally likely."""
        return options[int(self._draw() * len(options))]

    def weighted(self, weights: dict[Choice, float]) -> Choice:
        """One of the keys, with probability proportional to its value."""
        left = self._draw() * sum(weights.values())
        for option, weight in weights.items():
            left -= weight
            if left < 0:
                return option
        return option


def stable_hash(*labels) -> int:
    """64-bit integer that depends on ``labels``, int or str, alone, unlike :func:`hash`."""
    digest = hashlib.sha256(repr(labels).encode()).digest()
    return int.from_bytes(digest[:8], "big")
