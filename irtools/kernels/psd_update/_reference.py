"""The shortest correct updates of the power model; they run on any device and never hold (K, N, F, T) numbers."""

from __future__ import annotations

from torch import Tensor


def psd_update(
    power: Tensor, psd: Tensor, gains: Tensor, beta: float, noise: float, sparsity: float, floor: float
) -> tuple[Tensor, Tensor, Tensor]:
    psd = psd_step(power, psd, gains, beta, noise, sparsity, floor)
    return psd, *gain_sums(power, psd, gains, beta, noise)


def psd_step(
    power: Tensor, psd: Tensor, gains: Tensor, beta: float, noise: float, sparsity: float, floor: float
) -> Tensor:
    residual, weight = _weighted(power, psd, gains, beta, noise)
    attraction, repulsion = gains.mT @ residual, gains.mT @ weight
    if sparsity:
        total = psd.sum(1, keepdim=True)
        geometric = psd.log().mean(1, keepdim=True).exp()
        attraction = attraction + sparsity * psd.shape[1] * geometric / total**2
        repulsion = repulsion + sparsity * geometric / (psd * total)
    return (psd * attraction / repulsion).clamp_min(floor)


def wiener_update(
    power: Tensor, psd: Tensor, gains: Tensor, close: Tensor, alpha: float, noise: float, floor: float
) -> Tensor:
    weights = close / close.sum(-2, keepdim=True)
    model = gains @ psd + noise
    shares = (weights * gains ** (alpha - 1)).mT @ (power / model**alpha)
    return (psd**alpha * shares).clamp_min(floor)


def gain_sums(power: Tensor, psd: Tensor, gains: Tensor, beta: float, noise: float) -> tuple[Tensor, Tensor]:
    residual, weight = _weighted(power, psd, gains, beta, noise)
    return residual @ psd.mT, weight @ psd.mT


def _weighted(power, psd, gains, beta, noise):
    """V V̂^(β-2) and V̂^(β-1), with V̂ = ΛP + ε."""
    model = gains @ psd + noise
    weight = model ** (beta - 1)
    return power / model * weight, weight
