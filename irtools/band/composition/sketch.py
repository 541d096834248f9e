"""A part under construction: events in quarter notes, turned at the end into seconds with a player's imprecision."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import pi, sin

from irtools.band.composition.dice import Dice
from irtools.band.composition.metres import Clock
from irtools.band.composition.notation import Bend, Note

_BEND_STEP_S = 0.012


@dataclass(frozen=True)
class Gesture:
    """How the pitch of one note moves: a slide to it, then an oscillation around it."""

    slide: float  # semitones from which the note is reached
    slide_s: float
    depth: float  # semitones of the oscillation
    rate_hz: float
    after_s: float  # when the oscillation begins


@dataclass
class Sketch:
    """Events of one part: (beat, beats, pitch, velocity, gesture), in any order."""

    events: list[tuple[float, float, int, float, Gesture | None]] = field(default_factory=list)

    def add(self, beat: float, beats: float, pitch: int, velocity: float, gesture: Gesture | None = None):
        """Add one note, all times in quarter notes."""
        self.events.append((beat, beats, pitch, velocity, gesture))


def perform(
    sketch: Sketch, clock: Clock, seconds: float, jitter_s: float, dice: Dice, late_s: float = 0.0
) -> tuple[tuple[Note, ...], tuple[Bend, ...]]:
    """Notes and bends before ``seconds`` as a player plays them: ``late_s`` late, give or take three ``jitter_s``."""
    played = []
    # Each note draws in the order of the score, so that a longer piece begins with the shorter one's notes.
    for beat, beats, pitch, velocity, gesture in sorted(sketch.events, key=lambda event: (event[0], event[2])):
        start = max(0.0, clock.seconds(beat) + late_s + dice.normal(jitter_s))
        end = clock.seconds(beat + beats) + late_s
        played.append((start, max(end, start + 0.04), pitch, min(127, max(1, round(velocity))), gesture))
    played.sort(key=lambda event: (event[0], event[2]))
    cut = [end for _, end, *_ in played]
    # No pitch sounds twice at the same time: a repeated note ends the one before it.
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
