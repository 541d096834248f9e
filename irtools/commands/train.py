"""`irtools train`: a network, on examples made on the fly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from irtools.commands import terminal
from irtools.commands.arguments import parse_settings


def train(
    net: Annotated[
        str,
        typer.Argument(
            metavar="NET", help="cae, cae-compact, tunet, tunet-pairs, dfunet or dfunet-paper.", show_default=False
        ),
    ],
    preset: Annotated[str, typer.Option(help="smoke (seconds), cpu (tens of minutes) or paper.")] = "cpu",
    data: Annotated[
        str | None, typer.Option(help="band (rendered songs), or a folder: MUSDB18-HQ or any folder of songs.")
    ] = None,
    scene: Annotated[str | None, typer.Option(help="linear or stage.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/NET by default.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Plan steps for this time, unless --steps; stop when it is over.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Instead of those of the preset.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random choice.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint of the folder.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help='As batch=4 or config={"hidden": 8}; repeatable.'),
    ] = None,
) -> None:
    """Train a network: settings.json, log.csv, a checkpoint, and the best weights NET.safetensors with their card."""
    from irtools.training.run import train as run

    named = {"data": data, "scene": scene, "steps": steps}
    given = {name: value for name, value in named.items() if value is not None} | {"seed": seed}
    given |= parse_settings(settings or [], reserved={"net", *given})
    folder = out or Path("runs") / net
    with terminal.progress_bars(unit="") as show:
        trained = run(
            net,
            preset,
            folder,
            minutes=minutes,
            resume=resume,
            device=device,
            on_item=show,
            on_step=lambda done, total, row: show("steps", done, total, loss=row["loss"]),
            **given,
        )
    card = trained.card
    score = card["scores"]["validation_si_sdr_improvement_db"]
    print(
        f"{net}: {len(trained.log)} steps in {trained.log[-1]['seconds']:.0f} s, best after {card['steps']}: "
        f"{score:.2f} dB of SI-SDR improvement on unseen scenes -> {trained.path}"
    )
