"""Interference matrices Λ as the literature draws them: own-mic gains, and bleed gains everywhere else."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from irtools.checks import check_assignment, check_choice

#: Name of each law -> its parameters, with their defaults.
LAWS = {
    "constant": {"level": 0.1},
    "uniform": {"low": 0.01, "high": 0.5},
    "attenuated": {"own_low": 0.6, "own_high": 1.0, "low": 0.0, "high": 0.4},
    "decibel": {"level_db": -20.0},
}


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
        K >= N. The K - N microphones that are nobody's close microphone have bleed gains only.
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
    TypeError, ValueError
        Unknown law or parameter, N > K, an invalid assignment, or an interval that is not 0 <= low <= high < inf.

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

    "uniform" is the training law of t-UNet, "decibel" that of the convolutional autoencoder. With the defaults every
    close microphone is dominated by its own source; intervals that overlap give this up, and no draw is rejected.

    References
    ----------
    .. [1] R. Rajesh and P. Rajan, "Neural networks for interference reduction in multi-track recordings",
       WASPAA, 2023.
    .. [2] R. Rajesh, synopsis of the doctoral work on interference reduction in live recordings (slides), 2024.

    Examples
    --------
    >>> draw_gains(2, 2, law="constant", level=0.2).tolist()
    [[1.0, 0.2], [0.2, 1.0]]
    """
    own_mics = check_assignment(assignment, n_mics, n_sources)
    given = law_parameters(law, **parameters)
    level = 10 ** (given["level_db"] / 20) if "level_db" in given else given.get("level")
    own = given.get("own_low", 1.0), given.get("own_high", 1.0)
    bleed = given.get("low", level), given.get("high", level)
    for name, (low, high) in (("own gain", own), ("bleed gain", bleed)):
        if not 0 <= low <= high < math.inf:
            raise ValueError(f"law {law!r}: expected {name} with 0 <= low <= high < inf, got [{low}, {high}]")
    gains = draw_uniform((n_mics, n_sources), *bleed, generator)
    gains[own_mics, torch.arange(n_sources)] = draw_uniform((n_sources,), *own, generator)
    return gains.to(dtype)


def law_parameters(law: str, **given) -> dict[str, float]:
    """All parameters of a law: those given, the law's defaults for the rest."""
    defaults = LAWS[check_choice("law", law, LAWS)]
    if unknown := set(given) - set(defaults):
        raise TypeError(f"law {law!r} has the parameters {', '.join(defaults)}, got {', '.join(sorted(unknown))}")
    return {name: float(value) for name, value in {**defaults, **given}.items()}


def draw_uniform(shape, low: float, high: float, generator: torch.Generator | None) -> Tensor:
    """Float64 values drawn uniformly from [low, high)."""
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)
