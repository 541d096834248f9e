"""What one would install instead: separators of other packages, called as the methods of this library are."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import Tensor

from irtools.checks import check_choice
from irtools.comparison.rivals.norbert import norbert
from irtools.comparison.rivals.pyroomacoustics import SEPARATORS, separate
from irtools.methods.registry import METHODS, reduce
from irtools.methods.separator import Reduction

#: Names that the benchmark takes beside those of `irtools.METHODS`.
RIVALS: dict[str, Callable[..., Reduction]] = {"norbert": norbert}
RIVALS |= {name: partial(separate, name) for name in SEPARATORS}


def check_entrant(name: str) -> None:
    """Raise a ``ValueError``, with the names there are, for a name that the benchmark cannot run."""
    check_choice("method", name, [*sorted(METHODS), *RIVALS])


def reduce_with(mics: Tensor, sample_rate: int, method: str, *, device: str = "auto", **options) -> Reduction:
    """As :func:`irtools.reduce`, for the rivals too; they run on the CPU, whatever the device."""
    if method not in RIVALS:
        return reduce(mics, sample_rate, method, device=device, **options)
    start = time.perf_counter()
    found = RIVALS[method](mics.cpu(), sample_rate, **options)
    return replace(found, sources=found.sources.to(mics), seconds=time.perf_counter() - start)
