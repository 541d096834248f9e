"""Second moments of many signals in one pass over their samples."""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.kernels.backend import choose_backend
from irtools.kernels.second_moments import _reference

__all__ = ["second_moments"]

# 32 microphones and a mixture.
_MOST_ROWS = 33


def second_moments(*rows: Tensor, chunk: int = 1 << 16, backend: str = "auto") -> Tensor:
    """Gram matrix ``Z Zᴴ`` of all rows stacked, accumulated in double precision.

    Parameters
    ----------
    *rows : Tensor, shape (..., rows_i, samples), real or complex
        Stacked along their last axis but one without ever being concatenated whole.
    chunk : int
        Samples that are widened to double precision at a time; bounds the extra memory to
        ``chunk * sum(rows_i)`` double values. The fused kernel widens in registers and needs none of it.
    backend : {"auto", "torch", "triton"}
        ``"auto"`` takes the fused Triton kernel for one or two CUDA tensors of float32 or complex64 with at most 33
        rows in all (32 microphones and a mixture), and torch otherwise.

    Returns
    -------
    Tensor, shape (..., rows, rows)
        float64 for real input, complex128 for complex input, on the input's device.

    Raises
    ------
    ValueError
        No rows, rows with different numbers of samples, or an unknown backend.
    RuntimeError
        ``backend="triton"`` that cannot run, with the reason.

    Notes
    -----
    ``G_ij = sum_t z_i(t) conj(z_j(t))``: a sum, not a mean, so that the Gram of a recording is the sum of the Grams
    of its parts.

    Products of float32 are exact in float64. Both backends add them in float64, so that the error of an entry is at
    most ``(L + 2) u sum_t |z_i(t) z_j(t)|`` with u = 2⁻⁵³ and L the number of additions in a row: the samples for
    torch, the samples / 128 of a program and a tree for Triton. The kernel reads every sample from memory once (above
    eleven real rows a tile of rows is read again, from the cache), uses no atomics and adds in an order that the
    shape alone decides: two runs agree in every bit.

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
    if choose_backend(backend, *rows, supported=_unsupported(rows)) == "triton":
        return _fused(rows)
    return _reference.second_moments(rows, chunk)


def _fused(rows):
    from irtools.kernels.second_moments import _triton

    batch = torch.broadcast_shapes(*(part.shape[:-2] for part in rows))
    # Views, unless several axes of a batch are strided in a way that one stride cannot follow.
    rows = [part.expand(*batch, *part.shape[-2:]).reshape(batch.numel(), *part.shape[-2:]) for part in rows]
    found = _triton.second_moments(rows)
    return found.reshape(*batch, *found.shape[1:])


def _unsupported(rows):
    """Why the fused kernel cannot take these arguments."""
    if len(rows) > 2:
        return f"{len(rows)} tensors of rows (at most 2)"
    if len({part.is_complex() for part in rows}) > 1:
        return "real and complex rows together"
    n_rows = sum(part.shape[-2] for part in rows)
    if n_rows > _MOST_ROWS:
        return f"{n_rows} rows (at most {_MOST_ROWS})"
    if any(part.numel() == 0 for part in rows):
        return "there is nothing to add up"
    return None
