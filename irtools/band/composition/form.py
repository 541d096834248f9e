"""The form of a song without end: sections, and who plays in every two bars of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from irtools.band.composition.dice import Dice
from irtools.band.composition.notation import Plan, Section

_ALL = frozenset(("vocals", "bass", "drums", "other"))
# Who plays, in a unit of two bars: full most of the time, now and then without somebody, seldom alone.
_UNITS = {
    "verse": {
        _ALL: 0.56, _ALL - {"vocals"}: 0.13, _ALL - {"drums"}: 0.09, _ALL - {"bass"}: 0.05, _ALL - {"other"}: 0.08,
        frozenset({"vocals", "other"}): 0.05, frozenset({"bass", "drums"}): 0.04,
    },
    "chorus": {_ALL: 0.86, _ALL - {"vocals"}: 0.06, _ALL - {"other"}: 0.04, _ALL - {"drums"}: 0.04},
    "bridge": {
        _ALL: 0.4, _ALL - {"drums"}: 0.2, _ALL - {"bass", "drums"}: 0.15, _ALL - {"vocals"}: 0.15,
        _ALL - {"bass"}: 0.1,
    },
    "solo": {
        _ALL - {"vocals"}: 0.8, frozenset({"other", "drums"}): 0.1, frozenset({"other", "bass"}): 0.1,
    },
    "break": {
        frozenset({"drums"}): 0.3, frozenset({"bass", "drums"}): 0.25, frozenset({"bass"}): 0.1,
        frozenset({"other"}): 0.15, frozenset({"vocals"}): 0.1, frozenset({"vocals", "drums"}): 0.1,
    },
}  # fmt: skip
_NEXT = {
    "intro": {"verse": 0.75, "chorus": 0.25},
    "verse": {"chorus": 0.65, "verse": 0.2, "break": 0.15},
    "chorus": {"verse": 0.45, "bridge": 0.2, "solo": 0.2, "break": 0.15},
    "bridge": {"chorus": 0.7, "solo": 0.3},
    "solo": {"verse": 0.4, "chorus": 0.6},
    "break": {"chorus": 0.6, "verse": 0.4},
}
_BARS = {"verse": {4: 0.8, 8: 0.2}, "chorus": {4: 0.8, 8: 0.2}, "bridge": {4: 1.0}, "solo": {4: 1.0}, "break": {2: 1.0}}


def sections(plan: Plan) -> Iterator[Section]:
    """The sections of a song, without end."""
    dice, beats = Dice("form", plan.seed), plan.metre.beats
    # The introduction is over after about four seconds, and then all play: a short excerpt has every instrument.
    intro = _introduction(dice, max(1, min(4, int(4.0 / (beats * 60 / plan.clock.tempo_bpm)))))
    if intro:
        yield Section(0, "intro", 0.0, intro)
    start, kind = len(intro) * beats, "intro"
    for index in count(1):
        kind = dice.weighted(_NEXT[kind])
        bars = dice.weighted(_BARS[kind])
        units = [dice.weighted(_UNITS[kind]) for _ in range(bars // 2)]
        if index == 1:
            units[0] = _ALL
        yield Section(index, kind, start, tuple(units[bar // 2] for bar in range(bars)))
        start += bars * beats


def _introduction(dice: Dice, bars: int) -> tuple[frozenset[str], ...]:
    kind = dice.weighted({"none": 0.3, "band": 0.2, "solo": 0.3, "build": 0.2})
    if kind == "none":
        return ()
    if kind == "band":
        return (_ALL - {"vocals"},) * bars
    if kind == "solo":
        who = dice.weighted({"other": 0.35, "drums": 0.25, "bass": 0.2, "vocals": 0.2})
        return (frozenset({who}),) * min(bars, 2)
    order = dice.choice((("drums", "bass", "other"), ("other", "drums", "bass"), ("bass", "drums", "other")))
    return tuple(frozenset(order[: 1 + bar * len(order) // bars]) for bar in range(bars))
