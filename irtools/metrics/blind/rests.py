"""When each musician rests, as the microphones alone tell."""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.checks import check_mics, check_number
from irtools.metrics.blind.bleed_matrix import WINDOW_S, band_powers, explained_by_others

# A frame this far below the loud ones of its microphone is silence.
_SILENCE_DB = 40.0


def detect_rests(
    mics: Tensor, sample_rate: int, *, margin: float = 3.0, unexplained: float = 0.2, least_s: float = 0.5
) -> Tensor:
    """Samples at which each microphone hears nothing but bleed, judged by the microphones alone: (mics, samples), bool.

    Microphone n is the close microphone of source n. A silent one rests throughout.

    Parameters
    ----------
    mics : Tensor, shape (mics, samples), float32 or float64
    sample_rate : int
        In Hz.
    margin : float
        In power: how much louder than the others explain a band of a resting microphone may be.
    unexplained : float
        Share of a frame's power that may lie in bands louder than that, 0 to 1.
    least_s : float
        In seconds: a shorter run of such frames is no rest.

    Notes
    -----
    In the frames (0.37 s, half overlapping) and bands of :func:`~irtools.metrics.blind.bleed_matrix.band_powers`,
    the others explain Σ_n C_kn P_n of microphone k (``explained_by_others``). A frame is at rest where
    bands louder than ``margin`` times that hold at most the share ``unexplained`` of its power, or where it is 40 dB
    below the microphone's 95 % quantile. A rest is a run of such frames that lasts ``least_s`` or longer; its first and
    its last frame are left out, in which a tone may still begin or end. What is not a rest is called playing, and may
    have pauses. A microphone that the others cannot explain (NaN in C) rests in silence alone. The defaults are on the
    safe side: in rooms that ring many rests are missed.
    """
    check_mics(mics, sample_rate)
    check_number("margin", margin, above=0)
    check_number("unexplained", unexplained, 0, 1)
    check_number("least_s", least_s, above=0, unit="s")
    combination = explained_by_others(mics, sample_rate).nan_to_num(0.0)
    power = band_powers(mics, sample_rate)
    total = power.sum(1)
    louder = power > margin * torch.einsum("kn,nbt->kbt", combination, power)
    explained = (power * louder).sum(1) <= unexplained * total
    quiet = total <= 10 ** (-_SILENCE_DB / 10) * total.quantile(0.95, dim=1, keepdim=True)
    hop = round(WINDOW_S * sample_rate / 2)
    resting = _inside_long_runs(explained | quiet, max(1, round(least_s * sample_rate / hop)))
    # Frame t is centred on sample t * hop.
    nearest = (torch.arange(mics.shape[1], device=mics.device) + hop // 2) // hop
    return (resting | ~mics.any(1, keepdim=True))[:, nearest.clamp(max=resting.shape[1] - 1)]


def _inside_long_runs(flags: Tensor, least: int) -> Tensor:
    """Runs of True of at least ``least`` in each row, without their first and last element but at the ends of a row."""
    from scipy.ndimage import binary_erosion, binary_opening

    long = binary_opening(flags.cpu().numpy(), [[True] * least])
    return torch.from_numpy(binary_erosion(long, [[True] * 3], border_value=1)).to(flags.device)
