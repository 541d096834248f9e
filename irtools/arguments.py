"""What is typed on the command line, as values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence


def parse_settings(settings: Sequence[str], reserved: Iterable[str] = ()) -> dict:
    """``NAME=VALUE`` pairs as options: numbers, lists and booleans as in JSON, anything else a string.

    Parameters
    ----------
    settings : sequence of str
    reserved : iterable of str
        Names that are no settings of a method.

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
            raise ValueError(f"--set: expected NAME=VALUE, got {setting!r}")
        if name in reserved:
            raise ValueError(f"--set: expected a setting of the method, got {setting!r}")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        options[name] = tuple(value) if isinstance(value, list) else value
    return options


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
