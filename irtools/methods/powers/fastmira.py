"""FastMIRA: MIRA for recordings of any length, with gains learned from random projections."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace

from torch import Tensor

from irtools.methods.powers import mira
from irtools.methods.powers.fit import first_gains, first_psd, fit
from irtools.methods.powers.random_projections import projected_powers
from irtools.methods.powers.reduction import amplitude_gains, piece_overlap, reduce_powers, relative_gains
from irtools.methods.powers.settings import choose_settings, close_matrix
from irtools.methods.powers.spectra import equaliser
from irtools.methods.separator import Reduction, Separator, check_mics

_PRACTICAL = replace(mira.PRESETS["practical"], first_passes=3)
PRESETS = {"practical": _PRACTICAL, "public-code": mira.PRESETS["public-code"]}


def fastmira(
    mics: Tensor,
    sample_rate: int | None = None,
    *,
    assignment=None,
    n_sources: int | None = None,
    close_mics=None,
    preset: str = "practical",
    projections: int = 128,
    learn_iter: int = 5,
    seed: int = 0,
    **settings,
) -> Reduction:
    """Reduce bleed with FastMIRA: MIRA whose gains are learned once, from random projections of the recording.

    Parameters
    ----------
    mics : Tensor, shape (mics, samples), float32 or float64
    sample_rate : int, optional
        In Hz; not used, every method takes it.
    assignment : sequence of int, optional
        Close microphone of each source; by default microphone n for source n.
    n_sources : int, optional
        Number of sources where ``assignment`` is not given; by default one a microphone.
    close_mics : sequence of sequences of int, or matrix (mics, sources) of 0 and 1, optional
        Several close microphones a source; a source is estimated at the first of its own.
    preset : "practical" or "public-code"
        As in :func:`irtools.methods.powers.mira.mira`.
    projections : int
        R, the number of virtual frames from which the gains are learned.
    learn_iter : int
        Iterations on them; ``n_iter`` counts those of the separation, with these gains.
    seed : int
        Of the projections.
    **settings
        Fields of :class:`irtools.methods.powers.settings.Settings` that replace those of the preset.

    Returns
    -------
    Reduction
        As :func:`irtools.methods.powers.kamir.kamir` gives it; ``gains`` are those that were learned.

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
    >>> generator = torch.Generator().manual_seed(0)
    >>> sources = torch.randn(2, 20000, generator=generator)
    >>> sources[0, :10000], sources[1, 10000:] = 0, 0
    >>> mics = torch.tensor([[1.0, 0.3], [0.3, 1.0]]) @ sources
    >>> found = fastmira(mics, window_size=512, hop=128)
    >>> before, after = ((x - sources).square().sum() for x in (mics, found.sources))
    >>> bool(after < 0.2 * before)
    True
    """
    check_mics(mics, sample_rate)
    options = {"assignment": assignment, "n_sources": n_sources, "close_mics": close_mics, "preset": preset}
    options |= {"projections": projections, "learn_iter": learn_iter, "seed": seed}
    return learn([(mics, None)], sample_rate, **options, **settings).separate(mics, None)


def learn(
    pieces: Iterable[tuple[Tensor, Tensor | None]],
    sample_rate: int | None = None,
    *,
    assignment=None,
    n_sources: int | None = None,
    close_mics=None,
    preset: str = "practical",
    projections: int = 128,
    learn_iter: int = 5,
    seed: int = 0,
    **settings,
) -> Separator:
    """Learn the gains from all pieces of a recording; the parameters are those of :func:`fastmira`.

    Parameters
    ----------
    pieces : iterable of (Tensor of shape (mics, samples), Tensor or None)
        Consecutive pieces of the recording; read once, none is kept.

    Returns
    -------
    Separator
        Separates with those gains, whatever the piece.

    Examples
    --------
    >>> import torch
    >>> mics = torch.randn(2, 9000, generator=torch.Generator().manual_seed(0))
    >>> learn([(mics[:, :5000], None), (mics[:, 5000:], None)]).gains.shape
    torch.Size([2, 2])
    """
    chosen = choose_settings(PRESETS, preset, settings)
    _check_counts(projections=(projections, 1), learn_iter=(learn_iter, 0), seed=(seed, 0))
    # Projections have no order in time: nothing to thin by comparison with neighbours, nor to filter.
    virtual = replace(chosen, n_iter=learn_iter, first_passes=0, footprint=None)
    power = projected_powers(pieces, virtual, projections, seed)
    close, own_mics = close_matrix(close_mics, assignment, n_sources, power.shape[1])
    scale = equaliser(power, virtual)
    power /= scale
    close = close.to(power.device)
    gains = first_gains(close, len(power), virtual, power)
    found = fit(power, first_psd(power, gains, close, virtual), gains, close, virtual)
    relative = relative_gains(found.gains, scale, own_mics)
    amplitude = amplitude_gains(found, scale, own_mics, chosen.alpha)
    learned = {"projections": projections, "learn_iter": learn_iter, "seed": seed}
    separation = replace(chosen, gain_iter=0, reselect=False)

    def separate(mics: Tensor, mixdown: Tensor | None = None) -> Reduction:
        piece = reduce_powers(
            mics, sample_rate, "fastmira", separation, close_mics, assignment, n_sources, relative.to(mics)
        )
        return replace(piece, gains=amplitude.to(mics), details=piece.details | learned)

    return Separator(
        separate=separate,
        close_mics=own_mics,
        overlap=piece_overlap(sample_rate, chosen),
        gains=amplitude,
        n_iter=chosen.n_iter,
        details={"settings": asdict(chosen)} | learned,
    )


def _check_counts(**counts):
    for name, (value, least) in counts.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name}: expected an int, got {value!r}")
        if value < least:
            raise ValueError(f"{name}: expected {least} or more, got {value}")
