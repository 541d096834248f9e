"""Saraga 1.5 Carnatic: concerts recorded live, one file per microphone, bleed included."""

from __future__ import annotations

from pathlib import Path

from irtools.recording.datasets.songs import Song, subfolders

MICS = ("vocal", "vocal-s", "violin", "mridangam-left", "mridangam-right", "ghatam")
_LAYOUT = "folders '<Concert> by <Lead artist>/<Recording>' with '<Recording>.multitrack-vocal.mp3' and so on"


def saraga_songs(root, *, merge_mridangam: bool = False, channels: str = "mean", lengths: str = "pad") -> list[Song]:
    """The multitrack recordings of Saraga 1.5 Carnatic (doi:10.5281/zenodo.4301737): 168 of 249.

    ``root`` is the folder ``saraga1.5_carnatic``, or the one that holds it; ``merge_mridangam`` averages the left and
    the right microphone of the mridangam into one called ``mridangam``. Microphones hear each other (``clean`` is
    False): there is no reference, so no SDR can be had from them. Files of one recording may differ in length; they
    are padded by default, so that nothing is lost.
    """
    root = Path(root)
    inner = root / "saraga1.5_carnatic"
    merged = (("mridangam", ("mridangam-left", "mridangam-right")),) if merge_mridangam else ()
    songs = []
    for concert in subfolders(inner if inner.is_dir() else root, _LAYOUT):
        for recording in subfolders(concert, _LAYOUT):
            files = _mic_files(recording)
            if not files:
                continue
            mix = recording / f"{recording.name}.mp3.mp3"  # its real name
            songs.append(
                Song(
                    title=f"{concert.name}/{recording.name}",
                    group=concert.name.rpartition(" by ")[2],
                    files=files,
                    mixdown=mix if mix.exists() else None,
                    clean=False,
                    channels=channels,
                    lengths=lengths,
                    merged=merged,
                )
            )
    if not songs:
        raise ValueError(f"{root}: holds no multitrack recording; expected {_LAYOUT}")
    return songs


def _mic_files(recording: Path) -> tuple[tuple[str, Path], ...]:
    paths = {mic: recording / f"{recording.name}.multitrack-{mic}.mp3" for mic in MICS}
    return tuple((mic, path) for mic, path in paths.items() if path.exists())
