"""The median by its bits: every bin holds the taps around it in registers and counts those below a threshold."""

from __future__ import annotations

import functools

import torch
import triton
import triton.language as tl
from torch import Tensor

from irtools.kernels.backend import on_device

_BINS = 128


def median_filter(values: Tensor, footprint: Tensor) -> Tensor:
    freqs, frames = values.shape[-2:]
    planes = values.reshape(values.shape[:-2].numel(), freqs, frames)
    out = torch.empty(values.shape, dtype=values.dtype, device=values.device)
    taps = _taps(tuple(map(tuple, footprint.tolist())), values.device)
    n_taps = taps.shape[1]
    with on_device(values):
        _kernel[(triton.cdiv(values.numel(), _BINS),)](
            out,
            planes,
            taps,
            values.numel(),
            freqs,
            frames,
            *planes.stride(),
            N_TAPS=n_taps,
            PADDED=triton.next_power_of_2(n_taps),
            BINS=_BINS,
            num_warps=4,
        )
    return out


@functools.lru_cache(maxsize=16)
def _taps(rows, device):
    """Offsets (freqs, frames) of the bins of a footprint; kept, so that an iteration copies nothing to the device."""
    taps = torch.tensor(rows, dtype=torch.bool).nonzero() - torch.tensor([len(rows) // 2, len(rows[0]) // 2])
    return taps.T.contiguous().to(device, torch.int32)


@triton.jit
def _kernel(out_ptr, values_ptr, taps_ptr, bins, freqs, frames, of_plane, of_freq, of_frame,
          N_TAPS: tl.constexpr, PADDED: tl.constexpr, BINS: tl.constexpr):  # fmt: skip
    """Each program: ``BINS`` of all bins, whatever the frequencies and planes they belong to."""
    here = tl.program_id(0).to(tl.int64) * BINS + tl.arange(0, BINS)
    inside = here < bins
    t, row = here % frames, here // frames
    f, plane = row % freqs, row // freqs
    # Taps are the last axis: Triton then gives a bin to a thread, and the counts need no exchange between threads.
    tap = tl.arange(0, PADDED)
    down = tl.load(taps_ptr + tap, mask=tap < N_TAPS, other=0)
    along = tl.load(taps_ptr + N_TAPS + tap, mask=tap < N_TAPS, other=0)
    i = tl.minimum(tl.maximum(f[:, None] + down[None, :], 0), freqs - 1)
    j = tl.minimum(tl.maximum(t[:, None] + along[None, :], 0), frames - 1)
    taken = inside[:, None] & (tap < N_TAPS)[None, :]
    at = values_ptr + plane[:, None] * of_plane + i * of_freq + j * of_frame
    bits = tl.load(at, mask=taken, other=0.0).to(tl.int32, bitcast=True)
    # Integers in the order of the numbers; those beyond the taps are above all others.
    keys = tl.where(taken, bits ^ ((bits >> 31) & 0x7FFFFFFF), 0x7FFFFFFF)
    # The median is the largest number that at most half of the taps are below, found from its highest bit downwards.
    negative = tl.sum((keys < 0).to(tl.int32), 1) > N_TAPS // 2
    found = tl.where(negative, -(2**31), 0)
    for bit in range(31):
        trial = found | (1 << (30 - bit))
        below = tl.sum((keys < trial[:, None]).to(tl.int32), 1)
        found = tl.where(below <= N_TAPS // 2, trial, found)
    bits = found ^ ((found >> 31) & 0x7FFFFFFF)
    tl.store(out_ptr + here, bits.to(tl.float32, bitcast=True), mask=inside)
