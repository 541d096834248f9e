"""A band that plays any number of songs: clean stems from a seed, the same samples on every call."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import torch

from irtools.band import cache
from irtools.band.composition import LINEUPS, compose
from irtools.band.composition.dice import stable_hash
from irtools.band.synthesis import render, soundfont_checksum
from irtools.checks import check_choice, check_int
from irtools.recording.multitrack import Multitrack

# Changes with every change of what a seed sounds like; part of the cache's key.
VERSION = "2"
# Of 20 seeds, 1 is for tests and 1 for validation.
_SPLITS = {"test": range(0, 1), "validation": range(1, 2), "train": range(2, 20)}


def render_song(
    seed: int,
    *,
    lineup: str = "pop",
    seconds: float = 10.0,
    sample_rate: int = 44100,
    cache_dir: Path | str | bool | None = None,
) -> Multitrack:
    """Clean stems of a song that code composes and a synthesizer plays.

    Parameters
    ----------
    seed : int
        Not negative; each is another song.
    lineup : {"pop", "carnatic", "carnatic-tambura", "kit"}
        Stems vocals, bass, drums, other; vocals, violin, mridangam; or these and other; or the drums of one kit,
        kick, snare, hihat, tom_high, tom_low, for ``geometry="kit"`` of :func:`irtools.simulate_room`.
    seconds : float
        Length in seconds.
    sample_rate : int
        In Hz, 8000 to 192000. Every rate plays the same score.
    cache_dir : path, None or False
        Folder where rendered songs are kept; None is ``$IRTOOLS_CACHE/songs`` or that of the user's cache, False
        renders anew and keeps nothing: the choice for training on many songs.

    Returns
    -------
    Multitrack
        Waveforms of shape (stems, samples), float32, ``round(seconds * sample_rate)`` samples. Neither a stem nor the
        sum of the stems goes beyond 0.97.

    Raises
    ------
    TypeError, ValueError
        An argument that is not as described.
    ModuleNotFoundError
        The synthesizer or the soundfont is not installed; the message has the command that installs it.

    Notes
    -----
    Equal arguments give equal bytes, in every process. A longer song of the same seed goes on where the shorter one
    ends; its samples are the same too, unless its peak makes the common gain smaller. The sound is the General MIDI
    soundfont TimGM6mb, by Tim Brechbill (GPL-2), which the package pretty_midi carries.

    Examples
    --------
    >>> song = render_song(7, seconds=0.5, sample_rate=8000, cache_dir=False)
    >>> song.names, tuple(song.waveforms.shape)
    (('vocals', 'bass', 'drums', 'other'), (4, 4000))
    """
    check_int("sample_rate", sample_rate, 8000, 192000, "Hz")
    score = compose(seed, lineup, seconds)
    if round(score.seconds * sample_rate) < 1:
        raise ValueError(f"seconds: expected at least one sample at {sample_rate} Hz, got {seconds}")
    if cache_dir is True:
        raise ValueError("cache_dir: expected a folder, None (the default folder) or False (none), got True")
    folder = None if cache_dir is False else cache.default_folder() if cache_dir is None else Path(cache_dir)
    key = f"{VERSION}|{soundfont_checksum()}|{lineup}|{score.plan.seed}|{score.seconds!r}|{sample_rate}"
    stems = None if folder is None else cache.load(folder, key)
    if stems is None:
        stems = render(score, sample_rate)
        if folder is not None:
            cache.store(folder, key, stems)
    return Multitrack(score.names, torch.from_numpy(stems), sample_rate)


def songs(split: str = "train", *, lineup: str = "pop", start: int = 0) -> Iterator[int]:
    """Seeds from ``start`` on of the songs of a split, rising, without end.

    >>> from itertools import islice
    >>> [split_of(seed) for seed in islice(songs("test"), 3)]
    ['test', 'test', 'test']
    """
    check_choice("split", split, _SPLITS)
    check_choice("lineup", lineup, LINEUPS)
    return (seed for seed in count(start) if split_of(seed, lineup) == split)


def split_of(seed: int, lineup: str = "pop") -> str:
    """The one split that a seed belongs to by a hash: ``"train"`` (90 %), ``"validation"`` or ``"test"`` (5 % each)."""
    check_choice("lineup", lineup, LINEUPS)
    place = stable_hash("split", lineup, int(seed)) % 20
    return next(split for split, places in _SPLITS.items() if place in places)
