"""The command line: its commands, and how a run ends."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from irtools import __version__
from irtools.commands import terminal
from irtools.commands.arguments import Json, help_if_alone
from irtools.commands.bench import bench
from irtools.commands.listen import listen_test
from irtools.commands.reduce import reduce
from irtools.commands.score import score
from irtools.commands.simulate import demo, simulate
from irtools.commands.train import train

app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; exit code 0 done, 2 bad input, 1 a failure."""
    if os.environ.get("IRTOOLS_DEBUG", "0") not in ("", "0"):
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


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Reduce the bleed in live multitrack recordings."""
    help_if_alone(context)


@app.command()
def methods(as_json: Json = False) -> None:
    """List the methods of reduction."""
    from irtools.methods.registry import METHODS
    from irtools.recording.writing import json_text

    summaries = {name: method.summary for name, method in METHODS.items()}
    if as_json:
        print(json_text(summaries))
        return
    for name, summary in summaries.items():
        print(f"{name:12} {summary}")


app.command(short_help="Put a real song on a simulated stage.")(demo)
app.command(short_help="Reduce the bleed of a recording.")(reduce)
app.command(short_help="Score estimates against references.")(score)
app.command(short_help="Run methods on scenes: a table of scores, time and memory.")(bench)
app.command(short_help="Train a network.")(train)
app.add_typer(simulate, name="simulate")
app.add_typer(listen_test, name="listen-test")


if __name__ == "__main__":
    main()
