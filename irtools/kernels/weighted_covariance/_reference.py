"""The shortest correct weighted covariance; runs on any device."""

from __future__ import annotations

import torch
from torch import Tensor


def outer_products(x: Tensor) -> Tensor:
    """``x xᴴ`` without what its symmetry repeats, as real rows: powers, then pairs (real, then imaginary parts)."""
    i, j = torch.triu_indices(x.shape[-2], x.shape[-2], 1, device=x.device)
    if not x.is_complex():
        return torch.cat([x**2, x[..., i, :] * x[..., j, :]], dim=-2)
    off = x[..., i, :] * x[..., j, :].conj()
    return torch.cat([x.real**2 + x.imag**2, off.real, off.imag], dim=-2)


def weighted_covariance(products: Tensor, weights: Tensor, n_mics: int, is_complex: bool) -> Tensor:
    means = (products @ weights.mT).mT / weights.shape[-1]
    i, j = torch.triu_indices(n_mics, n_mics, 1, device=means.device)
    off = means[..., n_mics : n_mics + len(i)]
    if is_complex:
        off = torch.complex(off, means[..., n_mics + len(i) :])
    covariance = off.new_zeros(*means.shape[:-1], n_mics, n_mics)
    covariance[..., i, j] = off
    covariance[..., j, i] = off.conj()
    torch.diagonal(covariance, dim1=-2, dim2=-1).copy_(means[..., :n_mics])
    return covariance
