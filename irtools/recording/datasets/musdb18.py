"""MUSDB18-HQ: 150 songs of four clean stems, with the official split."""

from __future__ import annotations

import shutil
from pathlib import Path

from irtools.recording.datasets.songs import Song

STEMS = ("vocals", "bass", "drums", "other")
_LAYOUT = "train/ and test/ with folders 'Artist - Title' of mixture, vocals, bass, drums and other.wav (MUSDB18-HQ)"


def musdb18hq_songs(root, *, channels: str = "mean") -> list[Song]:
    """The songs of MUSDB18-HQ (doi:10.5281/zenodo.3338373), listed by the package `musdb`, which needs ffmpeg.

    ``root`` holds ``{train,test}/<Artist - Title>/{mixture,vocals,bass,drums,other}.wav``; one of the two is enough.
    ``part`` is the official split, with the 14 validation songs that `musdb` takes out of the training songs; some
    artists have songs in both. Samples are not read by `musdb`, which decodes through ffmpeg to 16 bits.
    """
    root = Path(root)
    subsets = [subset for subset in ("train", "test") if (root / subset).is_dir()]
    if not subsets:
        raise ValueError(f"{root}: holds neither train/ nor test/; expected {_LAYOUT}")
    database = _open_database(root, subsets)
    validation = set(database.setup["validation_tracks"])
    # `musdb` lists every folder below a subset, hidden and nested ones too.
    tracks = [track for track in database.tracks if _is_song_folder(Path(track.path).parent)]
    if not tracks:
        raise ValueError(f"{root}: holds no songs; expected {_LAYOUT}")
    return [
        _song(track, "validation" if track.subset == "train" and track.name in validation else track.subset, channels)
        for track in tracks
    ]


def _song(track, part: str, channels: str) -> Song:
    mixture = Path(track.path)
    missing = [stem for stem in STEMS if stem not in track.sources]
    if missing:
        raise ValueError(f"{mixture.parent / missing[0]}.wav: no such file; expected {_LAYOUT}")
    return Song(
        title=track.name,
        group=track.name.partition(" - ")[0],
        files=tuple((stem, Path(track.sources[stem].path)) for stem in STEMS),
        mixdown=mixture if mixture.exists() else None,
        part=part,
        channels=channels,
    )


def _is_song_folder(folder: Path) -> bool:
    return folder.is_dir() and not folder.name.startswith(".")


def _open_database(root: Path, subsets: list[str]):
    for program in ("ffmpeg", "ffprobe"):
        if shutil.which(program) is None:
            raise RuntimeError(f"MUSDB18-HQ is listed by `musdb`, which needs {program}: install ffmpeg")
    try:
        import musdb
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("MUSDB18-HQ is listed by `musdb`: pip install 'irtools[datasets]'") from error
    try:
        return musdb.DB(root=str(root), is_wav=True, subsets=subsets)
    except Exception as error:  # whatever ffprobe says about a damaged mixture.wav
        raise ValueError(f"{root}: `musdb` cannot list it ({error}); expected {_LAYOUT}") from error
