"""Spectra for packages that are not of this library, and a Reduction of what they return."""

from __future__ import annotations

import importlib
import math
import warnings

import numpy as np
import torch
from torch import Tensor

from irtools.methods.separator import Reduction
from irtools.stft import istft, stft

# A power of two near this: 4096 samples at 44.1 kHz.
_WINDOW_S = 0.093


def spectra_of(mics: Tensor, sample_rate: int, window_size: int | None = None) -> tuple[int, np.ndarray]:
    """Window in samples, and spectra as these packages want them.

    Parameters
    ----------
    mics : Tensor, shape (mics, samples), float32 or float64
    sample_rate : int
        In Hz.
    window_size : int, optional
        In samples, even; the power of two nearest to 93 ms by default. The hop is half of it.

    Returns
    -------
    window_size : int
    spectra : array, shape (frames, freqs, mics), complex128

    Examples
    --------
    >>> size, spectra = spectra_of(torch.eye(2, 8000), 8000)
    >>> size, spectra.shape
    (1024, (16, 513, 2))
    """
    size = window_size or max(4, 2 ** round(math.log2(_WINDOW_S * sample_rate)))
    return size, stft(mics.detach().cpu().double(), size, size // 2).permute(2, 1, 0).numpy()


def reduction_of(name: str, mics: Tensor, estimates: np.ndarray, size: int, n_iter: int, **details) -> Reduction:
    """The outcome as every method returns it.

    Parameters
    ----------
    name : str
        Of the method.
    mics : Tensor, shape (mics, samples)
        Whose dtype, device and number of samples the sources get.
    estimates : array, shape (frames, freqs, sources), complex128
        Spectra, as those of :func:`spectra_of`.
    size : int
        Window in samples.
    n_iter : int
    **details
        What only this method has to say.

    Returns
    -------
    Reduction

    Examples
    --------
    >>> mics = torch.eye(2, 8000)
    >>> size, spectra = spectra_of(mics, 8000)
    >>> torch.allclose(reduction_of("none", mics, spectra, size, 0).sources, mics, atol=1e-6)
    True
    """
    spectra = torch.from_numpy(np.ascontiguousarray(estimates.transpose(2, 1, 0)))
    sources = istft(spectra, mics.shape[1], size, size // 2).to(mics)
    return Reduction(sources, n_iter=n_iter, method=name, details=details)


def import_package(name: str):
    """The package, or a ``ModuleNotFoundError`` that says how to install it.

    Examples
    --------
    >>> import_package("numpy").__name__
    'numpy'
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # norbert imports a module of scipy that is to go
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{name}: not installed ({error}): pip install 'irtools[book]'") from error
