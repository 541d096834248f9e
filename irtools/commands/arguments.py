"""What is typed on the command line, as values."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Sequence


def parse_settings(settings: Sequence[str], reserved: Iterable[str] = (), option: str = "--set") -> dict:
    """``NAME=VALUE`` pairs as options: numbers, lists and booleans as in JSON, anything else a string.

    Parameters
    ----------
    settings : sequence of str
    reserved : iterable of str
        Names that are no settings of a method.
    option : str
        How a message calls the option.

    Returns
    -------
    dict
        Lists become tuples; of a name that comes twice, the last value.

    Raises
    ------
    ValueError
        No ``=``, a name that is none in Python, or a reserved name.

    Examples
    --------
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


def reserved_names(function: Callable) -> set[str]:
    """Names that a setting of a method cannot have: those of ``function``, which passes it on, and of the recording.

    Examples
    --------
    >>> sorted(reserved_names(lambda method, **settings: None))
    ['method', 'mics', 'pieces', 'sample_rate', 'settings']
    """
    return set(inspect.signature(function).parameters) | {"mics", "pieces", "sample_rate"}


def parse_interference(text: str | None) -> str | tuple[float, float] | None:
    """A level of interference, "low" or "high", or a range of two numbers in dB.

    Parameters
    ----------
    text : str or None

    Returns
    -------
    str, (float, float) or None

    Raises
    ------
    ValueError
        A comma, but not two numbers.

    Examples
    --------
    >>> parse_interference("5,10"), parse_interference("low")
    ((5.0, 10.0), 'low')
    """
    if text is None or "," not in text:
        return text
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"--interference: expected low, high or two numbers as 5,10, got {text!r}") from error
    return low, high


def parse_list(text: str, option: str, kind: Callable = str) -> list:
    """Values separated by commas.

    Parameters
    ----------
    text : str
    option : str
        How a message calls it.
    kind : callable
        Makes a value of its text: str, int or float.

    Returns
    -------
    list

    Raises
    ------
    ValueError
        A part that is empty, or no number where numbers are expected.

    Examples
    --------
    >>> parse_list(".2, .35", "--rt60", float)
    [0.2, 0.35]
    """
    parts = [part.strip() for part in text.split(",")]
    try:
        if all(parts):
            return [kind(part) for part in parts]
    except ValueError:
        pass
    what = {float: "numbers", int: "whole numbers"}.get(kind, "values")
    raise ValueError(f"{option}: expected {what} separated by commas, got {text!r}")
