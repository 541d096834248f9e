"""Ceilings: what a kind of method could reach at best on a recording, had it been told the truth.

They need the references, or Λ, that no live recording has: a chapter shows them beside its method, never as one.
All take microphones of shape (mics, samples), and give sources as heard at their own microphones, (sources, samples).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from irtools.checks import check_assignment, check_int, check_mics
from irtools.stage.scene import check_gains
from irtools.stft import istft, stft

# Frequencies whose covariances are summed and inverted at a time: bounds the memory, not the result.
_FREQS_AT_ONCE = 256


def inverse_oracle(mics: Tensor, gains, *, assignment=None) -> Tensor:
    """Sources by the pseudo-inverse of the true Λ, ``gains``: what knowing Λ exactly is worth.

    ŝ_n = λ_{a(n),n} (Λ⁺ X)_n. Without noise, and with Λ of full column rank, this is exact. With sensor noise it is no
    upper bound: where Λ is ill-conditioned it amplifies the noise, which :func:`linear_oracle` weighs against bleed.

    >>> gains = torch.tensor([[1.0, 0.5], [0.25, 1.0]])
    >>> sources = torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 1.0]])
    >>> torch.allclose(inverse_oracle(gains @ sources, gains), sources, atol=1e-6)
    True
    """
    check_mics(mics)
    gains = check_gains(gains, len(mics), torch.as_tensor(gains).shape[-1]).to(mics.device, torch.float64)
    close_mics = check_assignment(assignment, *gains.shape)
    own = gains[close_mics].diagonal()
    return (own[:, None] * torch.linalg.pinv(gains)).to(mics.dtype) @ mics


def linear_oracle(
    mics: Tensor,
    references: Tensor,
    *,
    window_size: int | None = None,
    hop: int | None = None,
    frames: int = 1,
    learn_samples: int | None = None,
) -> Tensor:
    """The references as the best linear combination of the microphones: the ceiling of all linear methods.

    Parameters
    ----------
    mics, references : Tensor, shape (mics, samples) and (sources, samples)
    window_size : int, optional
        In samples. Without it one real matrix for the whole recording, the ceiling of instantaneous demixing; with it
        complex filters for each frequency of :func:`irtools.stft.stft`.
    hop : int, optional
        In samples; a quarter of the window by default.
    frames : int
        L, taps of these filters: the frame itself and the L - 1 before it. 1 is one matrix per frequency.
    learn_samples : int, optional
        Filters are fitted on the frames within so many samples from the start, and applied to all; what comes after
        them is then out of sample. All by default.

    Returns
    -------
    Tensor, shape (sources, samples)
        dtype of ``mics``; the fit is in float64.

    Raises
    ------
    TypeError, ValueError
        References that do not fit the microphones, a window or hop that is none, ``frames`` without a window, or
        ``learn_samples`` beyond the recording.

    Notes
    -----
    ŝ(f, t) = Σ_l W_l(f) x(f, t - l), l = 0 .. L - 1 [1]_. With x̄ the L frames of all K microphones in one vector,
    W = argmin ‖S - W X̄‖² = S X̄ᴴ (X̄ X̄ᴴ)⁺, on the samples or for each frequency on its frames, constant in time. On
    samples no instantaneous demixing has a higher SI-SDR. With a window the optimum is that of spectra, which the
    overlapping frames of a waveform only approximate, and a filter no longer than L - 1 hops and the window: methods
    with longer filters can pass it. A frequency has T = 1 + samples / hop frames for K L unknowns per source: where T
    is not much larger than K L the fit follows the recording and says nothing. To see it, fit on the first half
    (``learn_samples=samples // 2``) and score the second: it is a ceiling as far as both halves agree.

    References
    ----------
    .. [1] R. Talmon, I. Cohen, S. Gannot, "Relative transfer function identification using convolutive transfer
       function approximation", IEEE Trans. Audio Speech Lang. Process. 17(4), 2009.

    Examples
    --------
    >>> sources = torch.randn(2, 2000, generator=torch.Generator().manual_seed(0))
    >>> found = linear_oracle(torch.tensor([[1.0, 0.5], [0.25, 1.0]]) @ sources, sources)
    >>> torch.allclose(found, sources, atol=1e-5)
    True
    """
    _check_pair(mics, references)
    if check_int("frames", frames, 1) > 1 and window_size is None:
        raise ValueError(f"frames: expected 1 without a window_size, got {frames}")
    samples = mics.shape[1]
    if window_size is None:
        learnt = None if learn_samples is None else check_int("learn_samples", learn_samples, 1, samples)
        x, s = mics.double(), references.double()
        return (_least_squares(x[None, :, :learnt], s[None, :, :learnt])[0] @ x).to(mics.dtype)
    shape = window_size, window_size // 4 if hop is None else hop
    x, s = (stft(waveforms.double(), *shape).transpose(0, 1) for waveforms in (mics, references))
    learnt = None if learn_samples is None else _frames_within(learn_samples, samples, *shape)
    demixed = []
    at_once = max(1, _FREQS_AT_ONCE // frames)
    for some_x, some_s in zip(x.split(at_once), s.split(at_once), strict=True):
        recent = _with_past(some_x, frames)
        demixed.append(_least_squares(recent[..., :learnt], some_s[..., :learnt]) @ recent)
    return istft(torch.cat(demixed).transpose(0, 1), samples, *shape).to(mics.dtype)


def mask_oracle(
    mics: Tensor,
    references: Tensor,
    *,
    assignment=None,
    window_size: int = 2048,
) -> Tensor:
    """The own microphone through the Wiener mask of the true powers [1]_: what masks of one microphone aim at.

    Notes
    -----
    Ŝ_n(f, t) = |S_n|² / (|S_n|² + |X_a(n) - S_n|²) · X_a(n): all that is not the source counts as bleed. Where both
    are zero, so is the estimate. The phase stays the microphone's; a mask that knows the phases can pass it.

    References
    ----------
    .. [1] E. Vincent, R. Gribonval, M. D. Plumbley, "Oracle estimators for the benchmarking of source separation
       algorithms", Signal Processing 87(8), 2007.
    """
    _check_pair(mics, references)
    close_mics = check_assignment(assignment, len(mics), len(references))
    shape = window_size, window_size // 4
    estimates = torch.empty_like(references)
    for n, mic in enumerate(close_mics):
        x, s = stft(mics[mic].double(), *shape), stft(references[n].double(), *shape)
        own, other = s.abs().square(), (x - s).abs().square()
        mask = own / (own + other).clamp(min=torch.finfo(torch.float64).tiny)
        estimates[n] = istft(mask * x, mics.shape[1], *shape).to(mics.dtype)
    return estimates


def _check_pair(mics: Tensor, references: Tensor) -> None:
    check_mics(mics)
    check_mics(references, name="references")
    if references.shape[1] != mics.shape[1] or len(references) > len(mics):
        expected = f"(at most {len(mics)} sources, {mics.shape[1]} samples)"
        raise ValueError(f"references: expected shape {expected}, got {tuple(references.shape)}")
    if (references.dtype, references.device) != (mics.dtype, mics.device):
        raise TypeError(
            f"references: expected {mics.dtype} on {mics.device} like mics, got {references.dtype} on "
            f"{references.device}"
        )


def _frames_within(learn_samples: int, samples: int, window_size: int, hop: int) -> int:
    """Number of frames that see none of the samples from ``learn_samples`` on."""
    check_int("learn_samples", learn_samples, window_size // 2, samples, "(from half a window to the whole)")
    return 1 + (learn_samples - window_size // 2) // hop


def _with_past(x: Tensor, frames: int) -> Tensor:
    """Each frame on top of those before it: (freqs, mics, frames) -> (freqs, lags x mics, frames), zero at first."""
    return torch.cat([pad(x, (lag, 0))[..., : x.shape[-1]] for lag in range(frames)], dim=1)


def _least_squares(x: Tensor, s: Tensor) -> Tensor:
    """W of shape (freqs, sources, rows) that minimises |s - W x|² for spectra (freqs, rows, frames)."""
    # At unit power a quiet microphone is not lost in the rounding of a loud one.
    level = x.abs().square().sum(-1, keepdim=True).sqrt()
    scaled = x / torch.where(level > 0, level, 1.0)
    w = s @ scaled.mH @ torch.linalg.pinv(scaled @ scaled.mH, rtol=1e-13, hermitian=True)
    return w / torch.where(level > 0, level, 1.0).mT
