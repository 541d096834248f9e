"""Covariances of microphones in tiles of the time-frequency plane, and the tiles that tell most about a microphone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad


def tile_covariances(
    mics: Tensor, *, window_size: int, tile_freqs: int, tile_frames: int, group_seconds: float, sample_rate: int
) -> Iterator[Tensor]:
    """C = Σ Re(x xᴴ) over the bins x of every tile, (batch, tiles, mics, mics) in groups that follow in time.

    Only one group is in memory at a time: an hour takes no more than a minute. The model X = ΛS makes it Λ C_S Λᵀ: what
    is known of Λ can be taken out without the signals. Where one source plays alone, C has rank one, and its columns
    are that of Λ.
    """
    # Without the zero frequency and that of Nyquist.
    hop = window_size // 2
    taper = torch.hann_window(window_size, dtype=mics.dtype, device=mics.device)
    step = max(round(group_seconds * sample_rate / hop / tile_frames), 1) * tile_frames
    n_frames = max(-(-(mics.shape[-1] - hop) // hop), 1)
    n_frames += -n_frames % tile_frames
    padded = pad(mics, (0, (n_frames + 1) * hop - mics.shape[-1]))
    n_freqs = (hop - 1) // tile_freqs * tile_freqs
    for start in range(0, n_frames, step):
        stop = min(start + step, n_frames)
        frames = padded[..., start * hop : (stop + 1) * hop].unfold(-1, window_size, hop)
        spectra = torch.view_as_real(torch.fft.rfft(frames * taper)[..., 1 : 1 + n_freqs])
        # (batch, mics, frames, freqs, parts) to (batch, frames / f, freqs / q, mics, f q parts)
        bins = spectra.unflatten(3, (-1, tile_freqs)).unflatten(2, (-1, tile_frames))
        bins = bins.permute(0, 2, 4, 1, 3, 5, 6).flatten(4).flatten(1, 2)
        yield bins @ bins.mT


def telling_tiles(covariances: Tensor, count: int) -> Tensor:
    """The ``count`` tiles for each microphone j with the largest C_jj (C_jj / Σ_i C_ii)²: loud, louder than elsewhere.

    From (batch, tiles, mics, mics) to (batch, mics, at most count, mics, mics).
    """
    power = covariances.diagonal(dim1=-2, dim2=-1)
    total = power.sum(-1, keepdim=True)
    score = power * (power / torch.where(total > 0, total, 1)).square()
    chosen = score.topk(min(count, score.shape[1]), dim=1).indices
    batch = torch.arange(len(covariances), device=covariances.device)[:, None, None]
    return covariances[batch, chosen.mT]
