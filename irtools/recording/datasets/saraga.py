"""Saraga 1.5 Carnatic: concerts recorded live, one file a microphone, bleed included."""

from __future__ import annotations

from pathlib import Path

from irtools.recording.datasets.songs import Song, subfolders

MICS = ("vocal", "vocal-s", "violin", "mridangam-left", "mridangam-right", "ghatam")
_LAYOUT = "folders '<Concert> by <Lead artist>/<Recording>' with '<Recording>.multitrack-vocal.mp3' and so on"


def saraga_songs(root, *, merge_mridangam: bool = False, channels: str = "mean", lengths: str = "pad") -> list[Song]:
    """The multitrack recordings of Saraga 1.5 Carnatic.

    Parameters
    ----------
    root : path
        The folder ``saraga1.5_carnatic``, or the one that holds it.
    merge_mridangam : bool
        Average the left and the right microphone of the mridangam into one called ``mridangam``. The second singer
        (``vocal-s``) and the ghatam stay microphones of their own either way.
    channels : {"mean", "left", "right", "error"}
        What a file of several channels becomes.
    lengths : {"pad", "trim", "error"}
        The files of one recording may differ in length: padded with zeros by default, so that nothing is lost.

    Returns
    -------
    list of Song
        Those recordings that have microphone files (168 of 249), with the microphones they have, in the order vocal,
        vocal-s, violin, mridangam-left, mridangam-right, ghatam. ``clean`` is False; ``group`` is the lead artist,
        and ``mixdown`` the stereo mix, whose file name really ends in ``.mp3.mp3``.

    Raises
    ------
    ValueError
        Root missing, or no such recording in it.

    Notes
    -----
    These microphones hear each other: there is no clean reference, so no SDR can be had from them.

    References
    ----------
    A. Srinivasamurthy, S. Gulati, R. Caro Repetto, X. Serra: Saraga: open datasets for research on Indian art music,
    Empirical Musicology Review 16(1), 2021; data: doi:10.5281/zenodo.4301737.

    Examples
    --------
    >>> import tempfile
    >>> root = tempfile.TemporaryDirectory()
    >>> folder = Path(root.name) / "December Season by Ann" / "Bhavanuta"
    >>> folder.mkdir(parents=True)
    >>> (folder / "Bhavanuta.multitrack-violin.mp3").touch()
    >>> (folder / "Bhavanuta.multitrack-vocal.mp3").touch()
    >>> [(song.group, [name for name, _ in song.files]) for song in saraga_songs(root.name)]
    [('Ann', ['vocal', 'violin'])]
    >>> root.cleanup()
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
            mix = recording / f"{recording.name}.mp3.mp3"
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
