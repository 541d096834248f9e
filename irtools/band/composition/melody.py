"""Melodies: a motif, its repetitions and variations, chord tones on the strong beats, rests between the phrases."""

from __future__ import annotations

from irtools.band.composition.dice import Dice
from irtools.band.composition.instruments import Instrument
from irtools.band.composition.metres import Metre
from irtools.band.composition.notation import Plan
from irtools.band.composition.sketch import Gesture, Sketch

# The bars of a four-bar phrase: letter of the motif; a phrase ends on a long note and a rest.
PHRASES = ("a a b c", "a b a c", "a a a c", "a b b c", "a - a c", "a c b c", "a c a c")
# Steps in the scale from note to note.
_CONTOURS = (
    (1, 1, -1), (-1, -1, 1), (0, 1, 1), (2, -1, -1), (-2, 1, 1), (0, 0, 1), (1, -1, -1), (3, -1, -1), (1, 1, 1),
)  # fmt: skip


def sing_section(
    sketch: Sketch, start: float, chords, plan: Plan, singer: Instrument, material: Dice, own: Dice,
    *, busy: float, loud: float = 0.0,
):  # fmt: skip
    """Write the melody of a section: motifs from ``material``, which sections of one kind share, varied by ``own``."""
    metre, low, high = plan.metre, singer.low, singer.high
    bars = {
        "a": _motif(metre, busy, material),
        "b": _motif(metre, busy * 0.9, material),
        "c": _cadence(metre, material),
    }
    shape = material.choice(PHRASES).split()
    opening = material.integer(-3, 4)
    pitch = (low + high) // 2 + opening
    for bar, chord in enumerate(chords):
        letter = shape[bar % 4]
        if letter == "-":
            continue
        anchor, scale = nearest(pitch, chord, low, high), scale_over(plan.scale, chord)
        for at, beats, step in _vary(bars[letter], own):
            strong = at in metre.strong
            pitch = _move(anchor, step, scale)
            # Where the motif would leave the range it is turned back into it.
            pitch = nearest(min(high, max(low, pitch)), scale, low, high)
            if strong or beats >= 1.0:
                pitch = nearest(pitch, chord, low, high)
            gesture = _sung(at, beats, own)
            sketch.add(start + at, beats * 0.94, pitch, (96 if strong else 84) + loud + own.normal(5), gesture)
        # The next bar starts near here, but not at the edge of the range.
        pitch += round(0.35 * ((low + high) / 2 - pitch))
        start += metre.beats


def _motif(metre: Metre, busy: float, dice: Dice) -> list[tuple[float, float, int]]:
    """One bar of melody: (position, length, steps from the first note); ``busy`` is the share of weak eighths."""
    onsets = [at for at in metre.eighths if dice.chance(0.8 if at in metre.strong else busy)]
    contour, steps, height = dice.choice(_CONTOURS), [], 0
    onsets = onsets or [metre.strong[0]]
    for index in range(len(onsets)):
        steps.append(height)
        height += contour[index % 3] if dice.chance(0.8) else dice.choice((-1, 0, 1, 2))
        height = max(-4, min(5, height))
    return [(*span, step) for span, step in zip(metre.spans(onsets, 1.5), steps, strict=True)]


def _cadence(metre: Metre, dice: Dice) -> list[tuple[float, float, int]]:
    """Last bar of a phrase: up to two notes that lead to a long one, then a rest."""
    lead = dice.integer(0, 2)
    notes = [(step / 2, 0.5, dice.choice((1, -1, 2))) for step in range(lead)]
    longest = max(0.5, metre.beats - lead / 2 - dice.choice((0.5, 1.0, 1.0)))
    return [*notes, (lead / 2, longest, 0)]


def _vary(bar, dice: Dice):
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


def scale_over(scale, chord) -> tuple[int, ...]:
    """The scale, with the notes that clash with a chromatic chord replaced by that chord's own."""
    foreign = [pitch_class for pitch_class in chord if pitch_class not in scale]
    kept = [tone for tone in scale if all((tone - other) % 12 not in (1, 11) for other in foreign)]
    return tuple(sorted([*kept, *foreign]))


def nearest(pitch: int, pitch_classes, low: int, high: int) -> int:
    """Pitch in low .. high of one of the classes that is nearest to ``pitch``; the lower of two."""
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
