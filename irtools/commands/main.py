"""The command line: parses, calls the library, prints."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from irtools import __version__
from irtools.commands import terminal
from irtools.commands.arguments import parse_interference, parse_settings, reserved_names
from irtools.commands.bench import bench
from irtools.commands.listen import listen_test
from irtools.commands.train import train

app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
simulate = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
app.add_typer(simulate, name="simulate")
app.add_typer(listen_test, name="listen-test")


def _folder(metavar: str, help: str):
    return Annotated[Path, typer.Argument(metavar=metavar, help=help, show_default=False)]


Mics = _folder("MICS_DIR", "Folder of .wav or .flac files, one a microphone.")
Stems = _folder("STEMS_DIR", "Folder of clean .wav or .flac stems of equal length.")
Estimates = _folder("ESTIMATES_DIR", "Folder of estimates.")
References = _folder("REFERENCES_DIR", "Folder of references with the same file names.")
Out = _folder("OUT_DIR", "Folder to write to; made if missing.")
Seed = Annotated[int, typer.Option(help="Seed of every random choice.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that irtools did not write.")]
Channels = Annotated[str, typer.Option(help="Files of several channels: error, mean, left or right.")]
Lengths = Annotated[str, typer.Option(help="Files of different lengths: error, pad or trim.")]
Rt60 = Annotated[float, typer.Option("--rt60", help="Reverberation time of the room in seconds.")]
Distance = Annotated[float, typer.Option("--distance", help="From each source to its own microphone in metres.")]
Noise = Annotated[float | None, typer.Option("--noise-db", help="Sensor noise below each microphone's level in dB.")]


def main() -> None:
    """Run the command line; exit code 0 done, 2 bad input, 1 a failure."""
    if os.environ.get("IRTOOLS_DEBUG"):
        app()
    try:
        with terminal.warnings_as_lines():
            sys.exit(app(standalone_mode=False) or 0)
    except (typer.Abort, KeyboardInterrupt):
        terminal.stop("interrupted", 1)
    except (ValueError, TypeError) as error:
        terminal.stop(str(error), 2)
    except Exception as error:
        if hasattr(error, "format_message"):  # of the parser: a wrong argument or option
            terminal.stop(f"{error.format_message()} (--help shows what is expected)", 2)
        terminal.stop(f"{type(error).__name__}: {error} (IRTOOLS_DEBUG=1 shows where)", 1)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


def _help_if_alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Reduce the bleed in live multitrack recordings."""
    _help_if_alone(context)


@simulate.callback()
def _simulate(context: typer.Context) -> None:
    """Put clean stems on a simulated stage."""
    _help_if_alone(context)


@app.command()
def methods(as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False) -> None:
    """List the methods of reduction."""
    from irtools.methods.registry import METHODS

    summaries = {name: method.summary for name, method in METHODS.items()}
    if as_json:
        print(json.dumps(summaries, indent=2, ensure_ascii=False))
        return
    for name, summary in summaries.items():
        print(f"{name:12} {summary}")


@app.command(short_help="Put a real song on a simulated stage.")
def demo(
    out_dir: Out, seed: Seed = 0, rt60: Rt60 = 0.2, distance: Distance = 0.5, overwrite: Overwrite = False
) -> None:
    """Put a real song, Falcon 69 by The Easton Ellises, on a simulated stage: OUT_DIR/mics and OUT_DIR/references."""
    from irtools.recording.datasets import falcon69

    _simulate_room(falcon69(), out_dir, seed, rt60, distance, None, "omni", overwrite, "falcon69")


