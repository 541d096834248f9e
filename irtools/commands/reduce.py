"""`irtools reduce`: microphones -> sources and a report."""

from __future__ import annotations

import inspect
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from irtools import __version__
from irtools.commands import terminal
from irtools.commands.arguments import Channels, Device, Lengths, Out, Overwrite, folder, parse_settings

Mics = folder("MICS_DIR", "Folder of .wav or .flac files, one per microphone.")
BAR = "{desc:8} {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]"


def reduce(
    mics_dir: Mics,
    out_dir: Out,
    method: Annotated[str, typer.Option(help="See `irtools methods`.")] = "closemic",
    device: Device = "auto",
    chunk_seconds: Annotated[float, typer.Option(help="Seconds of the recording in memory at a time.")] = 30.0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the method, as max_iter=200; repeatable."),
    ] = None,
    mixdown: Annotated[Path | None, typer.Option(help="A mixdown of the concert, for a method that uses one.")] = None,
    ambient: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A microphone without a source of its own, as overheads: heard, and copied as it is; repeatable.",
        ),
    ] = None,
    demix_ambient: Annotated[
        bool, typer.Option("--demix-ambient", help="Instead of such copies, what they hold besides the sources.")
    ] = False,
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
        arguments = {*inspect.signature(reduce_files).parameters, "mics", "pieces", "sample_rate"}
        options = parse_settings(settings or [], reserved=arguments)
        if mixdown is not None:
            options = {"mixture": "mixdown"} | options
            mixdown = stack.enter_context(MultitrackReader([mixdown], channels=channels))
        said = stack.enter_context(terminal.collected_warnings())
        show, rate = stack.enter_context(terminal.progress_bars(bar_format=BAR)), reader.sample_rate
        try:
            report = reduce_files(
                reader,
                out_dir,
                method,
                mixdown=mixdown,
                ambient=ambient or (),
                demix_ambient=demix_ambient,
                chunk_seconds=chunk_seconds,
                device=device,
                on_chunk=lambda stage, done, total: show(stage, done / rate, total / rate),
                **options,
            )
        except (TypeError, ValueError) as error:
            # A method may not name the setting whose value it could not use.
            raise ValueError(f"{error} (with --set {' --set '.join(settings)})" if settings else str(error)) from error
    write_json(out_dir / "report.json", {"irtools": __version__, "input": str(mics_dir)} | report | {"warnings": said})
    for line in report["findings"] + report["details"].get("notes", []) + said:
        terminal.say(f"warning: {line}")
    seconds = report["samples"] / report["sample_rate"]
    sources = len(report["outputs"]) - len(report["ambient"])
    print(f"{method}: {sources} sources, {seconds:.1f} s in {report['elapsed_s']:.2f} s -> {out_dir}")
