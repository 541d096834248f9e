"""Two-dimensional median filter of spectrograms: the inner loop of KAMIR's kernel back-fitting."""

from __future__ import annotations

from torch import Tensor

from irtools.kernels.backend import choose_backend
from irtools.kernels.median_filter import _partition, _reference

__all__ = ["median_filter"]

_MOST_TAPS = 128


def median_filter(values: Tensor, footprint: Tensor, *, backend: str = "auto") -> Tensor:
    """Median over a footprint around every bin.

    Parameters
    ----------
    values : Tensor, shape (..., freqs, frames), float32 or float64
    footprint : Tensor, shape (rows, columns), bool
        The bins around ``[rows // 2, columns // 2]`` that the median is taken of; at least one.
    backend : {"auto", "torch", "triton"}
        The fused kernel takes float32 and footprints of at most 128 bins in a matrix of any size; see
        :func:`irtools.kernels.backend.choose_backend`.

    Returns
    -------
    Tensor, shape (..., freqs, frames)

    Raises
    ------
    ValueError
        A footprint that is not two-dimensional or holds no bin, or values with fewer than two axes.
    RuntimeError
        ``backend="triton"`` that cannot run.

    Notes
    -----
    An exact order statistic: of n values, the one of rank n // 2 counted from 0, which is the upper median where n is
    even. Beyond an edge the bins of the edge are repeated: ``scipy.ndimage.median_filter(..., mode="nearest")``.
    On a processor a million taps are held at a time, which bounds the extra memory to some 8 MiB in single precision
    beyond one plane and the result. The kernel reads every tap from the cache and finds the median bit by bit in
    registers: 32 counts of the taps below a threshold, no sorting, the same for any numbers.

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
    if choose_backend(backend, values, unsupported=_unsupported(values, footprint)) == "triton":
        from irtools.kernels.median_filter import _triton

        return _triton.median_filter(values, footprint.bool())
    plain = values.device.type != "cpu" or values.requires_grad
    return (_reference if plain else _partition).median_filter(values, footprint.bool())


def _unsupported(values, footprint):
    """Why the kernel cannot take these; None where it can."""
    if not values.numel():
        return "no bins"
    taps = int(footprint.count_nonzero())
    return f"a footprint of {taps} bins (at most {_MOST_TAPS})" if taps > _MOST_TAPS else None
