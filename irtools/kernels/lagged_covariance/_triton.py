"""Lagged covariances in one launch: lags are addresses, so that no stack of lagged frames is ever made."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from irtools.kernels._complex64 import real_and_imaginary
from irtools.kernels.backend import on_device

_PROGRAMS = 2048
# In frames. Many additions in a row lose digits.
_SHORTEST_SPAN, _LONGEST_SPAN = 1 << 7, 1 << 10
_ROWS, _FRAMES = 32, 16


@triton.jit
def _rows(z, x, row, step, inside, every, z_source, z_frame, x_frame, ROWS: tl.constexpr, TAPS: tl.constexpr):
    """Real and imaginary parts of rows of y = [b; x], at the frames ``every * step``."""
    frame = every * step - row % TAPS
    wanted = inside & (row < ROWS - 1) & (frame >= 0)
    values = tl.load(z + row // TAPS * z_source + frame * z_frame, mask=wanted, other=0)
    values += tl.load(x + every * step * x_frame, mask=inside & (row == ROWS - 1), other=0)
    return real_and_imaginary(values)


@triton.jit
def _kernel(
    out,
    z,
    x,
    weights,
    freqs,
    steps,
    span,
    every,
    z_freq,
    z_source,
    z_frame,
    x_freq,
    x_frame,
    weights_freq,
    weights_frame,
    ROWS: tl.constexpr,
    TAPS: tl.constexpr,
    TILE: tl.constexpr,
    FRAMES: tl.constexpr,
):
    tiles: tl.constexpr = (ROWS + TILE - 1) // TILE
    pairs: tl.constexpr = tiles * (tiles + 1) // 2

    # Neighbouring programs read the same frames, so that all but the first find them in the cache.
    program = tl.program_id(0).to(tl.int64)
    pair = program % pairs
    place = program // pairs
    split = place // freqs
    freq = place % freqs
    lower = pair * 0
    for i in tl.static_range(1, tiles):
        lower += (pair >= i * (i + 1) // 2).to(tl.int64)
    row = lower * TILE + tl.arange(0, TILE)
    column = (pair - lower * (lower + 1) // 2) * TILE + tl.arange(0, TILE)
    z += freq * z_freq
    x += freq * x_freq
    weights += freq * weights_freq

    real = tl.zeros((TILE, TILE), tl.float32)
    imaginary = tl.zeros((TILE, TILE), tl.float32)
    start = split * span
    end = tl.minimum(start + span, steps)
    # Not a range: with NumPy 2.4 the interpreter takes no tensor as its bound.
    while start < end:
        step = (start + tl.arange(0, FRAMES))[None, :]
        inside = step < end
        weight = tl.load(weights + every * step * weights_frame, mask=inside, other=0.0)
        a, b = _rows(z, x, row[:, None], step, inside, every, z_source, z_frame, x_frame, ROWS, TAPS)
        c, d = _rows(z, x, column[:, None], step, inside, every, z_source, z_frame, x_frame, ROWS, TAPS)
        a *= weight
        b *= weight
        c = tl.trans(c)
        d = tl.trans(d)
        real = tl.dot(a, c, real, input_precision="ieee")
        real = tl.dot(b, d, real, input_precision="ieee")
        imaginary = tl.dot(b, c, imaginary, input_precision="ieee")
        imaginary = tl.dot(-a, d, imaginary, input_precision="ieee")
        start += FRAMES

    row = row[:, None]
    column = column[None, :]
    out += place * (ROWS * ROWS * 2)
    lower_half = (row < ROWS) & (column <= row)
    upper_half = (row < ROWS) & (column < row)
    imaginary = tl.where(row == column, 0.0, imaginary)
    tl.store(out + (row * ROWS + column) * 2, real, mask=lower_half)
    tl.store(out + (row * ROWS + column) * 2 + 1, imaginary, mask=lower_half)
    tl.store(out + (column * ROWS + row) * 2, real, mask=upper_half)
    tl.store(out + (column * ROWS + row) * 2 + 1, -imaginary, mask=upper_half)


def lagged_covariance(z: Tensor, x: Tensor, weights: Tensor, taps: int, every: int) -> tuple[Tensor, Tensor]:
    """Of ``z`` (freqs, sources, frames) and ``x`` (freqs, frames), complex64, and ``weights``, float32.

    A program owns a tile on or below the diagonal of ``sum_t w(t) y(t) y(t)ᴴ``, y = [b; x], at one frequency and for a
    span of frames. A second pass adds up the spans, in a fixed order.
    """
    freqs, sources, frames = z.shape
    z, x, weights = z.resolve_conj(), x.resolve_conj(), weights.resolve_neg()
    rows, steps = sources * taps + 1, triton.cdiv(frames, every)
    tile = 16 if rows <= 16 else _ROWS
    tiles = triton.cdiv(rows, tile)
    pairs = tiles * (tiles + 1) // 2
    span = triton.cdiv(steps, triton.cdiv(_PROGRAMS, freqs * pairs))
    span = triton.cdiv(min(max(span, _SHORTEST_SPAN), _LONGEST_SPAN), _FRAMES) * _FRAMES
    splits = triton.cdiv(steps, span)
    out = torch.empty(splits, freqs, rows, rows, dtype=z.dtype, device=z.device)
    with on_device(z):
        _kernel[(splits * freqs * pairs,)](
            torch.view_as_real(out),
            z.view(torch.int64),
            x.view(torch.int64),
            weights,
            freqs,
            steps,
            span,
            every,
            *z.stride(),
            *x.stride(),
            *weights.stride(),
            ROWS=rows,
            TAPS=taps,
            TILE=tile,
            FRAMES=_FRAMES,
            num_warps=4,
        )
    sums = out[0] if splits == 1 else out.sum(0)
    return sums[:, :-1, :-1], sums[:, -1, :-1]
