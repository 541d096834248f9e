"""What an estimate does where its source rests, which ratios to the source cannot tell: PES, EPS and activity."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from irtools.metrics.distortion import check_signals

#: Energies below this, -120 dB, count as this.
FLOOR = 1e-12


class SilenceScores(NamedTuple):
    """Scores of silent stretches, each of shape (..., sources), float64.

    Attributes
    ----------
    pes : Tensor
        Predicted energy at silence, in dB; NaN where no frame of the reference is silent.
    eps : Tensor
        Energy at predicted silence, in dB; NaN where no frame of the estimate is silent.
    silent_frames : Tensor, int64
        Frames that ``pes`` is a mean over.
    predicted_frames : Tensor, int64
        Frames that ``eps`` is a mean over.
    """

    pes: Tensor
    eps: Tensor
    silent_frames: Tensor
    predicted_frames: Tensor


class ActivityScores(NamedTuple):
    """Scores after HTMD-Net, each of shape (..., sources), float64.

    Attributes
    ----------
    pes_median, pes_mean : Tensor
        Level of the estimate in the resting segments of the reference, in dB; NaN where there are none.
    agreement : Tensor
        Share of frames that are active in both or in neither, 0 to 1.
    resting_segments : Tensor, int64
    """

    pes_median: Tensor
    pes_mean: Tensor
    agreement: Tensor
    resting_segments: Tensor


def silence_scores(estimates: Tensor, references: Tensor, *, frame: int) -> SilenceScores:
    """Energy of an estimate where its source is digitally silent, and the reverse.

    Parameters
    ----------
    estimates, references : Tensor, shape (..., sources, samples), float32 or float64
    frame : int
        Samples; 1 s as published. Frames do not overlap, and an incomplete last one is dropped.

    Returns
    -------
    SilenceScores

    Raises
    ------
    TypeError, ValueError
        Signals that cannot be compared, or a frame that is not from 1 to the number of samples.

    Notes
    -----
    PES is the mean, over the frames whose reference is exactly zero, of 10 log10(Σ_t ŝ(t)² + 1e-12), and EPS is the
    same with both exchanged [1]_. It is an energy, not a power: twice as long frames give 3 dB more. Lower is better,
    and an estimate that is always silent has the best PES, -120 dB, and the worst EPS: quote both.

    References
    ----------
    .. [1] K. Schulze-Forster, C. Doire, G. Richard, R. Badeau, "Weakly informed audio source separation", WASPAA 2019.

    Examples
    --------
    >>> reference = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    >>> estimate = torch.tensor([[1.0, 1.0, 0.0, 0.1]])
    >>> round(silence_scores(estimate, reference, frame=2).pes.item(), 4)
    -20.0
    """
    h, s = (_frames(each, frame, "frame") for each in check_signals(estimates, references))
    heard, played = h.square().sum(-1), s.square().sum(-1)
    resting, predicted = (s == 0).all(-1), (h == 0).all(-1)
    return SilenceScores(
        _mean_where(_energy_db(heard), resting),
        _mean_where(_energy_db(played), predicted),
        resting.sum(-1),
        predicted.sum(-1),
    )


def activity_scores(
    estimates: Tensor,
    references: Tensor,
    sample_rate: int,
    *,
    segment_s: float = 4096 / 22050,
    frame_s: float = 0.02,
    threshold_db: float = -40.0,
) -> ActivityScores:
    """Level of an estimate where its source rests, and how often both are active at the same time.

    Parameters
    ----------
    estimates, references : Tensor, shape (..., sources, samples), float32 or float64
    sample_rate : int
        In Hz.
    segment_s : float
        In s; by default 4096 samples at 22.05 kHz, as published.
    frame_s : float
        In s, of the decision active or not.
    threshold_db : float
        A frame is active whose mean square is above this, relative to the loudest frame of the reference.

    Returns
    -------
    ActivityScores

    Raises
    ------
    TypeError, ValueError
        Signals that cannot be compared, a rate, segment or frame of less than a sample, or too few samples for one.

    Notes
    -----
    A segment rests if at most half of the frames in it are active in the reference. Its PES is the level of the
    estimate there, 20 log10 of its root mean square, at least -120 dB; the published code has median and mean over all
    segments of all songs, this has them for each source. Agreement is the share of all frames, resting or not, where
    the decision for estimate and reference is the same ("VAD" in the publication [1]_).

    Differs from [1]_ in the detector: there it is the voice activity detector of WebRTC at 16 kHz, made for speech,
    here a threshold on energy, as most stems are no voices. A silent reference is active nowhere, and its threshold is
    then that of full scale. Differs from its code in the floor, -2000 dB there. The numbers of the two definitions
    of PES do not compare: :func:`silence_scores` sums energy over a frame, this takes the mean of the squares.

    References
    ----------
    .. [1] C. Garoufis, A. Zlatintsi, P. Maragos, "HTMD-Net: a hybrid masking-denoising approach to time-domain
       monaural singing voice separation", EUSIPCO 2021.

    Examples
    --------
    >>> reference = torch.cat([torch.ones(1, 1000), torch.zeros(1, 1000)], 1)
    >>> found = activity_scores(reference + 0.1, reference, 1000, segment_s=0.5)
    >>> round(found.pes_median.item(), 4), found.agreement.item()
    (-20.0, 0.5)
    """
    h, s = check_signals(estimates, references)
    frame, segment = _samples("frame_s", frame_s, sample_rate), _samples("segment_s", segment_s, sample_rate)
    if not math.isfinite(threshold_db):
        raise ValueError(f"threshold_db: expected a finite level in dB, got {threshold_db}")
    power, estimated = (_frames(each, frame, "frame_s").square().mean(-1) for each in (s, h))
    loudest = power.amax(-1, keepdim=True)
    threshold = torch.where(loudest > 0, loudest, 1.0) * 10 ** (threshold_db / 10)
    active, heard_active = power > threshold, estimated > threshold
    segments = _frames(h, segment, "segment_s")
    starts = torch.arange(segments.shape[-2]) * segment
    centres = torch.arange(power.shape[-1]) * frame + frame // 2
    inside = ((centres >= starts[:, None]) & (centres < starts[:, None] + segment)).double().to(h.device)
    resting = active.double() @ inside.T <= 0.5 * inside.sum(1)
    level = _energy_db(segments.square().mean(-1)).clamp(min=10 * math.log10(FLOOR))
    return ActivityScores(
        torch.where(resting, level, torch.nan).nanmedian(-1).values,
        _mean_where(level, resting),
        (active == heard_active).double().mean(-1),
        resting.sum(-1),
    )


def _energy_db(energy: Tensor) -> Tensor:
    return 10 * torch.log10(energy + FLOOR)


def _mean_where(values: Tensor, chosen: Tensor) -> Tensor:
    return torch.where(chosen, values, 0.0).sum(-1) / torch.where(chosen.any(-1), chosen.sum(-1), torch.nan)


def _frames(signals: Tensor, length: int, name: str) -> Tensor:
    """Of shape (..., sources, samples) → (..., sources, frames, length)."""
    if isinstance(length, bool) or not isinstance(length, int) or not 1 <= length <= signals.shape[-1]:
        raise ValueError(f"{name}: expected 1 to {signals.shape[-1]} samples, got {length!r}")
    return signals.unfold(-1, length, length)


def _samples(name: str, seconds: float, sample_rate: int) -> int:
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, int) or sample_rate < 1:
        raise ValueError(f"sample_rate: expected a positive number of Hz, got {sample_rate!r}")
    if not (math.isfinite(seconds) and round(seconds * sample_rate) >= 1):
        raise ValueError(f"{name}: expected at least one sample at {sample_rate} Hz, in seconds, got {seconds!r}")
    return round(seconds * sample_rate)
