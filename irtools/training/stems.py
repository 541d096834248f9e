"""Clean stems to train on: pools of songs, of which random segments are read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from irtools.band.songs import render_song
from irtools.band.songs import songs as band_seeds
from irtools.checks import check_choice
from irtools.recording.datasets import list_songs
from irtools.recording.datasets.songs import PARTS, Song, split_songs
from irtools.recording.reading import MultitrackReader
from irtools.recording.resampling import resample

# So often another segment is drawn where fewer than two stems play.
_ATTEMPTS = 8


@dataclass(frozen=True)
class Stems:
    """One song: its title, how many stems and samples it has at the rate of its pool, and how to read it.

    ``read(start, samples)`` gives a float32 Tensor (stems, samples), shorter where the song ends.
    """

    title: str
    n_stems: int
    samples: int
    read: Callable[[int, int], Tensor]


def band_pool(
    part: str,
    sample_rate: int,
    songs: int,
    seconds: float,
    lineups: Sequence[str],
    *,
    on_song: Callable[[int, int], None] = lambda done, total: None,
) -> list[Stems]:
    """Songs of a part of the rendered band, dealt to the line-ups in turn, in memory."""
    seeds = {lineup: band_seeds(part, lineup=lineup) for lineup in lineups}
    pool = []
    for number in range(songs):
        lineup = lineups[number % len(lineups)]
        seed = next(seeds[lineup])
        song = render_song(seed, lineup=lineup, seconds=seconds, sample_rate=sample_rate, cache_dir=False)
        pool.append(_in_memory(f"{lineup} {seed}", song.waveforms))
        on_song(number + 1, songs)
    return pool


def folder_pool(root, part: str, sample_rate: int) -> list[Stems]:
    """Songs of a part of MUSDB18-HQ, where the folder has its train/ and test/, or of any folder of song folders.

    No artist is in two parts. Segments are read as needed, and resampled.
    """
    check_choice("part", part, PARTS)
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
) -> Tensor:
    """A random segment (stems, samples), float32, of a random song; after the end of a shorter song come zeros.

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
    """
    enough = [song for song in pool if song.n_stems >= n_stems]
    if not enough:
        most = max((song.n_stems for song in pool), default=0)
        raise ValueError(f"n_mics: expected at most {most}, the stems of the largest song, got {n_stems}")
    for _ in range(_ATTEMPTS):
        if float(torch.rand((), generator=generator)) < remix:
            rows = [_segment(enough, generator, samples) for _ in range(n_stems)]
            # Without shuffling, row n is stem n of whatever song it comes from.
            stems = torch.stack([row[_below(len(row), generator) if shuffle else n] for n, row in enumerate(rows)])
        else:
            whole = _segment(enough, generator, samples)
            order = torch.randperm(len(whole), generator=generator) if shuffle else torch.arange(len(whole))
            stems = whole[order[:n_stems]]
        if (stems.square().mean(1) > 1e-8).sum() >= min(2, n_stems):
            break
    gains = gain_db * (2 * torch.rand(n_stems, 1, generator=generator, dtype=torch.float64) - 1)
    return stems * 10 ** (gains / 20).float()


def _segment(pool: list[Stems], generator: torch.Generator, samples: int) -> Tensor:
    song = pool[_below(len(pool), generator)]
    start = _below(max(song.samples - samples, 0) + 1, generator)
    found = song.read(start, samples)
    return pad(found, (0, samples - found.shape[1]))


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
