"""What one would install instead: separators of other packages, called as the methods of this library are."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from torch import Tensor

from irtools.checks import check_mics
from irtools.comparison.blind import auxiva, fastmnmf2, ilrma
from irtools.comparison.foreign_spectra import import_package, reduction_of, spectra_of
from irtools.methods.registry import METHODS, reduce
from irtools.methods.separator import Reduction


def norbert(
    mics: Tensor, sample_rate: int, *, wiener: int | None = 1, thresh: float = 0.6, slope: float = 15
) -> Reduction:
    """Interference reduction of norbert: :func:`norbert.contrib.reduce_interferences` on the microphones' magnitudes.

    Parameters
    ----------
    mics : Tensor, shape (mics, samples), float32 or float64
        Each is the close microphone of one source.
    sample_rate : int
        In Hz.
    wiener : int, optional
        Iterations of EM of ``norbert.wiener``, which gets the magnitudes and the microphones, and whose image of source
        n in microphone n is kept; its own default is 1, and 0 is a ratio mask. None masks each microphone with what
        ``reduce_interferences`` returns for it, and nothing more, and brings it to the level of the microphone.
    thresh, slope : float
        Passed on. norbert 0.2.1 ignores both, and computes with 0.4 and 15.

    Returns
    -------
    Reduction

    Raises
    ------
    ModuleNotFoundError
        norbert is not installed.
    TypeError, ValueError
        Invalid input, or ``wiener`` below 0.

    Notes
    -----
    norbert smooths the magnitudes along all axes, the one of the sources too, before it compares them: with a few
    microphones all of them are nearly equal after that. This is measured as it is.

    References
    ----------
    .. [1] A. Liutkus and F.-R. Stöter, "sigsep/norbert", version 0.2.1.

    Examples
    --------
    >>> import torch
    >>> from importlib.util import find_spec
    >>> found = norbert(torch.eye(2, 3000), 8000) if find_spec("norbert") else Reduction(torch.zeros(2, 3000))
    >>> found.sources.shape
    torch.Size([2, 3000])
    """
    check_mics(mics, sample_rate)
    if wiener is not None and wiener < 0:
        raise ValueError(f"wiener: expected None, 0 or a number of iterations, got {wiener}")
    package = import_package("norbert")
    size, mixtures = spectra_of(mics, sample_rate)
    magnitudes = np.abs(mixtures)
    reduced = package.reduce_interferences(magnitudes, thresh, slope)
    if wiener is None:
        masked = np.divide(reduced, magnitudes, out=np.zeros_like(reduced), where=magnitudes > 0) * mixtures
        level = (masked.conj() * mixtures).real.sum((0, 1)) / np.maximum((abs(masked) ** 2).sum((0, 1)), 1e-300)
        estimates = level * masked
    else:
        images = package.wiener(reduced[:, :, None], mixtures.copy(), iterations=wiener)
        estimates = np.einsum("tfnn->tfn", images)
    return reduction_of("norbert", mics, estimates, size, wiener or 0)


#: Names that the benchmark takes beside those of `irtools.METHODS`.
RIVALS: dict[str, Callable[..., Reduction]] = {
    "norbert": norbert,
    "auxiva": auxiva,
    "ilrma": ilrma,
    "fastmnmf2": fastmnmf2,
}


def check_entrant(name: str) -> None:
    """Raise a ``ValueError``, with the names there are, for a name that the benchmark cannot run.

    Examples
    --------
    >>> check_entrant("ilrma")
    >>> check_entrant("magic")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    ValueError: method: expected one of am, ..., got 'magic'
    """
    if name not in METHODS and name not in RIVALS:
        raise ValueError(f"method: expected one of {', '.join([*sorted(METHODS), *RIVALS])}, got {name!r}")


def reduce_with(mics: Tensor, sample_rate: int, method: str, *, device: str = "auto", **options) -> Reduction:
    """As :func:`irtools.reduce`, for the rivals too; they run on the CPU, whatever the device.

    Examples
    --------
    >>> import torch
    >>> reduce_with(torch.eye(2, 9000), 8000, "auxiva", n_iter=1).seconds > 0
    True
    """
    if method not in RIVALS:
        return reduce(mics, sample_rate, method, device=device, **options)
    start = time.perf_counter()
    found = RIVALS[method](mics.cpu(), sample_rate, **options)
    return replace(found, sources=found.sources.to(mics), seconds=time.perf_counter() - start)
