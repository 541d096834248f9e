"""Short-time Fourier transform of waveforms of any length, and its exact inverse."""

from __future__ import annotations

import torch
from torch import Tensor

WINDOWS = {"hann": torch.hann_window, "hamming": torch.hamming_window}


def stft(waveforms: Tensor, window_size: int, hop: int, window: str = "hann") -> Tensor:
    """Spectra of real waveforms.

    Parameters
    ----------
    waveforms : Tensor, shape (..., samples), float32 or float64
    window_size : int
        In samples, even: the length of the analysis window and of the transform.
    hop : int
        In samples, at most half the window.
    window : "hann" or "hamming"
        Periodic.

    Returns
    -------
    Tensor, shape (..., window_size // 2 + 1, 1 + samples // hop), complex64 or complex128
        Frame t is centred on sample ``t * hop``; the waveform is zero outside its samples.

    Raises
    ------
    ValueError
        An odd or too short window, a hop outside 1..window_size/2, or an unknown window.

    Examples
    --------
    >>> import torch
    >>> stft(torch.zeros(2, 1000), 512, 128).shape
    torch.Size([2, 257, 8])
    """
    taper = _taper(window_size, hop, window, waveforms)
    flat = waveforms.reshape(-1, waveforms.shape[-1])
    spectra = torch.stft(
        flat, window_size, hop, window=taper, center=True, pad_mode="constant", onesided=True, return_complex=True
    )
    return spectra.reshape(*waveforms.shape[:-1], *spectra.shape[1:])


def istft(spectra: Tensor, samples: int, window_size: int, hop: int, window: str = "hann") -> Tensor:
    """Waveforms of spectra: the least-squares inverse of :func:`stft`, exact for spectra that it made.

    Parameters
    ----------
    spectra : Tensor, shape (..., freqs, frames), complex64 or complex128
    samples : int
        Length of the waveforms.
    window_size, hop, window
        As given to :func:`stft`.

    Returns
    -------
    Tensor, shape (..., samples), float32 or float64

    Raises
    ------
    ValueError
        As :func:`stft`, or spectra of another shape than it makes for ``samples``.

    Examples
    --------
    >>> import torch
    >>> waveform = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    >>> torch.allclose(istft(stft(waveform, 512, 128), 1000, 512, 128), waveform, atol=1e-6)
    True
    """
    taper = _taper(window_size, hop, window, spectra.real)
    expected = (window_size // 2 + 1, 1 + samples // hop)
    if tuple(spectra.shape[-2:]) != expected:
        raise ValueError(f"spectra: expected {expected} frequencies and frames, got {tuple(spectra.shape[-2:])}")
    flat = spectra.reshape(-1, *spectra.shape[-2:])
    waveforms = torch.istft(flat, window_size, hop, window=taper, center=True, length=samples)
    return waveforms.reshape(*spectra.shape[:-2], samples)


def _taper(window_size, hop, window, like):
    if window not in WINDOWS:
        raise ValueError(f"window: expected one of {', '.join(WINDOWS)}, got {window!r}")
    if not (isinstance(window_size, int) and window_size >= 4 and window_size % 2 == 0):
        raise ValueError(f"window_size: expected an even number of samples, 4 or more, got {window_size!r}")
    if not (isinstance(hop, int) and 1 <= hop <= window_size // 2):
        raise ValueError(f"hop: expected 1 to {window_size // 2} samples (half the window), got {hop!r}")
    return WINDOWS[window](window_size, dtype=like.dtype, device=like.device)
