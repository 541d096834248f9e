"""Real recordings: the embedded example, MUSDB18-HQ, Saraga 1.5 Carnatic, any folder of songs."""

from __future__ import annotations

from irtools.checks import check_choice
from irtools.recording.datasets.falcon import falcon69
from irtools.recording.datasets.musdb18 import musdb18hq_songs
from irtools.recording.datasets.saraga import saraga_songs
from irtools.recording.datasets.songs import Song, folder_songs, split_songs

__all__ = [
    "DATASETS",
    "Song",
    "falcon69",
    "folder_songs",
    "list_songs",
    "musdb18hq_songs",
    "saraga_songs",
    "split_songs",
]

#: Name of a data set -> the function that lists its songs.
DATASETS = {"musdb18hq": musdb18hq_songs, "saraga": saraga_songs, "folder": folder_songs}


def list_songs(root, dataset: str = "folder", **options) -> list[Song]:
    """The songs of a data set on disk, not yet read: :meth:`Song.load` reads one, :func:`split_songs` splits them.

    Parameters
    ----------
    root : path
        Where the data set lies.
    dataset : {"folder", "musdb18hq", "saraga"}
        Its layout: see :func:`folder_songs`, :func:`musdb18hq_songs` and :func:`saraga_songs`.
    **options
        Passed on to that function.

    Examples
    --------
    >>> import tempfile, torch
    >>> from irtools.recording.multitrack import Multitrack, write_multitrack
    >>> root = tempfile.TemporaryDirectory()
    >>> _ = write_multitrack(f"{root.name}/Ann - Blue", Multitrack(("bass", "vocals"), torch.rand(2, 80), 8000))
    >>> [song.load().names for song in list_songs(root.name)]
    [('bass', 'vocals')]
    >>> root.cleanup()
    """
    return DATASETS[check_choice("dataset", dataset, DATASETS)](root, **options)
