"""Scales, functional progressions with substitutions, and chord voicings that move as little as they can."""

from __future__ import annotations

import re

from irtools.band.composition.dice import Dice

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
}
# How often each mode comes up.
MODES = {
    "major": 0.36, "minor": 0.22, "dorian": 0.13, "mixolydian": 0.13, "harmonic minor": 0.07, "lydian": 0.05,
    "phrygian": 0.04,
}  # fmt: skip

# One chord per bar. Numerals count from the major scale of the tonic: bVII in C is B flat in every mode.
PROGRESSIONS = {
    "major": (
        "I V vi IV", "I vi IV V", "vi IV I V", "I IV vi V", "I iii IV V", "ii7 V7 Imaj7 vi7", "I V/vi vi IV",
        "I IV ii V", "IV V iii vi", "I ii IV I", "vi ii V I", "I V ii IV", "I IV I V7", "Imaj7 vi7 ii7 V7",
        "IV I V vi", "I I7 IV iv", "I V vi iii IV I ii V", "I V/ii ii V", "vi V IV V", "I Vsus4 IV V",
    ),
    "minor": (
        "i bVI bIII bVII", "i bVII bVI V", "i iv v i", "i bVI iv V7", "i iv bVII bIII", "bVI bVII i i",
        "i v bVI bVII", "i bIII bVII iv", "i iv bVI v", "i bVII iv bVI", "i7 iv7 bVImaj7 v7",
        "i v bVI bIII iv i bVI bVII",
    ),
    "harmonic minor": ("i iv V7 i", "i bVI V7 i", "i iio V7 i", "i V7 i iv", "i iv bVI V7"),
    "dorian": (
        "i IV i IV", "i bVII IV i", "i ii bIII IV", "i7 IV7 i7 IV7", "i v IV i", "i bIII IV bVII", "i7 v7 i7 IV",
    ),
    "mixolydian": ("I bVII IV I", "I v bVII IV", "I IV bVII IV", "I bVII I v", "I7 IV I7 bVII", "I IV v bVII"),
    "lydian": ("I II I II", "Imaj7 II vi7 II", "I II iii II", "I V II vi"),
    "phrygian": ("i bII i bII", "i bII bIII bII", "i bvii bII i", "i iv bII i"),
}  # fmt: skip

# Chords of the same function that may stand for each other.
_SUBSTITUTES = {
    "IV": ("ii", "ii7"), "V": ("V7", "Vsus4"), "vi": ("vi7", "IV"), "ii": ("IV", "ii7"), "I": ("Iadd9",),
    "iii": ("iii7", "I"), "i": ("i7",), "bVI": ("bVImaj7", "iv"), "iv": ("iv7", "bVI"), "bVII": ("bVIIadd9",),
    "v": ("v7", "bVII"), "bIII": ("bIIImaj7",), "V7": ("V", "Vsus4"),
}  # fmt: skip

_DEGREES = {"i": 0, "ii": 2, "iii": 4, "iv": 5, "v": 7, "vi": 9, "vii": 11}
_EXTENSIONS = {"add9": 14, "maj7": 11, "7": 10}
_NUMERAL = re.compile(r"([b#]?)([iv]+|[IV]+)(o?)(sus4|add9|maj7|7)?(?:/(.+))?")


def parse_chord(name: str, tonic: int) -> tuple[int, ...]:
    """Pitch classes of a Roman numeral in the key of ``tonic``, the root first and the fifth third.

    >>> parse_chord("V7", 0), parse_chord("V/vi", 0)
    ((7, 11, 2, 5), (4, 8, 11))
    """
    match = _NUMERAL.fullmatch(name)
    if match is None or match[2].lower() not in _DEGREES:
        raise ValueError(f"name: expected a Roman numeral such as 'bVII' or 'V7', got {name!r}")
    accidental, numeral, diminished, extension, target = match.groups()
    root = tonic + _DEGREES[numeral.lower()] + {"b": -1, "#": 1, "": 0}[accidental]
    if target:
        root += parse_chord(target, 0)[0]
    third = 5 if extension == "sus4" else 3 if numeral.islower() else 4
    tones = [0, third, 6 if diminished else 7]
    if extension in _EXTENSIONS:
        tones.append(_EXTENSIONS[extension])
    return tuple((root + tone) % 12 for tone in tones)


def chords_of(progression: str, tonic: int, dice: Dice) -> list[tuple[int, ...]]:
    """One chord per bar; some are replaced by one of the same function, but not the first, which states the key."""
    names = progression.split()
    for bar, name in enumerate(names):
        if bar and name in _SUBSTITUTES and dice.chance(0.18):
            names[bar] = dice.choice(_SUBSTITUTES[name])
    return [parse_chord(name, tonic) for name in names]


def voice_all(chords, low: int, high: int) -> list[tuple[int, ...]]:
    """Voicings of a chord sequence, each as near as possible to the one before."""
    voicings = []
    for chord in chords:
        voicings.append(voice_chord(chord, low, high, voicings[-1] if voicings else ()))
    return voicings


def voice_chord(chord, low: int, high: int, previous: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Rising pitches of a chord in a range of at least two octaves, as near as possible to the voicing before it.

    >>> voice_chord(parse_chord("IV", 0), 48, 76, previous=(60, 64, 67))
    (60, 65, 69)
    """
    middle = (low + high) / 2
    return min(
        (voicing for voicing in _voicings(chord) if low <= voicing[0] and voicing[-1] <= high),
        # The least total movement wins; a small pull to the middle of the range breaks ties and stops drift.
        key=lambda voicing: (_movement(previous, voicing) + 0.3 * abs(sum(voicing) / len(voicing) - middle), voicing),
    )


def _voicings(pitch_classes):
    """All inversions in all octaves, close and with the second voice from the top an octave down."""
    ordered = sorted(pitch_classes)
    for inversion in range(len(ordered)):
        turned = ordered[inversion:] + [pitch_class + 12 for pitch_class in ordered[:inversion]]
        for octave in range(24, 97, 12):
            close = [pitch + octave for pitch in turned]
            yield tuple(close)
            yield tuple(sorted([*close[:-2], close[-2] - 12, close[-1]]))


def _movement(previous, voicing) -> int:
    return sum(min(abs(pitch - other) for other in previous) for pitch in voicing) if previous else 0
