"""What KAMIR, MIRA and FastMIRA do with a recording, or with the pieces of one, once their settings are chosen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

import torch
from torch import Tensor

from irtools.methods.powers.fit import Fit, first_gains, first_psd, fit
from irtools.methods.powers.settings import Settings, close_matrix
from irtools.methods.powers.spectra import equaliser, powers, render_all, render_own
from irtools.methods.separator import Reduction, Separator, check_mics

_LEAST_GAIN = 1e-10


def reduce_powers(
    mics: Tensor,
    sample_rate: int | None,
    method: str,
    settings: Settings,
    close_mics=None,
    assignment=None,
    n_sources: int | None = None,
    known_gains: Tensor | None = None,
) -> Reduction:
    """Fit the power model to a recording and mask it.

    Parameters
    ----------
    mics, sample_rate, close_mics, assignment, n_sources
        As :func:`irtools.methods.powers.kamir.kamir` takes them.
    method : str
        Name that the result carries.
    settings : Settings
    known_gains : Tensor, shape (freqs, mics, sources), optional
        Where Λ starts, relative to the own microphone, in units of the recording.

    Returns
    -------
    Reduction
    """
    check_mics(mics, sample_rate)
    close, own_mics = close_matrix(close_mics, assignment, n_sources, len(mics))
    found, scale = fit_recording(mics, close, own_mics, settings, known_gains)
    relative = relative_gains(found.gains, scale, own_mics)
    return Reduction(
        sources=render_own(mics, found.psd, found.gains, own_mics, settings),
        gains=amplitude_gains(found, scale, own_mics, settings.alpha).to(mics),
        cost=torch.tensor(found.cost, dtype=torch.float64) if found.cost else None,
        n_iter=1 if settings.approximate else settings.n_iter,
        method=method,
        details={
            "power_gains": relative.to(mics),
            "close_mics": [column.nonzero()[:, 0].tolist() for column in found.close.T],
            "settings": asdict(settings),
        },
    )


def separate_images(mics: Tensor, settings: Settings, close_mics=None) -> Tensor:
    """Every source at every microphone, shape (mics, sources, samples); exact masks add up to the microphones."""
    check_mics(mics)
    close, own_mics = close_matrix(close_mics, None, None, len(mics))
    found, _ = fit_recording(mics, close, own_mics, settings)
    return render_all(mics, found.psd, found.gains, settings)


def learn_in_turn(
    pieces: Iterable[tuple[Tensor, Tensor | None]],
    sample_rate: int | None,
    method: str,
    settings: Settings,
    close_mics=None,
    assignment=None,
    n_sources: int | None = None,
) -> Separator:
    """A separator that starts each piece at the gains at which the one before ended.

    Parameters
    ----------
    pieces : iterable of (Tensor of shape (mics, samples), Tensor or None)
        Only the first is read, for its number of microphones.
    sample_rate, method, settings, close_mics, assignment, n_sources
        As in :func:`reduce_powers`.

    Returns
    -------
    Separator
        Its pieces share one second, or four windows where those are longer.

    Notes
    -----
    A source that is silent in a piece has no gains there: those of the piece before are kept for the next.
    """
    own_mics = close_matrix(close_mics, assignment, n_sources, len(next(iter(pieces))[0]))[1]
    known = None

    def separate(mics: Tensor, mixdown: Tensor | None = None) -> Reduction:
        nonlocal known
        found = reduce_powers(mics, sample_rate, method, settings, close_mics, assignment, n_sources, known)
        heard = mics[own_mics].any(1)
        start = known if known is not None else _first_relative(close_mics, own_mics, found, settings)
        known = torch.where(heard, found.details["power_gains"], start)
        return found

    return Separator(
        separate=separate,
        close_mics=own_mics,
        overlap=piece_overlap(sample_rate, settings),
        details={"settings": asdict(settings)},
    )


def piece_overlap(sample_rate: int | None, settings: Settings) -> int:
    """Samples that consecutive pieces share: one second, or four windows where those are longer.

    Examples
    --------
    >>> piece_overlap(8000, Settings(window_size=4096))
    16384
    """
    return max(sample_rate or 44100, 4 * settings.window_size)


def fit_recording(
    mics: Tensor, close: Tensor, own_mics: list[int], settings: Settings, known_gains: Tensor | None = None
) -> tuple[Fit, Tensor]:
    """The model of a recording, and the equaliser in whose units its gains are.

    Parameters
    ----------
    mics : Tensor, shape (mics, samples), float32 or float64
    close : Tensor, shape (mics, sources), bool
    own_mics : list of int
    settings : Settings
    known_gains : Tensor, shape (freqs or 1, mics, sources), optional
        Where Λ starts, relative to the own microphone, in units of the recording.

    Returns
    -------
    Fit
    Tensor, shape (freqs or 1, mics, 1)

    Examples
    --------
    >>> found, scale = fit_recording(torch.ones(1, 5000), torch.ones(1, 1, dtype=torch.bool), [0], Settings())
    >>> found.psd.shape, scale.shape
    (torch.Size([2049, 1, 5]), torch.Size([1, 1, 1]))
    """
    power = powers(mics, settings)
    scale = equaliser(power, settings)
    power /= scale
    close = close.to(mics.device)
    if known_gains is None:
        gains = first_gains(close, len(power), settings, power)
    else:
        gains = _equalised(known_gains.to(power), scale, own_mics, settings)
    return fit(power, first_psd(power, gains, close, settings), gains, close, settings), scale


def relative_gains(gains: Tensor, scale: Tensor, own_mics: list[int]) -> Tensor:
    """Λ in units of the recording, relative to the own microphone of each source, in the exponent α.

    Examples
    --------
    >>> relative_gains(torch.tensor([[[2.0, 1.0], [1.0, 1.0]]]), torch.ones(1, 2, 1), [0, 1])
    tensor([[[1.0000, 1.0000],
             [0.5000, 1.0000]]], dtype=torch.float64)
    """
    absolute = (gains * scale).double()
    own = absolute[:, own_mics, range(len(own_mics))]
    return absolute / own[:, None, :]


def amplitude_gains(found: Fit, scale: Tensor, own_mics: list[int], alpha: float) -> Tensor:
    """Level of each source at each microphone relative to its own, over the recording, shape (mics, sources).

    Notes
    -----
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


def _first_relative(close_mics, own_mics, found, settings):
    """The gains before the first iteration, for sources that have not been heard yet."""
    like = found.details["power_gains"]
    close = close_matrix(close_mics, own_mics if close_mics is None else None, None, like.shape[1])[0]
    return close.to(like).clamp_min(settings.leakage).expand_as(like)
