"""Covariances of one recording under the weights of every source at once."""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.kernels.backend import choose_backend
from irtools.kernels.blocks import frequency_blocks
from irtools.kernels.weighted_covariance import _reference
from irtools.kernels.weighted_covariance._reference import outer_products

__all__ = ["outer_products", "weighted_covariance"]

_MOST_ROWS = 32


def weighted_covariance(x: Tensor, weights: Tensor, *, products: Tensor | None = None, backend: str = "auto") -> Tensor:
    """``C_n = mean_t weights_n(t) x(t) x(t)ᴴ`` for all sources n at once.

    Parameters
    ----------
    x : Tensor, shape (..., mics, frames), real or complex
    weights : Tensor, shape (..., sources, frames), real
        1 / r_n(t), of the precision of ``x``.
    products : Tensor, optional
        ``outer_products(x)``: an iteration that changes the weights alone computes them once. With a real ``x``, of
        which only the shape and dtype are then used, the real rows of a complex recording give ``Re C_n``.
    backend : {"auto", "torch", "triton"}
        The fused kernel takes complex64 of shape (freqs, mics, frames) with at most 32 microphones and 32 sources, and
        forms the products anew, from fewer bytes than it would read them with; those of a real ``x`` are one matrix
        product, which torch does. See :func:`irtools.kernels.backend.choose_backend`.

    Returns
    -------
    Tensor, shape (..., sources, mics, mics)
        Hermitian, of the dtype of ``x``.

    Raises
    ------
    ValueError
        Another number of frames in ``weights`` than in ``x``, weights that are complex, or an unknown backend.
    RuntimeError
        ``backend="triton"`` that cannot run, with the reason.

    Notes
    -----
    All sources are one real matrix product with the outer products, so that no array of sources x mics x frames is
    ever made and every ``x(t) x(t)ᴴ`` is formed once, for a block of frequencies at a time.

    The Triton kernel reads ``x`` once and holds the products in registers; where there are too few frequencies to fill
    the device, several programs share the frames and their sums, at most 2048 matrices per source, are added up in a
    second pass. It adds in float32 without atomics, at most 512 terms in a row before its sums are joined in a tree,
    in an order that the shape alone decides: two runs agree in every bit.

    Examples
    --------
    >>> import torch
    >>> weighted_covariance(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 1.0], [0.0, 1.0]])).flatten().tolist()
    [2.5, 2.0]
    """
    if weights.is_complex():
        raise ValueError(f"weights: expected a real dtype, got {str(weights.dtype).removeprefix('torch.')}")
    if weights.shape[-1] != x.shape[-1]:
        raise ValueError(f"weights: expected {x.shape[-1]} frames as in x, got {weights.shape[-1]}")
    if choose_backend(backend, x, weights, unsupported=_unsupported(x, weights)) == "triton":
        from irtools.kernels.weighted_covariance import _triton

        return _triton.weighted_covariance(x, weights)
    if products is None and x.ndim == weights.ndim == 3 and len(x) == len(weights):
        return torch.cat([_of_products(outer_products(x[block]), weights[block], x) for block in frequency_blocks(x)])
    return _of_products(outer_products(x) if products is None else products, weights, x)


def _of_products(products, weights, x):
    return _reference.weighted_covariance(products, weights, x.shape[-2], x.is_complex())


def _unsupported(x, weights):
    """Why the fused kernel cannot take these; None where it can."""
    if not x.is_complex() or x.ndim != 3 or weights.ndim != 3 or len(x) != len(weights):
        return f"shapes {tuple(x.shape)} and {tuple(weights.shape)} of {x.dtype} (expected two of (freqs, ..., frames)"
    if max(x.shape[-2], weights.shape[-2]) > _MOST_ROWS:
        return f"{x.shape[-2]} microphones and {weights.shape[-2]} sources (at most {_MOST_ROWS} of each)"
    return None if x.numel() and weights.numel() else "there is nothing to add up"
