"""Close-mic demixing: blind inversion of the mixing, guided by one close microphone a source."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from itertools import chain

import torch
from torch import Tensor

from irtools.methods.closemic.bins import phase_spread, sample_bins
from irtools.methods.closemic.channel_levels import channel_levels
from irtools.methods.closemic.linear import demix_linear
from irtools.methods.closemic.residual_mask import mask_residual
from irtools.methods.closemic.room import RoomSettings, demix_room, first_belief
from irtools.methods.separator import ConvergenceWarning, Reduction, Separator, check_assignment, check_mics
from irtools.stft import istft, stft

MODES = ("auto", "linear", "room")
_LINEAR_WINDOW, _MAX_BINS = 4096, 400_000
_LINEAR_PHASES = 0.47
# Of the amplifications of two channels: what the estimate cannot get wrong by itself.
_UNEQUAL = 6.0
_WINDOW_SECONDS = 0.3715
_DRIFT = 0.05
# Nats a bin and frequency that the last iteration may still gain.
_SETTLED = 0.02


def close_mic_demixing(
    mics: Tensor,
    sample_rate: int | None = None,
    *,
    mode: str = "auto",
    assignment=None,
    n_sources: int | None = None,
    residual_db: float | None = -30.0,
    window_size: int | None = None,
    **settings,
) -> Reduction:
    """Reduce bleed by close-mic demixing: the mixing is inverted blindly, each source starting at its own microphone.

    Parameters
    ----------
    mics : Tensor, shape (mics, samples), float32 or float64
    sample_rate : int, optional
        In Hz; sets the default window.
    mode : "auto", "linear" or "room"
        One real matrix for all frequencies; one complex matrix a frequency; or the one that the phases between the
        microphones ask for.
    assignment : sequence of int, optional
        Close microphone of each source; by default microphone n for source n.
    n_sources : int, optional
        Number of sources where ``assignment`` is not given; by default one a microphone.
    residual_db : float, optional
        In a room: level of the other sources that the linear filter is taken to leave in an output, in dB below their
        own; a Wiener mask attenuates it. None: the linear filter alone.
    window_size : int, optional
        Of the transform in a room, in samples; the power of two nearest to 0.37 s by default. It should exceed the
        reverberation, and a recording should have many.
    **settings
        Fields of :class:`irtools.methods.closemic.room.RoomSettings`.

    Returns
    -------
    Reduction
        ``gains`` is Λ with unit diagonal: in a room, the level of each source at each microphone relative to its own,
        over all frequencies. ``cost`` is the objective, and ``details`` has ``mode``, ``phase_spread``,
        ``channel_levels`` and ``settings``.

    Raises
    ------
    TypeError, ValueError
        Invalid input or an unknown setting.
    FloatingPointError
        A non-finite iterate.

    Warns
    -----
    ConvergenceWarning
        The last iteration still moved the gains of a linear mixture, or lowered the objective of a room.

    Notes
    -----
    The linear mode is :func:`irtools.methods.closemic.linear.demix_linear`, the room mode
    :func:`irtools.methods.closemic.room.demix_room`: determined demixing by iterative projection [1]_ under the
    sparsest source model, ``r_n = |z_n|²``, with the own-microphone images ``z_n`` as outputs, so that order and scale
    are not open. More microphones than sources: in a linear mixture the estimate is the least-squares one, in a room
    the other microphones are outputs of their own that are not returned.

    Levels of the channels: the prior of the room mode is on gains between equally amplified microphones, and channels
    that differ by far (a factor 6) are brought to one level first, see
    :func:`irtools.methods.closemic.channel_levels.channel_levels`.

    References
    ----------
    .. [1] N. Ono, "Stable and fast update rules for independent vector analysis based on auxiliary function
       technique", WASPAA, 2011.

    Examples
    --------
    >>> import torch
    >>> plays = torch.tensor([[1, 1, 0, 1], [0, 1, 1, 1]]).repeat_interleave(20000, 1)
    >>> sources = plays * torch.randn(2, 80000, generator=torch.Generator().manual_seed(0))
    >>> found = close_mic_demixing(torch.tensor([[1.0, 0.3], [0.2, 1.0]]) @ sources, mode="linear")
    >>> found.gains.round(decimals=2)
    tensor([[1.0000, 0.3000],
            [0.2000, 1.0000]])
    """
    check_mics(mics, sample_rate)
    options = _options(mode, assignment, n_sources, residual_db, window_size, settings)
    return _learn([(mics, None)], sample_rate, **options).separate(mics, None)


def learn(
    pieces: Iterable[tuple[Tensor, Tensor | None]],
    sample_rate: int | None = None,
    *,
    mode: str = "auto",
    assignment=None,
    n_sources: int | None = None,
    residual_db: float | None = -30.0,
    window_size: int | None = None,
    **settings,
) -> Separator:
    """Learn from a recording in pieces; the parameters are those of :func:`close_mic_demixing`.

    Parameters
    ----------
    pieces : iterable of (Tensor of shape (mics, samples), anything)
        Consecutive pieces of the recording, read once; bins evenly spaced over all of it are kept.

    Returns
    -------
    Separator
        In a linear mixture, one matrix for the recording. In a room, what is learned of the gains in one piece is the
        prior of the next, widened by what players may move; a source that rests keeps its gains.

    Examples
    --------
    >>> import torch
    >>> mics = torch.rand(2, 1000, generator=torch.Generator().manual_seed(0))
    >>> learn([(mics, None)], mode="linear").gains.shape
    torch.Size([2, 2])
    """
    return _learn(pieces, sample_rate, **_options(mode, assignment, n_sources, residual_db, window_size, settings))


def _options(mode, assignment, n_sources, residual_db, window_size, settings):
    if mode not in MODES:
        raise ValueError(f"mode: expected one of {', '.join(MODES)}, got {mode!r}")
    known = [field.name for field in fields(RoomSettings)]
    for name, value in settings.items():
        if name not in known:
            raise TypeError(f"{name}: not a setting of close-mic demixing; expected one of {', '.join(known)}")
        _check_setting(name, value)
    if residual_db is not None and (isinstance(residual_db, (bool, str)) or not -math.inf < residual_db <= 0):
        raise ValueError(f"residual_db: expected a level of at most 0 dB or None, got {residual_db!r}")
    if window_size is not None and (not isinstance(window_size, int) or window_size < 16 or window_size % 8):
        raise ValueError(f"window_size: expected a multiple of 8 samples, 16 or more, or None, got {window_size!r}")
    return {
        "mode": mode,
        "assignment": assignment,
        "n_sources": n_sources,
        "residual_db": residual_db,
        "window_size": window_size,
        "settings": replace(RoomSettings(), **settings),
    }


def _check_setting(name, value):
    if name == "n_iter":
        if not isinstance(value, (tuple, list)) or not value or any(not isinstance(n, int) or n < 1 for n in value):
            raise ValueError(f"n_iter: expected a tuple of iterations, each 1 or more, got {value!r}")
    elif name == "first_iter":
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"first_iter: expected an int, 0 or more, got {value!r}")
    else:
        least = 0.0 if name in ("competition", "leftover", "floor") else 1e-6
        if isinstance(value, (bool, str)) or not least <= value < math.inf:
            raise ValueError(f"{name}: expected a number of at least {least:g}, got {value!r}")


def _learn(pieces, sample_rate, mode, assignment, n_sources, residual_db, window_size, settings):
    pieces = iter(pieces)
    first = next(pieces)
    bins = sample_bins((mics for mics, _ in chain([first], pieces)), window_size=_LINEAR_WINDOW, max_bins=_MAX_BINS)
    close_mics = check_assignment(assignment, len(bins), n_sources)
    spread = phase_spread(bins[close_mics])
    details = {"mode": mode, "phase_spread": spread, "channel_levels": None, "settings": None}
    if mode == "auto":
        details["mode"] = "linear" if spread < _LINEAR_PHASES else "room"
    if details["mode"] == "linear":
        return _linear(bins, close_mics, details)
    size = window_size or _default_window(sample_rate)
    levels = channel_levels(bins)
    if levels.max() < _UNEQUAL * levels.min():
        levels = torch.ones_like(levels)
    details |= {
        "window_size": size,
        "residual_db": residual_db,
        "channel_levels": levels.tolist(),
        "settings": asdict(settings),
    }
    room = _Room(close_mics, levels, size, residual_db, settings, details)
    return Separator(separate=room.separate, close_mics=close_mics, overlap=size, details=details)


def _default_window(sample_rate):
    return 1 << max(6, round(math.log2(_WINDOW_SECONDS * (sample_rate or 44100))))


def _linear(bins, close_mics, details):
    found = demix_linear(bins[close_mics])
    _warn_unless(found.converged, found.n_iter)
    rows = _least_squares(bins, torch.linalg.inv(found.gains), close_mics)
    learned = {
        "gains": rows["gains"],
        "cost": found.cost,
        "n_iter": found.n_iter,
        "converged": found.converged,
        "details": details | {"demixing": rows["demixing"].tolist()},
    }

    def separate(mics, mixdown=None):
        sources = (rows["demixing"] @ mics.double()).to(mics.dtype)
        return Reduction(**learned | {"sources": sources, "gains": learned["gains"].to(mics), "method": "closemic"})

    return Separator(separate=separate, close_mics=close_mics, **learned)


def _least_squares(bins, inverse, close_mics):
    """Λ of all microphones, and its pseudo-inverse; with one microphone a source, the inverse itself."""
    if len(close_mics) == len(bins):
        gains = torch.linalg.inv(inverse)
        order = torch.argsort(torch.tensor(close_mics, device=bins.device))
        return {"gains": gains[order], "demixing": inverse[:, order]}
    x = torch.view_as_real(bins.to(torch.complex128)).flatten(1)
    z = inverse @ x[close_mics]
    power = (z @ z.T).diagonal().mean().clamp_min(1e-300)
    gram = z @ z.T + 1e-12 * power * torch.eye(len(z), dtype=z.dtype, device=z.device)
    gains = torch.linalg.solve(gram, z @ x.T).T
    gains[close_mics] = torch.linalg.inv(inverse)
    return {"gains": gains, "demixing": torch.linalg.pinv(gains)}


def _warn_unless(converged, n_iter):
    if not converged:
        warnings.warn(
            f"closemic: not at rest after {n_iter} iterations; its cost shows by how much it still fell",
            ConvergenceWarning,
            stacklevel=5,
        )


class _Room:
    """Demixing of consecutive pieces in a room; holds what the pieces so far taught."""

    def __init__(self, close_mics, levels, window_size, residual_db, settings, details):
        self.close_mics, self.levels, self.settings = close_mics, levels, settings
        self.window_size, self.residual_db, self.details = window_size, residual_db, details
        self.prior = self.belief = self.w = None

    def separate(self, mics, mixdown=None):
        size, hop = self.window_size, self.window_size // 8
        levels = self.levels.to(mics)[:, None]
        x = stft(mics / levels, size, hop).transpose(0, 1).contiguous()
        if self.belief is None:
            self.prior = first_belief(x.shape[0], self.close_mics, x.shape[1], self.settings, x)
            self.belief = self.prior
        found = demix_room(x, self.belief, self.settings, self.close_mics, self.w)
        self.w = found.w
        self.belief = replace(
            found.gains, variance=torch.minimum(found.gains.variance + _DRIFT**2, self.prior.variance)
        )
        converged = len(found.cost) < 2 or bool(found.cost[-2] - found.cost[-1] < _SETTLED)
        _warn_unless(converged, found.n_iter)
        gains = self._apply(x, found)
        sources = torch.stack([istft(x[:, k], mics.shape[1], size, hop) for k in self.close_mics])
        return Reduction(
            sources=sources * levels[self.close_mics],
            gains=gains * levels / levels[self.close_mics].T,
            cost=found.cost,
            n_iter=found.n_iter,
            converged=converged,
            method="closemic",
            details=self.details,
        )

    def _apply(self, x, found):
        """Replace the spectra by the outputs, a few frequencies at a time; the gains over all frequencies."""
        power = level = 0
        for start in range(0, len(x), 256):
            rows = slice(start, start + 256)
            z = found.w[rows] @ x[rows]
            heard = (z.real**2 + z.imag**2).sum(2)
            power = power + heard.sum(0)
            level = level + (found.gains.mean[rows].abs() ** 2 * heard[:, None]).sum(0)
            if self.residual_db is not None:
                z = mask_residual(z, self.residual_db)
            x[rows] = z
        gains = (level / power.clamp_min(torch.finfo(power.dtype).tiny)).sqrt()
        gains.fill_diagonal_(1)
        return gains[:, self.close_mics]
