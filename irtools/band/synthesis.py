"""From a score to sound: a soundfont synthesizer for every stem, its tone, one gain for the whole song."""

from __future__ import annotations

import importlib.util
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np

from irtools.band.composition.notation import Part, Score, Stem

_BEND_RANGE = 6.0
_CHANNEL_OF_DRUMS = 9
_HIGH_PASS_HZ = 25.0
# Headroom: with it, few mixes reach the ceiling.
_MASTER_DB = -6.0
# Peak of the mix and of each stem that a song never exceeds.
CEILING = 0.97
# Below -180 dBFS, and with it every subnormal number, is silence.
_SILENCE = 2.0**-30


def render(score: Score, sample_rate: int) -> np.ndarray:
    """Mono stems of a score, shape (stems, samples), float32, none of them and not their sum beyond ``CEILING``."""
    synthesizer = _synthesizer()
    samples = round(score.seconds * sample_rate)
    stems = np.stack([_render_stem(stem, samples, sample_rate, synthesizer) for stem in score.stems])
    # Stems keep their balance: one gain, 1 where nothing would exceed the ceiling, is applied to all.
    peak = max(np.abs(stems).max(), np.abs(stems.sum(axis=0)).max())
    stems *= min(1.0, CEILING / peak) if peak else 1.0
    stems[np.abs(stems) < _SILENCE] = 0.0
    return stems.astype(np.float32)


def _synthesizer():
    try:
        from tinysoundfont import Synth
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "rendering needs the synthesizer tinysoundfont, which is not installed: "
            "pip install --no-deps tinysoundfont==0.3.7",
            name="tinysoundfont",
        ) from error
    return Synth


def _render_stem(stem: Stem, samples: int, sample_rate: int, synthesizer) -> np.ndarray:
    sound = np.zeros(samples)
    for part in stem.parts:
        if part.notes:
            sound += 10 ** (part.gain_db / 20) * _play(part, samples, sample_rate, synthesizer)
    return 10 ** ((_MASTER_DB + stem.gain_db) / 20) * _shape(sound, stem.shelf_hz, stem.shelf_db, sample_rate)


def _play(part: Part, samples: int, sample_rate: int, synthesizer) -> np.ndarray:
    """Mono sound of one part, float64."""
    synth = synthesizer(samplerate=sample_rate)
    font = synth.sfload(str(soundfont()))
    channel = _CHANNEL_OF_DRUMS if part.is_drums else 0
    synth.program_select(channel, font, 0, part.instrument.program, part.is_drums)
    synth.pitchbend_range(channel, _BEND_RANGE)
    buffer = memoryview(bytearray(8 * samples))
    done = 0
    for at, action, value in _events(part, samples, sample_rate):
        if at > done:
            synth.generate_simple(at - done, buffer[8 * done : 8 * at])
            done = at
        if action == "off":
            synth.noteoff(channel, value)
        elif action == "bend":
            synth.pitchbend(channel, 8192 + round(8191 * value / _BEND_RANGE))
        else:
            synth.noteon(channel, *value)
    if done < samples:
        synth.generate_simple(samples - done, buffer[8 * done :])
    return np.frombuffer(buffer, np.float32).reshape(-1, 2).mean(axis=1, dtype=np.float64)


def _events(part: Part, samples: int, sample_rate: int) -> list[tuple]:
    """(sample, action, value) in order; at one sample notes end first, then the pitch bends, then notes start."""
    events = []
    for note in part.notes:
        start, end = (round(time * sample_rate) for time in (note.start_s, note.start_s + note.duration_s))
        events.append((start, 2, "on", (note.pitch, note.velocity)))
        events.append((max(end, start + 1), 0, "off", note.pitch))
    events += [(round(bend.time_s * sample_rate), 1, "bend", bend.semitones) for bend in part.bends]
    ordered = sorted(event for event in events if event[0] < samples)
    return [(at, action, value) for at, _, action, value in ordered]


def _shape(sound: np.ndarray, shelf_hz: float, shelf_db: float, sample_rate: int) -> np.ndarray:
    """First-order high-pass, then first-order high shelf, by the bilinear transform with prewarped corners."""
    from scipy.signal import lfilter

    low, corner = (np.tan(np.pi * min(hz, 0.4 * sample_rate) / sample_rate) for hz in (_HIGH_PASS_HZ, shelf_hz))
    # Takes the offset of sampled loops away.
    sound = lfilter([1.0, -1.0], [1.0 + low, low - 1.0], sound)
    high = 10 ** (shelf_db / 20)
    # H(s) = (high s + 1)/(s + 1): 1 far below the corner, `high` far above it.
    return lfilter([high + corner, corner - high], [1.0 + corner, corner - 1.0], sound)


def soundfont() -> Path:
    """Path of TimGM6mb.sf2, which the package pretty_midi carries; nothing is imported or copied."""
    spec = importlib.util.find_spec("pretty_midi")
    path = Path(spec.origin).parent / "TimGM6mb.sf2" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise ModuleNotFoundError(
            "the soundfont TimGM6mb.sf2 comes with the package pretty_midi, which is not installed: "
            'pip install "irtools[datasets]"',
            name="pretty_midi",
        )
    return path


@cache
def soundfont_checksum() -> str:
    """SHA-256 of the soundfont, in hexadecimal digits."""
    return sha256(soundfont().read_bytes()).hexdigest()
