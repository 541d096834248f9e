"""Second moments of many signals in one pass over their samples."""

from __future__ import annotations

from torch import Tensor

from irtools.kernels.second_moments._reference import second_moments as _reference

__all__ = ["second_moments"]


def second_moments(*rows: Tensor, chunk: int = 1 << 16) -> Tensor:
    """Gram matrix ``Z Zᴴ`` of all rows stacked, accumulated in double precision.

    Parameters
    ----------
    *rows : Tensor, shape (..., rows_i, samples), real or complex
        Stacked along their last axis but one without ever being concatenated whole.
    chunk : int
        Samples that are widened to double precision at a time; bounds the extra memory to
        ``chunk * sum(rows_i)`` double values.

    Returns
    -------
    Tensor, shape (..., rows, rows)
        float64 for real input, complex128 for complex input, on the input's device.

    Raises
    ------
    ValueError
        No rows, or rows with different numbers of samples.

    Notes
    -----
    ``G_ij = sum_t z_i(t) conj(z_j(t))``: a sum, not a mean, so that the Gram of a recording is the sum of the Grams
    of its parts.

    Examples
    --------
    >>> import torch
    >>> second_moments(torch.tensor([[1.0, 2.0], [0.0, -1.0]]))
    tensor([[ 5., -2.],
            [-2.,  1.]], dtype=torch.float64)
    """
    if not rows:
        raise ValueError("rows: expected at least one tensor of shape (..., rows, samples), got none")
    lengths = [part.shape[-1] for part in rows]
    if len(set(lengths)) > 1:
        raise ValueError(f"rows: expected equal numbers of samples, got {lengths}")
    if chunk < 1:
        raise ValueError(f"chunk: expected at least 1 sample, got {chunk}")
    return _reference(rows, chunk)
