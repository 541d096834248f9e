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

# Sums over threads are dear: a program has enough samples for them not to count.
_PROGRAMS, _SHORTEST_SPAN = 2048, 4096
_ROWS_IN_REGISTERS, _TILE = 11, 8
_WIDTH, _NUM_WARPS = 128, 4


@triton.jit
def _load_row(row, a, b, sample, inside, a_row, a_part, a_sample, b_row, b_part, b_sample, A_ROWS, ROWS, PARTS):
    # The real and the imaginary part of a complex row are two rows.
    whole = row // PARTS
    part = row % PARTS
    value = tl.load(a + whole * a_row + part * a_part + sample * a_sample, mask=inside & (row < A_ROWS), other=0.0)
    if ROWS > A_ROWS:
        whole = (row - A_ROWS) // PARTS
        wanted = inside & (row >= A_ROWS) & (row < ROWS)
        value += tl.load(b + whole * b_row + part * b_part + sample * b_sample, mask=wanted, other=0.0)
    return value.to(tl.float64)


@triton.jit
def _second_moments_kernel(
    out,
    a,
    b,
    batches,
    samples,
    span,
    a_batch,
    a_row,
    a_part,
    a_sample,
    b_batch,
    b_row,
    b_part,
    b_sample,
    A_ROWS: tl.constexpr,
    ROWS: tl.constexpr,
    PARTS: tl.constexpr,
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
    batch = place % batches
    begin = place // batches * span
    end = tl.minimum(begin + span, samples)
    upper = pair * 0
    for i in tl.static_range(1, tiles):
        upper += (pair >= i * (i + 1) // 2).to(tl.int64)
    first = upper * TILE
    second = (pair - upper * (upper + 1) // 2) * TILE
    a += batch * a_batch
    b += batch * b_batch

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
                    _load_row(first + i, a, b, sample, inside, a_row, a_part, a_sample, b_row, b_part, b_sample,
                              A_ROWS, ROWS, PARTS),
                )  # fmt: skip
                if tiles > 1:
                    columns = columns + (
                        _load_row(second + i, a, b, sample, inside, a_row, a_part, a_sample, b_row, b_part, b_sample,
                                  A_ROWS, ROWS, PARTS),
                    )  # fmt: skip
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
    """Launch the kernel on one or two tensors of shape (batches, rows_i, samples), float32 or complex64.

    A thread owns a few samples of all rows (of two tiles of rows, where there are more than eleven) and the sums of
    their products. A second pass adds up the programs' sums, in a fixed order.
    """
    first = rows[0]
    parts = 2 if first.is_complex() else 1
    a, b = (_real_rows(part) for part in (first, rows[-1]))
    batches, samples = first.shape[0], first.shape[-1]
    a_rows, n_rows = parts * first.shape[1], parts * sum(part.shape[1] for part in rows)
    if n_rows <= _ROWS_IN_REGISTERS:
        tile, unroll = n_rows, 4 if n_rows <= 9 else 2
    else:
        tile, unroll = triton.cdiv(n_rows, triton.cdiv(n_rows, _TILE)), 1
    tiles = triton.cdiv(n_rows, tile)
    pairs = tiles * (tiles + 1) // 2
    step = _WIDTH * unroll
    span = max(triton.cdiv(samples, triton.cdiv(_PROGRAMS, batches * pairs)), _SHORTEST_SPAN)
    span = triton.cdiv(span, step) * step
    splits = triton.cdiv(samples, span)
    out = torch.empty(splits, batches, n_rows, n_rows, dtype=torch.float64, device=first.device)
    with on_device(first):
        _second_moments_kernel[(splits * batches * pairs,)](
            out,
            a,
            b,
            batches,
            samples,
            span,
            *a.stride(),
            *b.stride(),
            A_ROWS=a_rows,
            ROWS=n_rows,
            PARTS=parts,
            TILE=tile,
            WIDTH=_WIDTH,
            UNROLL=unroll,
            num_warps=_NUM_WARPS,
        )
    sums = out.sum(0)
    if parts == 1:
        return sums
    # Rows alternate between real and imaginary parts.
    real = sums[:, ::2, ::2] + sums[:, 1::2, 1::2]
    return torch.complex(real, sums[:, 1::2, ::2] - sums[:, ::2, 1::2])


def _real_rows(part):
    """Shape (batches, rows, parts, samples): a view, unless a conjugate is still to be taken."""
    if part.is_complex():
        return torch.view_as_real(part.resolve_conj()).transpose(2, 3)
    return part.resolve_neg()[:, :, None]
