"""The command line: parses, calls the library, prints."""

from __future__ import annotations

import json
import os
import sys
import warnings
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from irtools._version import __version__

app = typer.Typer(
    help="Reduce the bleed in live multitrack recordings.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
simulate = typer.Typer(help="Put clean stems on a simulated stage.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(simulate, name="simulate")

Mics = Annotated[Path, typer.Argument(help="Folder of .wav or .flac files, one a microphone.")]
Stems = Annotated[Path, typer.Argument(help="Folder of clean .wav or .flac stems of equal length.")]
Out = Annotated[Path, typer.Argument(help="Folder to write to; made if missing.")]
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
        sys.exit(app(standalone_mode=False) or 0)
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        _stop("interrupted", 1)
    except (ValueError, TypeError) as error:
        _stop(str(error), 2)
    except Exception as error:
        if hasattr(error, "format_message"):
            _stop(error.format_message(), 2)
        _stop(f"{type(error).__name__}: {error} (IRTOOLS_DEBUG=1 shows where)", 1)


def _stop(message: str, code: int) -> None:
    print("irtools: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(code)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    pass


@app.command()
def methods(as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False) -> None:
    """List the methods of reduction."""
    from irtools.methods.registry import METHODS

    summaries = {name: function.__doc__.strip().splitlines()[0] for name, function in METHODS.items()}
    if as_json:
        print(json.dumps(summaries, indent=2, ensure_ascii=False))
        return
    for name, summary in summaries.items():
        print(f"{name:12} {summary}")


@app.command()
def demo(
    out_dir: Out, seed: Seed = 0, rt60: Rt60 = 0.2, distance: Distance = 0.5, overwrite: Overwrite = False
) -> None:
    """Put a real song, Falcon 69 by The Easton Ellises, on a simulated stage: OUT_DIR/mics and OUT_DIR/references."""
    from irtools.multitrack.datasets import falcon69

    _simulate_room(falcon69(), out_dir, seed, rt60, distance, None, "omni", overwrite, "falcon69")


@simulate.command("linear")
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
        interference=_range(interference),
        noise_db=noise_db,
        generator=torch.Generator().manual_seed(seed),
    )
    _write_scene(scene, out_dir, {"seed": seed, "stems": str(stems_dir)}, overwrite)


@simulate.command("room")
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
    _simulate_room(stems, out_dir, seed, rt60, distance, noise_db, pattern, overwrite, str(stems_dir))


@app.command()
def reduce(
    mics_dir: Mics,
    out_dir: Out,
    method: Annotated[str, typer.Option(help="See `irtools methods`.")] = "am",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    chunk_seconds: Annotated[float, typer.Option(help="Seconds of the recording in memory at a time.")] = 30.0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the method; repeatable.")
    ] = None,
    mixdown: Annotated[Path | None, typer.Option(help="A mixdown of the concert, for a method that uses one.")] = None,
    channels: Channels = "error",
    lengths: Lengths = "error",
    overwrite: Overwrite = False,
) -> None:
    """Reduce the bleed of a recording of any length: OUT_DIR/<mic>.wav (float32) and OUT_DIR/report.json."""
    from irtools.methods.streaming import reduce_files
    from irtools.multitrack.files import MultitrackReader, check_output_folder, write_json

    with ExitStack() as stack:
        reader = stack.enter_context(MultitrackReader(mics_dir, channels=channels, lengths=lengths))
        check_output_folder(out_dir, mics_dir)
        _check_replaceable(out_dir, reader.names, "report.json", overwrite)
        options = _options(settings)
        if mixdown is not None:
            options = {"mixture": "mixdown"} | options
            mixdown = stack.enter_context(MultitrackReader([mixdown], channels=channels))
        said = stack.enter_context(_warnings_as_lines())
        on_chunk = stack.enter_context(_progress_bars(reader.sample_rate))
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
    write_json(out_dir / "report.json", {"irtools": __version__, "input": str(mics_dir)} | report | {"warnings": said})
    for line in report["findings"] + report["details"].get("notes", []) + said:
        print(f"irtools: warning: {line}", file=sys.stderr)
    seconds = report["samples"] / report["sample_rate"]
    print(f"{method}: {len(report['outputs'])} sources, {seconds:.1f} s in {report['elapsed_s']:.2f} s -> {out_dir}")


@app.command()
def score(
    estimates_dir: Annotated[Path, typer.Argument(help="Folder of estimates.")],
    references_dir: Annotated[Path, typer.Argument(help="Folder of references with the same file names.")],
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
    _write_scene(scene, out_dir, {"seed": seed, "stems": source}, overwrite)


def _write_scene(scene, out_dir: Path, origin: dict, overwrite: bool) -> None:
    from irtools.multitrack.files import Multitrack, write_json, write_multitrack

    for part in ("mics", "references"):
        _check_replaceable(out_dir / part, scene.names, "../truth.json", overwrite)
    write_multitrack(out_dir / "mics", Multitrack(scene.names, scene.mics, scene.sample_rate))
    write_multitrack(out_dir / "references", Multitrack(scene.names, scene.references, scene.sample_rate))
    truth = {
        "irtools": __version__,
        **origin,
        "names": list(scene.names),
        "sample_rate": scene.sample_rate,
        "samples": scene.samples,
        "gains": None if scene.gains is None else scene.gains.tolist(),
        "details": scene.details,
    }
    write_json(out_dir / "truth.json", truth)
    print(f"{len(scene.names)} microphones, {scene.samples / scene.sample_rate:.1f} s -> {out_dir}")


def _check_replaceable(folder: Path, names, marker: str, overwrite: bool) -> None:
    """Refuse to replace files that no earlier run of irtools wrote."""
    if overwrite or (folder / marker).exists():
        return
    for name in names:
        target = folder / f"{name}.wav"
        if target.exists():
            raise ValueError(f"{target}: exists; expected a new or empty folder, or --overwrite")


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


def _options(settings: list[str] | None) -> dict:
    """``NAME=VALUE`` pairs as options: numbers, lists and booleans as in JSON, anything else a string."""
    options = {}
    for setting in settings or []:
        name, equals, text = setting.partition("=")
        if not (name.isidentifier() and equals):
            raise ValueError(f"--set: expected NAME=VALUE, got {setting!r}")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        options[name] = tuple(value) if isinstance(value, list) else value
    return options


def _range(interference: str | None):
    if interference is None or "," not in interference:
        return interference
    try:
        low, high = (float(part) for part in interference.split(","))
    except ValueError as error:
        raise ValueError(f"--interference: expected low, high or two numbers as 5,10, got {interference!r}") from error
    return low, high


@contextmanager
def _progress_bars(sample_rate: int):
    """A bar a stage on a terminal, silence elsewhere."""
    from tqdm import tqdm

    bars = {}

    def on_chunk(stage: str, done: int, total: int) -> None:
        if stage not in bars:
            # disable=None: no bar where stderr is not a terminal.
            bars[stage] = tqdm(total=total / sample_rate, desc=f"{stage:8}", unit="s", disable=None)
        bars[stage].update(done / sample_rate - bars[stage].n)

    try:
        yield on_chunk
    finally:
        for bar in bars.values():
            bar.close()


@contextmanager
def _warnings_as_lines():
    """Collect the library's warnings as text for the report."""
    from irtools.methods.reduction import ConvergenceWarning

    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default", ConvergenceWarning)
        try:
            yield said
        finally:
            said += [str(one.message) for one in caught]


if __name__ == "__main__":
    main()
