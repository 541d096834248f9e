"""Covariances of one recording under the weights of every source at once."""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.kernels.backend import choose_backend
from irtools.kernels.weighted_covariance import _blocks, _reference

__all__ = ["outer_products", "weighted_covariance"]

_MOST_ROWS = 32


def outer_products(x: Tensor) -> Tensor:
    """The entries of ``x xᴴ`` that its symmetry leaves free, as real rows.

    Parameters
    ----------
    x : Tensor, shape (..., mics, frames), real or complex

    Returns
    -------
    Tensor, shape (..., rows, frames)
        Powers of the K microphones, then the products of each pair: K² rows (real, then imaginary parts) for complex
        input, K(K+1)/2 for real.

    Examples
    --------
    >>> import torch
    >>> outer_products(torch.tensor([[1.0, 2.0], [3.0, -1.0]])).tolist()
    [[1.0, 4.0], [9.0, 1.0], [3.0, -2.0]]
    """
    return _reference.outer_products(x)


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
        ``"auto"`` takes the fused Triton kernel for CUDA tensors of float32 or complex64 with at most 32 microphones,
        and torch otherwise. The kernel forms the products of a complex ``x`` anew, from fewer bytes than it would
        read them with; the products of a real ``x`` are one matrix product, which torch does.

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
    ever made and every ``x(t) x(t)ᴴ`` is formed once.

    Memory beyond ``x``, ``weights`` and the answer: on a processor the products of a block, at most
    ``max(2**18, 1024 K²)`` values and their ``2/K``-th part (1.5 MB in float32 for 4 microphones), whatever the
    numbers of frequencies and frames; with a gradient, the products of all. The Triton kernel reads ``x`` once and
    holds the products in registers; where there are too few frequencies to fill the device, several programs share the
    frames and their sums, at most 2048 matrices a source, are added up in a second pass. It adds in float32 without
    atomics, at most 512 terms in a row before its sums are joined in a tree, in an order that the shape alone decides:
    two runs agree in every bit.

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
    if choose_backend(backend, x, weights, supported=_unsupported(x, weights, products)) == "triton":
        return _fused(x, weights)
    if products is None and not (torch.is_grad_enabled() and (x.requires_grad or weights.requires_grad)):
        return _blocks.weighted_covariance(x, weights)
    products = _reference.outer_products(x) if products is None else products
    return _reference.weighted_covariance(products, weights, x.shape[-2], x.is_complex())


def _fused(x, weights):
    from irtools.kernels.weighted_covariance import _triton

    batch = torch.broadcast_shapes(x.shape[:-2], weights.shape[:-2])
    # Views, unless several axes of a batch are strided in a way that one stride cannot follow.
    x, weights = (
        part.expand(*batch, *part.shape[-2:]).reshape(batch.numel(), *part.shape[-2:]) for part in (x, weights)
    )
    found = _triton.weighted_covariance(x, weights)
    return found.reshape(*batch, *found.shape[1:])


def _unsupported(x, weights, products):
    """Why the fused kernel cannot take these arguments."""
    if max(x.shape[-2], weights.shape[-2]) > _MOST_ROWS:
        return f"{x.shape[-2]} microphones and {weights.shape[-2]} sources (at most {_MOST_ROWS} of each)"
    if products is not None and not x.is_complex():
        return "the products of a real x are given (one matrix product, which torch does)"
    if weights.numel() == 0 or x.numel() == 0:
        return "there is nothing to add up"
    return None
