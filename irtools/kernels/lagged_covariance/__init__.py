"""Covariances of a few frames of every source at once: the normal equations of a regression on them."""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.kernels.backend import choose_backend
from irtools.kernels.blocks import frequency_blocks
from irtools.kernels.lagged_covariance import _blocks, _reference

__all__ = ["lagged_covariance"]

# Complex ones: with fewer, the calls of the real matrix products cost more than these save.
_LEAST_PRODUCTS = 1 << 24


def lagged_covariance(
    z: Tensor, x: Tensor, weights: Tensor, taps: int, *, every: int = 1, backend: str = "auto"
) -> tuple[Tensor, Tensor]:
    """``R = sum_t w(t) b(t) b(t)ᴴ`` and ``r = sum_t w(t) x(t) b(t)*``, where b(t) holds the last frames of all sources.

    Parameters
    ----------
    z : Tensor, shape (freqs, sources, frames), complex
        ``b(t)`` stacks ``z_j(t - l)`` for the lags l = 0, ..., taps - 1 in row ``j * taps + l``; z is zero before its
        first frame.
    x : Tensor, shape (freqs, frames), complex
        What is regressed on ``b``, of the dtype of ``z``.
    weights : Tensor, shape (freqs, frames), real
        w(t) >= 0, of the precision of ``z``.
    taps : int
        Number of lags, in frames.
    every : int
        The sums run over the frames t = 0, every, 2 every, ...; the lags are of one frame all the same.
    backend : {"auto", "torch", "triton"}
        The fused kernel takes complex64; see :func:`irtools.kernels.backend.choose_backend`.

    Returns
    -------
    covariance : Tensor, shape (freqs, sources * taps, sources * taps)
        Hermitian up to rounding, of the dtype of ``z``.
    cross : Tensor, shape (freqs, sources * taps)

    Raises
    ------
    ValueError
        Shapes or dtypes that do not fit, fewer than one tap, ``every`` below one, or an unknown backend.
    RuntimeError
        ``backend="triton"`` that cannot run, with the reason.

    Notes
    -----
    The gains of the regression ``x(t) = a b(t)`` with these weights solve ``a R = r``.

    The lagged frames are stacked for a block of frequencies at a time, at the wanted frames alone. The stack times its
    weighted self is one complex matrix product; on a processor, where it is large and no gradient is asked for, two
    real ones, which make use of the symmetry and take half of the operations.

    The Triton kernel makes no stack: a tile of the answer reads z from the cache once for every lag. Several programs
    share the frames, and a second pass adds up their sums. It adds in float32 without atomics, at most 1024 terms in a
    row, in an order that the shape alone decides: two runs agree in every bit.

    Examples
    --------
    >>> import torch
    >>> z, weights = torch.tensor([[[1.0, 2.0, 3.0]]]).cfloat(), torch.tensor([[2.0, 2.0, 0.0]])
    >>> covariance, cross = lagged_covariance(z, 2 * z[:, 0], weights, 2)
    >>> covariance.real.tolist(), cross.real.tolist()
    ([[[10.0, 4.0], [4.0, 2.0]]], [[20.0, 8.0]])
    """
    _check(z, x, weights, taps, every)
    unsupported = None if z.numel() else "there is nothing to add up"
    if choose_backend(backend, z, x, weights, unsupported=unsupported) == "triton":
        from irtools.kernels.lagged_covariance import _triton

        return _triton.lagged_covariance(z, x, weights, taps, every)
    differentiated = torch.is_grad_enabled() and any(part.requires_grad for part in (z, x, weights))
    products = z[..., ::every].numel() * z.shape[1] * taps**2
    if z.device.type == "cpu" and products >= _LEAST_PRODUCTS and not differentiated:
        return _blocks.lagged_covariance(z, x, weights, taps, every)
    stack = z[:, None, :, ::every].expand(-1, taps, -1, -1)
    parts = [
        _reference.lagged_covariance(z[block], x[block], weights[block], taps, every)
        for block in frequency_blocks(stack)
    ]
    covariances, crosses = zip(*parts, strict=True)
    return torch.cat(covariances), torch.cat(crosses)


def _check(z, x, weights, taps, every):
    if z.ndim != 3:
        raise ValueError(f"z: expected shape (freqs, sources, frames), got {tuple(z.shape)}")
    if not z.is_complex():
        raise ValueError(f"z: expected a complex dtype, got {_name(z.dtype)}")
    for name, values, dtype in (("x", x, z.dtype), ("weights", weights, z.dtype.to_real())):
        if values.dtype != dtype:
            raise ValueError(f"{name}: expected {_name(dtype)} with a z of {_name(z.dtype)}, got {_name(values.dtype)}")
        if values.shape != (len(z), z.shape[2]):
            raise ValueError(f"{name}: expected shape {(len(z), z.shape[2])} as in z, got {tuple(values.shape)}")
    for name, value in (("taps", taps), ("every", every)):
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}")


def _name(dtype):
    return str(dtype).removeprefix("torch.")
