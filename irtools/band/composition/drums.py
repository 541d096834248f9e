"""Drum grooves for every metre, with ghost notes, accents, fills and crashes, in General MIDI percussion keys."""

from __future__ import annotations

from irtools.band.composition.dice import Dice
from irtools.band.composition.metres import Metre
from irtools.band.composition.sketch import Sketch

KICK, SIDE_STICK, SNARE, CLAP = 36, 37, 38, 39
CLOSED_HAT, PEDAL_HAT, OPEN_HAT = 42, 44, 46
LOW_TOM, MID_TOM, HIGH_TOM = 43, 47, 50
CRASH, RIDE, TAMBOURINE, MARACAS = 49, 51, 54, 70

# One sign is a sixteenth: X accent, x plain, o ghost, . rest. Kick, snare and the time-keeper of one bar.
GROOVES = {
    "4/4": {
        "rock": ("X...... .X.x.....", "....X... ....X...", "x.x.x.x. x.x.x.x."),
        "pop": ("X...... xX.......", "....X... ....X...", "x.x.x.x. x.x.x.x."),
        "ballad": ("X....... x.......", "........ X.......", "x...x... x...x..."),
        "disco": ("X...X... X...X...", "....X... ....X...", "..X...X. ..X...X."),
        "funk": ("X..x..x. ..x..x..", "....X..o .o..X..o", "xoxoxoxo xoxoxoxo"),
        "hip hop": ("X.....x. ..X..x..", "....X... ....X...", "x.x.x.xx x.x.x.x."),
        "bossa nova": ("X..xX..x X..xX..x", "X..x..x. ..x..x..", "x.x.x.x. x.x.x.x."),
        "reggae": ("........ X.......", "........ X.......", "x.X.x.X. x.X.x.X."),
        "train": ("X...X... X...X...", "o.oXo.oX o.oXo.oX", "x...x... x...x..."),
        "motown": ("X.....x. X.x.....", "X...X... X...X...", "x.x.x.x. x.x.x.x."),
        "swing": ("X...x... X...x...", "....o... .o..o...", "X...x.x. X...x.x."),
        "half time": ("X.....x. ...x....", "........ X......o", "x.x.x.x. x.x.x.x."),
    },
    "3/4": {
        "waltz": ("X.......x...", "....x...x...", "x...x...x..."),
        "rock waltz": ("X.....x.....", "........X...", "x.x.x.x.x.x."),
        "jazz waltz": ("X.........x.", "....o.x.....", "X...x.x.x..."),
        "three on the floor": ("X...X...X...", "....X......o", "..x...x...x."),
    },
    "6/8": {
        "slow rock": ("X.........x.", "......X.....", "x.x.x.x.x.x."),
        "jig": ("X...x.X...x.", "....x.....x.", "X.x.x.X.x.x."),
        "afro": ("X.....x...x.", "......X..o.o", "X.x.xx.x.x.x"),
        "shuffle": ("X...x.......", "......X...o.", "X...x.X...x."),
    },
    "5/4": {
        "three and two": ("X.........x. X.......", "....X... ....X...o...", "x.x.x.x.x.x. x.x.x.x."),
        "cool": ("X.....x. ....X...x...", "........X.......X...", "X...x.x.X...x.x.x..."),
        "march": ("X...x...X... X...x...", "......X...........X.", "x...x...x... x...x..."),
    },
    "7/8": {
        "short long": ("X...X...X.....", "..X...X.....X.", "x.x.x.x.x.x.x."),
        "long short": ("X.....X...X...", "....X...X...X.", "x.x.x.x.x.x.x."),
        "driving": ("X...X...X..x..", "....X.......X.", "X.x.X.x.X.x.x."),
    },
}
FILLS = ("descending toms", "snare roll", "broken", "kick and toms")
TOM_FILLS = ("descending toms", "kick and toms")
_LEVELS = {"X": 108, "x": 88, "o": 46}
_KEEPERS = (CLOSED_HAT, CLOSED_HAT, CLOSED_HAT, RIDE, MARACAS, TAMBOURINE)
# Most time-keepers of the soundfont are 20 dB below its snare: they are struck harder.
_KEEPER_BOOST = {CLOSED_HAT: 16, RIDE: 18, PEDAL_HAT: 16, MARACAS: 0, TAMBOURINE: -28}


