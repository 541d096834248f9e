"""The scoreboard: every method and rival on the same scenes, none of which a network was trained on.

The songs of the band are of its test split, the others no network has heard, and every song has a room of its own,
drawn from a seed that no training used. Networks were trained at 0.15 to 0.35 s: 0.6 s is beyond that.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from irtools.checks import check_choice
from irtools.comparison.jobs import Job, plan
from irtools.comparison.rivals import RIVALS
from irtools.comparison.scenes import scenes_of
from irtools.methods.registry import METHODS

#: Songs and the seed of each one's bleed gains and room; the songs after the first three are folders of a data root.
SONGS = {"band:12": 101, "band:21": 102, "falcon69": 103, "mdn_funk": 104, "webxr_trio": 105}
FOLDERS = ("mdn_funk", "webxr_trio")
STAGES = ("low", "high", "hall")
SECONDS = 10.0
RT60_S = (0.2, 0.35, 0.6)
#: Entrants with options that are not their defaults, each after the same entrant as it is.
VARIANTS = {"am": {"mixture": "clean"}, "norbert": {"wiener": None}}


def entrants() -> list[tuple[str, dict]]:
    """Every method of the registry, every rival, and :data:`VARIANTS`, each with its options.

    ``am`` with ``mixture="clean"`` is told the sum of the clean sources, which no other entrant is.
    """
    names = (*METHODS, *RIVALS)
    return [(name, options) for name in names for options in ({}, VARIANTS.get(name)) if options is not None]


def scoreboard_scenes(data_root: Path | str | None = None, songs: Iterable[str] | None = None) -> list[dict]:
    """Of each song (by default all that there are), 10 s with low and high bleed and in a room at three RT60.

    ``data_root`` is a folder with those of :data:`FOLDERS` that are there.
    """
    places = {name: name for name in SONGS if name not in FOLDERS}
    root = None if data_root is None else Path(data_root)
    places |= {name: str(root / name) for name in FOLDERS if root is not None and (root / name).is_dir()}
    wanted = list(places) if songs is None else list(songs)
    for name in wanted:
        if name not in places:
            where = f" in {root}" if name in FOLDERS and root is not None else ""
            raise ValueError(f"songs: expected some of {', '.join(places)}, got {name!r}, which is not there{where}")
    return [
        scene
        for name in wanted
        for scene in scenes_of(STAGES, [places[name]], rt60_s=RT60_S, seconds=SECONDS, seeds=[SONGS[name]])
    ]


def scoreboard_plan(
    data_root: Path | str | None = None,
    *,
    methods: Iterable[tuple[str, dict]] | None = None,
    songs: Iterable[str] | None = None,
    scenes: Iterable[str] | None = None,
    device: str = "cpu",
) -> list[Job]:
    """The jobs of the scoreboard, or of those of its ``methods``, ``songs`` and ``scenes``; always with the baselines.

    On the CPU by default: times are compared with those of entrants that know no other device.
    """
    stages = [check_choice("scenes", stage, STAGES) for stage in (STAGES if scenes is None else scenes)]
    chosen = [scene for scene in scoreboard_scenes(data_root, songs) if scene["name"].split()[0] in stages]
    return plan(chosen, entrants() if methods is None else methods, device=device)
