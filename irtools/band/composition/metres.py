"""Metres: the length of a bar, its groups of beats, and the grid that the notes sit on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metre:
    """A metre.

    Attributes
    ----------
    name : str
    groups : tuple of float
        Lengths in quarter notes of the groups that make a bar; each begins with a strong beat.
    slowest, fastest : float
        Range of tempi that suits it, quarter notes per minute.
    """

    name: str
    groups: tuple[float, ...]
    slowest: float
    fastest: float

    @property
    def beats(self) -> float:
        """Length of a bar in quarter notes."""
        return sum(self.groups)

    @property
    def strong(self) -> tuple[float, ...]:
        """Positions of the strong beats, in quarter notes from the bar line."""
        return tuple(sum(self.groups[:index]) for index in range(len(self.groups)))

    @property
    def eighths(self) -> tuple[float, ...]:
        """Positions of all eighth notes of a bar."""
        return tuple(index / 2 for index in range(round(self.beats * 2)))


FOUR = Metre("4/4", (1.0, 1.0, 1.0, 1.0), 70, 152)
SLOW_FOUR = Metre("4/4", (2.0, 2.0), 70, 100)
THREE = Metre("3/4", (1.0, 1.0, 1.0), 84, 170)
SIX_EIGHT = Metre("6/8", (1.5, 1.5), 96, 168)
FIVE = Metre("5/4", (1.0, 1.0, 1.0, 1.0, 1.0), 96, 168)
SEVEN_SHORT = Metre("7/8", (1.0, 1.0, 1.5), 100, 168)
SEVEN_LONG = Metre("7/8", (1.5, 1.0, 1.0), 100, 168)

# How often each metre comes up.
METRES = {
    FOUR: 0.48,
    SLOW_FOUR: 0.07,
    THREE: 0.13,
    SIX_EIGHT: 0.14,
    FIVE: 0.08,
    SEVEN_SHORT: 0.05,
    SEVEN_LONG: 0.05,
}
