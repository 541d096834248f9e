"""What KAMIR, MIRA and FastMIRA do with the pieces of a recording, once their settings are chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import torch
from torch import Tensor

from irtools.methods.powers.fit import Fit, first_gains, first_psd, fit
from irtools.methods.powers.settings import PowerSettings, close_matrix
from irtools.methods.powers.spectra import equaliser, powers, render_own
from irtools.methods.separator import Recording, Reduction, Separator

_LEAST_GAIN = 1e-10


def learn_in_turn(
    recording: Recording,
    settings: PowerSettings,
    close_mics=None,
    assignment=None,
    n_sources: int | None = None,
    callback: Callable | None = None,
) -> Separator:
    """A separator that starts each piece at the gains at which the one before ended."""
    close, own_mics = close_matrix(close_mics, assignment, n_sources, recording.n_mics)
    known = None

    def separate(mics: Tensor, mixdown: Tensor | None) -> Reduction:
        nonlocal known
        found = reduce_piece(mics, settings, close, own_mics, known, callback)
        gains = found.details["power_gains"]
        if known is None:
            known = close.to(gains).clamp_min(settings.leakage).expand_as(gains)
        # A source that is silent in a piece has no gains there: those of the piece before are kept for the next.
        known = torch.where(mics[own_mics].any(1), gains, known)
        return found

    overlap = piece_overlap(recording.sample_rate, settings)
    return Separator(separate, own_mics, overlap=overlap, details={"settings": asdict(settings)})


def reduce_piece(
    mics: Tensor,
    settings: PowerSettings,
    close: Tensor,
    own_mics: list[int],
    known_gains: Tensor | None = None,
    callback: Callable | None = None,
) -> Reduction:
    """Fit the power model to microphones (mics, samples) and mask them.

    ``close`` and ``own_mics`` are those of :func:`close_matrix`; ``known_gains`` (freqs or 1, mics, sources) is where Λ
    starts, relative to the own microphone, in units of the recording.
    """
    power = powers(mics, settings)
    found, scale = fit_powers(power, settings, close.to(mics.device), own_mics, known_gains, callback)
    return Reduction(
        sources=render_own(mics, found.psd, found.gains, own_mics, settings),
        gains=amplitude_gains(found, scale, own_mics, settings.alpha).to(mics),
        cost=torch.tensor(found.cost, dtype=torch.float64) if found.cost else None,
        n_iter=settings.n_iter,
        details={
            "power_gains": relative_gains(found.gains, scale, own_mics).to(mics),
            "close_mics": [column.nonzero()[:, 0].tolist() for column in found.close.T],
            "settings": asdict(settings),
        },
    )


def fit_powers(
    power: Tensor,
    settings: PowerSettings,
    close: Tensor,
    own_mics: list[int],
    known_gains: Tensor | None = None,
    callback: Callable | None = None,
) -> tuple[Fit, Tensor]:
    """The model of V, which is equalised in place, and the equaliser (freqs or 1, mics, 1): the unit of its gains."""
    scale = equaliser(power, settings)
    power /= scale
    if known_gains is None:
        gains = first_gains(close, len(power), settings, power)
    else:
        gains = _equalised(known_gains.to(power), scale, own_mics, settings)
    return fit(power, first_psd(power, gains, close, settings), gains, close, settings, callback), scale


def piece_overlap(sample_rate: int | None, settings: PowerSettings) -> int:
    """Samples that consecutive pieces share: one second, or four windows where those are longer."""
    return max(sample_rate or 44100, 4 * settings.window_size)


def relative_gains(gains: Tensor, scale: Tensor, own_mics: list[int]) -> Tensor:
    """Λ in units of the recording, relative to the own microphone of each source, in the exponent α."""
    absolute = (gains * scale).double()
    own = absolute[:, own_mics, range(len(own_mics))]
    return absolute / own[:, None, :]


def amplitude_gains(found: Fit, scale: Tensor, own_mics: list[int], alpha: float) -> Tensor:
    """Level of each source at each microphone relative to its own, over the recording, shape (mics, sources).

    ``(Σ_ft λ_kn(f) p_n(f, t) / Σ_ft λ_on(f) p_n(f, t))^(1/α)`` with o the own microphone of n, both in units of the
    recording; one at the own microphone.
    """
    weight = found.psd.sum(2, dtype=torch.float64)[:, None, :]
    energy = ((found.gains * scale).double() * weight).sum(0)
    return (energy / energy[own_mics, range(len(own_mics))]) ** (1 / alpha)


def _equalised(relative, scale, own_mics, settings):
    """Gains relative to the own microphone in the units of this recording's equaliser."""
    gains = relative * scale[:, own_mics].transpose(1, 2) / scale
    if not settings.per_frequency:
        gains = gains.clamp_min(_LEAST_GAIN).log().mean(0, keepdim=True).exp()
    return gains.clamp_min(settings.gain_floor)
