"""What a piece is made of: plain frozen data, times in seconds, levels in dB, pitches as MIDI note numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

from irtools.band.composition.instruments import Instrument
from irtools.band.composition.metres import Clock, Metre


@dataclass(frozen=True)
class Plan:
    """What stays the same through a piece."""

    seed: int
    metre: Metre  # Carnatic: the tala cycle, counted in aksharas
    clock: Clock
    tonic: int  # pitch class of the key note, 0 is C
    mode: str  # name of the scale
    steps: tuple[int, ...]  # pitch classes of the scale above the tonic
    band: dict[str, Instrument]  # who plays each part
    late_s: dict[str, float] = field(default_factory=dict)  # by how much a part is behind the others
    division: int = 4  # strokes of the drum in a quarter note

    @property
    def scale(self) -> tuple[int, ...]:
        """Pitch classes of the key."""
        return tuple((self.tonic + step) % 12 for step in self.steps)


@dataclass(frozen=True)
class Section:
    """A section of the form."""

    index: int
    kind: str
    start: float  # in quarter notes
    playing: tuple[frozenset[str], ...]  # the stems that play, bar by bar

    @property
    def material(self) -> str:
        """The kind of section whose chords and melody this one has."""
        return "verse" if self.kind in ("intro", "break") else self.kind


@dataclass(frozen=True)
class Note:
    """One note."""

    start_s: float
    duration_s: float
    pitch: int  # in a drum part the General MIDI percussion key
    velocity: int  # 1 to 127


@dataclass(frozen=True)
class Bend:
    """Pitch offset of a whole part from ``time_s`` on, in semitones."""

    time_s: float
    semitones: float


@dataclass(frozen=True)
class Part:
    """What one instrument plays, in order of time."""

    instrument: Instrument
    is_drums: bool
    gain_db: float  # relative to the soundfont's own level
    notes: tuple[Note, ...]
    bends: tuple[Bend, ...]


@dataclass(frozen=True)
class Stem:
    """What one close microphone is meant to pick up."""

    name: str
    gain_db: float  # random level in the mix
    shelf_hz: float  # random tone: corner and gain of a first-order high shelf
    shelf_db: float
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Score:
    """A piece of music."""

    plan: Plan
    seconds: float  # every note starts before this time
    sections: tuple[tuple[float, str], ...]  # start in seconds and kind
    stems: tuple[Stem, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the stems, in order."""
        return tuple(stem.name for stem in self.stems)
