"""Metres, the length of a bar and its groups of beats, and the clock that turns beats into seconds."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, inf


@dataclass(frozen=True)
class Metre:
    """A metre; positions and lengths in quarter notes."""

    name: str
    groups: tuple[float, ...]  # lengths of the groups that make a bar; each begins with a strong beat
    slowest: float  # quarter notes per minute
    fastest: float

    @property
    def beats(self) -> float:
        """Length of a bar."""
        return sum(self.groups)

    @property
    def strong(self) -> tuple[float, ...]:
        """Positions of the strong beats."""
        return tuple(sum(self.groups[:index]) for index in range(len(self.groups)))

    @property
    def eighths(self) -> tuple[float, ...]:
        """Positions of all eighth notes of a bar."""
        return tuple(index / 2 for index in range(round(self.beats * 2)))

    def spans(self, onsets, longest: float = inf) -> list[tuple[float, float]]:
        """Position and length of notes that last until the next one or the bar line, at most ``longest``."""
        return [(at, min(end - at, longest)) for at, end in zip(onsets, [*onsets[1:], self.beats], strict=True)]


FOUR = Metre("4/4", (1.0, 1.0, 1.0, 1.0), 70, 152)
SLOW_FOUR = Metre("4/4", (2.0, 2.0), 70, 100)
THREE = Metre("3/4", (1.0, 1.0, 1.0), 84, 170)
SIX_EIGHT = Metre("6/8", (1.5, 1.5), 96, 168)
FIVE = Metre("5/4", (1.0, 1.0, 1.0, 1.0, 1.0), 96, 168)
SEVEN_SHORT = Metre("7/8", (1.0, 1.0, 1.5), 100, 168)
SEVEN_LONG = Metre("7/8", (1.5, 1.0, 1.0), 100, 168)

# How often each metre comes up.
METRES = {
    FOUR: 0.48, SLOW_FOUR: 0.07, THREE: 0.13, SIX_EIGHT: 0.14, FIVE: 0.08, SEVEN_SHORT: 0.05, SEVEN_LONG: 0.05,
}  # fmt: skip


@dataclass(frozen=True)
class Clock:
    """From quarter notes to seconds: tempo, and where the off-beat eighth falls (0.5 straight, 2/3 shuffle)."""

    tempo_bpm: float
    swing: float = 0.5

    def seconds(self, beat: float) -> float:
        """Time of a position in quarter notes."""
        whole = floor(beat)
        part = beat - whole
        part = part * 2 * self.swing if part < 0.5 else self.swing + (part - 0.5) * 2 * (1 - self.swing)
        return (whole + part) * 60.0 / self.tempo_bpm
