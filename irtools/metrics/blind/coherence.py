"""How alike waveforms are, frequency by frequency: bleed makes microphones coherent."""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.checks import check_choice, check_mics
from irtools.stft import stft


def coherence(waveforms: Tensor, *, weighting: str = "none", window_size: int = 2048, hop: int = 512) -> Tensor:
    """Magnitude-squared coherence of each pair of waveforms, in one number per pair: (mics, mics), float64, 0 to 1.

    Frequencies count alike, or with ``weighting="power"`` each by the geometric mean of the two powers there. 1 on the
    diagonal; 0 beside a silent waveform.

    Notes
    -----
    γ²_ij(f) = |Σ_t x_i x_j*|² / (Σ_t |x_i|² Σ_t |x_j|²), averaged over frequency. It is estimated from as many frames
    as there are: of T independent ones, two independent noises have 1/T and not 0. Music played together is coherent
    without any bleed, so that less is not always better.

    >>> noise = torch.randn(2, 80000, generator=torch.Generator().manual_seed(0))
    >>> apart, together = (coherence(x)[0, 1].item() for x in (noise, noise + noise.flip(0)))
    >>> apart < 0.05, together > 0.95
    (True, True)
    """
    check_choice("weighting", weighting, ("none", "power"))
    check_mics(waveforms, name="waveforms")
    spectra = stft(waveforms.double(), window_size, hop)
    power = spectra.abs().square().sum(2)
    both = power[:, None] * power[None]
    cross = torch.einsum("ift,jft->ijf", spectra, spectra.conj()).abs().square()
    value = torch.where(both > 0, cross / torch.where(both > 0, both, 1.0), 0.0)
    weights = both.sqrt() if weighting == "power" else torch.ones_like(both)
    total = weights.sum(2)
    return ((value * weights).sum(2) / torch.where(total > 0, total, 1.0)).clamp(max=1.0).fill_diagonal_(1.0)


def mean_coherence(waveforms: Tensor, *, weighting: str = "none") -> float:
    """Mean of :func:`coherence` over all pairs of different waveforms; NaN for one waveform."""
    matrix = coherence(waveforms, weighting=weighting)
    return float(matrix[torch.ones_like(matrix).triu(1).bool()].mean())
