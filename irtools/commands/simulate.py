"""`irtools demo` and `irtools simulate`: stems on a simulated stage, as microphones and references."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from irtools import __version__
from irtools.commands.arguments import Channels, Lengths, Out, Overwrite, folder, group

simulate = group("Put clean stems on a simulated stage.")

Stems = folder("STEMS_DIR", "Folder of clean .wav or .flac stems of equal length.")
Seed = Annotated[int, typer.Option(help="Seed of every random choice.")]
Rt60 = Annotated[float, typer.Option("--rt60", help="Reverberation time of the room in seconds.")]
Distance = Annotated[float, typer.Option("--distance", help="From each source to its own microphone in metres.")]
Noise = Annotated[float | None, typer.Option("--noise-db", help="Sensor noise below each microphone's level in dB.")]


def demo(
    out_dir: Out, seed: Seed = 0, rt60: Rt60 = 0.2, distance: Distance = 0.5, overwrite: Overwrite = False
) -> None:
    """Put a real song, Falcon 69 by The Easton Ellises, on a simulated stage: OUT_DIR/mics and OUT_DIR/references."""
    import irtools as ir

    scene = _draw(ir.simulate_room, ir.falcon69(), seed, rt60_s=rt60, distance_m=distance)
    _write(scene, out_dir, seed, "falcon69", overwrite)


@simulate.command(short_help="Microphones that differ in gains only.")
def linear(
    stems_dir: Stems,
    out_dir: Out,
    seed: Seed = 0,
    low: Annotated[float, typer.Option(help="Smallest bleed gain.")] = 0.01,
    high: Annotated[float, typer.Option(help="Largest bleed gain.")] = 0.5,
    interference: Annotated[
        str | None, typer.Option(help="Scale the bleed to a mean input SDR: low, high or a range such as 5,10 (dB).")
    ] = None,
    noise_db: Noise = None,
    channels: Channels = "error",
    lengths: Lengths = "error",
    overwrite: Overwrite = False,
) -> None:
    """X = ΛS: microphones that differ in gains only, Λ with unit diagonal and bleed gains in [low, high]."""
    import irtools as ir

    stems = ir.read_multitrack(stems_dir, channels=channels, lengths=lengths)
    level = _parse_interference(interference)
    scene = _draw(
        ir.simulate_linear, stems, seed, law="uniform", low=low, high=high, interference=level, noise_db=noise_db
    )
    _write(scene, out_dir, seed, stems_dir, overwrite)


@simulate.command(short_help="A stage in a simulated room.")
def room(
    stems_dir: Stems,
    out_dir: Out,
    seed: Seed = 0,
    rt60: Rt60 = 0.2,
    distance: Distance = 0.5,
    noise_db: Noise = None,
    pattern: Annotated[str, typer.Option(help="Directivity of the microphones: omni or cardioid.")] = "omni",
    channels: Channels = "error",
    lengths: Lengths = "error",
    overwrite: Overwrite = False,
) -> None:
    """A stage in a simulated room, one close microphone per source; references are the own-microphone images."""
    import irtools as ir

    stems = ir.read_multitrack(stems_dir, channels=channels, lengths=lengths)
    scene = _draw(ir.simulate_room, stems, seed, rt60_s=rt60, distance_m=distance, noise_db=noise_db, pattern=pattern)
    _write(scene, out_dir, seed, stems_dir, overwrite)


def _draw(simulation, stems, seed: int, **options):
    import torch

    return simulation(
        stems.waveforms,
        sample_rate=stems.sample_rate,
        names=stems.names,
        generator=torch.Generator().manual_seed(seed),
        **options,
    )


def _parse_interference(text: str | None) -> str | tuple[float, float] | None:
    if text is None or "," not in text:
        return text
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"--interference: expected low, high or two numbers as 5,10, got {text!r}") from error
    return low, high


def _write(scene, out_dir: Path, seed: int, source: Path | str, overwrite: bool) -> None:
    """Write what a simulation made of ``source``, a folder of stems or the name of a song."""
    import irtools as ir
    from irtools.recording.writing import check_alone, check_output_folder, check_replaceable, write_json

    parts = {out_dir / "mics": scene.mics, out_dir / "references": scene.references}
    for part in parts:
        if isinstance(source, Path):
            check_output_folder(part, source)
        check_alone(part, scene.names)
        if not overwrite:
            check_replaceable(part, scene.names, out_dir / "truth.json", "names")
    for part, waveforms in parts.items():
        ir.write_multitrack(part, ir.Multitrack(scene.names, waveforms, scene.sample_rate))
    truth = {
        "irtools": __version__,
        "seed": seed,
        "stems": str(source),
        "names": list(scene.names),
        "sample_rate": scene.sample_rate,
        "samples": scene.samples,
        "gains": None if scene.gains is None else scene.gains.tolist(),
        "details": scene.details,
    }
    write_json(out_dir / "truth.json", truth)
    print(f"{len(scene.names)} microphones, {scene.samples / scene.sample_rate:.1f} s -> {out_dir}")
