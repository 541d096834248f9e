# Triton adds tuples; it does not unpack them.
# ruff: noqa: RUF005
"""All weighted covariances in one pass over the recording: products and sums never leave the registers."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from irtools.kernels._complex64 import real_and_imaginary
from irtools.kernels.backend import on_device

_PROGRAMS = 2048
# In frames. Reductions across threads are costly; many additions in a row lose digits.
_SHORTEST_SPAN, _LONGEST_SPAN = 1 << 9, 1 << 14
_MICS, _OFFSETS, _SOURCES = 8, 5, 8


@triton.jit
def _kernel(
    out,
    x,
    weights,
    freqs,
    frames,
    span,
    x_freq,
    x_mic,
    x_frame,
    weights_freq,
    weights_source,
    weights_frame,
    N_MICS: tl.constexpr,
    N_SOURCES: tl.constexpr,
    MICS: tl.constexpr,
    OFFSETS: tl.constexpr,
    SOURCES: tl.constexpr,
    FRAMES: tl.constexpr,
    UNROLL: tl.constexpr,
):
    mic_groups: tl.constexpr = (N_MICS + MICS - 1) // MICS
    offset_groups: tl.constexpr = (N_MICS // 2 + OFFSETS) // OFFSETS
    source_groups: tl.constexpr = (N_SOURCES + SOURCES - 1) // SOURCES

    # Neighbouring programs read the same frames, so that all but the first find them in the cache.
    program = tl.program_id(0).to(tl.int64)
    group = program % (mic_groups * offset_groups * source_groups)
    place = program // (mic_groups * offset_groups * source_groups)
    split = place // freqs
    freq = place % freqs
    mic = group % mic_groups * MICS + tl.arange(0, MICS)
    first_offset = group // mic_groups % offset_groups * OFFSETS
    first_source = group // (mic_groups * offset_groups) * SOURCES
    x += freq * x_freq
    weights += freq * weights_freq

    real = ()
    imaginary = ()
    for _ in tl.static_range(SOURCES * OFFSETS):
        real = real + (tl.zeros((MICS, FRAMES), tl.float32),)
        imaginary = imaginary + (tl.zeros((MICS, FRAMES), tl.float32),)

    begin = split * span
    end = tl.minimum(begin + span, frames)
    start = begin
    # Not a range: with NumPy 2.4 the interpreter takes no tensor as its bound.
    while start < end:
        own = ()
        others = ()
        weight = ()
        for u in tl.static_range(UNROLL):
            frame = (start + u * FRAMES + tl.arange(0, FRAMES))[None, :]
            inside = (frame < end) & (mic < N_MICS)[:, None]
            own = own + (tl.load(x + mic[:, None] * x_mic + frame * x_frame, mask=inside, other=0),)
            for d in tl.static_range(OFFSETS):
                if offset_groups == 1 and d == 0:
                    others = others + (own[u],)
                else:
                    other = ((mic + first_offset + d) % N_MICS)[:, None]
                    wanted = inside & (first_offset + d <= N_MICS // 2)
                    others = others + (tl.load(x + other * x_mic + frame * x_frame, mask=wanted, other=0),)
            for n in tl.static_range(SOURCES):
                source = first_source + n
                wanted = (frame < end) & (source < N_SOURCES)
                at = weights + source * weights_source + frame * weights_frame
                weight = weight + (tl.load(at, mask=wanted, other=0.0),)
        for u in tl.static_range(UNROLL):
            a_real, a_imaginary = real_and_imaginary(own[u])
            products = ()
            crossed = ()
            for d in tl.static_range(OFFSETS):
                b_real, b_imaginary = real_and_imaginary(others[u * OFFSETS + d])
                products = products + (a_real * b_real + a_imaginary * b_imaginary,)
                crossed = crossed + (a_imaginary * b_real - a_real * b_imaginary,)
            new_real = ()
            new_imaginary = ()
            for n in tl.static_range(SOURCES):
                for d in tl.static_range(OFFSETS):
                    new_real = new_real + (real[n * OFFSETS + d] + weight[u * SOURCES + n] * products[d],)
                    found = imaginary[n * OFFSETS + d]
                    if offset_groups > 1 or d > 0:
                        found += weight[u * SOURCES + n] * crossed[d]
                    new_imaginary = new_imaginary + (found,)
            real = new_real
            imaginary = new_imaginary
        start += UNROLL * FRAMES

    for n in tl.static_range(SOURCES):
        matrix = out + (place * N_SOURCES + first_source + n) * (N_MICS * N_MICS * 2)
        for d in tl.static_range(OFFSETS):
            offset = first_offset + d
            other = (mic + offset) % N_MICS
            # Half of the microphones reach every pair where the offset is half their number.
            wanted = (mic < N_MICS) & (2 * offset <= N_MICS) & ((2 * offset < N_MICS) | (mic < offset))
            wanted = wanted & (first_source + n < N_SOURCES)
            mirrored = wanted & (offset > 0)
            upper = matrix + (mic * N_MICS + other) * 2
            lower = matrix + (other * N_MICS + mic) * 2
            sums = tl.sum(real[n * OFFSETS + d], axis=1) / frames
            tl.store(upper, sums, mask=wanted)
            tl.store(lower, sums, mask=mirrored)
            sums = tl.sum(imaginary[n * OFFSETS + d], axis=1) / frames
            sums = tl.where(offset == 0, 0.0, sums)
            tl.store(upper + 1, sums, mask=wanted)
            tl.store(lower + 1, -sums, mask=mirrored)


def weighted_covariance(x: Tensor, weights: Tensor) -> Tensor:
    """Of ``x`` (freqs, mics, frames), complex64, and ``weights`` (freqs, sources, frames), float32.

    A thread owns a few frames of one microphone i, its products with the microphones i, i+1, ..., i+K//2 (modulo K,
    which meets every pair once) and their sums under the weights of up to eight sources. The sums over threads are
    trees; over the programs that share the frames, a second pass. Neither depends on which program ends first.
    """
    freqs, n_mics, frames = x.shape
    n_sources = weights.shape[1]
    x, weights = x.resolve_conj(), weights.resolve_neg()
    mics = min(triton.next_power_of_2(n_mics), _MICS)
    num_warps = 4 if mics <= 4 else 8
    block = {
        "MICS": mics,
        "OFFSETS": min(n_mics // 2 + 1, _OFFSETS),
        "SOURCES": triton.cdiv(n_sources, triton.cdiv(n_sources, _SOURCES)),
        "FRAMES": 32 * num_warps // mics,
        "UNROLL": 2,
    }
    groups = triton.cdiv(n_mics, mics) * triton.cdiv(n_mics // 2 + 1, block["OFFSETS"])
    groups *= triton.cdiv(n_sources, block["SOURCES"])
    step = block["FRAMES"] * block["UNROLL"]
    span = triton.cdiv(frames, triton.cdiv(_PROGRAMS, freqs * groups))
    span = triton.cdiv(min(max(span, _SHORTEST_SPAN), _LONGEST_SPAN), step) * step
    splits = triton.cdiv(frames, span)
    out = torch.empty(splits, freqs, n_sources, n_mics, n_mics, dtype=x.dtype, device=x.device)
    with on_device(x):
        _kernel[(splits * freqs * groups,)](
            torch.view_as_real(out),
            x.view(torch.int64),
            weights,
            freqs,
            frames,
            span,
            *x.stride(),
            *weights.stride(),
            N_MICS=n_mics,
            N_SOURCES=n_sources,
            num_warps=num_warps,
            **block,
        )
    return out[0] if splits == 1 else out.sum(0)
