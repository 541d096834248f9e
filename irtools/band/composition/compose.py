"""From a seed to a score."""

from __future__ import annotations

from itertools import takewhile

from irtools.band.composition import carnatic, instruments, kit, pop
from irtools.band.composition.dice import Dice
from irtools.band.composition.notation import Part, Score, Stem
from irtools.band.composition.sketch import Sketch, perform
from irtools.checks import check_choice, check_int, check_number

# Stem names of every line-up, in order.
LINEUPS = {
    "pop": ("vocals", "bass", "drums", "other"),
    "carnatic": ("vocals", "violin", "mridangam"),
    "carnatic-tambura": ("vocals", "violin", "mridangam", "other"),
    "kit": tuple(kit.PARTS),
}
_ENSEMBLES = {"pop": pop, "carnatic": carnatic, "kit": kit}
# Written beyond the end that was asked for, so that what comes before it does not depend on where the end is.
_BEYOND_S = 8.0
# Standard deviation of the start of a stem's notes.
_JITTER_S = {
    "drums": 0.003, "mridangam": 0.004, "bass": 0.006, "vocals": 0.009, "violin": 0.009, "other": 0.006,
    **dict.fromkeys(kit.PARTS, 0.003),
}  # fmt: skip


def compose(seed: int, lineup: str = "pop", seconds: float = 10.0) -> Score:
    """Compose a piece, another one for every seed; a longer score of the same seed begins with the shorter one's notes.

    >>> short, long = (compose(3, seconds=seconds).stems[1].parts[0].notes for seconds in (4.0, 9.0))
    >>> short == long[:len(short)]
    True
    """
    check_int("seed", seed, 0)
    check_choice("lineup", lineup, LINEUPS)
    check_number("seconds", seconds, above=0, unit="s")
    family = lineup.partition("-")[0]
    ensemble = _ENSEMBLES[family]
    plan = ensemble.plan_piece(seed)

    def starts_before(end_s):
        return lambda section: plan.clock.seconds(section.start) < end_s

    form = list(takewhile(starts_before(seconds + _BEYOND_S), ensemble.sections(plan)))
    sketches = {part: Sketch() for part in plan.band}
    for section in form:
        ensemble.write_section(plan, section, sketches)
    parts = {stem: [] for stem in LINEUPS[lineup]}
    for part, instrument in plan.band.items():
        stem, target_db = ensemble.PARTS[part]
        if stem in parts:
            dice, late_s = Dice("play", seed, part), plan.late_s.get(part, 0.0)
            played = perform(sketches[part], plan.clock, seconds, _JITTER_S[stem], dice, late_s)
            gain_db = round(target_db - instrument.level_db, 2)
            parts[stem].append(Part(instrument, instrument in instruments.PERCUSSION, gain_db, *played))
    stems = tuple(Stem(stem, *_tone(seed, family, stem), tuple(played)) for stem, played in parts.items())
    heard = takewhile(starts_before(seconds), form)
    times = tuple((plan.clock.seconds(section.start), section.kind) for section in heard)
    return Score(plan, float(seconds), times, stems)


def _tone(seed: int, family: str, stem: str) -> tuple[float, float, float]:
    """Random level (dB), corner (Hz) and gain (dB) of the high shelf of one stem."""
    dice = Dice("tone", family, stem, seed)
    return round(dice.normal(1.8), 2), round(dice.uniform(500, 4000), 1), round(dice.uniform(-6, 4), 2)
