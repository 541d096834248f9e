"""Clean stems to train on: pools of songs, of which random segments are read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from irtools.band.songs import render_song
from irtools.band.songs import songs as band_seeds
from irtools.recording.datasets import list_songs
from irtools.recording.datasets.songs import PARTS, Song, split_songs
from irtools.recording.reading import MultitrackReader
from irtools.recording.resampling import resample


@dataclass(frozen=True)
class Stems:
    """One song.

    Attributes
    ----------
    title : str
    n_stems, samples : int
        At the rate of the pool.
    read : callable
        ``read(start, samples)`` gives a Tensor (stems, samples), float32, shorter where the song ends.
    """

    title: str
    n_stems: int
    samples: int
    read: Callable[[int, int], Tensor]


def band_pool(
    part: str,
    sample_rate: int,
    *,
    songs: int,
    seconds: float,
    lineups=("pop",),
    on_song: Callable[[int, int], None] | None = None,
) -> list[Stems]:
    """Songs of the rendered band, in memory.

    Parameters
    ----------
    part : {"train", "validation", "test"}
        Of :func:`irtools.band.songs.songs`.
    sample_rate : int
        In Hz.
    songs : int
        How many, dealt to the line-ups in turn.
    seconds : float
        Length of each.
    lineups : sequence of str
    on_song : callable, optional
        ``on_song(done, total)``.

    Returns
    -------
    list of Stems

    Examples
    --------
    >>> pool = band_pool("train", 8000, songs=1, seconds=0.5)
    >>> pool[0].n_stems, pool[0].read(1000, 100).shape
    (4, torch.Size([4, 100]))
    """
    seeds = {lineup: band_seeds(part, lineup=lineup) for lineup in lineups}
    pool = []
    for lineup in (lineups[n % len(lineups)] for n in range(songs)):
        seed = next(seeds[lineup])
        waveforms = render_song(
            seed, lineup=lineup, seconds=seconds, sample_rate=sample_rate, cache_dir=False
        ).waveforms
        pool.append(_in_memory(f"{lineup} {seed}", waveforms))
        if on_song is not None:
            on_song(len(pool), songs)
    return pool


def folder_pool(root, part: str, sample_rate: int) -> list[Stems]:
    """Songs of MUSDB18-HQ, where the folder has its train/ and test/, or of any folder of song folders; read as needed.

    Parameters
    ----------
    root : path
    part : {"train", "validation", "test"}
        Of :func:`irtools.recording.datasets.songs.split_songs`: no artist is in two of them.
    sample_rate : int
        In Hz, to which segments are resampled.

    Returns
    -------
    list of Stems

    Raises
    ------
    ValueError
        No such folder, songs of microphones with bleed, or no song in this part.
    """
    if part not in PARTS:
        raise ValueError(f"part: expected one of {', '.join(PARTS)}, got {part!r}")
    root = Path(root)
    published = (root / "train").is_dir() or (root / "test").is_dir()
    songs = list_songs(root, "musdb18hq" if published else "folder")
    chosen = split_songs(songs)[part]
    if not chosen:
        raise ValueError(f"{root}: has no song for {part} ({len(songs)} songs, split by artist); expected more artists")
    return [_on_disk(song, sample_rate) for song in chosen]


def _in_memory(title: str, waveforms: Tensor) -> Stems:
    return Stems(title, *waveforms.shape, lambda start, samples: waveforms[:, start : start + samples])


def _on_disk(song: Song, sample_rate: int) -> Stems:
    with MultitrackReader([path for _, path in song.files], channels=song.channels, lengths=song.lengths) as reader:
        rate, total = reader.sample_rate, reader.samples

    def read(start: int, samples: int) -> Tensor:
        stems = song.load(start / sample_rate, (samples + 1) / sample_rate).waveforms
        return resample(stems, rate, sample_rate)[:, :samples]

    return Stems(song.title, len(song.files), math.floor(total * sample_rate / rate), read)


def draw_stems(
    pool: list[Stems],
    generator: torch.Generator,
    n_stems: int,
    samples: int,
    *,
    shuffle: bool = True,
    remix: float = 0.0,
    gain_db: float = 0.0,
    attempts: int = 8,
) -> Tensor:
    """A random segment of a random song, or of as many as there are stems.

    Parameters
    ----------
    pool : list of Stems
    generator : torch.Generator
    n_stems, samples : int
    shuffle : bool
        Stems in random order, else the first ``n_stems`` in the order of the song.
    remix : float
        Chance that every stem comes from a song and a time of its own.
    gain_db : float
        Each stem has a gain of U(-gain_db, gain_db).
    attempts : int
        So often another segment is drawn where fewer than two stems play.

    Returns
    -------
    Tensor, shape (stems, samples), float32
        Zeros after the end of a shorter song.

    Raises
    ------
    ValueError
        No song has that many stems.

    Examples
    --------
    >>> pool = [Stems("noise", 3, 900, lambda start, samples: torch.randn(3, samples))]
    >>> draw_stems(pool, torch.Generator().manual_seed(0), 2, 100).shape
    torch.Size([2, 100])
    """
    enough = [song for song in pool if song.n_stems >= n_stems]
    if not enough:
        most = max((song.n_stems for song in pool), default=0)
        raise ValueError(f"n_mics: expected at most {most}, the stems of the largest song, got {n_stems}")
    for _ in range(attempts):
        if _unit(generator) < remix:
            rows = [_segment(enough, generator, samples) for _ in range(n_stems)]
            # Without shuffling, row n is stem n of whatever song it comes from.
            stems = torch.stack([row[_below(len(row), generator) if shuffle else n] for n, row in enumerate(rows)])
        else:
            whole = _segment(enough, generator, samples)
            stems = whole[_order(len(whole), generator, shuffle)[:n_stems]]
        if (stems.square().mean(1) > 1e-8).sum() >= min(2, n_stems):
            break
    gains = gain_db * (2 * torch.rand(n_stems, 1, generator=generator, dtype=torch.float64) - 1)
    return stems * 10 ** (gains / 20).float()


def _segment(pool: list[Stems], generator: torch.Generator, samples: int) -> Tensor:
    song = pool[_below(len(pool), generator)]
    start = _below(max(song.samples - samples, 0) + 1, generator)
    found = song.read(start, samples)
    return pad(found, (0, samples - found.shape[1]))


def _order(count: int, generator: torch.Generator, shuffle: bool) -> list[int]:
    return torch.randperm(count, generator=generator).tolist() if shuffle else list(range(count))


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def _unit(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))
