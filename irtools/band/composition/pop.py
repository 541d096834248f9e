"""A pop band of vocals, bass, drums and other instruments: the plan of a song and its parts, section by section."""

from __future__ import annotations

from dataclasses import dataclass

from irtools.band.composition import accompaniment, drums, instruments, melody
from irtools.band.composition.dice import Dice
from irtools.band.composition.form import Section
from irtools.band.composition.harmony import MODES, PROGRESSIONS, SCALES, chords_of
from irtools.band.composition.instruments import Instrument
from irtools.band.composition.melody import Setting
from irtools.band.composition.metres import METRES, Metre
from irtools.band.composition.sketch import Clock, Sketch

_LOUD = {"intro": -6, "verse": -4, "chorus": 6, "bridge": -6, "solo": 2, "break": 0}
# RMS target in dB re full scale of a stem's instrument while it plays one note.
TARGET_DB = {
    "vocals": -20.0,
    "backing": -29.0,
    "bass": -21.5,
    "drums": -22.5,
    "struck": -25.5,
    "sustained": -32.0,
    "solo": -22.0,
}


@dataclass(frozen=True)
class Plan:
    """What stays the same through a song."""

    seed: int
    metre: Metre
    clock: Clock
    tonic: int
    mode: str
    band: dict[str, Instrument]

    @property
    def scale(self) -> tuple[int, ...]:
        """Pitch classes of the key."""
        return tuple((self.tonic + step) % 12 for step in SCALES[self.mode])


def plan_song(seed: int) -> Plan:
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
    return Plan(seed, metre, Clock(tempo, round(swing, 4)), dice.integer(0, 11), dice.weighted(MODES), band)


def write_section(plan: Plan, section: Section, sketches: dict[str, Sketch]) -> None:
    """Add one section to the sketches of all parts.

    Parameters
    ----------
    plan : Plan
    section : Section
    sketches : dict of str to Sketch
        One for each entry of ``plan.band``.

    Notes
    -----
    What the sections of one kind share is drawn from a stream named by the kind, what is a section's own from one
    named by its index: a second verse is the first with variations.
    """
    kind = "verse" if section.kind in ("intro", "break") else section.kind
    shared = Dice("material", plan.seed, kind)
    progression = chords_of(shared.choice(PROGRESSIONS[plan.mode]), plan.tonic, shared)
    chords = [progression[bar % len(progression)] for bar in range(len(section.playing))]
    start, loud = section.start * plan.metre.beats, _LOUD[section.kind]
    written = {name: Sketch() for name in sketches}
    groove = _write_drums(plan, section, kind, start, written["drums"])
    _write_bass(plan, section, kind, start, chords, groove["kick"], written["bass"], loud)
    _write_other(plan, section, kind, start, chords, written, loud)
    _write_vocals(plan, section, kind, start, chords, written, loud)
    for name, sketch in written.items():
        sketches[name].events += _only_playing(sketch.events, stem_of(name), section, start, plan.metre.beats)


def stem_of(part: str) -> str:
    """The stem that a part of the band belongs to."""
    return {"backing": "vocals", "struck": "other", "sustained": "other", "solo": "other"}.get(part, part)


def _only_playing(events, stem, section, start, beats):
    """The events in the bars where this stem plays, cut at the next bar where it does not."""
    for beat, length, *rest in events:
        bar = min(len(section.playing) - 1, max(0, int((beat - start) / beats + 1e-9)))
        if stem in section.playing[bar]:
            silent = (later for later in range(bar, len(section.playing)) if stem not in section.playing[later])
            limit = start + next(silent, len(section.playing)) * beats
            yield (beat, min(length, limit - beat), *rest)


def _write_drums(plan, section, kind, start, sketch):
    shared, own = Dice("groove", plan.seed), Dice("drums", plan.seed, section.index)
    groove = drums.groove_of(plan.metre, shared)
    if kind in ("verse", "bridge"):
        groove = drums.lighter(groove, Dice("light", plan.seed)) if shared.chance(0.5) else groove
    last = len(section.playing) - 1
    for bar, playing in enumerate(section.playing):
        fill = own.choice((0.0, 1.0, 1.0, 2.0)) if bar == last else 0.5 * own.chance(0.12)
        crash = bar == 0 and section.kind in ("chorus", "solo", "verse") and own.chance(0.75)
        if "drums" in playing:
            drums.play_bar(sketch, start + bar * plan.metre.beats, groove, own, crash=crash, fill=min(fill, 1.5))
    return groove


def _write_bass(plan, section, kind, start, chords, kick, sketch, loud):
    shared, own = Dice("bass style", plan.seed, kind), Dice("bass", plan.seed, section.index)
    style, player = shared.weighted(accompaniment.BASS_STYLES), plan.band["bass"]
    setting = Setting(plan.scale, plan.metre, player.low, player.high)
    for bar, chord in enumerate(chords):
        accompaniment.play_bass(
            sketch, start + bar * plan.metre.beats, (chord, chords[(bar + 1) % len(chords)]), setting, kick, style,
            own, loud / 2,
        )  # fmt: skip


def _write_other(plan, section, kind, start, chords, written, loud):
    for part, styles in (
        ("struck", accompaniment.STRUCK_STYLES),
        ("sustained", accompaniment.SUSTAINED_STYLES),
    ):
        if part in written:
            shared, own = Dice(part, plan.seed, kind), Dice(part, plan.seed, kind, section.index)
            style, player = shared.weighted(styles), plan.band[part]
            voicings = accompaniment.voice_all(chords, player.low, player.high)
            if part == "sustained" and kind == "verse" and own.chance(0.5):
                continue
            accompaniment.play_chords(written[part], start, voicings, plan.metre, style, shared, loud)
    if section.kind == "solo":
        player = plan.band["solo"]
        setting = Setting(plan.scale, plan.metre, player.low, player.high)
        material, own = Dice("solo", plan.seed), Dice("solo", plan.seed, section.index)
        melody.sing_section(written["solo"], start, chords, setting, material, own, busy=0.65)


def _write_vocals(plan, section, kind, start, chords, written, loud):
    player, shared = plan.band["vocals"], Dice("melody", plan.seed, kind)
    setting = Setting(plan.scale, plan.metre, player.low, player.high)
    own, busy = Dice("vocals", plan.seed, section.index), shared.uniform(0.25, 0.6)
    melody.sing_section(written["vocals"], start, chords, setting, shared, own, busy=busy, loud=loud)
    if "backing" in written and section.kind == "chorus":
        player = plan.band["backing"]
        voicings = accompaniment.voice_all(chords, player.low, player.high)
        own = Dice("backing", plan.seed, section.index)
        accompaniment.play_chords(written["backing"], start, voicings, plan.metre, "held", own, loud)
