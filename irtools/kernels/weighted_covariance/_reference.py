"""The shortest correct weighted covariance; runs on any device."""

from __future__ import annotations

import torch
from torch import Tensor


def outer_products(x: Tensor) -> Tensor:
    i, j = torch.triu_indices(x.shape[-2], x.shape[-2], 1, device=x.device)
    if not x.is_complex():
        return torch.cat([x**2, x[..., i, :] * x[..., j, :]], dim=-2)
    off = x[..., i, :] * x[..., j, :].conj()
    return torch.cat([x.real**2 + x.imag**2, off.real, off.imag], dim=-2)


def weighted_covariance(products: Tensor, weights: Tensor, n_mics: int, is_complex: bool) -> Tensor:
    return from_rows((products @ weights.mT).mT / weights.shape[-1], n_mics, is_complex)


def from_rows(sums: Tensor, n_mics: int, is_complex: bool) -> Tensor:
    """The Hermitian matrices of which each last axis of ``sums`` holds the free entries."""
    i, j = torch.triu_indices(n_mics, n_mics, 1, device=sums.device)
    off = sums[..., n_mics : n_mics + len(i)]
    if is_complex:
        off = torch.complex(off, sums[..., n_mics + len(i) :])
    covariance = off.new_zeros(*sums.shape[:-1], n_mics, n_mics)
    covariance[..., i, j] = off
    covariance[..., j, i] = off.conj()
    torch.diagonal(covariance, dim1=-2, dim2=-1).copy_(sums[..., :n_mics])
    return covariance
