"""What a score is made of: plain frozen data, times in seconds, levels in dB, pitches as MIDI note numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """One note.

    Attributes
    ----------
    start_s, duration_s : float
        In seconds.
    pitch : int
        MIDI note number, 60 is middle C; in a drum part the General MIDI percussion key.
    velocity : int
        1 to 127.
    """

    start_s: float
    duration_s: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Bend:
    """Pitch offset of a whole part from ``time_s`` (seconds) on, in semitones."""

    time_s: float
    semitones: float


@dataclass(frozen=True)
class Part:
    """What one instrument plays.

    Attributes
    ----------
    instrument : str
        Its name.
    program : int
        General MIDI program, 0 to 127; the number of the drum kit where ``is_drums``.
    is_drums : bool
    gain_db : float
        Level relative to the soundfont's own.
    low, high : int
        Lowest and highest pitch that the instrument is asked to play.
    notes : tuple of Note
        In order of their start.
    bends : tuple of Bend
        In order of time; none means no bend.
    """

    instrument: str
    program: int
    is_drums: bool
    gain_db: float
    low: int
    high: int
    notes: tuple[Note, ...]
    bends: tuple[Bend, ...] = ()


@dataclass(frozen=True)
class Stem:
    """What one close microphone is meant to pick up.

    Attributes
    ----------
    name : str
    gain_db : float
        The stem's random level in the mix.
    shelf_hz, shelf_db : float
        Corner frequency and gain of a first-order high shelf, the stem's random tone.
    parts : tuple of Part
    """

    name: str
    gain_db: float
    shelf_hz: float
    shelf_db: float
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Score:
    """A piece of music.

    Attributes
    ----------
    title : str
        Names the piece: line-up and seed.
    seed : int
    lineup : str
    seconds : float
        Every note starts before this time.
    tempo_bpm : float
        Quarter notes (Carnatic: aksharas) per minute.
    metre : str
        For example ``"7/8"`` or ``"adi (8)"``.
    beats_per_bar : float
        Length of a bar, or of a tala cycle, in quarter notes.
    tonic : int
        Pitch class of the key note, 0 is C.
    mode : str
        Name of the scale.
    scale : tuple of int
        Its pitch classes relative to the tonic.
    swing : float
        Where the off-beat eighth falls in its quarter: 0.5 is straight, 2/3 is a shuffle.
    sections : tuple of (float, str)
        Start in seconds and kind of every section.
    stems : tuple of Stem
    """

    title: str
    seed: int
    lineup: str
    seconds: float
    tempo_bpm: float
    metre: str
    beats_per_bar: float
    tonic: int
    mode: str
    scale: tuple[int, ...]
    swing: float
    sections: tuple[tuple[float, str], ...]
    stems: tuple[Stem, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the stems, in order."""
        return tuple(stem.name for stem in self.stems)
