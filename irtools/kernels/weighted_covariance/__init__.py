"""Covariances of one recording under the weights of every source at once."""

from __future__ import annotations

from torch import Tensor

from irtools.kernels.weighted_covariance._reference import outer_products as _outer_products
from irtools.kernels.weighted_covariance._reference import weighted_covariance as _reference

__all__ = ["outer_products", "weighted_covariance"]


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
    return _outer_products(x)


def weighted_covariance(x: Tensor, weights: Tensor, *, products: Tensor | None = None) -> Tensor:
    """``C_n = mean_t weights_n(t) x(t) x(t)ᴴ`` for all sources n at once.

    Parameters
    ----------
    x : Tensor, shape (..., mics, frames), real or complex
    weights : Tensor, shape (..., sources, frames), real
        1 / r_n(t), of the precision of ``x``.
    products : Tensor, optional
        ``outer_products(x)``: an iteration that changes the weights alone computes them once. With a real ``x``, of
        which only the shape and dtype are then used, the real rows of a complex recording give ``Re C_n``.

    Returns
    -------
    Tensor, shape (..., sources, mics, mics)
        Hermitian, of the dtype of ``x``.

    Raises
    ------
    ValueError
        Another number of frames in ``weights`` than in ``x``, or weights that are complex.

    Notes
    -----
    All sources are one real matrix product with the outer products, so that no array of sources x mics x frames is
    ever made and every ``x(t) x(t)ᴴ`` is formed once.

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
    products = _outer_products(x) if products is None else products
    return _reference(products, weights, x.shape[-2], x.is_complex())
