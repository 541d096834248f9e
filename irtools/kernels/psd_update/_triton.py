"""The updates of the power model in one pass: a program takes the frames of one frequency through P and the sums."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from irtools.kernels.backend import on_device

_MOST_UNROLLED = 64
_FRAMES = 128
_FRAMES_OF_DOT = 32
_PROGRAMS = 2048


def psd_step(power: Tensor, psd: Tensor, gains: Tensor, *options: float) -> Tensor:
    return _launch(power, psd, gains, gains, "multiplicative", False, *options)[0]


def psd_update(power: Tensor, psd: Tensor, gains: Tensor, *options: float) -> tuple[Tensor, Tensor, Tensor]:
    return _launch(power, psd, gains, gains, "multiplicative", True, *options)


def wiener_update(
    power: Tensor, psd: Tensor, gains: Tensor, close: Tensor, alpha: float, noise: float, floor: float
) -> Tensor:
    pull = close / close.sum(-2, keepdim=True) * gains ** (alpha - 1)
    return _launch(power, psd, gains, pull, "wiener", False, alpha, noise, 0.0, floor)[0]


def gain_sums(power: Tensor, psd: Tensor, gains: Tensor, beta: float, noise: float) -> tuple[Tensor, Tensor]:
    return _launch(power, psd, gains, gains, "none", True, beta, noise, 0.0, 0.0)[1:]


def _launch(power, psd, gains, pull, step, sums, exponent, noise, sparsity, floor):
    """``exponent`` is β, or α of the Wiener step, whose ``pull`` are the weights of the attraction."""
    freqs, mics, frames = power.shape
    sources = psd.shape[1]
    rows, columns = triton.next_power_of_2(mics), triton.next_power_of_2(sources)
    dot = rows * columns > _MOST_UNROLLED
    if dot:
        rows, columns = max(rows, 16), max(columns, 16)
    tile = _FRAMES_OF_DOT if dot else _FRAMES
    # Of the shape alone, so that the order of the sums and with it every bit is the same in every run.
    splits = max(1, min(triton.cdiv(_PROGRAMS, freqs), triton.cdiv(frames, 4 * tile)))
    span = tile * triton.cdiv(triton.cdiv(frames, splits), tile)
    out = torch.empty(psd.shape, dtype=psd.dtype, device=psd.device) if step != "none" else psd
    partial = torch.empty((splits if sums else 0, 2, freqs, mics, sources), dtype=psd.dtype, device=psd.device)
    with on_device(psd):
        _kernel[(freqs * splits,)](
            out,
            partial,
            power,
            psd,
            gains,
            pull,
            freqs,
            frames,
            span,
            *out.stride(),
            *power.stride(),
            *psd.stride(),
            *_strides(gains),
            *_strides(pull),
            noise,
            sparsity,
            floor,
            MICS=mics,
            SOURCES=sources,
            ROWS=rows,
            COLUMNS=columns,
            TILE=tile,
            STEP=step,
            SUMS=sums,
            EXPONENT=float(exponent),
            SPARSE=sparsity != 0,
            DOT=dot,
            num_warps=8 if max(rows, columns) > 16 and dot else 4,
        )
    return out, *partial.sum(0)


def _strides(matrices):
    """Those of (freqs, mics, sources), where one matrix serves every frequency."""
    of_freqs, *others = matrices.expand(-1, -1, -1).stride()
    return (0 if len(matrices) == 1 else of_freqs), *others


@triton.jit
def _model(gains, psd, inside, noise, DOT: tl.constexpr):
    """V̂ = ΛP + ε; 1 where there is no bin, so that nothing is divided by zero."""
    if DOT:
        model = tl.dot(gains, psd, input_precision="tf32x3")
    else:
        model = tl.sum(gains[:, :, None] * psd[None, :, :], 1)
    return tl.where(inside, model + noise, 1.0)


@triton.jit
def _pulled(gains, rows, DOT: tl.constexpr):
    """Λᵀ times (mics, frames)."""
    if DOT:
        return tl.dot(tl.trans(gains), rows, input_precision="tf32x3")
    else:
        return tl.sum(gains[:, :, None] * rows[:, None, :], 0)


@triton.jit
def _added(sums, rows, psd, DOT: tl.constexpr):
    """Sums over frames of (mics, frames) times P; unless by ``dot``, one for every frame of the tile."""
    if DOT:
        return tl.dot(rows, tl.trans(psd), sums, input_precision="tf32x3")
    else:
        return sums + rows[:, None, :] * psd[None, :, :]


@triton.jit
def _power_of(model, EXPONENT: tl.constexpr):
    if EXPONENT == 0.5:
        return tl.sqrt(model)
    elif EXPONENT == 1.0:
        return model
    elif EXPONENT == 1.5:
        return model * tl.sqrt(model)
    else:
        return model * model


@triton.jit
def _weighted(power, model, inside, BETA: tl.constexpr):
    """V V̂^(β-2) and V̂^(β-1), 0 where there is no bin."""
    if BETA == 2.0:
        return power, tl.where(inside, model, 0.0)
    elif BETA == 1.0:
        return power / model, tl.where(inside, tl.full(model.shape, 1.0, model.dtype), 0.0)
    else:
        inverse = 1.0 / model
        return power * inverse * inverse, tl.where(inside, inverse, 0.0)


@triton.jit
def _moved(power, psd, gains, pull, noise, sparsity, floor, inside, held, SOURCES: tl.constexpr, STEP: tl.constexpr,
           EXPONENT: tl.constexpr, SPARSE: tl.constexpr, DOT: tl.constexpr):  # fmt: skip
    """The step of P on one tile."""
    model = _model(gains, psd, inside, noise, DOT)
    if STEP == "wiener":
        new = _power_of(psd, EXPONENT) * _pulled(pull, power / _power_of(model, EXPONENT), DOT)
    else:
        residual, weight = _weighted(power, model, inside, EXPONENT)
        attraction, repulsion = _pulled(pull, residual, DOT), _pulled(pull, weight, DOT)
        if SPARSE:
            total = tl.sum(psd, 0)[None, :]
            geometric = tl.exp(tl.sum(tl.where(held, tl.log(tl.where(held, psd, 1.0)), 0.0), 0) / SOURCES)[None, :]
            attraction += sparsity * SOURCES * geometric / tl.where(held, total * total, 1.0)
            repulsion += sparsity * geometric / tl.where(held, psd * total, 1.0)
        new = psd * attraction / tl.where(held, repulsion, 1.0)
    new = tl.maximum(new, floor, propagate_nan=tl.PropagateNan.ALL)
    return tl.where(held, new, 0.0)


@triton.jit
def _kernel(out_ptr, partial_ptr, power_ptr, psd_ptr, gains_ptr, pull_ptr, freqs, frames, span,
          out_f, out_n, out_t, power_f, power_k, power_t, psd_f, psd_n, psd_t,
          gains_f, gains_k, gains_n, pull_f, pull_k, pull_n, noise, sparsity, floor,
          MICS: tl.constexpr, SOURCES: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, TILE: tl.constexpr,
          STEP: tl.constexpr, SUMS: tl.constexpr, EXPONENT: tl.constexpr, SPARSE: tl.constexpr,
          DOT: tl.constexpr):  # fmt: skip
    """Each program: ``span`` frames of one frequency, V and P read once, the new P written once."""
    program = tl.program_id(0).to(tl.int64)
    f, split = program % freqs, program // freqs
    k, n = tl.arange(0, ROWS), tl.arange(0, COLUMNS)
    is_mic, is_source = k < MICS, n < SOURCES
    k, n = k.to(tl.int64), n.to(tl.int64)
    pair = is_mic[:, None] & is_source[None, :]
    gains = tl.load(gains_ptr + f * gains_f + k[:, None] * gains_k + n[None, :] * gains_n, mask=pair, other=0.0)
    pull = gains
    if STEP == "wiener":
        pull = tl.load(pull_ptr + f * pull_f + k[:, None] * pull_k + n[None, :] * pull_n, mask=pair, other=0.0)
    if DOT:
        up = tl.zeros((ROWS, COLUMNS), tl.float32)
        down = tl.zeros((ROWS, COLUMNS), tl.float32)
    else:
        up = tl.zeros((ROWS, COLUMNS, TILE), tl.float32)
        down = tl.zeros((ROWS, COLUMNS, TILE), tl.float32)
    start = split * span
    stop = start + span
    # Not `for ... in range`: the interpreter of Triton 3.6 takes no bound that is an argument under numpy >= 2.4.
    while start < stop:
        t = start + tl.arange(0, TILE)
        inside = is_mic[:, None] & (t < frames)[None, :]
        held = is_source[:, None] & (t < frames)[None, :]
        at = power_ptr + f * power_f + k[:, None] * power_k + t[None, :] * power_t
        power = tl.load(at, mask=inside, other=0.0)
        psd = tl.load(psd_ptr + f * psd_f + n[:, None] * psd_n + t[None, :] * psd_t, mask=held, other=0.0)
        if STEP != "none":
            psd = _moved(power, psd, gains, pull, noise, sparsity, floor, inside, held, SOURCES, STEP, EXPONENT,
                         SPARSE, DOT)  # fmt: skip
            tl.store(out_ptr + f * out_f + n[:, None] * out_n + t[None, :] * out_t, psd, mask=held)
        if SUMS:
            model = _model(gains, psd, inside, noise, DOT)
            residual, weight = _weighted(power, model, inside, EXPONENT)
            up, down = _added(up, residual, psd, DOT), _added(down, weight, psd, DOT)
        start += TILE
    if SUMS:
        if not DOT:
            up, down = tl.sum(up, 2), tl.sum(down, 2)
        # partial is contiguous: (splits, 2, freqs, mics, sources).
        at = partial_ptr + ((2 * split * freqs + f) * MICS + k[:, None]) * SOURCES + n[None, :]
        tl.store(at, up, mask=pair)
        tl.store(at + freqs * MICS * SOURCES, down, mask=pair)
