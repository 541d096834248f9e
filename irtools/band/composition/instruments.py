"""The General MIDI instruments of every role: their range, their loudness, how they are played."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Instrument:
    """One program of the soundfont and the range, in MIDI note numbers, in which its role uses it."""

    name: str
    program: int  # General MIDI program, or the number of the drum kit
    low: int
    high: int
    # RMS level of the first 0.6 s of one note at velocity 90 in the middle of the range, dB re full scale, measured
    # on TimGM6mb: what a part's gain has to make up for.
    level_db: float


def _table(*rows) -> tuple[Instrument, ...]:
    return tuple(Instrument(*row) for row in rows)


LEADS = _table(
    ("choir aahs", 52, 55, 79, -22.5),
    ("voice oohs", 53, 55, 79, -27.0),
    ("synth voice", 54, 52, 77, -24.5),
    ("solo vox", 85, 50, 74, -18.5),
    ("space voice", 91, 55, 76, -23.0),
    ("soprano sax", 64, 58, 81, -21.5),
    ("clarinet", 71, 55, 81, -23.0),
    ("flute", 73, 60, 84, -17.5),
)
BASSES = _table(
    ("acoustic bass", 32, 28, 50, -20.0),
    ("fingered bass", 33, 28, 50, -18.6),
    ("picked bass", 34, 28, 50, -22.8),
    ("fretless bass", 35, 28, 50, -18.8),
    ("slap bass", 36, 28, 48, -18.7),
    ("synth bass", 38, 28, 48, -19.0),
    ("second synth bass", 39, 28, 48, -17.8),
)
KITS = _table(
    ("standard kit", 0, 35, 81, -24.0),
    ("room kit", 8, 35, 81, -20.5),
    ("power kit", 16, 35, 81, -22.0),
    ("electronic kit", 24, 35, 81, -22.5),
    ("TR-808 kit", 25, 35, 81, -21.0),
    ("jazz kit", 32, 35, 81, -24.0),
)
# Played in chords or broken chords; they decay by themselves.
STRUCK = _table(
    ("piano", 0, 45, 79, -33.0),
    ("bright piano", 1, 45, 79, -33.0),
    ("electric piano", 4, 45, 77, -29.5),
    ("second electric piano", 5, 45, 77, -29.5),
    ("clavinet", 7, 45, 74, -32.0),
    ("vibraphone", 11, 52, 79, -20.5),
    ("nylon guitar", 24, 43, 74, -23.5),
    ("steel guitar", 25, 43, 74, -27.5),
    ("jazz guitar", 26, 43, 72, -21.0),
    ("clean guitar", 27, 43, 74, -29.5),
    ("overdriven guitar", 29, 43, 69, -28.0),
)
# Played in held chords.
SUSTAINED = _table(
    ("drawbar organ", 16, 45, 77, -25.0),
    ("rock organ", 18, 45, 77, -27.5),
    ("accordion", 21, 50, 77, -29.5),
    ("strings", 48, 48, 81, -29.7),
    ("slow strings", 49, 48, 81, -28.8),
    ("synth strings", 51, 48, 77, -24.5),
    ("brass", 61, 48, 74, -28.5),
    ("fantasia", 88, 48, 77, -19.7),
    ("warm pad", 89, 48, 77, -23.3),
    ("poly synth", 90, 48, 77, -27.3),
)
# Take the melody where the singer rests.
SOLOISTS = _table(
    ("trumpet", 56, 55, 81, -21.5),
    ("oboe", 68, 60, 84, -18.5),
    ("pan flute", 75, 60, 84, -25.8),
    ("calliope", 82, 60, 84, -19.7),
    ("saw lead", 81, 55, 79, -28.0),
    ("harmonica", 22, 60, 84, -24.5),
    ("fiddle", 110, 55, 84, -22.3),
    ("jazz guitar solo", 26, 52, 81, -21.0),
    ("vibraphone solo", 11, 55, 84, -20.5),
)
CARNATIC_LEADS = _table(
    ("choir aahs", 52, 50, 79, -22.5),
    ("voice oohs", 53, 50, 79, -27.0),
    ("solo vox", 85, 50, 76, -18.5),
    ("clarinet", 71, 50, 79, -23.5),
    ("flute", 73, 57, 84, -17.5),
    ("shenai", 111, 55, 79, -20.0),
)
VIOLINS = _table(("violin", 40, 55, 88, -21.8), ("fiddle", 110, 55, 88, -22.5))
HAND_DRUMS = _table(
    ("congas and bongos", 0, 35, 81, -24.0),
    ("congas and bongos, electronic kit", 24, 35, 81, -21.0),
    ("congas and bongos, orchestra kit", 48, 35, 81, -17.0),
)
TAMBURAS = _table(("sitar as tambura", 104, 36, 67, -28.5), ("nylon guitar as tambura", 24, 36, 67, -23.0))
# Programs that are kits: a note is the key of one of their drums.
PERCUSSION = KITS + HAND_DRUMS
