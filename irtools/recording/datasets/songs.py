"""A song of a data set: where its stems lie, and a split into training, validation and test by artist."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from irtools.recording.multitrack import Multitrack
from irtools.recording.reading import SUFFIXES, MultitrackReader, find_files, natural_key

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Song:
    """One song of a data set, not yet read."""

    title: str  # unique within its data set
    group: str  # what must not be on both sides of a split: the artist or the concert
    files: tuple[tuple[str, Path], ...]  # name and file of each stem or microphone, in the order of the rows
    mixdown: Path | None = None  # the published mix
    clean: bool = True  # isolated stems, which can serve as references; else microphones of a stage, with bleed
    part: str | None = None  # where the data set's own split puts the song
    channels: str = "mean"  # as in read_multitrack, like lengths
    lengths: str = "error"
    # New microphones, each the average of those of its members that the song has, in the first one's place.
    merged: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def load(self, start_s: float = 0.0, duration_s: float | None = None, *, mixdown: bool = False) -> Multitrack:
        """Read the song, or a piece of it without decoding more; a ``mixdown`` is appended as a row of that name.

        It raises ValueError for a start outside the song, a piece of no sample, a song without a mix, and files that
        are no recording. A duration beyond the end reads to the end.
        """
        paths = [path for _, path in self.files]
        names = [name for name, _ in self.files]
        if mixdown:
            if self.mixdown is None:
                raise ValueError(f"mixdown: song {self.title!r} has no mixdown file; expected mixdown=False")
            paths, names = [*paths, self.mixdown], [*names, "mixdown"]
        with MultitrackReader(paths, channels=self.channels, lengths=self.lengths) as reader:
            start, samples = _piece(self.title, reader, start_s, duration_s)
            read = Multitrack(names, reader.read(start, samples), reader.sample_rate)
        for name, members in self.merged:
            read = _merge(read, name, members)
        return read


def folder_songs(root, *, channels: str = "mean", lengths: str = "error") -> list[Song]:
    """The songs of any folder ``<root>/<song>/<stem>.wav`` or ``.flac``, in natural order.

    A stem called ``mixture``, or else ``mixdown``, is the song's mix. The group of a folder called ``Artist - Title``
    is its artist, else its name. Folders without audio, and hidden ones, are ignored.
    """
    songs = []
    for folder in subfolders(Path(root), "folders of .wav or .flac stems, one per song"):
        try:
            files = find_files(folder)
        except ValueError:
            if any(path.suffix.lower() in SUFFIXES for path in folder.iterdir()):
                raise
            continue
        mixes = [files.pop(name) for name in ("mixture", "mixdown") if name in files]
        if not files:
            raise ValueError(f"{folder}: holds a mix but no stems; expected at least one stem beside it")
        songs.append(
            Song(
                title=folder.name,
                group=folder.name.partition(" - ")[0],
                files=tuple(files.items()),
                mixdown=mixes[0] if mixes else None,
                channels=channels,
                lengths=lengths,
            )
        )
    if not songs:
        raise ValueError(f"{root}: holds no songs; expected folders of .wav or .flac stems, one per song")
    return songs


def split_songs(
    songs: Iterable[Song], *, validation: float = 0.1, test: float = 0.2, seed: int = 0
) -> dict[str, list[Song]]:
    """Split songs into training, validation and test, never one artist on two sides.

    Parameters
    ----------
    songs : iterable of Song
    validation, test : float
        Expected share of the *groups*, 0 to 1, together at most 1.
    seed : int
        Another seed, another split.

    Notes
    -----
    A song whose data set says where it belongs (``song.part``, MUSDB18's official split) goes there. Any other goes
    by a hash of the seed and its group, read as a number u in [0, 1): test for u < test, validation for
    u < test + validation, else training. So the outcome depends on no other song: adding one never moves another,
    on any machine. The price is that shares hold on average only, and few groups may leave a part empty.

    Examples
    --------
    >>> songs = [Song(f"Song {number}", f"Artist {number}", ()) for number in range(100)]
    >>> {part: len(chosen) for part, chosen in split_songs(songs).items()}
    {'train': 77, 'validation': 8, 'test': 15}
    """
    if not (0 <= validation <= 1 and 0 <= test <= 1 and validation + test <= 1):
        raise ValueError(f"validation, test: expected shares of 0 to 1, together at most 1, got {validation}, {test}")
    split: dict[str, list[Song]] = {part: [] for part in PARTS}
    for song in songs:
        place = _unit_hash(f"{seed}:{song.group}")
        hashed = "test" if place < test else "validation" if place < test + validation else "train"
        split[song.part or hashed].append(song)
    return split


def subfolders(root: Path, expected: str) -> list[Path]:
    """The folders in ``root``, hidden ones left out, in natural order; ``expected`` says what it should hold."""
    if not root.is_dir():
        raise ValueError(f"{root}: {'is a file' if root.exists() else 'no such folder'}; expected {expected}")
    found = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted(found, key=lambda path: (natural_key(path.name), path.name))


def _unit_hash(text: str) -> float:
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48  # 48 bits: exact in a float, never 1


def _piece(title: str, reader: MultitrackReader, start_s: float, duration_s: float | None) -> tuple[int, int | None]:
    start = round(start_s * reader.sample_rate)
    if not 0 <= start < reader.samples:
        seconds = reader.samples / reader.sample_rate
        raise ValueError(f"start_s: song {title!r} lasts {seconds:.3f} s; expected 0 <= start_s < that, got {start_s}")
    if duration_s is None:
        return start, None
    samples = round(duration_s * reader.sample_rate)
    if samples < 1:
        raise ValueError(f"duration_s: expected at least one sample, got {duration_s} s")
    return start, samples


def _merge(read: Multitrack, name: str, members: tuple[str, ...]) -> Multitrack:
    rows = [row for row, old in enumerate(read.names) if old in members]
    if not rows:
        return read
    waveforms = read.waveforms.clone()
    waveforms[rows[0]] = read.waveforms[rows].mean(dim=0)
    kept = [row for row in range(read.n_mics) if row not in rows[1:]]
    names = [name if row == rows[0] else read.names[row] for row in kept]
    return Multitrack(names, waveforms[torch.tensor(kept)], read.sample_rate)
