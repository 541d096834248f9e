"""A Carnatic ensemble: a lead with gamakas, a violin that follows and answers, hand drums in a tala, a tambura."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from irtools.band.composition import instruments
from irtools.band.composition.dice import Dice
from irtools.band.composition.melody import nearest
from irtools.band.composition.metres import Clock, Metre
from irtools.band.composition.notation import Plan, Section
from irtools.band.composition.sketch import Gesture, Sketch

# Semitones above sa of every note, and the notes on which phrases rest.
RAGAS = {
    "mayamalavagowla": ((0, 1, 4, 5, 7, 8, 11), (0, 4, 7)),
    "shankarabharanam": ((0, 2, 4, 5, 7, 9, 11), (0, 4, 7)),
    "kalyani": ((0, 2, 4, 6, 7, 9, 11), (0, 4, 7)),
    "kharaharapriya": ((0, 2, 3, 5, 7, 9, 10), (0, 2, 7)),
    "todi": ((0, 1, 3, 5, 7, 8, 10), (0, 3, 5, 8)),
    "harikambhoji": ((0, 2, 4, 5, 7, 9, 10), (0, 4, 7)),
    "mohanam": ((0, 2, 4, 7, 9), (0, 4, 7)),
    "hindolam": ((0, 3, 5, 8, 10), (0, 5, 8)),
    "hamsadhwani": ((0, 2, 4, 7, 11), (0, 4, 7)),
    "abhogi": ((0, 2, 3, 5, 9), (0, 5, 9)),
}
# How often each tala comes up; its cycle in the units of the form, in aksharas.
TALAS = {Metre("adi (8)", (4.0, 4.0), 66, 104): 0.65, Metre("rupaka (3)", (3.0,), 66, 104): 0.35}

# Syllables as strokes: (General MIDI percussion keys, velocity). Congas are the two heads, bongos the rim.
_STROKES = {
    "ta": ((62,), 84), "ka": ((61,), 66), "di": ((63,), 86), "mi": ((60,), 64), "ki": ((61,), 62),
    "na": ((60,), 80), "dhi": ((64, 63), 90), "thom": ((64,), 104), "ju": ((64,), 82), "gi": ((62,), 60), "-": ((), 0),
}  # fmt: skip
# Phrases of one akshara in four, of half and of more of it.
_CHATUSRA = (
    "ta ka di mi", "ta ka ju na", "thom ka ta ka", "dhi - ta ka", "thom - na -", "ta - di mi", "na ka dhi mi",
)  # fmt: skip
_TISRA = ("ta ki ta", "thom ki ta", "dhi - na", "na - dhi")
_ENDING = ("ta", "di", "gi", "na", "thom")
# The stem of every part, and the RMS target of its instrument while it plays one note, dB re full scale.
PARTS = {
    "vocals": ("vocals", -20.0),
    "violin": ("violin", -22.0),
    "mridangam": ("mridangam", -24.0),
    "other": ("other", -30.0),
}
# Who plays in a unit of the form, besides the tambura, which never stops.
_TRIO = frozenset(("vocals", "violin", "mridangam"))
_UNITS = {
    _TRIO: 0.5, frozenset(("violin", "mridangam")): 0.16, frozenset(("vocals", "mridangam")): 0.1,
    frozenset(("vocals", "violin")): 0.14, frozenset(("mridangam",)): 0.06, frozenset(("vocals",)): 0.04,
}  # fmt: skip


def plan_piece(seed: int) -> Plan:
    """Tala, raga, tempo, nadai, key and instruments of a piece."""
    dice = Dice("carnatic", seed)
    tala, raga = dice.weighted(TALAS), dice.choice(tuple(RAGAS))
    clock = Clock(round(dice.uniform(tala.slowest, tala.fastest), 1))
    nadai = 3 if dice.chance(0.2) else 4
    sa = dice.integer(0, 11)
    band = {
        "vocals": dice.choice(instruments.CARNATIC_LEADS),
        "violin": dice.choice(instruments.VIOLINS),
        "mridangam": dice.choice(instruments.HAND_DRUMS),
        "other": dice.choice(instruments.TAMBURAS),
    }
    return Plan(seed, tala, clock, sa, raga, RAGAS[raga][0], band, {"violin": dice.uniform(0.06, 0.2)}, nadai)


def sections(plan: Plan) -> Iterator[Section]:
    """The units of a piece, without end."""
    dice = Dice("carnatic form", plan.seed)
    # The first unit may be one player's; the second is everybody's, so that a short excerpt has all of them.
    opening = dice.weighted({_TRIO: 0.5, frozenset(("vocals", "violin")): 0.25, frozenset(("mridangam",)): 0.25})
    for index in count():
        playing = opening if index == 0 else _TRIO if index == 1 else dice.weighted(_UNITS)
        kind = " and ".join(part for part in plan.band if part in playing)
        yield Section(index, kind, index * plan.metre.groups[0], (playing,))


def write_section(plan: Plan, section: Section, sketches: dict[str, Sketch]) -> None:
    """Add one unit to the sketches of all parts."""
    own = Dice("unit", plan.seed, section.index)
    beats, (playing,) = int(plan.metre.groups[0]), section.playing
    phrase = _phrase(plan, section.index, beats, own)
    if "vocals" in playing:
        _sing(sketches["vocals"], section.start, phrase)
    if "violin" in playing:
        _follow(sketches["violin"], section.start, phrase, plan.band["violin"], "vocals" in playing, own)
    if "mridangam" in playing:
        _drum(sketches["mridangam"], section, beats, plan.division, Dice("sollu", plan.seed), own)
    _drone(sketches["other"], section.start, beats, plan, own)


def _phrase(plan, index, beats, own):
    """Notes of one unit: (position, length, pitch, gesture). Every other unit repeats the pallavi with a variation."""
    rests = [(plan.tonic + step) % 12 for step in RAGAS[plan.mode][1]]
    singer, nadai = plan.band["vocals"], plan.division
    material = Dice("pallavi", plan.seed) if index % 2 == 0 else own
    middle = nearest(62, (plan.tonic,), singer.low, singer.high)
    ladder = [pitch for pitch in range(singer.low, singer.high + 1) if pitch % 12 in plan.scale]
    place = ladder.index(middle) + material.integer(-1, 3)
    notes, at, before = [], 0.0, None
    while at < beats - 1.0:
        length = material.weighted({2 / nadai: 0.35, 1 / nadai: 0.25, 1.0: 0.25, 1.5: 0.15})
        place = min(len(ladder) - 1, max(0, place + material.weighted({1: 0.36, -1: 0.36, 2: 0.1, -2: 0.1, 0: 0.08})))
        pitch = ladder[place]
        notes.append((at, min(length, beats - at), pitch, _gamaka(pitch, before, length, own)))
        before, at = pitch, at + length
    if at < beats - 0.25:
        final = nearest(ladder[place], rests, singer.low, singer.high)
        notes.append((at, beats - at - 0.25, final, _gamaka(final, before, 1.0, own)))
    if own.chance(0.3) and len(notes) > 3:
        del notes[own.integer(1, len(notes) - 2)]
    return notes


def _gamaka(pitch, before, length, dice) -> Gesture:
    """A slide from the note before (jaru), an oscillation on long notes (kampita)."""
    slide = 0.0 if before is None else float(max(-4, min(4, before - pitch)))
    depth = dice.uniform(0.35, 0.9) if length >= 0.75 and dice.chance(0.75) else 0.0
    return Gesture(slide, dice.uniform(0.06, 0.13), depth, dice.uniform(3.6, 5.8), dice.uniform(0.1, 0.25))


def _sing(sketch, start, phrase):
    for at, length, pitch, gesture in phrase:
        sketch.add(start + at, length * 0.97, pitch, 98 if at % 1 == 0 else 88, gesture)


def _follow(sketch, start, phrase, player, shadowing, dice):
    """The violin: softer and a moment late under the voice, freer and full where the voice rests."""
    skipped = 0.15 if shadowing else 0.0
    octave = 12 if not shadowing and dice.chance(0.3) else 0
    for at, length, pitch, gesture in phrase:
        if dice.chance(skipped):
            continue
        own = Gesture(gesture.slide * 0.8, gesture.slide_s * 1.3, gesture.depth * 0.8, gesture.rate_hz * 1.1, 0.2)
        high = pitch + octave if pitch + octave <= player.high else pitch
        high = high + 12 if high < player.low else high
        sketch.add(start + at, length * 0.9, high, (80 if shadowing else 96) + dice.normal(5), own)


def _drum(sketch, section, beats, nadai, shared, own):
    """Aksharas of phrases; each fourth unit ends with the phrase ta-di-gi-na-thom three times."""
    library = _CHATUSRA if nadai == 4 else _TISRA
    theme = [shared.choice(library) for _ in range(beats)]
    syllables = []
    for phrase in theme:
        syllables += (own.choice(library) if own.chance(0.25) else phrase).split()
    if section.index % 4 == 3:
        ending = (_ENDING * 3)[-len(syllables) :]
        syllables[len(syllables) - len(ending) :] = ending
    for step, syllable in enumerate(syllables):
        keys, velocity = _STROKES[syllable]
        accent = 12 if step == 0 else 5 if step % nadai == 0 else 0
        for key in keys:
            sketch.add(section.start + step / nadai, 0.4, key, velocity + accent + own.normal(5))


def _drone(sketch, start, beats, plan, dice):
    """Pa (ma where the raga has no pa), sa, sa, low sa: a string per akshara, each rings on."""
    tonic = 48 + plan.tonic if plan.tonic < 7 else 36 + plan.tonic
    first = tonic - 5 if 7 in plan.steps else tonic - 7
    for beat in range(beats):
        pitch = (first, tonic, tonic, tonic - 12)[beat % 4]
        sketch.add(start + beat, 3.0, max(36, pitch), 78 + dice.normal(4))
