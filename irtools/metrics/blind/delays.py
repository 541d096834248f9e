"""How late each source arrives at each microphone, as the microphones alone tell."""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.checks import check_int, check_mics
from irtools.metrics.blind.bleed_matrix import WINDOW_S
from irtools.stft import stft

_UPSAMPLING = 4


def gcc_phat(first: Tensor, second: Tensor, max_delay: int) -> tuple[Tensor, float]:
    """Delay of the second waveform after the first, by generalised cross-correlation with phase transform [1]_.

    The first result is the correlation at delays of -max_delay to max_delay samples, 1 for a copy; the second the delay
    in samples, positive where ``second`` is late, NaN where either is silent or no peak lies inside.

    Notes
    -----
    The inverse transform of X_2 X_1* / |X_1 X_2|: every frequency has a say through its phase alone. It is computed on
    a grid four times as fine, and the vertex of a parabola through the peak and its neighbours is the delay.

    References
    ----------
    .. [1] C. Knapp, G. Carter, "The generalized correlation method for estimation of time delay", IEEE Trans. ASSP
       24(4), 1976.

    >>> noise = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    >>> round(gcc_phat(noise, 0.1 * noise.roll(7), 20)[1], 2)
    7.0
    """
    pair = torch.stack([first, second]) if first.shape == second.shape else first
    check_mics(pair, min_mics=2, name="first, second")
    check_int("max_delay", max_delay, 1, pair.shape[1] - 1, "samples (below the length)")
    spectra = torch.fft.rfft(pair.double(), 2 * pair.shape[1])
    fine = _correlation(spectra[1] * spectra[0].conj(), 2 * pair.shape[1], max_delay)
    return fine[::_UPSAMPLING], _peak(fine, -max_delay)


def arrival_delays(mics: Tensor, sample_rate: int, *, max_delay_s: float = 0.03) -> Tensor:
    """How much later, in seconds, each source arrives at the other microphones than at its own.

    Of shape (mics, sources), float64: 0 on the diagonal, positive elsewhere; NaN where either microphone is silent or
    no cell is source n's. ``max_delay_s`` is the largest looked for (0.03 s are ten metres), below 0.18 s.

    Notes
    -----
    :func:`gcc_phat` with cross-spectra summed over frames before the phase transform, taken for (k, n) only in those
    cells where microphone n is the loudest of all, at equal mean power of all: there source n plays and hardly another.
    A source is nearest to its own microphone, so only peaks above zero are looked at. In a room the strongest peak may
    be that of a reflection.

    >>> noise = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    >>> mics = noise + 0.3 * noise.flip(0).roll(40, 1)
    >>> (arrival_delays(mics, 8000) * 8000).round()
    tensor([[ 0., 40.],
            [40.,  0.]], dtype=torch.float64)
    """
    check_mics(mics, sample_rate)
    window_size, max_delay = 2 * round(WINDOW_S * sample_rate / 2), round(max_delay_s * sample_rate)
    if not 1 <= max_delay < window_size // 2:
        raise ValueError(f"max_delay_s: expected one sample to half of {WINDOW_S} s, got {max_delay_s}")
    spectra = stft(mics.double(), window_size, window_size // 2)
    power = spectra.abs().square()
    level = power.mean((1, 2), keepdim=True)
    power = power / torch.where(level > 0, level, 1.0)
    own = power >= power.max(0).values
    delays = torch.zeros(len(mics), len(mics), dtype=torch.float64, device=mics.device)
    for n, cells in enumerate(own):
        mine = spectra[n].conj() * cells
        for k in range(len(mics)):
            if k != n:
                fine = _correlation((spectra[k] * mine).sum(1), window_size, max_delay)[_UPSAMPLING * max_delay :]
                delays[k, n] = _peak(fine, 0.0) / sample_rate
    return delays


def _correlation(cross: Tensor, n_fft: int, max_delay: int) -> Tensor:
    """Phase-transformed correlation from -max_delay to max_delay, in quarters of a sample."""
    magnitude = cross.abs()
    phases = torch.where(magnitude > 1e-12 * magnitude.max(), cross / magnitude.clamp_min(1e-300), 0)
    # The last bin of a spectrum of even length is halved when more follow.
    phases[-1] = phases[-1] / 2
    fine = torch.fft.irfft(phases, _UPSAMPLING * n_fft) * _UPSAMPLING
    return fine[torch.arange(-_UPSAMPLING * max_delay, _UPSAMPLING * max_delay + 1, device=fine.device)]


def _peak(fine: Tensor, first: float) -> float:
    """Place of the highest peak of a curve that starts at ``first`` samples, between its points; NaN for none."""
    inner = fine[1:-1]
    peaks = (inner > fine[:-2]) & (inner >= fine[2:])
    if not peaks.any():
        return float("nan")
    top = 1 + int(torch.where(peaks, inner, -torch.inf).argmax())
    left, middle, right = fine[top - 1 : top + 2].tolist()
    return first + (top + 0.5 * (left - right) / (left - 2 * middle + right)) / _UPSAMPLING
