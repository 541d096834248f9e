"""Measures that need no reference: rests, what leaves in them, coherence, and what is lost or added on the way."""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.checks import check_mics
from irtools.metrics.blind.bleed_matrix import WINDOW_S, band_powers, explained_by_others
from irtools.metrics.signals import decibels
from irtools.stft import stft

MARGIN, UNEXPLAINED, LEAST_S = 3.0, 0.2, 0.5
SILENCE_DB = 40.0


def detect_rests(
    mics: Tensor,
    sample_rate: int,
    *,
    margin: float = MARGIN,
    unexplained: float = UNEXPLAINED,
    least_s: float = LEAST_S,
) -> Tensor:
    """Samples at which each microphone hears nothing but bleed, judged by the microphones alone.

    Parameters
    ----------
    mics : Tensor, shape (mics, samples), float32 or float64
        Microphone n is the close microphone of source n.
    sample_rate : int
        In Hz.
    margin : float
        In power: how much louder than the others explain a band of a resting microphone may be.
    unexplained : float
        Share of a frame's power that may lie in bands louder than that, 0 to 1.
    least_s : float
        In seconds: a shorter run of such frames is no rest.

    Returns
    -------
    Tensor, shape (mics, samples), bool
        True at rest. A silent microphone rests throughout.

    Raises
    ------
    TypeError, ValueError
        Invalid microphones or sample rate, a margin or time that is not positive, a share outside 0 to 1.

    Notes
    -----
    In the frames (0.37 s, half overlapping) and bands of :func:`~irtools.metrics.blind.bleed_matrix.band_powers`,
    the others explain Σ_n C_kn P_n of microphone k (``explained_by_others``). A frame is at rest where
    bands louder than ``margin`` times that hold at most the share ``unexplained`` of its power, or where it is 40 dB
    below the microphone's 95 % quantile. A rest is a run of such frames that lasts ``least_s`` or longer; its first and
    its last frame are left out, in which a tone may still begin or end. What is not a rest is called playing, and may
    have pauses. A microphone that the others cannot explain (NaN in C) rests in silence alone. The defaults are on the
    safe side: in rooms that ring many rests are missed.

    Examples
    --------
    >>> from irtools.band.songs import render_song
    >>> stems = render_song(12, seconds=8.0, sample_rate=8000, cache_dir=False).waveforms[:2]
    >>> stems[0, 20000:40000] = 0
    >>> rests = detect_rests(torch.tensor([[1.0, 0.3], [0.1, 1.0]]) @ stems, 8000)
    >>> bool(rests[0, 24000:36000].all()), bool(rests[0, 42000:].any())
    (True, False)
    """
    check_mics(mics, sample_rate)
    if not (margin > 0 and least_s > 0 and 0 <= unexplained <= 1):
        raise ValueError(
            "margin, least_s, unexplained: expected a positive ratio and time and a share of 0 to 1, "
            f"got {margin}, {least_s} and {unexplained}"
        )
    combination = explained_by_others(mics, sample_rate).nan_to_num(0.0)
    power = band_powers(mics, sample_rate)
    total = power.sum(1)
    louder = power > margin * torch.einsum("kn,nbt->kbt", combination, power)
    explained = (power * louder).sum(1) <= unexplained * total
    quiet = total <= 10 ** (-SILENCE_DB / 10) * total.quantile(0.95, dim=1, keepdim=True)
    hop = round(WINDOW_S * sample_rate / 2)
    resting = _long_runs(explained | quiet, max(1, round(least_s * sample_rate / hop)))
    # Frame t is centred on sample t * hop.
    nearest = (torch.arange(mics.shape[1], device=mics.device) + hop // 2) // hop
    return (resting | ~mics.any(1, keepdim=True))[:, nearest.clamp(max=resting.shape[1] - 1)]


def energy_change_db(after: Tensor, before: Tensor, where: Tensor | None = None) -> Tensor:
    """Level of each output over that of its microphone.

    Parameters
    ----------
    after, before : Tensor, shape (mics, samples), float32 or float64
    where : Tensor, shape (mics, samples) or (samples,), bool, optional
        The samples that count, as :func:`detect_rests` finds them; all by default.

    Returns
    -------
    Tensor, shape (mics,), float64, in dB
        ``-inf`` where nothing is left; NaN where there was nothing before, or no sample counts.

    Raises
    ------
    TypeError, ValueError
        Waveforms that cannot be compared, a mask of another shape or type.

    Notes
    -----
    10 log10(Σ after² / Σ before²) over the samples that count. In rests the change should be large and negative; while
    the source plays it is the bleed that went *and* whatever of the source went with it, which this cannot tell apart.

    Examples
    --------
    >>> before = torch.tensor([[1.0, 1.0, 0.1, 0.1]])
    >>> after = torch.tensor([[1.0, 1.0, 0.01, 0.01]])
    >>> energy_change_db(after, before, before < 0.5).round()
    tensor([-20.], dtype=torch.float64)
    """
    before, after = _pair(before, after)
    counts = _mask(where, before)
    return decibels((after.square() * counts).sum(1), (before.square() * counts).sum(1))


def coherence(waveforms: Tensor, *, weighting: str = "none", window_size: int = 2048, hop: int = 512) -> Tensor:
    """Magnitude-squared coherence of each pair of waveforms, in one number a pair.

    Parameters
    ----------
    waveforms : Tensor, shape (mics, samples), float32 or float64
    weighting : {"none", "power"}
        How frequencies are averaged: all alike, or each by the geometric mean of the two powers there.
    window_size, hop : int
        Of the spectra, in samples.

    Returns
    -------
    Tensor, shape (mics, mics), float64, 0 to 1
        1 on the diagonal; 0 beside a silent waveform.

    Raises
    ------
    TypeError, ValueError
        Invalid waveforms, another weighting, a window and hop that :func:`irtools.stft.stft` refuses.

    Notes
    -----
    γ²_ij(f) = |Σ_t x_i x_j*|² / (Σ_t |x_i|² Σ_t |x_j|²), averaged over frequency. It is estimated from as many frames
    as there are: of T independent ones, two independent noises have 1/T and not 0. Music played together is coherent
    without any bleed, so that less is not always better.

    Examples
    --------
    >>> noise = torch.randn(2, 80000, generator=torch.Generator().manual_seed(0))
    >>> apart, together = (coherence(x)[0, 1].item() for x in (noise, noise + noise.flip(0)))
    >>> apart < 0.05, together > 0.95
    (True, True)
    """
    if weighting not in ("none", "power"):
        raise ValueError(f"weighting: expected none or power, got {weighting!r}")
    check_mics(waveforms, name="waveforms")
    spectra = stft(waveforms.double(), window_size, hop)
    power = spectra.abs().square().sum(2)
    both = power[:, None] * power[None]
    cross = torch.einsum("ift,jft->ijf", spectra, spectra.conj()).abs().square()
    value = torch.where(both > 0, cross / torch.where(both > 0, both, 1.0), 0.0)
    weights = both.sqrt() if weighting == "power" else torch.ones_like(both)
    total = weights.sum(2)
    return ((value * weights).sum(2) / torch.where(total > 0, total, 1.0)).clamp(max=1.0).fill_diagonal_(1.0)


def mean_coherence(waveforms: Tensor, *, weighting: str = "none", window_size: int = 2048, hop: int = 512) -> float:
    """Mean of :func:`coherence` over all pairs of different waveforms; NaN for one waveform.

    Examples
    --------
    >>> round(mean_coherence(torch.ones(3, 4000)), 3)
    1.0
    """
    matrix = coherence(waveforms, weighting=weighting, window_size=window_size, hop=hop)
    return float(matrix[torch.ones_like(matrix).triu(1).bool()].mean())


def log_kurtosis_ratio(
    after: Tensor,
    before: Tensor,
    where: Tensor | None = None,
    *,
    window_size: int = 1024,
    hop: int = 512,
    range_db: float = 60.0,
) -> Tensor:
    """Musical noise: by how much the powers of a spectrogram became more spiky.

    Parameters
    ----------
    after, before : Tensor, shape (mics, samples), float32 or float64
    where : Tensor, shape (mics, samples) or (samples,), bool, optional
        Only frames of which every sample counts are used; all by default.
    window_size, hop : int
        Of the spectra, in samples.
    range_db : float
        Frequencies whose power before is this far below that of the loudest are left out.

    Returns
    -------
    Tensor, shape (mics,), float64
        Natural logarithm; 0 where nothing changed but the level. NaN where no frequency has power before and after.

    Raises
    ------
    TypeError, ValueError
        Waveforms that cannot be compared, a mask of another shape or type, a window and hop that
        :func:`irtools.stft.stft` refuses.

    Notes
    -----
    Mean over f of log(κ_after(f) / κ_before(f)), with κ(f) = <p⁴> / <p²>² the kurtosis of the powers p(f, t) over the
    frames, of raw moments as in [1]_: 6 for Gaussian noise. Isolated peaks that a mask leaves standing raise it, and
    are heard as tones that come and go. It is defined for stationary noise, where it grows with what listeners call
    musical noise. Of T frames κ is at most T. Differs from the paper in what it is applied to: bleed in rests, which
    is not stationary; so values compare between methods on the same samples, not between recordings.

    References
    ----------
    .. [1] Y. Uemura, Y. Takahashi, H. Saruwatari, K. Shikano, K. Kondo, "Automatic optimization scheme of spectral
       subtraction based on musical noise assessment via higher-order statistics", IWAENC 2008.

    Examples
    --------
    >>> noise = torch.randn(1, 40000, generator=torch.Generator().manual_seed(0))
    >>> log_kurtosis_ratio(0.5 * noise, noise).abs() < 1e-9
    tensor([True])
    >>> gated = noise * (torch.arange(40000) % 8000 < 2000)
    >>> log_kurtosis_ratio(gated, noise) > 0.5
    tensor([True])
    """
    before, after = _pair(before, after)
    counts = _mask(where, before)
    # A frame counts where no sample under its window is masked; the half windows at both ends are no samples.
    padded = torch.nn.functional.pad((~counts).double(), (window_size // 2, window_size // 2))
    whole = padded.unfold(1, window_size, hop).amax(2) == 0
    values = []
    for one, other, frames in zip(after, before, whole, strict=True):
        if not frames.any():
            values.append(after.new_tensor(torch.nan))
            continue
        new, old = (stft(x, window_size, hop).abs().square()[:, frames] for x in (one, other))
        loud = old.mean(1)
        used = (loud > 10 ** (-range_db / 10) * loud.max()) & (new > 0).any(1)
        change = _kurtosis(new[used]).log() - _kurtosis(old[used]).log()
        values.append(change.mean() if len(change) else change.new_tensor(torch.nan))
    return torch.stack(values)


def _kurtosis(power: Tensor) -> Tensor:
    power = power / power.amax(1, keepdim=True)
    return power.pow(4).mean(1) / power.square().mean(1).square()


def _long_runs(flags: Tensor, least: int) -> Tensor:
    """Runs of True at least ``least`` long, without their first and last element."""
    kept = torch.zeros_like(flags)
    for row, flag in zip(kept, flags.tolist(), strict=True):
        start = None
        for place, value in enumerate([*flag, False]):
            if value and start is None:
                start = place
            elif not value and start is not None:
                if place - start >= least:
                    row[start + (start > 0) : place - (place < len(flag))] = True
                start = None
    return kept


def _pair(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    check_mics(before, name="before")
    check_mics(after, name="after")
    if before.shape != after.shape:
        raise ValueError(f"after: expected the shape of before, {tuple(before.shape)}, got {tuple(after.shape)}")
    return before.double(), after.double()


def _mask(where: Tensor | None, like: Tensor) -> Tensor:
    if where is None:
        return torch.ones_like(like, dtype=torch.bool)
    if not isinstance(where, Tensor) or where.dtype != torch.bool:
        raise TypeError(f"where: expected a bool tensor, got {getattr(where, 'dtype', type(where).__name__)}")
    if where.shape not in (like.shape, like.shape[1:]):
        raise ValueError(f"where: expected shape {tuple(like.shape)} or its last axis, got {tuple(where.shape)}")
    return where.expand_as(like)
