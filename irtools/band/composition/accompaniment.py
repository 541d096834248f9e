"""Bass lines and the playing of chords, for any metre."""

from __future__ import annotations

from irtools.band.composition.dice import Dice
from irtools.band.composition.instruments import Instrument
from irtools.band.composition.melody import nearest, scale_over
from irtools.band.composition.metres import Metre
from irtools.band.composition.notation import Plan
from irtools.band.composition.sketch import Sketch

BASS_STYLES = {
    "roots": 0.18, "held": 0.12, "root and fifth": 0.18, "octaves": 0.14, "with the kick": 0.22, "walking": 0.16,
}  # fmt: skip
STRUCK_STYLES = {"broken": 0.28, "strummed": 0.22, "off-beat": 0.16, "pulse": 0.16, "syncopated": 0.18}
SUSTAINED_STYLES = {"held": 0.62, "off-beat": 0.12, "syncopated": 0.14, "pulse": 0.12}


def play_bass(
    sketch: Sketch, start: float, chord, following, plan: Plan, player: Instrument, kick: str, style: str, dice: Dice,
    loud: float,
):  # fmt: skip
    """Write one bar of bass, which may lead to the ``following`` chord and go ``with the kick``, sign by sign."""
    metre, low, high = plan.metre, player.low, player.high
    root = nearest(low + 7, chord[:1], low, low + 18)
    fifth = nearest(root + 6, chord[2:3], low, high)
    octave = root + 12 if root + 12 <= high else root
    target = nearest(root, following[:1], low, low + 18)
    if style == "roots":
        line = [(at, 0.5, root) for at in metre.eighths]
    elif style == "held":
        line = [(0.0, metre.beats, root)]
    elif style == "root and fifth":
        line = [(at, 0.9, root if index % 2 == 0 else fifth) for index, at in enumerate(metre.strong)]
    elif style == "octaves":
        line = [(at, 0.45, octave if index % 2 else root) for index, at in enumerate(metre.eighths)]
    elif style == "with the kick":
        line = _with_kick(kick, metre, root, fifth, octave, dice)
    else:
        line = _walking(root, target, chord, plan, player, dice)
    if style not in ("walking", "held") and len(line) > 2 and dice.chance(0.4):
        line[-1] = (*line[-1][:2], nearest(target - 2, scale_over(plan.scale, chord), low, high))
    for at, beats, pitch in line:
        accent = 8 if at in metre.strong else 0
        sketch.add(start + at, beats * 0.95, pitch, 86 + accent + loud + dice.normal(4))


def _with_kick(kick, metre, root, fifth, octave, dice):
    onsets = sorted({0.0, *(step / 4 for step, sign in enumerate(kick) if sign != ".")})
    if dice.chance(0.5):
        onsets = sorted({*onsets, metre.beats - 0.5})
    pitches = [root] + [dice.weighted({root: 0.6, fifth: 0.22, octave: 0.18}) for _ in onsets[1:]]
    return [(*span, pitch) for span, pitch in zip(metre.spans(onsets, 1.0), pitches, strict=True)]


def _walking(root, target, chord, plan, player, dice):
    """Quarters: the root, then chord and scale tones, then a step above or below the next root."""
    metre, low, high = plan.metre, player.low, player.high
    count = int(metre.beats)
    direction = 1 if target > root or (target == root and dice.chance(0.5)) else -1
    line, pitch = [(0.0, 1.0, root)], root
    for beat in range(1, count - 1):
        tones = chord if dice.chance(0.6) else scale_over(plan.scale, chord)
        pitch = nearest(min(high, max(low, pitch + direction * dice.integer(2, 4))), tones, low, high)
        if pitch in (low, high) or dice.chance(0.25):
            direction = -direction
        line.append((float(beat), 1.0, pitch))
    chromatic = target + (1 if target == low or dice.chance(0.4) else -1)
    diatonic = nearest(max(low, target - 2), plan.scale, low, high)
    line.append((float(count - 1), metre.beats - count + 1, chromatic if dice.chance(0.2) else diatonic))
    return line


def play_chords(sketch: Sketch, start: float, voicings, metre: Metre, style: str, dice: Dice, loud: float):
    """Write the chords of a section, one voicing per bar; the first draws shape the pattern that all bars share."""
    order = dice.choice(((0, 1, 2, 1), (0, 2, 1, 2), (0, 1, 2, 3), (2, 1, 0, 1), (3, 2, 1, 0)))
    hits = _hits(style, metre, dice)
    for voicing in voicings:
        for index, (at, beats) in enumerate(hits):
            accent = (6 if at in metre.strong else 0) + loud + dice.normal(4)
            if style == "broken":
                pitch = voicing[order[index % 4] % len(voicing)]
                sketch.add(start + at, beats * 2, pitch, 80 + accent)
                continue
            # A strum goes up and down; other chords are nearly together.
            spread = 0.035 if style == "strummed" else 0.004
            ordered = voicing[::-1] if style == "strummed" and index % 2 else voicing
            for place, pitch in enumerate(ordered):
                sketch.add(start + at + spread * place, beats * 0.95 - spread * place, pitch, 76 + accent)
        start += metre.beats


def _hits(style: str, metre: Metre, dice: Dice) -> list[tuple[float, float]]:
    if style == "held":
        return [(0.0, metre.beats)]
    if style == "broken":
        return [(at, 0.5) for at in metre.eighths]
    if style == "pulse":
        return metre.spans(metre.strong)
    if style == "off-beat":
        return [(at, 0.4) for at in metre.eighths if at not in metre.strong and (at - 0.5) % 1 == 0] or [(0.5, 0.4)]
    chance = 0.75 if style == "strummed" else 0.4
    onsets = [at for at in metre.eighths if at == 0 or dice.chance(chance)]
    return metre.spans(onsets, 2.0)
