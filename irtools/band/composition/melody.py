"""Melodies: a motif, its repetitions and variations, chord tones on the strong beats, rests between the phrases."""

from __future__ import annotations

from dataclasses import dataclass

from irtools.band.composition.dice import Dice
from irtools.band.composition.harmony import Chord
from irtools.band.composition.metres import Metre
from irtools.band.composition.sketch import Gesture, Sketch

# The bars of a four-bar phrase: letter of the motif; a phrase ends on a long note and a rest.
PHRASES = ("a a b c", "a b a c", "a a a c", "a b b c", "a - a c", "a c b c", "a c a c")
# Steps in the scale from note to note.
_CONTOURS = (
    (1, 1, -1),
    (-1, -1, 1),
    (0, 1, 1),
    (2, -1, -1),
    (-2, 1, 1),
    (0, 0, 1),
    (1, -1, -1),
    (3, -1, -1),
    (1, 1, 1),
)
_LOUD = {True: 96, False: 84}


@dataclass(frozen=True)
class Setting:
    """What a line is written in.

    Attributes
    ----------
    scale : tuple of int
        Pitch classes of the key.
    metre : Metre
    low, high : int
        Range of the player, MIDI note numbers.
    """

    scale: tuple[int, ...]
    metre: Metre
    low: int
    high: int


def motif(metre: Metre, busy: float, dice: Dice) -> tuple[tuple[float, float, int], ...]:
    """One bar of melody: (position, length, steps from the first note), positions and lengths in quarter notes.

    Parameters
    ----------
    metre : Metre
    busy : float
        Probability that an eighth off the strong beats has a note, 0 to 1.
    dice : Dice
    """
    onsets = [at for at in metre.eighths if dice.chance(0.8 if at in metre.strong else busy)]
    onsets = onsets or [metre.strong[0]]
    ends = [*onsets[1:], metre.beats]
    contour, steps, height = dice.choice(_CONTOURS), [], 0
    for index in range(len(onsets)):
        steps.append(height)
        height += contour[index % 3] if dice.chance(0.8) else dice.choice((-1, 0, 1, 2))
        height = max(-4, min(5, height))
    return tuple((at, min(end - at, 1.5), step) for at, end, step in zip(onsets, ends, steps, strict=True))


def cadence(metre: Metre, dice: Dice) -> tuple[tuple[float, float, int], ...]:
    """Last bar of a phrase: up to two notes that lead to a long one, then a rest."""
    lead = dice.integer(0, 2)
    notes = [(step / 2, 0.5, dice.choice((1, -1, 2))) for step in range(lead)]
    longest = max(0.5, metre.beats - lead / 2 - dice.choice((0.5, 1.0, 1.0)))
    return (*notes, (lead / 2, longest, 0))


def sing_section(
    sketch: Sketch, start: float, chords, setting: Setting, material: Dice, dice: Dice,
    *, busy: float, loud: float = 0.0,
):  # fmt: skip
    """Write the melody of a section.

    Parameters
    ----------
    sketch : Sketch
    start : float
        In quarter notes.
    chords : sequence of Chord
        One a bar.
    setting : Setting
    material : Dice
        What sections of the same kind share: the motifs and the shape of the phrase.
    dice : Dice
        What is this section's own: its variations.
    busy : float
        See :func:`motif`.
    loud : float
        Added to every velocity.
    """
    scale, metre, low, high = setting.scale, setting.metre, setting.low, setting.high
    bars = {
        "a": motif(metre, busy, material),
        "b": motif(metre, busy * 0.9, material),
        "c": cadence(metre, material),
    }
    shape = material.choice(PHRASES).split()
    opening = material.integer(-3, 4)
    pitch = (low + high) // 2 + opening
    for bar, chord in enumerate(chords):
        letter = shape[bar % 4]
        if letter == "-":
            continue
        anchor = nearest(pitch, chord.pitch_classes, low, high)
        for at, beats, step in _vary(bars[letter], metre, dice):
            strong = at in metre.strong
            pitch = _move(anchor, step, scale_over(scale, chord))
            # Where the motif would leave the range it is turned back into it.
            pitch = nearest(min(high, max(low, pitch)), scale_over(scale, chord), low, high)
            if strong or beats >= 1.0:
                pitch = nearest(pitch, chord.pitch_classes, low, high)
            gesture = _sung(at, beats, dice)
            sketch.add(start + at, beats * 0.94, pitch, _LOUD[strong] + loud + dice.normal(5), gesture)
        # The next bar starts near here, but not at the edge of the range.
        pitch += round(0.35 * ((low + high) / 2 - pitch))
        start += metre.beats


def scale_over(scale, chord: Chord) -> tuple[int, ...]:
    """The scale, with the notes that clash with a chromatic chord replaced by that chord's own."""
    foreign = [pitch_class for pitch_class in chord.pitch_classes if pitch_class not in scale]
    kept = [tone for tone in scale if all((tone - other) % 12 not in (1, 11) for other in foreign)]
    return tuple(sorted([*kept, *foreign]))


def nearest(pitch: int, pitch_classes, low: int, high: int) -> int:
    """Pitch in low .. high of one of the classes that is nearest to ``pitch``; the lower of two.

    Examples
    --------
    >>> nearest(61, (0, 4, 7), 48, 72)
    60
    """
    return min(
        (other for other in range(low, high + 1) if other % 12 in pitch_classes),
        key=lambda other: (abs(other - pitch), other),
    )


def _move(pitch: int, steps: int, scale) -> int:
    direction = 1 if steps > 0 else -1
    for _ in range(abs(steps)):
        pitch += direction
        while pitch % 12 not in scale:
            pitch += direction
    return pitch


def _vary(bar, metre: Metre, dice: Dice):
    """The bar with a note left out, a note split in two, or as it is."""
    bar = list(bar)
    if len(bar) > 2 and dice.chance(0.25):
        del bar[dice.integer(1, len(bar) - 1)]
    index = dice.integer(0, len(bar) - 1)
    at, beats, step = bar[index]
    if beats == 1.0 and dice.chance(0.35):
        bar[index : index + 1] = [(at, 0.5, step), (at + 0.5, 0.5, step + dice.choice((-1, 1)))]
    return bar


def _sung(at: float, beats: float, dice: Dice) -> Gesture:
    slide = -dice.uniform(0.5, 1.6) if at == 0 and dice.chance(0.5) else -dice.uniform(0.1, 0.6)
    depth = dice.uniform(0.12, 0.3) if beats >= 1.0 else 0.0
    return Gesture(slide, dice.uniform(0.06, 0.14), depth, dice.uniform(4.8, 6.2), dice.uniform(0.2, 0.35))
