"""A pop band of vocals, bass, drums and other instruments: the plan of a song and its parts, section by section."""

from __future__ import annotations

from irtools.band.composition import accompaniment, drums, instruments, melody
from irtools.band.composition.dice import Dice
from irtools.band.composition.form import sections
from irtools.band.composition.harmony import MODES, PROGRESSIONS, SCALES, chords_of, voice_all
from irtools.band.composition.metres import METRES, Clock
from irtools.band.composition.notation import Plan, Section
from irtools.band.composition.sketch import Sketch

__all__ = ["PARTS", "plan_piece", "sections", "write_section"]

# The stem of every part, and the RMS target of its instrument while it plays one note, dB re full scale.
PARTS = {
    "vocals": ("vocals", -20.0),
    "backing": ("vocals", -29.0),
    "bass": ("bass", -21.5),
    "drums": ("drums", -22.5),
    "struck": ("other", -25.5),
    "sustained": ("other", -32.0),
    "solo": ("other", -22.0),
}
_LOUD = {"intro": -6, "verse": -4, "chorus": 6, "bridge": -6, "solo": 2, "break": 0}


def plan_piece(seed: int) -> Plan:
    """Metre, tempo, key and instruments of a song."""
    dice = Dice("plan", seed)
    metre = dice.weighted(METRES)
    tempo = round(dice.uniform(metre.slowest, metre.fastest), 1)
    swing = dice.uniform(0.58, 2 / 3) if metre.name in ("4/4", "3/4") and dice.chance(0.18) else 0.5
    band = {
        "vocals": dice.choice(instruments.LEADS if dice.chance(0.75) else instruments.LEADS[:5]),
        "bass": dice.choice(instruments.BASSES),
        "drums": dice.choice(instruments.KITS),
        "struck": dice.choice(instruments.STRUCK),
        "solo": dice.choice(instruments.SOLOISTS),
    }
    if dice.chance(0.6):
        band["sustained"] = dice.choice(instruments.SUSTAINED)
    if dice.chance(0.35):
        band["backing"] = dice.choice(instruments.LEADS[:3])
    tonic, mode = dice.integer(0, 11), dice.weighted(MODES)
    return Plan(seed, metre, Clock(tempo, round(swing, 4)), tonic, mode, SCALES[mode], band)


def write_section(plan: Plan, section: Section, sketches: dict[str, Sketch]) -> None:
    """Add one section to the sketches of all parts.

    What the sections of one kind share is drawn from a stream named by the kind, what is a section's own from one
    named by its index: a second verse is the first with variations.
    """
    shared = Dice("material", plan.seed, section.material)
    progression = chords_of(shared.choice(PROGRESSIONS[plan.mode]), plan.tonic, shared)
    chords = [progression[bar % len(progression)] for bar in range(len(section.playing))]
    written, loud = {part: Sketch() for part in sketches}, _LOUD[section.kind]
    kick = _write_drums(plan, section, written["drums"])
    _write_bass(plan, section, chords, kick, written["bass"], loud)
    _write_other(plan, section, chords, written, loud)
    _write_vocals(plan, section, chords, written, loud)
    for part, sketch in written.items():
        sketches[part].events += _only_playing(sketch.events, PARTS[part][0], section, plan.metre.beats)


def _only_playing(events, stem, section, beats):
    """The events in the bars where this stem plays, cut at the next bar where it does not."""
    for beat, length, *rest in events:
        bar = min(len(section.playing) - 1, max(0, int((beat - section.start) / beats + 1e-9)))
        if stem in section.playing[bar]:
            silent = (later for later in range(bar, len(section.playing)) if stem not in section.playing[later])
            limit = section.start + next(silent, len(section.playing)) * beats
            yield (beat, min(length, limit - beat), *rest)


def _write_drums(plan, section, sketch) -> str:
    shared, own = Dice("groove", plan.seed), Dice("drums", plan.seed, section.index)
    groove = drums.groove_of(plan.metre, shared)
    if section.material in ("verse", "bridge") and shared.chance(0.5):
        groove = drums.lighter(groove, Dice("light", plan.seed))
    last = len(section.playing) - 1
    for bar, playing in enumerate(section.playing):
        fill = own.choice((0.0, 1.0, 1.0, 1.5)) if bar == last else 0.5 * own.chance(0.12)
        crash = bar == 0 and section.kind in ("chorus", "solo", "verse") and own.chance(0.75)
        if "drums" in playing:
            drums.play_bar(sketch, section.start + bar * plan.metre.beats, groove, own, crash=crash, fill=fill)
    return groove["kick"]


def _write_bass(plan, section, chords, kick, sketch, loud):
    own = Dice("bass", plan.seed, section.index)
    style = Dice("bass style", plan.seed, section.material).weighted(accompaniment.BASS_STYLES)
    for bar, chord in enumerate(chords):
        start, following = section.start + bar * plan.metre.beats, chords[(bar + 1) % len(chords)]
        accompaniment.play_bass(sketch, start, chord, following, plan, plan.band["bass"], kick, style, own, loud / 2)


def _write_other(plan, section, chords, written, loud):
    for part, styles in (("struck", accompaniment.STRUCK_STYLES), ("sustained", accompaniment.SUSTAINED_STYLES)):
        if part not in written:
            continue
        shared = Dice(part, plan.seed, section.material)
        style = shared.weighted(styles)
        own = Dice(part, plan.seed, section.material, section.index)
        if part == "struck" or section.material != "verse" or not own.chance(0.5):
            _write_chords(plan, section, chords, part, style, shared, written, loud)
    if section.kind == "solo":
        material, own = Dice("solo", plan.seed), Dice("solo", plan.seed, section.index)
        soloist = plan.band["solo"]
        melody.sing_section(written["solo"], section.start, chords, plan, soloist, material, own, busy=0.65)


def _write_vocals(plan, section, chords, written, loud):
    shared, own = Dice("melody", plan.seed, section.material), Dice("vocals", plan.seed, section.index)
    busy, singer = shared.uniform(0.25, 0.6), plan.band["vocals"]
    melody.sing_section(written["vocals"], section.start, chords, plan, singer, shared, own, busy=busy, loud=loud)
    if "backing" in written and section.kind == "chorus":
        own = Dice("backing", plan.seed, section.index)
        _write_chords(plan, section, chords, "backing", "held", own, written, loud)


def _write_chords(plan, section, chords, part, style, dice, written, loud):
    voicings = voice_all(chords, plan.band[part].low, plan.band[part].high)
    accompaniment.play_chords(written[part], section.start, voicings, plan.metre, style, dice, loud)
