"""`irtools bench`: methods x scenes -> a table."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated

import typer

from irtools.commands import terminal
from irtools.commands.arguments import parse_list, parse_settings


def bench(
    context: typer.Context,
    preset: Annotated[str | None, typer.Argument(help="scoreboard: methods and rivals on scenes of its own.")] = None,
    out: Annotated[Path, typer.Option(help="The table, CSV; a run goes on with what it has.")] = Path("results.csv"),
    methods: Annotated[
        str | None,
        typer.Option(help="As am,ica:seed=1 (see `irtools methods`; also norbert, auxiva, ilrma, fastmnmf2); all."),
    ] = None,
    scenes: Annotated[
        str, typer.Option(help="Stages: linear, low, high, attenuated, loud, noisy, room, hall.")
    ] = "linear,room",
    songs: Annotated[
        str, typer.Option(help="falcon69, band:SEED, folders of stems, or folders of such folders.")
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
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    timeout: Annotated[float | None, typer.Option(help="Seconds after which a method counts as failed.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run jobs again that failed before.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Methods x scenes: a CSV table of scores, time and memory, and its summary; lists are separated by commas."""
    from irtools.comparison import plan, run_benchmark, scenes_of
    from irtools.comparison.rivals import check_entrant
    from irtools.comparison.summary import summary_table
    from irtools.methods.registry import METHODS, choose_device

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
    with terminal.job_bar() as on_job:
        rows = run_benchmark(
            planned,
            out,
            n_jobs=jobs,
            scheduler=scheduler,
            threads=threads,
            timeout_s=timeout,
            retry_failed=retry_failed,
            on_job=on_job,
        )
    for row in rows:
        if row["error"]:
            terminal.say(f"warning: {row['method']} on {row['scene']}, {row['song']}: {row['error']}")
    if as_json:
        print(json.dumps(_summaries(rows), indent=2, ensure_ascii=False, allow_nan=False))
        return
    splits = [("scene",)] + ([("kind", "song")] if len({row["song"] for row in rows}) > 1 else [])
    for split in splits:
        print(summary_table(rows, split), end="\n\n")
    print("in, out: mean SI-SDR; mean, median, worst: SI-SDR improvement over the stems; MiB: on top of the process.")
    print(f"{len(rows)} rows -> {out}")


def _scoreboard(context: typer.Context, preset: str, wanted: list | None) -> list:
    """The jobs of the preset; of the options that say what to run, those that were typed select a part of it."""
    from irtools.comparison import scoreboard_plan

    if preset != "scoreboard":
        raise ValueError(f"preset: expected scoreboard, got {preset!r}")
    typed = {name: value for name, value in context.params.items() if _was_typed(context, name)}
    for name in ("rt60", "seconds", "start", "seeds"):
        if name in typed:
            raise ValueError(f"--{name}: the scoreboard has its own; --methods, --songs and --scenes select from it")
    chosen = {name: parse_list(typed[name], f"--{name}") for name in ("songs", "scenes") if name in typed}
    return scoreboard_plan(typed.get("data_root"), methods=wanted, device=typed.get("device", "cpu"), **chosen)


def _was_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _methods(text: str) -> list[tuple[str, dict]]:
    """``am,ica:seed=1`` as names with their options."""
    named = (one.split(":") for one in parse_list(text, "--methods"))
    return [(name, parse_settings(settings, option="--methods")) for name, *settings in named]


def _summaries(rows: list[dict]) -> dict:
    from irtools.comparison import summarise

    return {
        "rows": [_plain(row) for row in rows],
        **{f"by_{split}": [_plain(group) for group in summarise(rows, (split,))] for split in ("scene", "song")},
    }


def _plain(row: dict) -> dict:
    """JSON has no NaN and no infinity."""
    return {name: _finite(value) if isinstance(value, float) else value for name, value in row.items()}


def _finite(value: float) -> float | str | None:
    return None if math.isnan(value) else value if math.isfinite(value) else str(value)