@simulate.command("linear", short_help="Microphones that differ in gains only.")
def simulate_linear(
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
    import torch

    import irtools as ir

    stems = ir.read_multitrack(stems_dir, channels=channels, lengths=lengths)
    scene = ir.simulate_linear(
        stems.waveforms,
        sample_rate=stems.sample_rate,
        names=stems.names,
        law="uniform",
        low=low,
        high=high,
        interference=parse_interference(interference),
        noise_db=noise_db,
        generator=torch.Generator().manual_seed(seed),
    )
    _write_scene(scene, out_dir, seed, stems_dir, overwrite)


@simulate.command("room", short_help="A stage in a simulated room.")
def simulate_room(
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
    """A stage in a simulated room, one close microphone a source; references are the own-microphone images."""
    import irtools as ir

    stems = ir.read_multitrack(stems_dir, channels=channels, lengths=lengths)
    _simulate_room(stems, out_dir, seed, rt60, distance, noise_db, pattern, overwrite, stems_dir)


@app.command(short_help="Reduce the bleed of a recording.")
def reduce(
    mics_dir: Mics,
    out_dir: Out,
    method: Annotated[str, typer.Option(help="See `irtools methods`.")] = "closemic",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    chunk_seconds: Annotated[float, typer.Option(help="Seconds of the recording in memory at a time.")] = 30.0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the method, as max_iter=200; repeatable."),
    ] = None,
    mixdown: Annotated[Path | None, typer.Option(help="A mixdown of the concert, for a method that uses one.")] = None,
    channels: Channels = "error",
    lengths: Lengths = "error",
    overwrite: Overwrite = False,
) -> None:
    """Reduce the bleed of a recording of any length: OUT_DIR/<mic>.wav (float32) and OUT_DIR/report.json."""
    from irtools.methods.streaming.files import reduce_files
    from irtools.recording.reading import MultitrackReader
    from irtools.recording.writing import check_output_folder, check_replaceable, write_json

    with ExitStack() as stack:
        reader = stack.enter_context(MultitrackReader(mics_dir, channels=channels, lengths=lengths))
        check_output_folder(out_dir, mics_dir)
        if not overwrite:
            check_replaceable(out_dir, reader.names, out_dir / "report.json", "outputs")
        options = parse_settings(settings or [], reserved_names(reduce_files))
        if mixdown is not None:
            options = {"mixture": "mixdown"} | options
            mixdown = stack.enter_context(MultitrackReader([mixdown], channels=channels))
        said = stack.enter_context(terminal.collected_warnings())
        on_chunk = stack.enter_context(terminal.progress_bars(reader.sample_rate))
        try:
            report = reduce_files(
                reader,
                out_dir,
                method,
                mixdown=mixdown,
                chunk_seconds=chunk_seconds,
                device=device,
                on_chunk=on_chunk,
                **options,
            )
        except (TypeError, ValueError) as error:
            # A method may not name the setting whose value it could not use.
            raise ValueError(f"{error} (with --set {' --set '.join(settings)})" if settings else str(error)) from error
    write_json(out_dir / "report.json", {"irtools": __version__, "input": str(mics_dir)} | report | {"warnings": said})
    for line in report["findings"] + report["details"].get("notes", []) + said:
        terminal.say(f"warning: {line}")
    seconds = report["samples"] / report["sample_rate"]
    print(f"{method}: {len(report['outputs'])} sources, {seconds:.1f} s in {report['elapsed_s']:.2f} s -> {out_dir}")


@app.command(short_help="Score estimates against references.")
def score(
    estimates_dir: Estimates,
    references_dir: References,
    inputs: Annotated[Path | None, typer.Option(help="The microphones, for the improvement over them.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Score estimates against references: SI-SDR, BSS Eval v4 and residual bleed, per stem, mean and median."""
    import irtools as ir

    references = ir.read_multitrack(references_dir)
    estimates = _matching(estimates_dir, references, references_dir)
    mics = _matching(inputs, references, references_dir) if inputs else None
    scores = ir.score(
        estimates.waveforms,
        references.waveforms,
        references.sample_rate,
        names=references.names,
        inputs=None if mics is None else mics.waveforms,
    )
    print(json.dumps(scores.to_dict(), indent=2, allow_nan=False) if as_json else scores.table())


app.command(short_help="Run methods on scenes: a table of scores, time and memory.")(bench)
app.command(short_help="Train a network.")(train)


def _simulate_room(stems, out_dir, seed, rt60, distance, noise_db, pattern, overwrite, source) -> None:
    import torch

    import irtools as ir

    scene = ir.simulate_room(
        stems.waveforms,
        stems.sample_rate,
        rt60_s=rt60,
        distance_m=distance,
        noise_db=noise_db,
        pattern=pattern,
        names=stems.names,
        generator=torch.Generator().manual_seed(seed),
    )
    _write_scene(scene, out_dir, seed, source, overwrite)


def _write_scene(scene, out_dir: Path, seed: int, source: Path | str, overwrite: bool) -> None:
    """Write what a simulation made of ``source``, a folder of stems or the name of a song."""
    import irtools as ir
    from irtools.recording.writing import check_alone, check_output_folder, check_replaceable, write_json

    parts = {out_dir / "mics": scene.mics, out_dir / "references": scene.references}
    for folder in parts:
        if isinstance(source, Path):
            check_output_folder(folder, source)
        check_alone(folder, scene.names)
        if not overwrite:
            check_replaceable(folder, scene.names, out_dir / "truth.json", "names")
    for folder, waveforms in parts.items():
        ir.write_multitrack(folder, ir.Multitrack(scene.names, waveforms, scene.sample_rate))
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


def _matching(folder: Path, references, references_dir: Path):
    """The files of ``folder`` that bear the references' names, of the same rate and length."""
    import irtools as ir

    found = ir.read_multitrack(folder, names=references.names)
    for what, ours, its in (
        ("sample rate", references.sample_rate, found.sample_rate),
        ("number of samples", references.samples, found.samples),
    ):
        if ours != its:
            raise ValueError(f"{folder}: {what} {its}; expected {ours} as in {references_dir}")
    return found


if __name__ == "__main__":
    main()
