"""`irtools listen-test`: a page for listeners, and what they said."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from irtools import __version__
from irtools.commands.arguments import Json, Out, group, parse_list

listen_test = group("Make a listening test, or analyse what its listeners saved.")
PAGE, KEY = "listening_test.html", "listening_test.json"


@listen_test.command(short_help="Make the page of a listening test.")
def make(
    out_dir: Out,
    conditions: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=FOLDER", help="What is compared; repeatable, or several in a row.", show_default=False
        ),
    ],
    more: Annotated[list[str] | None, typer.Argument(metavar="NAME=FOLDER", hidden=True)] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Folder of clean stems: open, and hidden among the rest.")
    ] = None,
    mics: Annotated[
        Path | None, typer.Option(help="Folder of the unprocessed microphones, which are offered openly.")
    ] = None,
    anchor: Annotated[
        str | None, typer.Option(help="Folder of a bad condition, or auto: the microphones below 3.5 kHz.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of an excerpt.")] = 8.0,
    start: Annotated[str, typer.Option(help="Starts of the excerpts in seconds, as 10,45.")] = "0",
    stems: Annotated[str | None, typer.Option(help="As vocals,bass; those that all folders have if not given.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the orders, beside the listener's name.")] = 0,
    audio: Annotated[str, typer.Option(help="flac (16 bits, exact), or mp3 (ten times smaller).")] = "flac",
    title: Annotated[str, typer.Option(help="Title of the page.")] = "Listening test",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier test.")] = False,
) -> None:
    """One page that works without a network, OUT_DIR/listening_test.html, and what is in it, listening_test.json."""
    from irtools.comparison.listening.page import listening_page, write_page
    from irtools.comparison.listening.trials import make_trials
    from irtools.recording.writing import check_output_folder, write_json

    folders = _folders([*conditions, *(more or [])])
    others = {"reference": reference, "mics": mics, "anchor": Path(anchor) if anchor not in (None, "auto") else anchor}
    trials, sample_rate = make_trials(
        folders,
        **others,
        stems=parse_list(stems, "--stems") if stems is not None else None,
        starts=parse_list(start, "--start", float),
        seconds=seconds,
    )
    for folder in (*folders.values(), *others.values()):
        if isinstance(folder, Path):
            check_output_folder(out_dir, folder)
    # A page that replaces another one would take its listeners' marks away.
    for target in (out_dir / PAGE, out_dir / KEY):
        if target.exists() and not overwrite:
            raise ValueError(f"{target}: exists; expected a new folder, or --overwrite")
    page = listening_page(trials, sample_rate, seed=seed, title=title, audio=audio)
    write_page(out_dir / PAGE, page)
    key = {
        "irtools": __version__,
        "title": title,
        "seed": seed,
        "audio": audio,
        "sample_rate": sample_rate,
        "conditions": list(trials[0].clips),
        "folders": {name: str(path) for name, path in {**folders, **others}.items() if path is not None},
        "trials": [
            {"stem": one.stem, "start_s": one.start_s, "seconds": one.seconds, "gain_db": one.gain_db} for one in trials
        ],
    }
    write_json(out_dir / KEY, key)
    print(f"{len(trials)} trials of {len(trials[0].clips)} clips, {len(page) / 1e6:.1f} MB -> {out_dir / PAGE}")


@listen_test.command(short_help="Sum up what listeners saved.")
def analyse(
    files: Annotated[list[Path], typer.Argument(metavar="CSV...", help="Files saved by the page.", show_default=False)],
    screen: Annotated[
        bool, typer.Option("--screen", help="Leave out listeners who rate the hidden reference low.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Means and medians with 95 % t intervals over listeners, and paired tests with Holm's correction."""
    from irtools.comparison.listening.analysis import analyse as run
    from irtools.comparison.listening.ratings import read_ratings
    from irtools.recording.writing import json_text

    result = run(read_ratings(files), screen=screen)
    if as_json:
        print(json_text(result))
        return
    for line in _lines(result):
        print(line)


def _folders(pairs: list[str]) -> dict[str, Path]:
    folders = {}
    for pair in pairs:
        name, equals, folder = pair.partition("=")
        if not (name and equals and folder) or name in folders:
            raise ValueError(f"--conditions: expected NAME=FOLDER with a name of its own, got {pair!r}")
        folders[name] = Path(folder)
    return folders


def _lines(result: dict) -> list[str]:
    screening = result["screening"]
    named = screening["named"]
    found = "no hidden reference, not applied" if named is None else ", ".join(named) or "nobody"
    lines = [
        f"{len(result['listeners'])} listeners",
        f"screening ({screening['rule']}): {found}" + (" (left out)" if screening["left_out"] else ""),
        "",
        f"{'scale':6}{'stem':16}{'condition':16}{'mean':>6}  {'95 % interval':14}{'median':>7}{'sd':>7}",
    ]
    for row in result["conditions"]:
        stem = row["stem"] or "all"
        interval = f"{_number(row['low'])} to {_number(row['high'])}"
        lines.append(
            f"{row['scale']:6}{stem:16}{row['condition']:16}{row['mean']:6.2f}  {interval:14}{row['median']:7.1f}"
            f"{_number(row['sd']):>7}"
        )
    if result["pairs"]:
        lines += ["", f"{'scale':6}{'pair':33}{'difference':>10}  {'95 % interval':16}{'p (t)':>8}{'p (Wilcoxon)':>14}"]
    for pair in result["pairs"]:
        interval = f"{_number(pair['low'])} to {_number(pair['high'])}"
        lines.append(
            f"{pair['scale']:6}{pair['first'] + ' - ' + pair['second']:33}{pair['difference']:+10.2f}  {interval:16}"
            f"{_number(pair['p_t_holm'], 4):>8}{_number(pair['p_wilcoxon_holm'], 4):>14}"
        )
    lines += ["", "Mean, interval (t) and sd: over listeners, each with the mean of its marks; median: of the marks."]
    return lines + (["p: paired tests on listeners' means, after Holm."] if result["pairs"] else [])


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
