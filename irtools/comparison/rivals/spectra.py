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

# 4096 samples at 44.1 kHz.
_WINDOW_S = 0.093


def window_near(seconds: float, sample_rate: int) -> int:
    """The power of two nearest to a length, in samples; at least 4."""
    return max(4, 2 ** round(math.log2(seconds * sample_rate)))


def spectra_of(mics: Tensor, sample_rate: int, window_size: int | None = None) -> tuple[int, np.ndarray]:
    """Window in samples, of which the hop is half, and spectra (frames, freqs, mics), complex128."""
    size = window_size or window_near(_WINDOW_S, sample_rate)
    return size, stft(mics.detach().cpu().double(), size, size // 2).permute(2, 1, 0).numpy()


def reduction_of(name: str, mics: Tensor, estimates: np.ndarray, size: int, n_iter: int, **details) -> Reduction:
    """The outcome as every method returns it, of spectra (frames, freqs, sources) as :func:`spectra_of` has them."""
    spectra = torch.from_numpy(np.ascontiguousarray(estimates.transpose(2, 1, 0)))
    sources = istft(spectra, mics.shape[1], size, size // 2).to(mics)
    return Reduction(sources, n_iter=n_iter, method=name, details=details)


def import_package(name: str):
    """The package, or a ``ModuleNotFoundError`` that says how to install it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # norbert imports a module of scipy that is to go
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{name}: not installed ({error}): pip install 'irtools[book]'") from error
