"""Scenes of a benchmark as plain dictionaries that any process can make again, sample for sample."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import torch

from irtools.band.songs import render_song
from irtools.checks import check_choice, check_number
from irtools.recording.datasets import falcon69
from irtools.recording.multitrack import Multitrack
from irtools.recording.reading import MultitrackReader, find_files
from irtools.stage.linear import simulate_linear
from irtools.stage.room import simulate_room
from irtools.stage.scene import Scene

#: Name of each stage -> its simulator and the parameters that make it what it is.
STAGES = {
    "linear": {"kind": "linear", "law": "uniform"},
    "attenuated": {"kind": "linear", "law": "attenuated"},
    "loud": {"kind": "linear", "law": "uniform", "interference": [-1.0, 1.0]},
    "noisy": {"kind": "linear", "law": "uniform", "noise_db": -30.0},
    "room": {"kind": "room", "distance_m": 0.5},
    "low": {"kind": "linear", "law": "uniform", "interference": [10.0, 20.0]},
    "high": {"kind": "linear", "law": "uniform", "interference": [0.0, 10.0]},
    "hall": {"kind": "room", "distance_m": 0.5, "geometry": "random"},
    "walk": {"kind": "room", "distance_m": 0.5, "walk_m": 1.0},
    "kit": {"kind": "room", "geometry": "kit", "rt60_s": 0.3},
}
SIMULATORS = {"linear": simulate_linear, "room": simulate_room}
# What a rendered song's name begins with -> its line-up.
_LINEUPS = {"band": "pop", "kit": "kit"}
# Fields that say which recording goes on the stage; all others are parameters of the simulation.
_RECORDING = ("name", "kind", "song", "content", "seconds", "start_s", "seed")


def scenes_of(
    stages: Iterable[str],
    songs: Iterable[str],
    *,
    rt60_s: Iterable[float] = (0.2,),
    seconds: float = 10.0,
    start_s: float = 0.0,
    seeds: Iterable[int] = (0,),
) -> list[dict]:
    """Every stage with every song and every seed, as dictionaries of plain types for :func:`make_scene`.

    Parameters
    ----------
    stages : iterable of str
        Keys of :data:`STAGES`: "linear" has bleed gains of U(.01, .5), "attenuated" also own gains of U(.6, 1), "loud"
        bleed scaled to a mean input SDR of -1 to 1 dB, "low" and "high" to 10 to 20 dB and 0 to 10 dB, "noisy" sensor
        noise of -30 dB; "room" is the published room, and "hall" one whose size and places the seed draws; in
        "walk", the published room, the first source walks 1 m with its microphone; "kit" is a drum kit with an
        overhead pair in a studio of 0.3 s, for songs of at most five stems.
    songs : iterable of str
        "falcon69", "band:SEED" or "kit:SEED" (:func:`irtools.render_song`), a folder of stems, or a folder of such
        folders.
    rt60_s : iterable of float
        Reverberation times of "room", "hall" and "walk", in seconds.
    seconds, start_s : float
        Excerpt, in seconds; a song that ends sooner is used to its end.
    seeds : iterable of int
        Of the simulation.
    """
    stages = [check_choice("stages", stage, STAGES) for stage in stages]
    rt60_s, seeds = list(rt60_s), list(seeds)
    check_number("seconds", seconds, above=0)
    check_number("start_s", start_s, 0)
    scenes = []
    for song in (one for text in songs for one in _expand(text)):
        excerpt = {**_identity(song), "seconds": float(seconds), "start_s": float(start_s)}
        for stage in stages:
            asks_for_times = STAGES[stage]["kind"] == "room" and "rt60_s" not in STAGES[stage]
            times = [{"rt60_s": float(time)} for time in rt60_s] if asks_for_times else [{}]
            for time in times:
                name = " ".join([stage, *(f"{value:g} s" for value in time.values())])
                scenes += [{"name": name, **STAGES[stage], **time, **excerpt, "seed": int(seed)} for seed in seeds]
    return scenes


def make_scene(scene: dict) -> Scene:
    """Read or render the song of a scene and put it on its stage: the same samples for the same dictionary."""
    for name in ("kind", "song"):
        if name not in scene:
            raise ValueError(f"scene: expected the field {name!r}, got {', '.join(scene) or 'no field'}")
    simulate = SIMULATORS[check_choice("kind", scene["kind"], SIMULATORS)]
    stems = read_song(scene["song"], scene.get("seconds", 10.0), scene.get("start_s", 0.0))
    parameters = {name: value for name, value in scene.items() if name not in _RECORDING}
    parameters["generator"] = torch.Generator().manual_seed(scene.get("seed", 0))
    return simulate(stems.waveforms, sample_rate=stems.sample_rate, names=stems.names, **parameters)


def read_song(song: str, seconds: float, start_s: float = 0.0) -> Multitrack:
    """An excerpt of "falcon69", "band:SEED", "kit:SEED" or a folder of stems, at most to the song's end."""
    if _is_rendered(song):
        band, seed = song.split(":", 1)
        if not seed.isdecimal():
            raise ValueError(f"song: expected {band}:SEED with a number, got {song!r}")
        stems = render_song(int(seed), lineup=_LINEUPS[band], seconds=start_s + seconds)
    elif song == "falcon69":
        stems = falcon69()
    else:
        with MultitrackReader(song, channels="mean") as reader:
            start = _start(song, start_s, reader)
            waveforms = reader.read(start, round(seconds * reader.sample_rate))
            return Multitrack(reader.names, waveforms, reader.sample_rate)
    start, stop = _start(song, start_s, stems), round((start_s + seconds) * stems.sample_rate)
    return Multitrack(stems.names, stems.waveforms[:, start:stop], stems.sample_rate)


def song_label(scene: dict) -> str:
    """What a table calls the song of a scene: the name alone of a folder."""
    return Path(scene["song"]).name if "content" in scene else scene["song"]


def _start(song: str, start_s: float, stems: Multitrack | MultitrackReader) -> int:
    start = round(start_s * stems.sample_rate)
    if start >= stems.samples:
        raise ValueError(f"start_s: song {song!r} has {stems.samples} samples; expected to start before, got {start}")
    return start


def _is_rendered(song: str) -> bool:
    return ":" in song and song.partition(":")[0] in _LINEUPS


def _is_built_in(song: str) -> bool:
    return song == "falcon69" or _is_rendered(song)


def _expand(song: str) -> list[str]:
    """The song itself, or the song folders in a folder that holds no audio of its own."""
    if _is_built_in(song):
        return [song]
    folder = Path(song)
    if not folder.is_dir():
        raise ValueError(f"songs: expected falcon69, band:SEED, kit:SEED or a folder of stems, got {song!r}")
    try:
        find_files(folder)
    except ValueError as error:
        inside = [part for part in sorted(folder.iterdir()) if part.is_dir() and not part.name.startswith(".")]
        if not inside:
            raise error
        return [one for part in inside for one in _expand(str(part))]
    return [song]


def _identity(song: str) -> dict:
    """The song and, of a folder, a checksum of its files: a table tells folders of one name apart by it."""
    if _is_built_in(song):
        return {"song": song}
    content = hashlib.sha256()
    for name, path in find_files(song).items():
        content.update(name.encode() + b"\0")
        with path.open("rb") as file:
            content.update(hashlib.file_digest(file, "sha256").digest())
    return {"song": str(Path(song).resolve()), "content": content.hexdigest()[:12]}
