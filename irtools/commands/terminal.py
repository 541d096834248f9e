"""How the command line talks: one line for an error or a warning, bars only on a terminal."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


def stop(message: str, code: int) -> NoReturn:
    """Say why on one line of stderr and exit.

    Parameters
    ----------
    message : str
        Line breaks and runs of spaces become single spaces.
    code : int
        2 for bad input, 1 for a failure.

    Examples
    --------
    >>> try:
    ...     stop("stage: no such folder", 2)
    ... except SystemExit as done:
    ...     done.code
    2
    """
    say(message)
    sys.exit(code)


def say(message: str) -> None:
    """Print one line on stderr, headed by the program's name.

    Parameters
    ----------
    message : str

    Examples
    --------
    >>> say("warning: vocals is silent")
    """
    print("irtools: " + " ".join(message.split()), file=sys.stderr)


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print warnings as one line each instead of Python's two with a path.

    Examples
    --------
    >>> with warnings_as_lines():
    ...     pass
    """
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: say(f"warning: {message}")
        yield


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Keep the library's warnings as text, for a report; the list is filled when the block ends.

    Yields
    ------
    list of str

    Examples
    --------
    >>> from irtools.methods.separator import ConvergenceWarning
    >>> with collected_warnings() as said:
    ...     warnings.warn("not converged after 3 iterations", ConvergenceWarning)
    >>> said
    ['not converged after 3 iterations']
    """
    from irtools.methods.separator import ConvergenceWarning

    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default", ConvergenceWarning)
        try:
            yield said
        finally:
            said += [str(one.message) for one in caught]


@contextmanager
def progress_bars(sample_rate: int) -> Iterator:
    """A bar a stage on a terminal, silence elsewhere.

    Parameters
    ----------
    sample_rate : int
        In Hz: the bars count seconds of the recording.

    Yields
    ------
    callable
        ``on_chunk(stage, done, total)``, in samples, as :func:`irtools.methods.streaming.files.reduce_files` calls it.

    Examples
    --------
    >>> with progress_bars(8000) as on_chunk:
    ...     on_chunk("learn", 4000, 8000)
    """
    from tqdm import tqdm

    bars = {}

    def on_chunk(stage: str, done: int, total: int) -> None:
        if stage not in bars:
            for bar in bars.values():
                bar.close()
            # disable=None: no bar where stderr is not a terminal.
            bars[stage] = tqdm(
                total=total / sample_rate,
                desc=f"{stage:8}",
                bar_format="{desc} {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]",
                disable=None,
            )
        bars[stage].update(done / sample_rate - bars[stage].n)

    try:
        yield on_chunk
    finally:
        for bar in bars.values():
            bar.close()


@contextmanager
def job_bar() -> Iterator:
    """A bar that counts jobs on a terminal, silence elsewhere.

    Yields
    ------
    callable
        ``on_job(done, total)``, as :func:`irtools.comparison.running.run_benchmark` calls it.

    Examples
    --------
    >>> with job_bar() as on_job:
    ...     on_job(0, 2)
    """
    from tqdm import tqdm

    with tqdm(desc="jobs", unit="job", disable=None) as bar:

        def on_job(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            bar.refresh()

        yield on_job


@contextmanager
def training_bars() -> Iterator:
    """Bars for the making of data and for the steps of a training on a terminal, silence elsewhere.

    Yields
    ------
    (callable, callable)
        ``on_item(what, done, total)`` and ``on_step(done, total, row)``, as :func:`irtools.training.run.train` calls
        them.

    Examples
    --------
    >>> with training_bars() as (on_item, on_step):
    ...     on_item("songs", 1, 2)
    ...     on_step(1, 10, {"loss": 0.5, "improvement_db": ""})
    """
    from tqdm import tqdm

    bars = {}

    def bar_of(what: str, total: int):
        # The songs of validation follow those of training: a bar that is full is followed by a new one.
        if what not in bars or bars[what].n >= bars[what].total:
            bars[what] = tqdm(total=total, desc=what, unit="", disable=None, leave=what == "steps")
        return bars[what]

    def on_item(what: str, done: int, total: int) -> None:
        bar = bar_of(what, total)
        bar.update(done - bar.n)

    def on_step(done: int, total: int, row: dict) -> None:
        on_item("steps", done, total)
        bars["steps"].set_postfix(loss=row["loss"], refresh=False)

    try:
        yield on_item, on_step
    finally:
        for bar in bars.values():
            bar.close()
