"""Close-mic demixing: blind inversion of the mixing, guided by one close microphone per source."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict

import torch
from torch import Tensor

from irtools.checks import check_choice, check_int, check_number
from irtools.methods.closemic.bins import channel_levels, phase_spread, sample_bins
from irtools.methods.closemic.filters import filtered, mask_residual, separate
from irtools.methods.closemic.learning import read_excerpts
from irtools.methods.closemic.linear import demix_linear
from irtools.methods.closemic.room import RoomLearner, RoomSettings
from irtools.methods.iteration import warn_not_converged
from irtools.methods.separator import Recording, Separator, choose_settings
from irtools.stft import istft, stft

MODES = ("auto", "linear", "room")
_MAX_BINS = 400_000
# Halfway between linear mixtures, up to 0.34, and rooms, from 0.52.
_LINEAR_PHASES = 0.43
# Level ratio above which channels are equalised; smaller ones lie within the estimate's error.
_UNEQUAL = 6.0
_WINDOW_SECONDS = 0.186
_STILL_FALLING = "its cost shows by how much it still fell"


def close_mic_demixing(
    recording: Recording,
    *,
    mode: str = "auto",
    assignment=None,
    n_sources: int | None = None,
    attenuation_db: float = 20.0,
    window_size: int | None = None,
    demix_ambient: bool = False,
    callback: Callable | None = None,
    **settings,
) -> Separator:
    """Reduce bleed by close-mic demixing: the mixing is inverted blindly, each source starting at its own microphone.

    Parameters
    ----------
    recording : Recording
        Read once, of which bins evenly spaced over all of it are kept; in a room, excerpts are read once more. Its
        sample rate sets the default window.
    mode : "auto", "linear" or "room"
        One real matrix for all frequencies; filters over several frames of each frequency; or what the phases between
        the microphones ask for.
    assignment : sequence of int, optional
        Close microphone of each source; by default microphone n for source n.
    n_sources : int, optional
        Number of sources where ``assignment`` is not given; by default one per microphone.
    attenuation_db : float
        In a room: the most that a mask attenuates an output where the others are so loud that what is heard may be
        theirs; 0 is the linear filter alone.
    window_size : int, optional
        Of the transform in a room, in samples; the power of two nearest to 0.19 s by default. Bleed may last for
        ``taps`` windows, each a quarter of a window after the one before.
    demix_ambient : bool
        Whether what each microphone without a source of its own holds besides the sources is an output too, after the
        sources and in order of the microphones.
    callback : callable, optional
        ``callback(iteration, cost, ...)`` hears of each iteration, with ``demixing`` (a matrix) in a linear mixture and
        ``gains`` (the filters) in a room.
    **settings
        Fields of :class:`irtools.methods.closemic.room.RoomSettings`.

    Returns
    -------
    Separator
        One matrix for the recording in a linear mixture, one filter from each source to each other microphone in a
        room; both are learned from all of the recording, and a piece of it is separated like the whole. ``gains`` is
        Λ with unit diagonal: in a room, the level of each source at each microphone relative to its own, over all
        frequencies. ``cost`` is the objective, and ``details`` has ``mode``, ``phase_spread``, ``channel_levels`` and
        ``settings``.

    Raises
    ------
    TypeError, ValueError
        Invalid input or an unknown setting.
    FloatingPointError
        A non-finite iterate.

    Warns
    -----
    ConvergenceWarning
        The last iteration still moved the gains of a linear mixture.

    Notes
    -----
    The linear mode is :func:`irtools.methods.closemic.linear.demix_linear`: determined demixing by iterative
    projection [1]_ under the sparsest source model, ``r_n = |z_n|²``, with the own-microphone images ``z_n`` as
    outputs, so that order and scale are not open. The room mode,
    :class:`irtools.methods.closemic.room.RoomLearner`, has the same source model and lets bleed last several frames of
    the transform. More microphones than sources: a linear mixture is inverted from the close microphones alone, in a
    room the other microphones are outputs of their own that are not returned. With ``demix_ambient`` they return less
    what gains or filters find of the sources in them, unmasked: ``x_k - Λ_k z``, ``x_k - Σ_n Σ_l a_knl z_n(t - l)``.

    Levels of the channels: the first prior of the room mode is on gains between equally amplified microphones, and
    channels that differ by far (a factor 6) are brought to one level first, see
    :func:`irtools.methods.closemic.bins.channel_levels`.

    References
    ----------
    .. [1] N. Ono, "Stable and fast update rules for independent vector analysis based on auxiliary function
       technique", WASPAA, 2011.

    Examples
    --------
    >>> import irtools as ir
    >>> plays = torch.tensor([[1, 1, 0, 1], [0, 1, 1, 1]]).repeat_interleave(20000, 1)
    >>> sources = plays * torch.randn(2, 80000, generator=torch.Generator().manual_seed(0))
    >>> mics = torch.tensor([[1.0, 0.3], [0.2, 1.0]]) @ sources
    >>> ir.reduce(mics, 44100, "closemic", mode="linear").gains.round(decimals=2)
    tensor([[1.0000, 0.3000],
            [0.2000, 1.0000]])
    """
    check_choice("mode", mode, MODES)
    check_number("attenuation_db", attenuation_db, 0, unit="dB")
    if window_size is not None and check_int("window_size", window_size, 16) % 8:
        raise ValueError(f"window_size: expected a multiple of 8 samples, 16 or more, or None, got {window_size!r}")
    chosen = choose_settings({"room": RoomSettings()}, "room", settings)
    if not isinstance(demix_ambient, bool):
        raise TypeError(f"demix_ambient: expected True or False, got {demix_ambient!r}")
    close_mics = recording.close_mics(assignment, n_sources)
    ambient = [k for k in range(recording.n_mics) if k not in close_mics] if demix_ambient else []

    pieces = (mics for mics, _ in recording.pieces())
    # Shorter than in a room: more bins in which a source pauses.
    bins = sample_bins(pieces, window_size=_default_window(recording.sample_rate) // 2, max_bins=_MAX_BINS)
    spread = phase_spread(bins[close_mics])
    if mode == "auto":
        mode = "linear" if spread < _LINEAR_PHASES else "room"
    details = {"mode": mode, "phase_spread": spread, "channel_levels": None, "settings": None}
    if mode == "linear":
        return _linear(bins, close_mics, ambient, details, callback)
    levels = channel_levels(bins)
    if levels.max() < _UNEQUAL * levels.min():
        levels = torch.ones_like(levels)
    size = window_size or _default_window(recording.sample_rate)
    details |= {
        "window_size": size,
        "attenuation_db": attenuation_db,
        "channel_levels": levels.tolist(),
        "settings": asdict(chosen),
    }
    return _room(recording, close_mics, ambient, levels, size, attenuation_db, chosen, details, callback)


def _linear(bins: Tensor, close_mics: list[int], ambient: list[int], details: dict, callback) -> Separator:
    """One real matrix, learned from the bins of the whole recording."""
    found = demix_linear(bins[close_mics], callback=callback)
    if not found.converged:
        warn_not_converged("closemic", found.n_iter, _STILL_FALLING)
    gains = _gains_of_all_mics(bins, found.gains, close_mics)
    # A least-squares estimate from all microphones would move into the sources what an ambient one alone holds.
    demixing = gains.new_zeros(len(close_mics), len(gains))
    demixing[:, close_mics] = torch.linalg.inv(found.gains)
    residual = torch.eye(len(gains), dtype=gains.dtype, device=gains.device)[ambient] - gains[ambient] @ demixing
    demixing = torch.cat([demixing, residual])
    return Separator(
        separate=lambda mics, mixdown: (demixing @ mics.double()).to(mics.dtype),
        close_mics=close_mics,
        gains=gains,
        cost=found.cost,
        n_iter=found.n_iter,
        converged=found.converged,
        details=details | {"demixing": demixing.tolist()},
    )


def _gains_of_all_mics(bins: Tensor, close_gains: Tensor, close_mics: list[int]) -> Tensor:
    """Λ of all microphones, of that of the close ones: others are regressed on the sources."""
    gains = close_gains.new_zeros(len(bins), len(close_mics))
    if len(close_mics) < len(bins):
        x = torch.view_as_real(bins.to(torch.complex128)).flatten(1)
        z = torch.linalg.solve(close_gains, x[close_mics])
        power = (z @ z.T).diagonal().mean().clamp_min(1e-300)
        gram = z @ z.T + 1e-12 * power * torch.eye(len(z), dtype=z.dtype, device=z.device)
        gains = torch.linalg.solve(gram, z @ x.T).T
    gains[close_mics] = close_gains
    return gains


def _room(recording, close_mics, ambient, levels, size, attenuation_db, settings, details, callback) -> Separator:
    """Filters over several frames, learned from excerpts spread over the whole recording."""
    hop = size // 4
    x, heard = read_excerpts(recording, levels, size, hop, settings.taps)
    learner = RoomLearner(x, heard, close_mics, settings, hop / (recording.sample_rate or 44100), callback)
    filters = learner.learn()
    levels, outputs = levels[:, None], close_mics + ambient

    def piece(mics: Tensor, mixdown: Tensor | None) -> Tensor:
        gain = levels.to(mics)
        x = stft(mics / gain, size, hop).transpose(0, 1).contiguous()
        z = separate(x, filters)
        # Two ambient microphones hear one ambience: neither is freed of the other.
        rest = [x[:, k] - filtered(z[:, close_mics], filters[:, k, close_mics]) for k in ambient]
        if attenuation_db:
            z = mask_residual(z, attenuation_db)
        out = torch.stack([*z[:, close_mics].unbind(1), *rest])
        return istft(out, mics.shape[1], size, hop) * gain[outputs]

    return Separator(
        piece,
        close_mics,
        overlap=2 * size + settings.taps * hop,
        gains=(learner.levels() * levels / levels.T)[:, close_mics],
        cost=learner.cost,
        n_iter=len(learner.cost),
        details=details,
    )


def _default_window(sample_rate):
    return 1 << max(6, round(math.log2(_WINDOW_SECONDS * (sample_rate or 44100))))
