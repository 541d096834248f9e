"""The weighted covariances in blocks: the products of as many frequencies, or frames, at a time as a cache holds."""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.kernels.weighted_covariance._reference import from_rows

_PRODUCTS_AT_ONCE = {"cpu": 1 << 18}
_PRODUCTS_ELSEWHERE = 1 << 26
_LEAST_FRAMES = 1024


def weighted_covariance(x: Tensor, weights: Tensor) -> Tensor:
    batch = torch.broadcast_shapes(x.shape[:-2], weights.shape[:-2])
    x, weights = (
        part.expand(*batch, *part.shape[-2:]).reshape(batch.numel(), *part.shape[-2:]) for part in (x, weights)
    )
    freqs, mics, frames = x.shape
    n_rows = mics**2 if x.is_complex() else mics * (mics + 1) // 2
    at_once = _PRODUCTS_AT_ONCE.get(x.device.type, _PRODUCTS_ELSEWHERE) // max(1, n_rows)
    n_frames = min(max(1, frames), max(_LEAST_FRAMES, at_once))
    n_freqs = min(max(1, freqs), max(1, at_once // n_frames))
    room = x.real.new_empty(n_rows * n_freqs * n_frames)
    sums = x.real.new_zeros(freqs, weights.shape[1], n_rows)
    for freq in range(0, freqs, n_freqs):
        for frame in range(0, frames, n_frames):
            place = slice(freq, freq + n_freqs), slice(None), slice(frame, frame + n_frames)
            products = _products(x[place], n_rows, room)
            sums[place[0]] += (products @ weights[place].mT).mT
    found = from_rows(sums / frames, mics, x.is_complex())
    return found.reshape(*batch, *found.shape[1:])


def _products(x, n_rows, room):
    """``outer_products(x)`` in ``room``, from separate real and imaginary parts: no complex array is made."""
    freqs, mics, frames = x.shape
    products = room[: freqs * n_rows * frames].view(freqs, n_rows, frames)
    parts = [x.real.contiguous(), x.imag.contiguous()] if x.is_complex() else [x]
    torch.mul(parts[0], parts[0], out=products[:, :mics])
    for part in parts[1:]:
        products[:, :mics].addcmul_(part, part)
    start, pairs = mics, mics * (mics - 1) // 2
    for mic in range(mics - 1):
        own, others = slice(mic, mic + 1), slice(mic + 1, mics)
        rows = products[:, start : start + mics - 1 - mic]
        torch.mul(parts[0][:, own], parts[0][:, others], out=rows)
        if len(parts) == 2:
            rows.addcmul_(parts[1][:, own], parts[1][:, others])
            rows = products[:, start + pairs : start + pairs + mics - 1 - mic]
            torch.mul(parts[1][:, own], parts[0][:, others], out=rows)
            rows.addcmul_(parts[0][:, own], parts[1][:, others], value=-1)
        start += mics - 1 - mic
    return products
