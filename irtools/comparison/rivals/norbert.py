"""Interference reduction of norbert."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from irtools.checks import check_int, check_mics
from irtools.comparison.rivals.spectra import import_package, reduction_of, spectra_of
from irtools.methods.separator import Reduction


def norbert(
    mics: Tensor, sample_rate: int, *, wiener: int | None = 1, thresh: float = 0.6, slope: float = 15
) -> Reduction:
    """``norbert.contrib.reduce_interferences`` (A. Liutkus, F.-R. Stöter, 0.2.1) on the microphones' magnitudes.

    ``wiener`` is the number of EM iterations of ``norbert.wiener``, of which the image of source n in microphone n is
    kept; 0 is a ratio mask. None masks each microphone with what ``reduce_interferences`` returns for it, at the level
    of the microphone. ``thresh`` and ``slope`` are passed on; norbert 0.2.1 ignores both, and computes with 0.4 and 15.

    norbert smooths the magnitudes along all axes, also along that of the sources, before it compares them: with a few
    microphones all of them are nearly equal after that. This is measured as it is.
    """
    check_mics(mics, sample_rate)
    if wiener is not None:
        check_int("wiener", wiener, 0)
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
