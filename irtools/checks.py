"""Checks of arguments; each message names the argument, what came and what was expected."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real

import torch
from torch import Tensor


def check_mics(mics: Tensor, sample_rate: int | None = None, *, min_mics: int = 1, name: str = "mics") -> Tensor:
    """Return ``mics`` unchanged after checking that a method can work on it.

    Parameters
    ----------
    mics : Tensor, shape (mics, samples), float32 or float64
    sample_rate : int, optional
        In Hz.
    min_mics : int
        The least number of microphones that the method needs.
    name : str
        How the message calls the argument.

    Raises
    ------
    TypeError
        Not a real floating-point tensor, or a sample rate that is no integer.
    ValueError
        Wrong number of axes, too few microphones, no samples, NaN or infinite samples (the first one is named),
        or a sample rate that is not positive.

    Notes
    -----
    Digital silence, a constant offset and clipped samples are valid input: a silent microphone gives a silent
    source, an offset is treated as signal, and clipping is reported by the command line, not refused.

    Examples
    --------
    >>> import torch
    >>> check_mics(torch.zeros(4, 16), 44100).shape
    torch.Size([4, 16])
    >>> check_mics(torch.full((2, 3), float("nan")))
    Traceback (most recent call last):
      ...
    ValueError: mics: microphone 0 has a non-finite value (nan) at sample 0; expected finite samples
    """
    if not isinstance(mics, Tensor):
        raise TypeError(f"{name}: expected a torch.Tensor of shape (mics, samples), got {type(mics).__name__}")
    if mics.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{name}: expected dtype float32 or float64, got {str(mics.dtype).removeprefix('torch.')}")
    if mics.ndim != 2:
        raise ValueError(f"{name}: expected shape (mics, samples), got {tuple(mics.shape)}")
    if mics.shape[1] == 0:
        raise ValueError(f"{name}: expected at least one sample, got shape {tuple(mics.shape)}")
    if mics.shape[0] < min_mics:
        raise ValueError(f"{name}: expected at least {min_mics} microphone(s), got {mics.shape[0]}")
    # The sum is finite when every sample is, and reads the samples without a mask of their size.
    if not torch.isfinite(mics.sum(dtype=torch.float64)):
        bad = (~torch.isfinite(mics)).nonzero()
        if len(bad):
            mic, sample = bad[0].tolist()
            row = "microphone" if name == "mics" else "row"
            raise ValueError(
                f"{name}: {row} {mic} has a non-finite value ({mics[mic, sample].item()}) at sample {sample}; "
                "expected finite samples"
            )
    if sample_rate is not None:
        check_rate(sample_rate)
    return mics


def check_assignment(assignment, n_mics: int, n_sources: int | None = None) -> list[int]:
    """Close microphone of each source, as a list of microphone indices.

    Parameters
    ----------
    assignment : sequence of int, or None
        ``assignment[n]`` is the close microphone of source n; None means microphone n for source n.
    n_mics : int
    n_sources : int, optional
        Number of sources where ``assignment`` is None; all microphones when None too.

    Raises
    ------
    ValueError
        More sources than microphones, an index outside 0..n_mics-1, or one microphone named twice.

    Examples
    --------
    >>> check_assignment(None, 4)
    [0, 1, 2, 3]
    >>> check_assignment([2, 0], 4)
    [2, 0]
    """
    if assignment is None:
        n_sources = n_mics if n_sources is None else n_sources
        if not 1 <= n_sources <= n_mics:
            raise ValueError(f"n_sources: expected 1 to {n_mics} (the number of microphones), got {n_sources}")
        return list(range(n_sources))
    chosen = [int(mic) for mic in assignment]
    if n_sources is not None and len(chosen) != n_sources:
        raise ValueError(f"assignment: expected {n_sources} microphones (one per source), got {len(chosen)}")
    if not chosen or any(not 0 <= mic < n_mics for mic in chosen):
        raise ValueError(f"assignment: expected microphone indices 0 to {n_mics - 1}, got {chosen}")
    if len(set(chosen)) != len(chosen):
        raise ValueError(f"assignment: expected each microphone once, got {chosen}")
    return chosen


def check_rate(value, name: str = "sample_rate") -> int:
    """A sample rate in Hz: a positive int."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name}: expected an int in Hz, got {type(value).__name__} {value!r}")
    if value <= 0:
        raise ValueError(f"{name}: expected a positive number of Hz, got {value}")
    return int(value)


def check_choice(name: str, value, known: Iterable[str]) -> str:
    """One of the names in ``known``."""
    known = list(known)
    if value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}, got {value!r}")
    return value


def check_int(name: str, value, least: int | None = None, most: int | None = None, unit: str = "") -> int:
    """An int, of ``least`` to ``most`` where these are given; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name}: expected an int{_of(unit)}, got {type(value).__name__} {value!r}")
    if (least is not None and value < least) or (most is not None and value > most):
        raise ValueError(f"{name}: expected {_range(least, most, unit=unit)}, got {value}")
    return int(value)


def check_number(
    name: str,
    value,
    least: float | None = None,
    most: float | None = None,
    *,
    above: float | None = None,
    below: float | None = None,
    unit: str = "",
) -> float:
    """A finite real number in its range, to which ``least`` and ``most`` belong, ``above`` and ``below`` do not."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: expected a number{_of(unit)}, got {type(value).__name__} {value!r}")
    inside = (least is None or value >= least) and (most is None or value <= most)
    inside = inside and (above is None or value > above) and (below is None or value < below)
    if not (inside and math.isfinite(value)):
        raise ValueError(f"{name}: expected {_range(least, most, above, below, unit)}, got {value!r}")
    return value


def _of(unit: str) -> str:
    return f" in {unit}" if unit else ""


def _range(least=None, most=None, above=None, below=None, unit="") -> str:
    if above == 0 and most is None and below is None:
        return "a positive number" + _of(unit)
    bounds = {"at least": least, "more than": above, "at most": most, "less than": below}
    told = [f"{words} {bound:g}" for words, bound in bounds.items() if bound is not None]
    if least is not None and most is not None:
        told = [f"{least:g} to {most:g}"]
    return f"{' and '.join(told)} {unit}".rstrip() if told else "a finite number" + _of(unit)
