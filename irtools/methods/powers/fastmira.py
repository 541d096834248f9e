"""FastMIRA: MIRA for recordings of any length, with gains learned from random projections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

from irtools.checks import check_int
from irtools.methods.powers import mira
from irtools.methods.powers.random_projections import projected_powers
from irtools.methods.powers.reduction import amplitude_gains, fit_powers, piece_overlap, reduce_piece, relative_gains
from irtools.methods.powers.settings import close_matrix
from irtools.methods.separator import Recording, Separator, choose_settings

_PRACTICAL = replace(mira.PRESETS["practical"], first_passes=3)
PRESETS = {"practical": _PRACTICAL, "public-code": mira.PRESETS["public-code"]}


def fastmira(
    recording: Recording,
    *,
    assignment=None,
    n_sources: int | None = None,
    close_mics=None,
    preset: str = "practical",
    projections: int = 128,
    learn_iter: int = 5,
    seed: int = 0,
    callback: Callable | None = None,
    **settings,
) -> Separator:
    """Reduce bleed with FastMIRA: MIRA whose gains are learned once, from random projections of the recording.

    Parameters
    ----------
    recording : Recording
        Read once, none of it is kept.
    assignment : sequence of int, optional
        Close microphone of each source; by default microphone n for source n.
    n_sources : int, optional
        Number of sources where ``assignment`` is not given; by default one per microphone.
    close_mics : sequence of sequences of int, or matrix (mics, sources) of 0 and 1, optional
        Several close microphones per source; a source is estimated at the first of its own.
    preset : "practical" or "public-code"
        As in :func:`irtools.methods.powers.mira.mira`.
    projections : int
        R, the number of virtual frames from which the gains are learned.
    learn_iter : int
        Iterations on them; ``n_iter`` counts those of the separation, with these gains.
    seed : int
        Of the projections.
    callback : callable, optional
        ``callback(iteration, cost, gains=..., psd=...)`` hears of each iteration.
    **settings
        Fields of :class:`irtools.methods.powers.settings.PowerSettings` that replace those of the preset.

    Returns
    -------
    Separator
        As :func:`irtools.methods.powers.kamir.kamir` gives it; ``gains`` are those that were learned, whatever the
        piece.

    Raises
    ------
    TypeError, ValueError
        Invalid input, or an unknown preset or setting.
    FloatingPointError
        A non-finite gain.

    Notes
    -----
    ``C_k(f, r) = Σ_t X_k(f, t) Q(t, r)`` adds up over the recording into R frames per frequency, so the memory does not
    grow with it; MIRA on ``|C|^α`` gives Λ, and with Λ kept each piece needs only its P. Every projection mixes the
    whole recording: the gains are seen through differences between random sums of it, of which a long recording gives
    no more than a short one, but no source has to sound in every piece.

    Differs from public code in: one Q for all microphones, which the common P of the projections needs (it draws one
    for each); the first step of P uses the learned gains; common gains by default, and R = 128 instead of 512, which
    measured no worse on simulated stages. Projections are not thinned or smoothed, having no order.

    References
    ----------
    .. [1] D. Di Carlo, A. Liutkus and K. Déguernel, "Interference reduction on full-length live recordings", ICASSP,
       2018.

    Examples
    --------
    >>> import torch
    >>> import irtools as ir
    >>> sources = torch.randn(2, 20000, generator=torch.Generator().manual_seed(0))
    >>> sources[0, :10000], sources[1, 10000:] = 0, 0
    >>> mics = torch.tensor([[1.0, 0.3], [0.3, 1.0]]) @ sources
    >>> found = ir.reduce(mics, 8000, "fastmira", window_size=512, hop=128)
    >>> before, after = ((x - sources).square().sum() for x in (mics, found.sources))
    >>> bool(after < 0.2 * before)
    True
    """
    chosen = choose_settings(PRESETS, preset, settings)
    check_int("projections", projections, 1)
    check_int("learn_iter", learn_iter, 0)
    check_int("seed", seed, 0)
    close, own_mics = close_matrix(close_mics, assignment, n_sources, recording.n_mics)
    # Projections have no order in time: nothing to thin by comparison with neighbours, nor to filter.
    virtual = replace(chosen, n_iter=learn_iter, first_passes=0, footprint=None)
    power = projected_powers(recording.pieces(), virtual, projections, seed)
    close = close.to(power.device)
    found, scale = fit_powers(power, virtual, close, own_mics)
    relative = relative_gains(found.gains, scale, own_mics)
    amplitude = amplitude_gains(found, scale, own_mics, chosen.alpha)
    learned = {"projections": projections, "learn_iter": learn_iter, "seed": seed}
    kept = replace(chosen, gain_iter=0, reselect=False)

    def separate(mics, mixdown):
        piece = reduce_piece(mics, kept, close, own_mics, relative.to(mics), callback)
        return replace(piece, gains=amplitude.to(mics), details=piece.details | learned)

    return Separator(
        separate,
        own_mics,
        overlap=piece_overlap(recording.sample_rate, chosen),
        gains=amplitude,
        n_iter=chosen.n_iter,
        details={"settings": asdict(chosen)} | learned,
    )
