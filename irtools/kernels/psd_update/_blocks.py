"""The updates on a processor, on as many frequencies at a time as its cache holds, in room that is made once."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

_VALUES_AT_ONCE = 1 << 17


def psd_update(
    power: Tensor, psd: Tensor, gains: Tensor, beta: float, noise: float, sparsity: float, floor: float
) -> tuple[Tensor, Tensor, Tensor]:
    new, sums = _like(psd), _room_for_sums(power, psd)
    for block, v, p, g, room in _blocks(power, psd, gains):
        _step(v, p, g, new[block], beta, noise, sparsity, floor, room)
        _add_up(v, new[block], g, sums[block], beta, noise, room)
    return new, sums[:, :, 0], sums[:, :, 1]


def psd_step(
    power: Tensor, psd: Tensor, gains: Tensor, beta: float, noise: float, sparsity: float, floor: float
) -> Tensor:
    new = _like(psd)
    for block, v, p, g, room in _blocks(power, psd, gains):
        _step(v, p, g, new[block], beta, noise, sparsity, floor, room)
    return new


def wiener_update(
    power: Tensor, psd: Tensor, gains: Tensor, close: Tensor, alpha: float, noise: float, floor: float
) -> Tensor:
    new, pull = _like(psd), (close / close.sum(-2, keepdim=True) * gains ** (alpha - 1)).expand(len(psd), -1, -1)
    for block, v, p, g, (*_, model) in _blocks(power, psd, gains):
        _model(p, g, noise, model).pow_(alpha)
        shares = pull[block].mT @ torch.div(v, model, out=model)
        torch.pow(p, alpha, out=new[block]).mul_(shares).clamp_min_(floor)
    return new


def gain_sums(power: Tensor, psd: Tensor, gains: Tensor, beta: float, noise: float) -> tuple[Tensor, Tensor]:
    sums = _room_for_sums(power, psd)
    for block, v, p, g, room in _blocks(power, psd, gains):
        _add_up(v, p, g, sums[block], beta, noise, room)
    return sums[:, :, 0], sums[:, :, 1]


def _like(psd):
    return torch.empty_like(psd, memory_format=torch.contiguous_format)


def _room_for_sums(power, psd):
    return psd.new_empty(len(psd), power.shape[1], 2, psd.shape[1])


def _blocks(power: Tensor, psd: Tensor, gains: Tensor) -> Iterator[tuple]:
    """Frequencies, V, P and Λ there, and room for five such blocks of V or P."""
    freqs, mics, frames = power.shape
    sources = psd.shape[1]
    size = min(max(1, _VALUES_AT_ONCE // max(1, frames * max(mics, sources))), freqs)
    gains = gains.expand(freqs, -1, -1)
    # Two values a bin side by side: one product serves both.
    weighted, pulled = psd.new_empty(size, mics, 2, frames), psd.new_empty(size, sources, 2, frames)
    model = psd.new_empty(size, mics, frames)
    for start in range(0, freqs, size):
        block = slice(start, start + size)
        n = min(size, freqs - start)
        yield block, power[block], psd[block], gains[block], (weighted[:n], pulled[:n], model[:n])


def _step(power, psd, gains, new, beta, noise, sparsity, floor, room):
    weighted, pulled, model = room
    freqs, mics, _, frames = weighted.shape
    _weigh(power, psd, gains, beta, noise, weighted, model)
    torch.bmm(gains.mT, weighted.view(freqs, mics, 2 * frames), out=pulled.view(freqs, psd.shape[1], 2 * frames))
    attraction, repulsion = pulled[:, :, 0], pulled[:, :, 1]
    if sparsity:
        total = psd.sum(1, keepdim=True)
        geometric = psd.log().mean(1, keepdim=True).exp_().mul_(sparsity)
        attraction += psd.shape[1] * geometric / total**2
        repulsion += geometric / (psd * total)
    torch.mul(psd, attraction, out=new).div_(repulsion).clamp_min_(floor)


def _add_up(power, psd, gains, sums, beta, noise, room):
    weighted, _, model = room
    freqs, mics, _, frames = weighted.shape
    _weigh(power, psd, gains, beta, noise, weighted, model)
    torch.bmm(weighted.view(freqs, 2 * mics, frames), psd.mT, out=sums.view(freqs, 2 * mics, psd.shape[1]))


def _weigh(power, psd, gains, beta, noise, weighted, model):
    """V V̂^(β-2) and V̂^(β-1), side by side."""
    residual, weight = weighted[:, :, 0], weighted[:, :, 1]
    _model(psd, gains, noise, model)
    if beta == 2:
        residual.copy_(power)
        weight.copy_(model)
    elif beta == 1:
        torch.div(power, model, out=residual)
        weight.fill_(1)
    elif beta == 0:
        torch.reciprocal(model, out=weight)
        torch.mul(power, weight, out=residual).mul_(weight)
    else:
        torch.pow(model, beta - 1, out=weight)
        torch.mul(power, weight, out=residual).div_(model)


def _model(psd, gains, noise, model):
    """V̂ = ΛP + ε."""
    return torch.baddbmm(psd.new_full((1, 1, 1), noise), gains, psd, out=model)
