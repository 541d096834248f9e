"""Second moments of many signals in one pass over their samples."""

from __future__ import annotations

from torch import Tensor

from irtools.kernels.backend import choose_backend
from irtools.kernels.second_moments import _reference

__all__ = ["second_moments"]

# 32 microphones and a mixture.
_MOST_ROWS = 33


def second_moments(*rows: Tensor, backend: str = "auto") -> Tensor:
    """Gram matrix ``Z Zᵀ`` of all rows stacked, accumulated in double precision.

    Parameters
    ----------
    *rows : Tensor, shape (..., rows_i, samples), real
        Stacked along their last axis but one without ever being concatenated whole: 65536 samples at a time are
        widened to double precision, by the fused kernel in registers.
    backend : {"auto", "torch", "triton"}
        The fused kernel takes one or two matrices of float32 with at most 33 rows in all (32 microphones and a
        mixture); see :func:`irtools.kernels.backend.choose_backend`.

    Returns
    -------
    Tensor, shape (..., rows, rows), float64

    Raises
    ------
    ValueError
        No rows, complex rows, rows with different numbers of samples, or an unknown backend.
    RuntimeError
        ``backend="triton"`` that cannot run, with the reason.

    Notes
    -----
    ``G_ij = sum_t z_i(t) z_j(t)``: a sum, not a mean, so that the Gram of a recording is the sum of the Grams of its
    parts.

    Products of float32 are exact in float64. Both backends add them in float64, so that the error of an entry is at
    most ``(L + 2) u sum_t |z_i(t) z_j(t)|`` with u = 2⁻⁵³ and L the number of additions in a row: the samples for
    torch, the samples / 128 of a program and a tree for Triton. The kernel reads every sample from memory once (above
    eleven rows a tile of rows is read again, from the cache), uses no atomics and adds in an order that the shape
    alone decides: two runs agree in every bit.

    Examples
    --------
    >>> import torch
    >>> second_moments(torch.tensor([[1.0, 2.0], [0.0, -1.0]]))
    tensor([[ 5., -2.],
            [-2.,  1.]], dtype=torch.float64)
    """
    if not rows:
        raise ValueError("rows: expected at least one tensor of shape (..., rows, samples), got none")
    if any(part.is_complex() for part in rows):
        raise ValueError("rows: expected real samples, got complex ones")
    lengths = [part.shape[-1] for part in rows]
    if len(set(lengths)) > 1:
        raise ValueError(f"rows: expected equal numbers of samples, got {lengths}")
    if choose_backend(backend, *rows, unsupported=_unsupported(rows)) == "triton":
        from irtools.kernels.second_moments import _triton

        return _triton.second_moments(rows)
    return _reference.second_moments(rows)


def _unsupported(rows):
    """Why the fused kernel cannot take these; None where it can."""
    if len(rows) > 2 or any(part.ndim != 2 for part in rows):
        return f"{len(rows)} tensors of up to {max(part.ndim for part in rows)} axes (at most two, matrices)"
    n_rows = sum(len(part) for part in rows)
    if n_rows > _MOST_ROWS:
        return f"{n_rows} rows (at most {_MOST_ROWS})"
    return None if all(part.numel() for part in rows) else "there is nothing to add up"
