"""The updates on a processor: the reference, on as many frequencies at a time as its cache holds."""

from __future__ import annotations

from torch import Tensor

from irtools.kernels.psd_update import _reference

_VALUES_AT_ONCE = 1 << 17


def psd_update(power: Tensor, psd: Tensor, gains: Tensor, *options: float) -> tuple[Tensor, Tensor, Tensor]:
    return _joined(_reference.psd_update, power, psd, gains, (), options)


def psd_step(power: Tensor, psd: Tensor, gains: Tensor, *options: float) -> Tensor:
    return _joined(_only(_reference.psd_step), power, psd, gains, (), options)[0]


def wiener_update(power: Tensor, psd: Tensor, gains: Tensor, close: Tensor, *options: float) -> Tensor:
    return _joined(_only(_reference.wiener_update), power, psd, gains, (close,), options)[0]


def gain_sums(power: Tensor, psd: Tensor, gains: Tensor, *options: float) -> tuple[Tensor, Tensor]:
    return _joined(_reference.gain_sums, power, psd, gains, (), options)


def _only(update):
    return lambda *arguments: (update(*arguments),)


def _joined(update, power, psd, gains, others, options):
    """Every result whole; the blocks are copied into it as they come, so that one of them is held."""
    freqs, mics, frames = power.shape
    size = max(1, _VALUES_AT_ONCE // max(1, frames * max(mics, psd.shape[1])))
    if size >= freqs:
        return update(power, psd, gains, *others, *options)
    whole = None
    for start in range(0, freqs, size):
        block = slice(start, start + size)
        matrices = [part[block] if part.ndim == 3 and len(part) > 1 else part for part in (gains, *others)]
        parts = update(power[block], psd[block], *matrices, *options)
        whole = whole or [part.new_empty(freqs, *part.shape[1:]) for part in parts]
        for result, part in zip(whole, parts, strict=True):
            result[block] = part
    return tuple(whole)
