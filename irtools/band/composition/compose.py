"""From a seed to a score."""

from __future__ import annotations

from itertools import takewhile

from irtools.band.composition import carnatic, pop
from irtools.band.composition.dice import Dice
from irtools.band.composition.form import ROLES, sections
from irtools.band.composition.harmony import SCALES
from irtools.band.composition.notation import Part, Score, Stem
from irtools.band.composition.sketch import Sketch, perform

# Stem names of every line-up, in order.
LINEUPS = {
    "pop": ROLES,
    "carnatic": ("vocals", "violin", "mridangam"),
    "carnatic-tambura": ("vocals", "violin", "mridangam", "other"),
}
# Written beyond the end that was asked for, so that what comes before it does not depend on where the end is.
_BEYOND_S = 8.0
_JITTER_S = {
    "drums": 0.003,
    "mridangam": 0.004,
    "bass": 0.006,
    "vocals": 0.009,
    "violin": 0.009,
    "other": 0.006,
}
_SHARPS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


def compose(seed: int, lineup: str = "pop", seconds: float = 10.0) -> Score:
    """Compose a piece of music.

    Parameters
    ----------
    seed : int
        Not negative. Every seed is another piece, of every line-up.
    lineup : {"pop", "carnatic", "carnatic-tambura"}
        ``LINEUPS`` has the stems of each.
    seconds : float
        Length in seconds, positive.

    Returns
    -------
    Score

    Raises
    ------
    TypeError, ValueError
        An argument that is not as described.

    Notes
    -----
    The piece has no end of its own: a longer score of the same seed begins with exactly the notes of the shorter one.

    Examples
    --------
    >>> short, long = compose(3, seconds=4.0), compose(3, seconds=9.0)
    >>> short.names
    ('vocals', 'bass', 'drums', 'other')
    >>> notes = short.stems[1].parts[0].notes
    >>> notes == long.stems[1].parts[0].notes[:len(notes)]
    True
    """
    seed, seconds = _checked(seed, lineup, seconds)
    if lineup == "pop":
        return _compose_pop(seed, seconds)
    return carnatic.compose_carnatic(seed, lineup, LINEUPS[lineup], seconds, _BEYOND_S, _JITTER_S, tone)


def describe(score: Score) -> dict:
    """What a piece is, in plain words and types.

    Parameters
    ----------
    score : Score

    Returns
    -------
    dict
        ``title``, ``key``, ``tempo_bpm``, ``metre``, ``swing``, ``sections`` (start in seconds, kind), ``instruments``
        (names by stem) and ``notes`` (how many, by stem).

    Examples
    --------
    >>> describe(compose(3, seconds=5.0))["metre"] in ("3/4", "4/4", "5/4", "6/8", "7/8")
    True
    """
    return {
        "title": score.title,
        "key": f"{_SHARPS[score.tonic]} {score.mode}",
        "tempo_bpm": score.tempo_bpm,
        "metre": score.metre,
        "swing": score.swing,
        "sections": [(round(start, 2), kind) for start, kind in score.sections],
        "instruments": {stem.name: [part.instrument for part in stem.parts if part.notes] for stem in score.stems},
        "notes": {stem.name: sum(len(part.notes) for part in stem.parts) for stem in score.stems},
    }


def tone(seed: int, lineup: str, stem: str) -> tuple[float, float, float]:
    """Random level (dB), corner (Hz) and gain (dB) of the high shelf of one stem."""
    dice = Dice("tone", lineup, stem, seed)
    return round(dice.normal(1.8), 2), round(dice.uniform(500, 4000), 1), round(dice.uniform(-6, 4), 2)


def _compose_pop(seed: int, seconds: float) -> Score:
    plan = pop.plan_song(seed)
    bar_s = plan.metre.beats * 60 / plan.clock.tempo_bpm
    form = list(takewhile(lambda section: section.start * bar_s < seconds + _BEYOND_S, sections(seed, bar_s)))
    sketches = {part: Sketch() for part in plan.band}
    for section in form:
        pop.write_section(plan, section, sketches)
    stems = []
    for name in ROLES:
        parts = []
        for part, player in plan.band.items():
            if pop.stem_of(part) == name:
                notes, bends = perform(sketches[part], plan.clock, seconds, _JITTER_S[name], Dice("play", seed, part))
                gain_db = round(pop.TARGET_DB[part] - player.level_db, 2)
                parts.append(
                    Part(
                        player.name,
                        player.program,
                        name == "drums",
                        gain_db,
                        player.low,
                        player.high,
                        notes,
                        bends,
                    )
                )
        stems.append(Stem(name, *tone(seed, "pop", name), tuple(parts)))
    times = tuple((section.start * bar_s, section.kind) for section in form if section.start * bar_s < seconds)
    return Score(
        f"pop {seed}", seed, "pop", seconds, plan.clock.tempo_bpm, plan.metre.name, plan.metre.beats, plan.tonic,
        plan.mode, SCALES[plan.mode], plan.clock.swing, times, tuple(stems),
    )  # fmt: skip


def _checked(seed, lineup, seconds):
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise TypeError(f"seed: expected an int, got {type(seed).__name__} {seed!r}")
    if seed < 0:
        raise ValueError(f"seed: expected 0 or more, got {seed}")
    if lineup not in LINEUPS:
        raise ValueError(f"lineup: expected one of {sorted(LINEUPS)}, got {lineup!r}")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"seconds: expected a number, got {type(seconds).__name__} {seconds!r}")
    if not 0 < seconds < float("inf"):
        raise ValueError(f"seconds: expected a positive number, got {seconds}")
    return int(seed), float(seconds)
