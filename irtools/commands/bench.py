"""`irtools bench`: methods x scenes -> a table."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from irtools.commands import terminal
from irtools.commands.arguments import Device, Json, parse_list, parse_settings


def bench(
    context: typer.Context,
    preset: Annotated[str | None, typer.Argument(help="scoreboard: methods and rivals on scenes of its own.")] = None,
    out: Annotated[Path, typer.Option(help="The table, CSV; a run goes on with what it has.")] = Path("results.csv"),
    methods: Annotated[
        str | None,
        typer.Option(help="As am,ica:seed=1 (see `irtools methods`; also norbert, auxiva, ilrma, fastmnmf2); all."),
    ] = None,
    scenes: Annotated[
        str, typer.Option(help="Stages: linear, low, high, attenuated, loud, noisy, room, hall, walk, kit.")
    ] = "linear,room",
    songs: Annotated[
        str, typer.Option(help="falcon69, band:SEED, kit:SEED, folders of stems, or folders of such folders.")
    ] = "falcon69",
    rt60: Annotated[str, typer.Option("--rt60", help="Reverberation times of rooms in seconds.")] = ".2",
    seconds: Annotated[float, typer.Option(help="Length of the excerpt of each song.")] = 10.0,
    start: Annotated[float, typer.Option(help="Start of the excerpt in seconds.")] = 0.0,
    seeds: Annotated[str, typer.Option(help="Seeds of the simulations.")] = "0",
    jobs: Annotated[int, typer.Option(help="Jobs at a time, which share the cores.")] = 1,
    threads: Annotated[int | None, typer.Option(help="Threads of each job instead of its share.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="A Dask scheduler to run the jobs, as tcp://host:8786.")] = None,
    data_root: Annotated[
        Path | None, typer.Option("--data-root", help="Of the scoreboard: a folder with mdn_funk, webxr_trio.")
    ] = None,
    device: Device = "auto",
    timeout: Annotated[float | None, typer.Option(help="Seconds after which a method counts as failed.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run jobs again that failed before.")] = False,
    as_json: Json = False,
) -> None:
    """Methods x scenes: a CSV table of scores, time and memory, and its summary; lists are separated by commas."""
    from irtools.comparison.jobs import plan
    from irtools.comparison.rivals import check_entrant
    from irtools.comparison.running import run_benchmark
    from irtools.comparison.scenes import scenes_of
    from irtools.comparison.summary import summarise, summary_table
    from irtools.methods.registry import METHODS, choose_device
    from irtools.recording.writing import json_text

    wanted = _methods(methods) if methods else None
    for name, _ in wanted or []:
        check_entrant(name)
    if scheduler is None:
        choose_device(device)
    if preset is not None:
        planned = _scoreboard(context, preset, wanted)
        threads = threads or 1
    else:
        if data_root is not None:
            raise ValueError("--data-root: belongs to `irtools bench scoreboard`; name folders in --songs")
        stages = scenes_of(
            parse_list(scenes, "--scenes"),
            parse_list(songs, "--songs"),
            rt60_s=parse_list(rt60, "--rt60", float),
            seconds=seconds,
            start_s=start,
            seeds=parse_list(seeds, "--seeds", int),
        )
        planned = plan(stages, wanted or [(name, {}) for name in METHODS], device=device)
    with terminal.progress_bars(unit="job") as show:
        rows = run_benchmark(
            planned,
            out,
            n_jobs=jobs,
            scheduler=scheduler,
            threads=threads,
            timeout_s=timeout,
            retry_failed=retry_failed,
            on_job=partial(show, "jobs"),
        )
    for row in rows:
        if row["error"]:
            terminal.say(f"warning: {row['method']} on {row['scene']}, {row['song']}: {row['error']}")
    if as_json:
        groups = {f"by_{split}": summarise(rows, (split,)) for split in ("scene", "song")}
        print(json_text({"rows": rows} | groups))
        return
    splits = [("scene",)] + ([("kind", "song")] if len({row["song"] for row in rows}) > 1 else [])
    for split in splits:
        print(summary_table(rows, split), end="\n\n")
    print("in, out: mean SI-SDR; mean, median, worst: SI-SDR improvement over the stems; MiB: on top of the process.")
    print(f"{len(rows)} rows -> {out}")


def _scoreboard(context: typer.Context, preset: str, wanted: list | None) -> list:
    """The jobs of the preset; of the options that say what to run, those that were typed select a part of it."""
    from irtools.comparison.scoreboard import scoreboard_plan

    if preset != "scoreboard":
        raise ValueError(f"preset: expected scoreboard, got {preset!r}")
    typed = {
        name: value
        for name, value in context.params.items()
        if context.get_parameter_source(name).name == "COMMANDLINE"
    }
    for name in ("rt60", "seconds", "start", "seeds"):
        if name in typed:
            raise ValueError(f"--{name}: the scoreboard has its own; --methods, --songs and --scenes select from it")
    chosen = {name: parse_list(typed[name], f"--{name}") for name in ("songs", "scenes") if name in typed}
    return scoreboard_plan(typed.get("data_root"), methods=wanted, device=typed.get("device", "cpu"), **chosen)


def _methods(text: str) -> list[tuple[str, dict]]:
    """``am,ica:seed=1`` as names with their options."""
    named = (one.split(":") for one in parse_list(text, "--methods"))
    return [(name, parse_settings(settings, option="--methods")) for name, *settings in named]
