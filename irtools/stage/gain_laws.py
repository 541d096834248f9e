"""Interference matrices Λ as the literature draws them: own-mic gains, and bleed gains everywhere else."""

from __future__ import annotations

import inspect
import math

import torch
from torch import Tensor

from irtools.checks import check_assignment


def _constant(level=0.1):
    return (1.0, 1.0), (level, level)


def _uniform(low=0.01, high=0.5):
    return (1.0, 1.0), (low, high)


def _attenuated(own_low=0.6, own_high=1.0, low=0.0, high=0.4):
    return (own_low, own_high), (low, high)


def _decibel(level_db=-20.0):
    return (1.0, 1.0), (10 ** (level_db / 20), 10 ** (level_db / 20))


#: Name of each law -> the interval of the own-mic gain and that of every other gain, from its parameters.
LAWS = {"constant": _constant, "uniform": _uniform, "attenuated": _attenuated, "decibel": _decibel}


def law_parameters(law: str, **given) -> dict:
    """All parameters of a law: those given, the law's defaults for the rest.

    Raises
    ------
    ValueError
        Unknown law.
    TypeError
        A parameter that the law does not have.

    Examples
    --------
    >>> law_parameters("uniform", high=0.3)
    {'low': 0.01, 'high': 0.3}
    """
    if law not in LAWS:
        raise ValueError(f"law: expected one of {', '.join(LAWS)}, got {law!r}")
    defaults = {name: p.default for name, p in inspect.signature(LAWS[law]).parameters.items()}
    if unknown := set(given) - set(defaults):
        raise TypeError(f"law {law!r} has the parameters {', '.join(defaults)}, got {', '.join(sorted(unknown))}")
    return {name: float(value) for name, value in {**defaults, **given}.items()}


def draw_gains(
    n_mics: int,
    n_sources: int,
    *,
    law: str = "uniform",
    assignment=None,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float64,
    **parameters,
) -> Tensor:
    """Draw an interference matrix Λ from one of the laws of the literature.

    Parameters
    ----------
    n_mics, n_sources : int
        K >= N. The K - N microphones that are nobody's close microphone (overheads, room microphones) have
        bleed gains only.
    law : {"constant", "uniform", "attenuated", "decibel"}
        See Notes.
    assignment : sequence of int, optional
        Close microphone of each source; microphones 0 to N - 1 by default.
    generator : torch.Generator, optional
        On the CPU; torch's global one by default.
    dtype : torch.dtype
        Gains are drawn in float64, then rounded, so that a seed gives the same Λ in every dtype.
    **parameters
        Of the law, amplitude gains unless they end in ``_db``.

    Returns
    -------
    Tensor, shape (mics, sources)

    Raises
    ------
    TypeError
        A parameter that the law does not have.
    ValueError
        Unknown law, N > K, an invalid assignment, or an interval that is not 0 <= low <= high < inf.

    Notes
    -----
    With a(n) the close microphone of source n, the own gain λ_{a(n),n} and all the other gains are:

    ==========  ===================================  ===============================  ======
    law         own gain                             every other gain                 source
    ==========  ===================================  ===============================  ======
    constant    1                                    ``level`` = 0.1                  [2]_
    uniform     1                                    U(``low`` 0.01, ``high`` 0.5)    [1]_
    attenuated  U(``own_low`` 0.6, ``own_high`` 1)   U(``low`` 0, ``high`` 0.4)       [2]_
    decibel     1                                    10^(``level_db`` / 20), -20 dB   [1]_
    ==========  ===================================  ===============================  ======

    "uniform" is the training law of t-UNet, "decibel" that of the convolutional autoencoder, which adds the
    other stems of a track at -20 dB; read as a gain, as here, its default equals that of "constant". With
    the defaults every close microphone is dominated by its own source, λ_{a(n),n} > λ_{a(n),j}. Parameters
    whose intervals overlap (``high`` >= 1, ``level`` >= 1, ``level_db`` >= 0, ``high`` >= ``own_low``) give
    this up: no draw is rejected. Nothing of the kind holds at microphones that are nobody's close
    microphone.

    References
    ----------
    .. [1] R. Rajesh and P. Rajan, "Neural networks for interference reduction in multi-track recordings",
       WASPAA, 2023.
    .. [2] R. Rajesh, synopsis of the doctoral work on interference reduction in live recordings (slides), 2024.

    Examples
    --------
    >>> draw_gains(2, 2, law="constant", level=0.2).tolist()
    [[1.0, 0.2], [0.2, 1.0]]
    >>> draw_gains(5, 4, generator=torch.Generator().manual_seed(0)).shape
    torch.Size([5, 4])
    """
    if n_sources > n_mics or n_sources < 1:
        raise ValueError(f"n_sources: expected 1 to n_mics = {n_mics}, got {n_sources}")
    own_mics = check_assignment(assignment, n_mics, n_sources)
    parameters = law_parameters(law, **parameters)
    own, bleed = LAWS[law](**parameters)
    for name, (low, high) in (("own gain", own), ("bleed gain", bleed)):
        if not 0 <= low <= high < math.inf:
            raise ValueError(f"law {law!r}: expected {name} with 0 <= low <= high < inf, got [{low}, {high}]")
    gains = draw_uniform((n_mics, n_sources), *bleed, generator)
    gains[own_mics, torch.arange(n_sources)] = draw_uniform((n_sources,), *own, generator)
    return gains.to(dtype)


def draw_uniform(shape, low: float, high: float, generator: torch.Generator | None) -> Tensor:
    """Draw float64 values uniformly from [low, high).

    Examples
    --------
    >>> draw_uniform((2,), 0.5, 0.5, None).tolist()
    [0.5, 0.5]
    """
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)
