# Triton adds tuples; it does not unpack them.
# ruff: noqa: RUF005
"""Second moments in one pass: every row is read once, every product of two float32 is exact in float64."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from irtools.kernels.backend import on_device

# Reductions across threads are costly; long spans amortise them.
_PROGRAMS, _SHORTEST_SPAN = 2048, 4096
_ROWS_IN_REGISTERS, _TILE = 11, 8
_WIDTH, _NUM_WARPS = 128, 4


@triton.jit
def _load_row(row, a, b, sample, inside, a_row, a_sample, b_row, b_sample, A_ROWS, ROWS):
    value = tl.load(a + row * a_row + sample * a_sample, mask=inside & (row < A_ROWS), other=0.0)
    if ROWS > A_ROWS:
        wanted = inside & (row >= A_ROWS) & (row < ROWS)
        value += tl.load(b + (row - A_ROWS) * b_row + sample * b_sample, mask=wanted, other=0.0)
    return value.to(tl.float64)


@triton.jit
def _kernel(
    out,
    a,
    b,
    samples,
    span,
    a_row,
    a_sample,
    b_row,
    b_sample,
    A_ROWS: tl.constexpr,
    ROWS: tl.constexpr,
    TILE: tl.constexpr,
    WIDTH: tl.constexpr,
    UNROLL: tl.constexpr,
):
    tiles: tl.constexpr = (ROWS + TILE - 1) // TILE
    pairs: tl.constexpr = tiles * (tiles + 1) // 2

    # Neighbouring programs read the same samples, so that all but the first find them in the cache.
    program = tl.program_id(0).to(tl.int64)
    pair = program % pairs
    place = program // pairs
    begin = place * span
    end = tl.minimum(begin + span, samples)
    upper = pair * 0
    for i in tl.static_range(1, tiles):
        upper += (pair >= i * (i + 1) // 2).to(tl.int64)
    first = upper * TILE
    second = (pair - upper * (upper + 1) // 2) * TILE

    sums = ()
    for _ in tl.static_range(TILE * (TILE + 1) // 2 if tiles == 1 else TILE * TILE):
        sums = sums + (tl.zeros((WIDTH,), tl.float64),)
    start = begin
    # Not a range: with NumPy 2.4 the interpreter takes no tensor as its bound.
    while start < end:
        rows = ()
        columns = ()
        for u in tl.static_range(UNROLL):
            sample = start + u * WIDTH + tl.arange(0, WIDTH)
            inside = sample < end
            for i in tl.static_range(TILE):
                rows = rows + (
                    _load_row(first + i, a, b, sample, inside, a_row, a_sample, b_row, b_sample, A_ROWS, ROWS),
                )
                if tiles > 1:
                    columns = columns + (
                        _load_row(second + i, a, b, sample, inside, a_row, a_sample, b_row, b_sample, A_ROWS, ROWS),
                    )
        for u in tl.static_range(UNROLL):
            new = ()
            for i in tl.static_range(TILE):
                if tiles == 1:
                    for j in tl.static_range(i + 1):
                        new = new + (sums[i * (i + 1) // 2 + j] + rows[u * TILE + i] * rows[u * TILE + j],)
                else:
                    for j in tl.static_range(TILE):
                        new = new + (sums[i * TILE + j] + rows[u * TILE + i] * columns[u * TILE + j],)
            sums = new
        start += WIDTH * UNROLL

    out += place * ROWS * ROWS
    for i in tl.static_range(TILE):
        for j in tl.static_range(i + 1 if tiles == 1 else TILE):
            total = tl.sum(sums[i * (i + 1) // 2 + j if tiles == 1 else i * TILE + j], axis=0)
            row = first + i
            column = second + j
            wanted = (row < ROWS) & (column <= row)
            tl.store(out + row * ROWS + column, total, mask=wanted)
            tl.store(out + column * ROWS + row, total, mask=wanted)


def second_moments(rows: Sequence[Tensor]) -> Tensor:
    """Of one or two matrices (rows_i, samples), float32.

    A thread owns a few samples of all rows (of two tiles of rows, where there are more than eleven) and the sums of
    their products. A second pass adds up the programs' sums, in a fixed order.
    """
    a, b = (part.resolve_neg() for part in (rows[0], rows[-1]))
    samples, n_rows = a.shape[1], sum(len(part) for part in rows)
    if n_rows <= _ROWS_IN_REGISTERS:
        tile, unroll = n_rows, 4 if n_rows <= 9 else 2
    else:
        tile, unroll = triton.cdiv(n_rows, triton.cdiv(n_rows, _TILE)), 1
    tiles = triton.cdiv(n_rows, tile)
    pairs = tiles * (tiles + 1) // 2
    step = _WIDTH * unroll
    span = max(triton.cdiv(samples, triton.cdiv(_PROGRAMS, pairs)), _SHORTEST_SPAN)
    span = triton.cdiv(span, step) * step
    splits = triton.cdiv(samples, span)
    out = torch.empty(splits, n_rows, n_rows, dtype=torch.float64, device=a.device)
    with on_device(a):
        _kernel[(splits * pairs,)](
            out,
            a,
            b,
            samples,
            span,
            *a.stride(),
            *b.stride(),
            A_ROWS=len(a),
            ROWS=n_rows,
            TILE=tile,
            WIDTH=_WIDTH,
            UNROLL=unroll,
            num_warps=_NUM_WARPS,
        )
    return out.sum(0)
