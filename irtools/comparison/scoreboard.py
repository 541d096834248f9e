"""The scoreboard: every method and rival on the same scenes, none of which a network was trained on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from irtools.comparison.jobs import Job, plan
from irtools.comparison.rivals import RIVALS
from irtools.comparison.scenes import scenes_of
from irtools.methods.registry import METHODS

#: Songs and the seed of each one's bleed gains and room; the songs after the first three are folders of a data root.
SONGS = {"band:12": 101, "band:21": 102, "falcon69": 103, "mdn_funk": 104, "webxr_trio": 105}
FOLDERS = ("mdn_funk", "webxr_trio")
SECONDS = 10.0
RT60_S = (0.2, 0.35, 0.6)
#: Entrants with options that are not their defaults, beside all of them as they are.
VARIANTS = (("am", {"mixture": "clean"}), ("norbert", {"wiener": None}))


def entrants() -> list[tuple[str, dict]]:
    """Every method of the registry, every rival, and :data:`VARIANTS`, each with its options.

    ``am`` with ``mixture="clean"`` is told the sum of the clean sources, which no other entrant is.

    Examples
    --------
    >>> ("ilrma", {}) in entrants(), ("am", {"mixture": "clean"}) in entrants()
    (True, True)
    """
    found = [(name, {}) for name in (*METHODS, *RIVALS)]
    for name, options in VARIANTS:
        found.insert(1 + max(n for n, one in enumerate(found) if one[0] == name), (name, dict(options)))
    return found


def scoreboard_scenes(data_root: Path | str | None = None, songs: Iterable[str] | None = None) -> list[dict]:
    """The scenes of the scoreboard.

    Parameters
    ----------
    data_root : path, optional
        A folder with those of :data:`FOLDERS` that are there.
    songs : iterable of str, optional
        Keys of :data:`SONGS`; all that there are by default.

    Returns
    -------
    list of dict
        As :func:`irtools.comparison.scenes_of` makes them: of each song, 10 s with a low and a high linear bleed, and
        in a room at three reverberation times.

    Raises
    ------
    ValueError
        A song that the scoreboard does not have, or whose folder is not in ``data_root``.

    Notes
    -----
    The songs of the band are of its test split, the others no network has heard, and every song has a room of its own,
    drawn from a seed that no training used. Networks were trained at 0.15 to 0.35 s: 0.6 s is beyond that.

    Examples
    --------
    >>> [scene["name"] for scene in scoreboard_scenes(songs=["falcon69"])]
    ['low', 'high', 'hall 0.2 s', 'hall 0.35 s', 'hall 0.6 s']
    """
    places = {name: name for name in SONGS if name not in FOLDERS}
    root = None if data_root is None else Path(data_root)
    places |= {name: str(root / name) for name in FOLDERS if root is not None and (root / name).is_dir()}
    wanted = list(places) if songs is None else list(songs)
    for name in wanted:
        if name not in places:
            where = f" in {root}" if name in FOLDERS and root is not None else ""
            raise ValueError(f"songs: expected some of {', '.join(places)}, got {name!r}, which is not there{where}")
    scenes = []
    for name in wanted:
        seed, place = SONGS[name], [places[name]]
        scenes += scenes_of(["low", "high"], place, seconds=SECONDS, seeds=[seed])
        scenes += scenes_of(["hall"], place, rt60_s=RT60_S, seconds=SECONDS, seeds=[seed])
    return scenes


def scoreboard_plan(
    data_root: Path | str | None = None,
    *,
    methods: Iterable[tuple[str, dict]] | None = None,
    songs: Iterable[str] | None = None,
    scenes: Iterable[str] | None = None,
    device: str = "cpu",
) -> list[Job]:
    """The jobs of the scoreboard, or of a part of it; always with the baselines.

    Parameters
    ----------
    data_root, songs
        As in :func:`scoreboard_scenes`.
    methods : iterable of (str, dict), optional
        All :func:`entrants` by default.
    scenes : iterable of str, optional
        Keys of :data:`irtools.comparison.STAGES` among "low", "high" and "hall".
    device : str
        The CPU by default: times are compared with those of entrants that know no other.

    Returns
    -------
    list of Job

    Raises
    ------
    ValueError
        As :func:`scoreboard_scenes`, or a stage that is not of the scoreboard.

    Examples
    --------
    >>> [job.method for job in scoreboard_plan(songs=["falcon69"], scenes=["low"], methods=[("ica", {})])]
    ['input', 'oracle-inverse', 'oracle-linear', 'oracle-mask', 'ica']
    """
    stages = ["low", "high", "hall"] if scenes is None else list(scenes)
    for stage in stages:
        if stage not in ("low", "high", "hall"):
            raise ValueError(f"scenes: the scoreboard has low, high and hall, got {stage!r}")
    chosen = [scene for scene in scoreboard_scenes(data_root, songs) if scene["name"].split()[0] in stages]
    return plan(chosen, entrants() if methods is None else methods, device=device)
