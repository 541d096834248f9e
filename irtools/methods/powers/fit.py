"""Fit of the power model V ≈ ΛP by alternating steps of P and Λ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from irtools.kernels.blocks import frequency_blocks
from irtools.kernels.median_filter import median_filter
from irtools.kernels.psd_update import gain_sums, psd_step, psd_update, wiener_update
from irtools.methods.iteration import Iterations
from irtools.methods.powers.settings import FLOOR, NOISE, PowerSettings, footprint_of, in_threads

_RESELECTED = 0.8


@dataclass(frozen=True)
class Fit:
    """A fitted model.

    Attributes
    ----------
    psd : Tensor, shape (freqs, sources, frames)
        P.
    gains : Tensor, shape (freqs, mics, sources) or (1, mics, sources)
        Λ, in the units of the V that was fitted.
    close : Tensor, shape (mics, sources), bool
        The close microphones, as selected at the end.
    cost : list of float
        Divergence before the first and after each iteration; empty unless it was asked for.
    """

    psd: Tensor
    gains: Tensor
    close: Tensor
    cost: list[float]


def first_gains(close: Tensor, freqs: int, settings: PowerSettings, like: Tensor) -> Tensor:
    """Λ before the first iteration: 1 at the close microphones, ``leakage`` at the others."""
    start = close.to(like).clamp_min(settings.leakage)
    return start.repeat(freqs if settings.per_frequency else 1, 1, 1)


def first_psd(power: Tensor, gains: Tensor, close: Tensor, settings: PowerSettings) -> Tensor:
    """P before the first iteration: the mean over the close microphones of v_k / λ_kn, then thinned and filtered."""
    weights = close.to(power) / close.sum(0)
    psd = ((weights / gains).mT @ power).clamp_min_(FLOOR)
    for _ in range(settings.first_passes):
        psd = _thinned(psd, settings)
    return _filtered(psd, footprint_of(settings))


def fit(
    power: Tensor,
    psd: Tensor,
    gains: Tensor,
    close: Tensor,
    settings: PowerSettings,
    callback: Callable | None = None,
) -> Fit:
    """Alternate between P and Λ for ``n_iter`` iterations.

    Parameters
    ----------
    power : Tensor, shape (freqs, mics, frames)
        V.
    psd : Tensor, shape (freqs, sources, frames)
        First P, positive.
    gains : Tensor, shape (freqs, mics, sources) or (1, mics, sources)
        First Λ, positive.
    close : Tensor, shape (mics, sources), bool
    settings : PowerSettings
    callback : callable, optional
        ``callback(iteration, cost, gains=..., psd=...)`` hears of each iteration.

    Returns
    -------
    Fit

    Raises
    ------
    FloatingPointError
        A gain that is not finite.

    Notes
    -----
    Nothing ties the frequencies together but a kernel, the steps of common gains and the selection of close
    microphones: without them each block of frequencies is iterated to the end while it is in the cache.
    """
    psd, common = psd.clone(), not settings.per_frequency
    together = settings.footprint is not None or settings.reselect or settings.track_cost or callback is not None
    if together or (common and settings.gain_iter):
        return _iterate(power, psd, gains, close, settings, callback)

    def whole(block):
        # The block of P is moved in place: psd[block] is a view.
        return _iterate(power[block], psd[block], _of_block(gains, block), close, settings).gains

    parts = in_threads(whole, frequency_blocks(power), power)
    return Fit(psd, gains if common else torch.cat(parts), close, [])


def divergence(power: Tensor, psd: Tensor, gains: Tensor, beta: float) -> float:
    """Sum over all bins of the β-divergence of V + ε from ΛP + ε."""
    total = 0.0
    for block in frequency_blocks(power):
        model = (_of_block(gains, block) @ psd[block]).double() + NOISE
        data = power[block].double() + NOISE
        if beta == 0:
            terms = data / model - (data / model).log() - 1
        elif beta == 1:
            terms = data * (data / model).log() - data + model
        else:
            terms = data**beta / (beta * (beta - 1)) + model**beta / beta - data * model ** (beta - 1) / (beta - 1)
        total += float(terms.sum())
    return total


def _iterate(power, psd, gains, close, settings, callback=None):
    """The iterations on some frequencies; without a kernel, ``psd`` itself is moved."""
    kernel = footprint_of(settings)
    loop = Iterations("power model", settings.n_iter, callback)
    if settings.track_cost:
        loop.cost.append(divergence(power, psd, gains, settings.beta))
    for _ in loop:
        sums = _move_psd(power, psd, gains, close, settings)
        if kernel is not None:
            psd, sums = _filtered(psd, kernel), None
        for _ in range(settings.gain_iter):
            numerator, denominator = sums or _gain_sums(power, psd, gains, settings)
            gains, sums = _moved(gains, numerator, denominator, settings), None
        if settings.reselect:
            middle = gains.median(0).values
            close = middle > _RESELECTED * middle.max(0).values
        cost = divergence(power, psd, gains, settings.beta) if settings.track_cost else None
        loop.record(cost, gains=gains, psd=psd)
    return Fit(psd, gains, close, loop.cost)


def _move_psd(power, psd, gains, close, settings):
    """Write the step of P into ``psd``; the sums for the gains where the step gives them too."""

    def step(block):
        v, p, g, found = power[block], psd[block], _of_block(gains, block), ()
        if settings.step == "multiplicative":
            options = {"beta": settings.beta, "noise": NOISE, "sparsity": settings.sparsity, "floor": FLOOR}
            if settings.gain_iter and settings.footprint is None:
                psd[block], *found = psd_update(v, p, g, **options)
            else:
                psd[block] = psd_step(v, p, g, **options)
        else:
            psd[block] = wiener_update(v, p, g, close.to(v), alpha=settings.alpha, noise=NOISE, floor=FLOOR)
        return found

    return [
        _joined(part, settings) for part in zip(*in_threads(step, frequency_blocks(power), power), strict=True)
    ] or None


def _gain_sums(power, psd, gains, settings):
    def sums(block):
        return gain_sums(power[block], psd[block], _of_block(gains, block), beta=settings.beta, noise=NOISE)

    return [_joined(part, settings) for part in zip(*in_threads(sums, frequency_blocks(power), power), strict=True)]


def _joined(parts, settings):
    return torch.cat(parts) if settings.per_frequency else sum(part.sum(0, keepdim=True) for part in parts)


def _moved(gains, numerator, denominator, settings):
    gains = gains * (numerator + FLOOR) / (denominator + FLOOR)
    if settings.normalise_rows:
        gains = gains / gains.sum(2, keepdim=True)
    return gains.clamp_min(settings.gain_floor)


def _of_block(gains, block):
    return gains if len(gains) == 1 else gains[block]


def _filtered(psd, kernel):
    return psd if kernel is None else median_filter(psd.transpose(0, 1), kernel).transpose(0, 1)


def _thinned(psd, settings):
    """One pass: p_n times a logistic function of (1 + p̃_n) / (1 + Σ_n p̃_n), p̃ being p under a Hamming window."""
    # Block by block, with the neighbouring frequencies that the smoothing of a block needs.
    out, freqs, span = torch.empty_like(psd), len(psd), settings.smoothing[0]

    def thin(block):
        rows = torch.arange(block.start - span // 2, block.stop + span - 1 - span // 2, device=psd.device)
        smooth = _smooth(_smooth(psd[rows.clamp(0, freqs - 1)], 0, span, inside=True), 2, settings.smoothing[1])
        ratio = (smooth + 1) / (smooth.sum(1, keepdim=True) + 1)
        out[block] = psd[block] * torch.sigmoid(settings.first_slope * (ratio - settings.first_threshold))

    in_threads(thin, frequency_blocks(psd), psd)
    return out.clamp_min_(FLOOR)


def _smooth(values, axis, size, inside=False):
    """Mean under a Hamming window; the edges are repeated, or with ``inside`` only whole windows are kept."""
    window = torch.hamming_window(size, periodic=False, dtype=torch.float64)
    length = values.shape[axis]
    if inside:
        length -= size - 1
    else:
        places = torch.arange(-(size // 2), length + size - 1 - size // 2, device=values.device)
        values = values.index_select(axis, places.clamp(0, length - 1))
    shifted = [values.narrow(axis, shift, length) for shift in range(size)]
    total = torch.zeros_like(shifted[0], memory_format=torch.contiguous_format)
    for part, weight in zip(shifted, (window / window.sum()).tolist(), strict=True):
        total.add_(part, alpha=weight)
    return total
