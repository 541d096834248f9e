"""What an estimate does where its source rests, which ratios to the source cannot tell: PES, EPS and activity."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from irtools.checks import check_int, check_number
from irtools.metrics.signals import check_signals, decibels, samples_in

#: Energies below this, -120 dB, count as this.
FLOOR = 1e-12


class SilenceScores(NamedTuple):
    """Scores of silent frames, each of shape (..., sources); NaN, in dB, where there is no such frame."""

    pes: Tensor
    eps: Tensor
    #: Frames that ``pes`` and ``eps`` are means over.
    silent_frames: Tensor
    predicted_frames: Tensor


class ActivityScores(NamedTuple):
    """Scores after HTMD-Net, each of shape (..., sources)."""

    #: Level of the estimate in the resting segments of the reference, in dB; NaN where there are none.
    pes_median: Tensor
    pes_mean: Tensor
    #: Share of frames that are active in both or in neither.
    agreement: Tensor
    resting_segments: Tensor


def silence_scores(estimates: Tensor, references: Tensor, *, frame: int) -> SilenceScores:
    """Energy of an estimate where its source is digitally silent, and the reverse.

    ``frame`` is in samples, 1 s as published. Frames do not overlap, and an incomplete last one is dropped.

    Notes
    -----
    PES is the mean, over the frames whose reference is exactly zero, of 10 log10(Σ_t ŝ(t)² + 1e-12), and EPS is the
    same with both exchanged [1]_. It is an energy, not a power: twice as long frames give 3 dB more. Lower is better,
    and an estimate that is always silent has the best PES, -120 dB, and the worst EPS: quote both.

    References
    ----------
    .. [1] K. Schulze-Forster, C. Doire, G. Richard, R. Badeau, "Weakly informed audio source separation", WASPAA 2019.

    >>> reference, estimate = torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([[1.0, 1.0, 0.0, 0.1]])
    >>> round(silence_scores(estimate, reference, frame=2).pes.item(), 4)
    -20.0
    """
    check_signals(estimates, references)
    h, s = (_frames(signals, frame, "frame") for signals in (estimates, references))
    heard, played = h.square().sum(-1), s.square().sum(-1)
    resting, predicted = (s == 0).all(-1), (h == 0).all(-1)
    return SilenceScores(
        _mean_where(_level_db(heard), resting),
        _mean_where(_level_db(played), predicted),
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
    """Level of an estimate where its source rests, and how often both are active at the same time, after [1]_.

    A frame of ``frame_s`` is active whose mean square is above ``threshold_db`` relative to the loudest frame of the
    reference. A segment of ``segment_s`` (4096 samples at 22.05 kHz, as published) rests if at most half of its frames
    are active in the reference.

    Notes
    -----
    PES is the level of the estimate in a resting segment, 20 log10 of its root mean square, at least -120 dB; the
    published code has median and mean over all segments of all songs, this has them for each source. Agreement is the
    share of all frames where the decision for estimate and reference is the same ("VAD" in [1]_).

    Differs from [1]_ in the detector, there the voice activity detector of WebRTC at 16 kHz: it is made for speech, and
    most stems are no voices. A silent reference is active nowhere, and its threshold is then that of full scale.
    Differs from its code in the floor, -2000 dB there. The two definitions of PES do not compare:
    :func:`silence_scores` sums energy over a frame, this takes the mean of the squares.

    References
    ----------
    .. [1] C. Garoufis, A. Zlatintsi, P. Maragos, "HTMD-Net: a hybrid masking-denoising approach to time-domain
       monaural singing voice separation", EUSIPCO 2021.

    >>> reference = torch.cat([torch.ones(1, 1000), torch.zeros(1, 1000)], 1)
    >>> found = activity_scores(reference + 0.1, reference, 1000, segment_s=0.5)
    >>> round(found.pes_median.item(), 4), found.agreement.item()
    (-20.0, 0.5)
    """
    check_signals(estimates, references)
    check_number("threshold_db", threshold_db, unit="dB")
    frame, segment = samples_in("frame_s", frame_s, sample_rate), samples_in("segment_s", segment_s, sample_rate)
    power, heard = (_frames(signals, frame, "frame_s").square().mean(-1) for signals in (references, estimates))
    loudest = power.amax(-1, keepdim=True)
    threshold = torch.where(loudest > 0, loudest, 1.0) * 10 ** (threshold_db / 10)
    active, heard_active = power > threshold, heard > threshold
    level = _level_db(_frames(estimates, segment, "segment_s").square().mean(-1)).clamp(min=-120.0)
    starts = torch.arange(level.shape[-1]) * segment
    centres = torch.arange(power.shape[-1]) * frame + frame // 2
    inside = ((centres >= starts[:, None]) & (centres < starts[:, None] + segment)).double().to(level.device)
    resting = active.double() @ inside.T <= 0.5 * inside.sum(1)
    return ActivityScores(
        torch.where(resting, level, torch.nan).nanmedian(-1).values,
        _mean_where(level, resting),
        (active == heard_active).double().mean(-1),
        resting.sum(-1),
    )


def _level_db(energies: Tensor) -> Tensor:
    return decibels(energies + FLOOR, torch.ones_like(energies))


def _mean_where(values: Tensor, chosen: Tensor) -> Tensor:
    return torch.where(chosen, values, torch.nan).nanmean(-1)


def _frames(signals: Tensor, length: int, name: str) -> Tensor:
    """Of shape (..., sources, samples) → (..., sources, frames, length), in float64."""
    length = check_int(name, length, 1, signals.shape[-1], "samples")
    return signals.double().unfold(-1, length, length)