def groove_of(metre: Metre, dice: Dice) -> dict:
    """A groove: patterns ``kick``, ``snare``, ``keeper``, and the keys of the last two, ``back`` and ``time``."""
    grooves = GROOVES[metre.name]
    name = dice.choice(tuple(grooves))
    if metre.name == "7/8":  # these fit the order of its groups
        name = dice.choice(("long short",) if metre.groups[0] == 1.5 else ("short long", "driving"))
    kick, snare, keeper = (pattern.replace(" ", "") for pattern in grooves[name])
    back = dice.weighted({SNARE: 0.72, SIDE_STICK: 0.18, CLAP: 0.10})
    if name in ("bossa nova", "reggae"):
        back = SIDE_STICK
    if "o" in snare:
        back = SNARE
    time = RIDE if name in ("swing", "jazz waltz", "cool") else dice.choice(_KEEPERS)
    return {"kick": kick, "snare": snare, "keeper": keeper, "back": back, "time": time}


def lighter(groove: dict, dice: Dice) -> dict:
    """The same groove for a quieter section: side stick for snare, another time-keeper."""
    time = dice.choice((CLOSED_HAT, PEDAL_HAT, MARACAS))
    return {**groove, "back": SIDE_STICK if "o" not in groove["snare"] else groove["back"], "time": time}


def play_bar(sketch: Sketch, start: float, groove: dict, dice: Dice, *, crash: bool, fill: float, fills=FILLS):
    """Write one bar of drums, with a cymbal on the first beat or a fill of so many quarter notes at its end."""
    steps = len(groove["kick"])
    groove_steps = steps - round(fill * 4)
    for step in range(groove_steps):
        at = start + step / 4
        _strike(sketch, at, KICK, groove["kick"][step], dice)
        _strike(sketch, at, groove["back"], groove["snare"][step], dice)
        if crash and step == 0:
            sketch.add(at, 2.0, CRASH, 100 + dice.normal(6))
            continue
        key = groove["time"]
        if key == CLOSED_HAT and groove["keeper"][step] != "." and step >= steps - 2 and dice.chance(0.3):
            key = OPEN_HAT
        _strike(sketch, at, key, groove["keeper"][step], dice, _KEEPER_BOOST[groove["time"]])
    # Ghost notes and an extra kick keep two bars from being equal.
    if groove["back"] == SNARE and dice.chance(0.35):
        step = dice.integer(1, groove_steps - 1)
        if groove["snare"][step] == ".":
            _strike(sketch, start + step / 4, SNARE, "o", dice)
    if dice.chance(0.2) and groove_steps > 6:
        step = 2 * dice.integer(2, groove_steps // 2 - 1)
        if groove["kick"][step] == ".":
            _strike(sketch, start + step / 4, KICK, "x", dice, -10)
    if fill:
        _fill(sketch, start + groove_steps / 4, steps - groove_steps, dice.choice(fills), dice)


def _strike(sketch, at, key, sign, dice, boost=0):
    if sign != ".":
        sketch.add(at, 0.4, key, _LEVELS[sign] + boost + dice.normal(5))


def _fill(sketch, start, steps, kind, dice):
    keys = (SNARE, HIGH_TOM, MID_TOM, LOW_TOM)
    for step in range(steps):
        done = step / steps
        at, level = start + step / 4, 78 + 26 * done + dice.normal(5)
        if kind == "descending toms":
            sketch.add(at, 0.4, keys[int(done * 4)], level)
        elif kind == "snare roll":
            sketch.add(at, 0.3, SNARE, level - (14 if step % 2 else 0))
        elif kind == "broken" and dice.chance(0.62):
            sketch.add(at, 0.4, dice.choice(keys), level)
        elif kind == "kick and toms":
            sketch.add(at, 0.4, KICK if step % 3 == 2 else keys[1 + int(done * 3)], level)
