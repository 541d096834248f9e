"""What is typed on the command line: arguments that several commands share, and text as values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer


def folder(metavar: str, help: str):
    """The type of an argument that is a folder."""
    return Annotated[Path, typer.Argument(metavar=metavar, help=help, show_default=False)]


Out = folder("OUT_DIR", "Folder to write to; made if missing.")
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that irtools did not write.")]
Channels = Annotated[str, typer.Option(help="Files of several channels: error, mean, left or right.")]
Lengths = Annotated[str, typer.Option(help="Files of different lengths: error, pad or trim.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable.")]


def group(help: str) -> typer.Typer:
    """A command that has commands of its own."""
    return typer.Typer(help=help, callback=help_if_alone, invoke_without_command=True, rich_markup_mode=None)


def help_if_alone(context: typer.Context) -> None:
    """Print the help where no command follows."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def parse_settings(settings: Sequence[str], reserved: Iterable[str] = (), option: str = "--set") -> dict:
    """``NAME=VALUE`` pairs as options: numbers, lists and booleans as in JSON, anything else a string.

    >>> parse_settings(["max_iter=200", "variant=notebook", "assignment=[2, 0]", "dominant=true"])
    {'max_iter': 200, 'variant': 'notebook', 'assignment': (2, 0), 'dominant': True}
    """
    options = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not (name.isidentifier() and equals):
            raise ValueError(f"{option}: expected NAME=VALUE, got {setting!r}")
        if name in reserved:
            raise ValueError(f"{option}: expected a setting of the method, got {setting!r}")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        options[name] = tuple(value) if isinstance(value, list) else value
    return options


def parse_list(text: str, option: str, kind: Callable = str) -> list:
    """Values separated by commas; ``kind`` makes each of its text: str, int or float."""
    parts = [part.strip() for part in text.split(",")]
    try:
        if all(parts):
            return [kind(part) for part in parts]
    except ValueError:
        pass
    what = {float: "numbers", int: "whole numbers"}.get(kind, "values")
    raise ValueError(f"{option}: expected {what} separated by commas, got {text!r}")
