"""How the command line talks: one line for an error or a warning, bars only on a terminal."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn


def stop(message: str, code: int) -> NoReturn:
    """Say why on one line of stderr and exit: 2 for bad input, 1 for a failure."""
    say(message)
    sys.exit(code)


def say(message: str) -> None:
    """Print one line on stderr, headed by the program's name."""
    print("irtools: " + " ".join(message.split()), file=sys.stderr)


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print warnings as one line each instead of Python's two with a path."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: say(f"warning: {message}")
        yield


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Keep the library's warnings as text, for a report; the list is filled when the block ends."""
    from irtools.methods.separator import ConvergenceWarning

    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default", ConvergenceWarning)
        try:
            yield said
        finally:
            said += [str(one.message) for one in caught]


@contextmanager
def progress_bars(**look) -> Iterator[Callable]:
    """``show(stage, done, total, **said)``: a bar per stage on a terminal, silence elsewhere; ``look`` as for tqdm."""
    from tqdm import tqdm

    current, bar = None, None

    def show(stage: str, done: float, total: float, **said) -> None:
        nonlocal current, bar
        if (stage, total) != current or done < bar.n:
            if bar is not None:
                bar.close()
            # disable=None: no bar where stderr is not a terminal.
            current, bar = (stage, total), tqdm(desc=stage, total=total, disable=None, **look)
        bar.set_postfix(said, refresh=False)
        bar.update(done - bar.n)

    try:
        yield show
    finally:
        if bar is not None:
            bar.close()
