"""Alternating minimisation (AM): learning-free, linear, one interference matrix for a whole recording."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields, replace

import numpy as np
import torch
from torch import Tensor

from irtools.kernels.second_moments import second_moments
from irtools.methods.alternating.updates import VARIANTS, Settings, Solution, solve
from irtools.methods.separator import Reduction, Separator, check_assignment, check_mics

_MIXTURES = ("mics", "mixdown", "clean")
_BLOCKS_AT_ONCE = 1 << 14


def alternating_minimisation(
    mics: Tensor,
    sample_rate: int | None = None,
    *,
    mixture: str = "mics",
    mixdown: Tensor | None = None,
    assignment=None,
    n_sources: int | None = None,
    variant: str = "slides",
    **settings,
) -> Reduction:
    """Reduce bleed by alternating minimisation of ‖X - ΛS‖² + ‖m - bᵀS‖².

    Parameters
    ----------
    mics : Tensor, shape (mics, samples), float32 or float64
    sample_rate : int, optional
        In Hz; not used, every method takes it.
    mixture : "mics", "mixdown" or "clean"
        What m is: the sum of the microphones; a mixdown of the concert; or the sum of the *clean* sources, which is
        privileged information that no live recording has, and is labelled so in the result.
    mixdown : Tensor, shape (samples,)
        m itself, for ``mixture="mixdown"`` and ``mixture="clean"``.
    assignment : sequence of int, optional
        Close microphone of each source; by default microphone n for source n.
    n_sources : int, optional
        Number of sources where ``assignment`` is not given; by default one a microphone.
    variant : str
        One of :data:`irtools.methods.alternating.updates.VARIANTS`.
    **settings
        Fields of :class:`irtools.methods.alternating.updates.Settings` that replace those of the variant.

    Returns
    -------
    Reduction
        ``sources`` are λ_nn ŝ_n, ``gains`` is Λ (the mean over the blocks where ``block_samples`` is set) and
        ``details`` has ``mixture``, ``privileged``, ``weights`` (b), ``demixing`` (A of S = A [X; m]),
        ``settings`` and ``notes`` (sentences, such as that every gain is at its lower clip).

    Raises
    ------
    TypeError, ValueError
        Invalid input, or an unknown variant or setting.
    FloatingPointError
        A singular or non-finite iterate.

    Warns
    -----
    ConvergenceWarning
        The stopping rule was not met within ``max_iter`` iterations.

    Notes
    -----
    The rules are in :func:`irtools.methods.alternating.updates.solve`. They run on the second moments of the
    recording, in double precision: the samples are read once to sum them, and once to apply the result.

    With m the sum of the microphones and b = 1, the start Λ = I, S = X has a zero objective: only the lower bound
    γ1 moves Λ, and the answer is that bound. With b learned, every invertible Λ has a zero objective.

    References
    ----------
    .. [1] R. Rajesh, "Interference reduction in live recordings for music source separation", synopsis seminar,
       Indian Institute of Technology Mandi, 2024.

    Examples
    --------
    >>> import torch
    >>> sources = torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))
    >>> mics = torch.tensor([[1.0, 0.2], [0.2, 1.0]]) @ sources
    >>> oracle = alternating_minimisation(mics, mixture="clean", mixdown=sources.sum(0), variant="notebook")
    >>> oracle.gains.round(decimals=2)
    tensor([[1.0000, 0.2000],
            [0.2000, 1.0000]])
    """
    check_mics(mics, sample_rate)
    chosen = _settings(variant, settings)
    options = {"mixture": mixture, "assignment": assignment, "n_sources": n_sources, "settings": chosen}
    if chosen.block_samples is not None:
        return _separate_blocks(mics, mixdown, **options)
    return _learn([(mics, mixdown)], **options).separate(mics, mixdown)


def learn(
    pieces: Iterable[tuple[Tensor, Tensor | None]],
    sample_rate: int | None = None,
    *,
    mixture: str = "mics",
    assignment=None,
    n_sources: int | None = None,
    variant: str = "slides",
    **settings,
) -> Separator:
    """Learn Λ from a recording that comes in pieces; the parameters are those of :func:`alternating_minimisation`.

    Parameters
    ----------
    pieces : iterable of (Tensor of shape (mics, samples), Tensor of shape (samples,) or None)
        Consecutive pieces of the recording and of the mixdown; read once, none is kept.

    Returns
    -------
    Separator
        Exactly the separation of the whole recording: second moments add up over pieces.

    Examples
    --------
    >>> import torch
    >>> mics = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0))
    >>> whole = learn([(mics, None)], variant="notebook")
    >>> parts = learn([(mics[:, :300], None), (mics[:, 300:], None)], variant="notebook")
    >>> torch.allclose(whole.gains, parts.gains)
    True
    """
    chosen = _settings(variant, settings)
    options = {"mixture": mixture, "assignment": assignment, "n_sources": n_sources, "settings": chosen}
    if chosen.block_samples is None:
        return _learn(pieces, **options)
    n_mics = next(iter(pieces))[0].shape[0]
    return Separator(
        separate=lambda mics, mixdown: _separate_blocks(mics, mixdown, **options),
        close_mics=check_assignment(assignment, n_mics, n_sources),
        align=chosen.block_samples,
        details=_details(mixture, chosen),
    )


def _learn(pieces, mixture, assignment, n_sources, settings):
    moments = 0
    for mics, mixdown in pieces:
        moments = moments + second_moments(mics, _mixture(mixture, mics, mixdown))
    close_mics = check_assignment(assignment, len(moments) - 1, n_sources)
    found = solve(moments.cpu().numpy()[None], close_mics, settings)
    gains, demixing = torch.from_numpy(found.gains[0]), torch.from_numpy(found.demixing[0])
    images = gains[close_mics, range(len(close_mics))][:, None] * demixing

    learned = {
        "gains": gains,
        "cost": torch.from_numpy(found.cost),
        "n_iter": found.n_iter,
        "converged": bool(found.converged.all()),
        "details": _details(mixture, settings)
        | {
            "weights": found.weights[0].tolist(),
            "demixing": demixing.tolist(),
            "notes": _notes(gains, found.cost, settings),
        },
    }

    def separate(mics, mixdown=None):
        rows = _mixture(mixture, mics, mixdown)
        w = images.to(mics)
        sources = w[:, :-1] @ mics + w[:, -1:] * rows
        return Reduction(**learned | {"sources": sources, "gains": gains.to(mics), "method": "am"})

    return Separator(separate=separate, close_mics=close_mics, **learned)


def _notes(gains, cost, settings):
    """What a reader of the result should know."""
    notes, low = [], settings.off_diagonal[0]
    if gains.numel() > 1 and (gains <= low).sum() >= gains.numel() - gains.shape[1]:
        notes.append(f"every bleed gain is at its lower clip, {low:g}: the answer is that setting, not the recording")
    if settings.stop == "decrease" and cost[-1] > cost[-2]:
        notes.append("the projection raised the objective, which the stopping rule takes for convergence")
    return notes


def _separate_blocks(mics, mixdown, mixture, assignment, n_sources, settings):
    """Independent problems on consecutive blocks; a shorter last block is a problem of its own."""
    close_mics = check_assignment(assignment, mics.shape[0], n_sources)
    rows = torch.cat([mics, _mixture(mixture, mics, mixdown)])
    size = settings.block_samples
    whole = mics.shape[1] // size * size
    sources = torch.empty(len(close_mics), mics.shape[1], dtype=mics.dtype, device=mics.device)
    solutions = []
    step = size * _BLOCKS_AT_ONCE
    for start, stop in [(i, min(i + step, whole)) for i in range(0, whole, step)] + [(whole, mics.shape[1])]:
        if start == stop:
            continue
        blocks = rows[:, start:stop].unflatten(1, (-1, min(size, stop - start))).transpose(0, 1).double()
        found = solve((blocks @ blocks.mT).cpu().numpy(), close_mics, settings)
        images = torch.from_numpy(found.gains[:, close_mics, range(len(close_mics)), None] * found.demixing)
        sources[:, start:stop] = (images.to(blocks) @ blocks).transpose(0, 1).flatten(1).to(mics.dtype)
        solutions.append(found)
    found = _joined(solutions)
    return Reduction(
        sources=sources,
        gains=torch.as_tensor(found.gains.mean(0)).to(mics),
        cost=torch.as_tensor(found.cost),
        n_iter=found.n_iter,
        converged=bool(np.all(found.converged)),
        method="am",
        details=_details(mixture, settings),
    )


def _joined(solutions):
    """Solutions of consecutive groups of blocks as one; a group that stopped early keeps its last objective."""
    n_iter = max(found.n_iter for found in solutions)
    cost = sum(np.pad(found.cost, (0, n_iter - found.n_iter), mode="edge") for found in solutions)
    stacked = {
        name: np.concatenate([getattr(found, name) for found in solutions])
        for name in ("gains", "weights", "demixing", "converged")
    }
    return Solution(**stacked, cost=cost, n_iter=n_iter)


def _mixture(mixture, mics, mixdown):
    """m as one row, shape (1, samples)."""
    if mixture not in _MIXTURES:
        raise ValueError(f"mixture: expected one of {', '.join(_MIXTURES)}, got {mixture!r}")
    if mixture == "mics":
        if mixdown is not None:
            raise ValueError("mixdown: given, but mixture='mics' does not use it; expected 'mixdown' or 'clean'")
        return mics.sum(0, keepdim=True)
    if not isinstance(mixdown, Tensor) or mixdown.shape != mics.shape[1:]:
        came = tuple(mixdown.shape) if isinstance(mixdown, Tensor) else type(mixdown).__name__
        raise ValueError(f"mixdown: expected a Tensor of shape ({mics.shape[1]},) for mixture={mixture!r}, got {came}")
    return check_mics(mixdown.to(mics)[None], name="mixdown")


def _settings(variant, changes):
    if variant not in VARIANTS:
        raise ValueError(f"variant: expected one of {', '.join(VARIANTS)}, got {variant!r}")
    known = [field.name for field in fields(Settings)]
    for name in changes:
        if name not in known:
            raise TypeError(f"{name}: not a setting of alternating minimisation; expected one of {', '.join(known)}")
    return replace(VARIANTS[variant], **changes)


def _details(mixture, settings):
    return {"mixture": mixture, "privileged": mixture == "clean", "settings": asdict(settings)}
