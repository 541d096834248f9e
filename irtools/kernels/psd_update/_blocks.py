"""The updates on a processor, a block of frequencies at a time, in room that is made once."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from irtools.kernels.blocks import frequency_blocks


def psd_update(
    power: Tensor, psd: Tensor, gains: Tensor, beta: float, noise: float, sparsity: float, floor: float
) -> tuple[Tensor, Tensor, Tensor]:
    new, sums = _like(psd), _room_for_sums(power, psd)
    for block, v, p, g, room in _blocks(power, psd, gains):
        _step(v, p, g, new[block], beta, noise, sparsity, floor, room)
        _add_up(v, new[block], g, [part[block] for part in sums], beta, noise, room)
    return new, *sums


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
    for block, v, p, g, (model, _, shares) in _blocks(power, psd, gains):
        _model(p, g, noise, model).pow_(alpha)
        torch.bmm(pull[block].mT, torch.div(v, model, out=model), out=shares)
        torch.pow(p, alpha, out=new[block]).mul_(shares).clamp_min_(floor)
    return new


def gain_sums(power: Tensor, psd: Tensor, gains: Tensor, beta: float, noise: float) -> tuple[Tensor, Tensor]:
    sums = _room_for_sums(power, psd)
    for block, v, p, g, room in _blocks(power, psd, gains):
        _add_up(v, p, g, [part[block] for part in sums], beta, noise, room)
    return sums


def _like(psd):
    return torch.empty_like(psd, memory_format=torch.contiguous_format)


def _room_for_sums(power, psd):
    shape = len(psd), power.shape[1], psd.shape[1]
    return psd.new_empty(shape), psd.new_empty(shape)


def _blocks(power: Tensor, psd: Tensor, gains: Tensor) -> Iterator[tuple]:
    """Frequencies, V, P and Λ there, and room for two such blocks of V and one of P."""
    gains = gains.expand(len(power), -1, -1)
    blocks = frequency_blocks(power)
    room = [part.new_empty(part[blocks[0]].shape) for part in (power, power, psd)]
    for block in blocks:
        yield block, power[block], psd[block], gains[block], [part[: block.stop - block.start] for part in room]


def _step(power, psd, gains, new, beta, noise, sparsity, floor, room):
    pulled = room[2]
    residual, weight = _weighted(power, psd, gains, beta, noise, room)
    if sparsity:
        total = psd.sum(1, keepdim=True)
        geometric = psd.log().mean(1, keepdim=True).exp_().mul_(sparsity)
    torch.bmm(gains.mT, residual, out=pulled)
    if sparsity:
        pulled += psd.shape[1] * geometric / total**2
    torch.mul(psd, pulled, out=new)
    torch.bmm(gains.mT, weight, out=pulled)
    if sparsity:
        pulled += geometric / (psd * total)
    new.div_(pulled).clamp_min_(floor)


def _add_up(power, psd, gains, sums, beta, noise, room):
    for part, total in zip(_weighted(power, psd, gains, beta, noise, room), sums, strict=True):
        torch.bmm(part, psd.mT, out=total)


def _weighted(power, psd, gains, beta, noise, room):
    """V V̂^(β-2) and V̂^(β-1)."""
    model, weight, _ = room
    torch.pow(_model(psd, gains, noise, model), beta - 1, out=weight)
    return torch.div(power, model, out=model).mul_(weight), weight


def _model(psd, gains, noise, model):
    """V̂ = ΛP + ε."""
    return torch.baddbmm(psd.new_full((1, 1, 1), noise), gains, psd, out=model)
