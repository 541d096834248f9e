"""Short-time Fourier transform of waveforms of any length, and its exact inverse."""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.checks import check_choice, check_int

WINDOWS = {"hann": torch.hann_window, "hamming": torch.hamming_window}


def stft(waveforms: Tensor, window_size: int, hop: int, window: str = "hann") -> Tensor:
    """Spectra of real waveforms: (..., samples) -> (..., window_size // 2 + 1, 1 + samples // hop).

    Frame t is centred on sample ``t * hop``; the waveform is zero outside its samples. The window ("hann" or
    "hamming", periodic) has an even number of samples, the hop at most half of it.

    Examples
    --------
    >>> stft(torch.zeros(2, 1000), 512, 128).shape
    torch.Size([2, 257, 8])
    """
    taper = _taper(window_size, hop, window, waveforms)
    flat = waveforms.reshape(-1, waveforms.shape[-1])
    spectra = torch.stft(flat, window_size, hop, window=taper, center=True, pad_mode="constant", return_complex=True)
    return spectra.reshape(*waveforms.shape[:-1], *spectra.shape[1:])


def istft(spectra: Tensor, samples: int, window_size: int, hop: int, window: str = "hann") -> Tensor:
    """Waveforms (..., samples) of spectra: the least-squares inverse of :func:`stft`, exact for spectra it made."""
    taper = _taper(window_size, hop, window, spectra.real)
    expected = (window_size // 2 + 1, 1 + samples // hop)
    if tuple(spectra.shape[-2:]) != expected:
        raise ValueError(f"spectra: expected {expected} frequencies and frames, got {tuple(spectra.shape[-2:])}")
    flat = spectra.reshape(-1, *spectra.shape[-2:])
    waveforms = torch.istft(flat, window_size, hop, window=taper, center=True, length=samples)
    return waveforms.reshape(*spectra.shape[:-2], samples)


def _taper(window_size: int, hop: int, window: str, like: Tensor) -> Tensor:
    check_choice("window", window, WINDOWS)
    if check_int("window_size", window_size, 4, unit="samples") % 2:
        raise ValueError(f"window_size: expected an even number of samples, 4 or more, got {window_size}")
    check_int("hop", hop, 1, window_size // 2, "samples (half the window)")
    return WINDOWS[window](window_size, dtype=like.dtype, device=like.device)
