"""A drummer alone: every drum of one kit is a part of its own, as its close microphone means to hear it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from irtools.band.composition import drums, instruments
from irtools.band.composition.dice import Dice
from irtools.band.composition.metres import METRES, Clock
from irtools.band.composition.notation import Plan, Section
from irtools.band.composition.sketch import Sketch

# The stem of every drum, and the RMS target of its kit, dB re full scale: the soundfont's hi-hats are quiet.
PARTS = {
    "kick": ("kick", -24.0),
    "snare": ("snare", -24.0),
    "hihat": ("hihat", -16.0),
    "tom_high": ("tom_high", -24.0),
    "tom_low": ("tom_low", -24.0),
}
_DRUMS = frozenset(PARTS)
# Two toms play what is written for three.
_DRUM_OF_KEY = {
    drums.KICK: "kick", drums.SNARE: "snare", drums.CLOSED_HAT: "hihat", drums.OPEN_HAT: "hihat",
    drums.HIGH_TOM: "tom_high", drums.MID_TOM: "tom_high", drums.LOW_TOM: "tom_low",
}  # fmt: skip
_KEY_OF_TOM = {drums.MID_TOM: drums.HIGH_TOM}
# Sections have units of two bars that end with a fill.
_BARS, _UNITS = 2, 4


def plan_piece(seed: int) -> Plan:
    """Metre, tempo and kit of a piece; a drummer has no key."""
    dice = Dice("kit", seed)
    metre = dice.weighted(METRES)
    tempo = round(dice.uniform(metre.slowest, metre.fastest), 1)
    swing = dice.uniform(0.58, 2 / 3) if metre.name in ("4/4", "3/4") and dice.chance(0.18) else 0.5
    band = dict.fromkeys(PARTS, dice.choice(instruments.KITS))
    return Plan(seed, metre, Clock(tempo, round(swing, 4)), 0, "none", (), band)


def sections(plan: Plan) -> Iterator[Section]:
    """Units of two bars without end; every fourth, the other one of two grooves begins."""
    for index in count():
        kind = "verse" if index // _UNITS % 2 == 0 else "chorus"
        yield Section(index, kind, index * _BARS * plan.metre.beats, (_DRUMS,) * _BARS)


def write_section(plan: Plan, section: Section, sketches: dict[str, Sketch]) -> None:
    """Add two bars and the fill at their end to the sketches of all drums."""
    groove, own = _groove(plan, section.kind), Dice("drums of the kit", plan.seed, section.index)
    written = Sketch()
    for bar in range(_BARS):
        last = bar == _BARS - 1
        fill = own.choice((1.0, 1.5, 2.0)) if last else 0.0
        start = section.start + bar * plan.metre.beats
        # These reach every tom: a short excerpt has all drums.
        drums.play_bar(written, start, groove, own, crash=False, fill=fill, fills=drums.TOM_FILLS)
    for beat, length, key, *rest in written.events:
        sketches[_DRUM_OF_KEY[key]].add(beat, length, _KEY_OF_TOM.get(key, key), *rest)


def _groove(plan: Plan, kind: str) -> dict:
    """A groove of snare and hi-hat, which is struck with every stroke of the snare."""
    groove = drums.groove_of(plan.metre, Dice("groove of the kit", plan.seed, kind))
    pairs = zip(groove["snare"], groove["keeper"], strict=True)
    keeper = "".join(snare.lower() if keep == "." else keep for snare, keep in pairs)
    return {**groove, "keeper": keeper, "back": drums.SNARE, "time": drums.CLOSED_HAT}
