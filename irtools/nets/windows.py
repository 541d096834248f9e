"""Recordings of any length in windows of the one length that a network was made for."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad


def split_windows(mics: Tensor, size: int) -> Tensor:
    """Consecutive windows of recordings, the last one filled up with zeros.

    Parameters
    ----------
    mics : Tensor, shape (batch, mics, samples)
    size : int
        In samples.

    Returns
    -------
    Tensor, shape (batch, windows, mics, size)

    Examples
    --------
    >>> import torch
    >>> split_windows(torch.arange(5.0)[None, None], 2).tolist()
    [[[[0.0, 1.0]], [[2.0, 3.0]], [[4.0, 0.0]]]]
    """
    padded = pad(mics, (0, -mics.shape[-1] % size))
    return padded.unflatten(-1, (-1, size)).transpose(1, 2)


def join_windows(windows: Tensor, samples: int) -> Tensor:
    """Undo :func:`split_windows`.

    Parameters
    ----------
    windows : Tensor, shape (batch, windows, rows, size)
    samples : int
        Length of the recordings; what follows is dropped.

    Returns
    -------
    Tensor, shape (batch, rows, samples)

    Examples
    --------
    >>> import torch
    >>> mics = torch.randn(2, 3, 7)
    >>> torch.equal(join_windows(split_windows(mics, 4), 7), mics)
    True
    """
    return windows.transpose(1, 2).flatten(2)[..., :samples]
