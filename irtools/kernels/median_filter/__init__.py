"""Two-dimensional median filter of spectrograms: the inner loop of KAMIR's kernel back-fitting."""

from __future__ import annotations

from torch import Tensor

from irtools.kernels.median_filter import _partition, _reference

__all__ = ["median_filter"]


def median_filter(values: Tensor, footprint: Tensor) -> Tensor:
    """Median over a footprint around every bin.

    Parameters
    ----------
    values : Tensor, shape (..., freqs, frames), float32 or float64
    footprint : Tensor, shape (rows, columns), bool
        The bins around ``[rows // 2, columns // 2]`` that the median is taken of; at least one.

    Returns
    -------
    Tensor, shape (..., freqs, frames)

    Raises
    ------
    ValueError
        A footprint that is not two-dimensional or holds no bin, or values with fewer than two axes.

    Notes
    -----
    An exact order statistic: of n values, the one of rank n // 2 counted from 0, which is the upper median where n is
    even. Beyond an edge the bins of the edge are repeated: ``scipy.ndimage.median_filter(..., mode="nearest")``.

    Examples
    --------
    >>> import torch
    >>> median_filter(torch.tensor([[0.0, 9.0, 0.0, 1.0, 2.0]]), torch.ones(1, 3, dtype=torch.bool))
    tensor([[0., 0., 1., 1., 2.]])
    """
    if footprint.ndim != 2 or not footprint.any():
        raise ValueError(f"footprint: expected a matrix with at least one bin, got shape {tuple(footprint.shape)}")
    if values.ndim < 2:
        raise ValueError(f"values: expected shape (..., freqs, frames), got {tuple(values.shape)}")
    plain = values.device.type != "cpu" or values.requires_grad
    return (_reference if plain else _partition).median_filter(values, footprint.bool())
