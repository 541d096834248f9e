"""Covariances of microphones in tiles of the time-frequency plane, and the tiles that tell most about a microphone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad


def tile_covariances(
    mics: Tensor, *, window_size: int, tile_freqs: int, tile_frames: int, group_seconds: float, sample_rate: int
) -> Iterator[Tensor]:
    """Real covariances of microphones in every tile, in groups that follow each other in time.

    Parameters
    ----------
    mics : Tensor, shape (batch, mics, samples)
    window_size : int
        In samples, of Hann windows that overlap by half.
    tile_freqs, tile_frames : int
        Bins and frames in a tile.
    group_seconds : float
        Length of a group in s.
    sample_rate : int
        In Hz.

    Yields
    ------
    Tensor, shape (batch, tiles, mics, mics)
        Of one group. Only one group is in memory at a time, so that an hour takes no more than a minute.

    Notes
    -----
    C = Σ Re(x xᴴ) over the bins x of a tile. The model X = ΛS makes it Λ C_S Λᵀ: what is known of Λ can be taken out of
    the covariances, without the signals. Where one source plays alone, C has rank one, and its columns are that of Λ.
    The zero frequency and that of Nyquist are left out.

    Examples
    --------
    >>> mics = torch.randn(1, 2, 8000)
    >>> sizes = {"window_size": 256, "tile_freqs": 8, "tile_frames": 2}
    >>> [tuple(c.shape) for c in tile_covariances(mics, **sizes, group_seconds=0.5, sample_rate=8000)]
    [(1, 240, 2, 2), (1, 225, 2, 2)]
    """
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
    """The tiles of a group in which each microphone is loud and louder than the others.

    Parameters
    ----------
    covariances : Tensor, shape (batch, tiles, mics, mics)
    count : int
        Tiles for each microphone.

    Returns
    -------
    Tensor, shape (batch, mics, min(count, tiles), mics, mics)
        For each microphone, the covariances of all microphones in its tiles.

    Notes
    -----
    Microphone j gets the tiles with the largest C_jj (C_jj / Σ_i C_ii)².

    Examples
    --------
    >>> quiet, mine, yours = torch.tensor([[0.1, 0.0], [1.0, 0.2], [0.2, 1.0]]).diag_embed()
    >>> telling_tiles(torch.stack([quiet, mine, yours])[None], 1)[0, 1, 0].diagonal().tolist()
    [0.20000000298023224, 1.0]
    """
    power = covariances.diagonal(dim1=-2, dim2=-1)
    total = power.sum(-1, keepdim=True)
    score = power * (power / torch.where(total > 0, total, 1)).square()
    chosen = score.topk(min(count, score.shape[1]), dim=1).indices
    batch = torch.arange(len(covariances), device=covariances.device)[:, None, None]
    return covariances[batch, chosen.mT]
