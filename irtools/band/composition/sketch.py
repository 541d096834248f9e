"""A part under construction: events in quarter notes, turned at the end into seconds with a player's imprecision."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import floor, pi, sin

from irtools.band.composition.dice import Dice
from irtools.band.composition.notation import Bend, Note

_BEND_STEP_S = 0.012


@dataclass(frozen=True)
class Gesture:
    """How the pitch of one note moves.

    Attributes
    ----------
    slide : float
        Semitones from which the note is reached (0: none).
    slide_s : float
        Time the slide takes.
    depth : float
        Semitones of the oscillation around the pitch.
    rate_hz : float
        Its frequency.
    after_s : float
        When it begins.
    """

    slide: float = 0.0
    slide_s: float = 0.1
    depth: float = 0.0
    rate_hz: float = 5.5
    after_s: float = 0.25


@dataclass
class Sketch:
    """Events of one part: (beat, beats, pitch, velocity, gesture), in any order."""

    events: list[tuple[float, float, int, float, Gesture | None]] = field(default_factory=list)

    def add(self, beat: float, beats: float, pitch: int, velocity: float, gesture: Gesture | None = None):
        """Add one note, all times in quarter notes."""
        self.events.append((beat, beats, pitch, velocity, gesture))


@dataclass(frozen=True)
class Clock:
    """From quarter notes to seconds: tempo, and where the off-beat eighth falls (0.5 straight, 2/3 shuffle)."""

    tempo_bpm: float
    swing: float = 0.5

    def seconds(self, beat: float) -> float:
        """Time of a position in quarter notes.

        Examples
        --------
        >>> Clock(120.0).seconds(1.5), round(Clock(60.0, 2 / 3).seconds(1.5), 4)
        (0.75, 1.6667)
        """
        whole = floor(beat)
        part = beat - whole
        part = part * 2 * self.swing if part < 0.5 else self.swing + (part - 0.5) * 2 * (1 - self.swing)
        return (whole + part) * 60.0 / self.tempo_bpm


def perform(
    sketch: Sketch, clock: Clock, seconds: float, jitter_s: float, dice: Dice, delay_s: float = 0.0
) -> tuple[tuple[Note, ...], tuple[Bend, ...]]:
    """Notes and bends as a player would play them.

    Parameters
    ----------
    sketch : Sketch
    clock : Clock
    seconds : float
        Notes that start at or after this time are left out.
    jitter_s : float
        Standard deviation of the start times; no note is further than 3 of these from its place.
    dice : Dice
    delay_s : float
        By how much the player is late altogether.

    Returns
    -------
    notes : tuple of Note
        No pitch sounds twice at the same time: a repeated note ends the one before it.
    bends : tuple of Bend

    Notes
    -----
    Each note draws its imprecision in the order of the score, so a longer piece begins with the shorter one's notes.
    """
    played = []
    for beat, beats, pitch, velocity, gesture in sorted(sketch.events, key=lambda event: (event[0], event[2])):
        start = max(0.0, clock.seconds(beat) + delay_s + dice.normal(jitter_s))
        end = clock.seconds(beat + beats) + delay_s
        played.append((start, max(end, start + 0.04), pitch, min(127, max(1, round(velocity))), gesture))
    played.sort(key=lambda event: (event[0], event[2]))
    cut = [end for _, end, *_ in played]
    latest: dict[int, int] = {}
    for index, (start, _, pitch, *_) in enumerate(played):
        if pitch in latest:
            cut[latest[pitch]] = min(cut[latest[pitch]], start - 0.002)
        latest[pitch] = index
    timed = [
        (start, end, pitch, velocity, gesture)
        for (start, _, pitch, velocity, gesture), end in zip(played, cut, strict=True)
        if end - start >= 0.01
    ]
    notes = tuple(
        Note(round(start, 6), round(end - start, 6), pitch, velocity)
        for start, end, pitch, velocity, _ in timed
        if start < seconds
    )
    return notes, tuple(bend for bend in _bends(timed) if bend.time_s < seconds)


def _bends(timed):
    """Pitch curve of a monophonic part: every note's gesture until the next note starts."""
    if not any(gesture for *_, gesture in timed):
        return
    ends = [after[0] for _, after in pairwise(timed)] + [timed[-1][1]]
    for (start, end, _, _, gesture), limit in zip(timed, ends, strict=True):
        gesture = gesture or Gesture()
        last = None
        for step in range(int((min(end, limit) - start) / _BEND_STEP_S) + 1):
            value = round(_offset(gesture, step * _BEND_STEP_S), 4)
            if value != last:
                yield Bend(round(start + step * _BEND_STEP_S, 6), value)
            last = value


def _offset(gesture: Gesture, time_s: float) -> float:
    slide = gesture.slide * max(0.0, 1 - time_s / gesture.slide_s)
    since = time_s - gesture.after_s
    swell = min(1.0, max(0.0, since / 0.2))
    return slide + gesture.depth * swell * sin(2 * pi * gesture.rate_hz * max(0.0, since))
