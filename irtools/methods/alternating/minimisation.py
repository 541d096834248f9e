"""Alternating minimisation (AM): learning-free, linear, one interference matrix for a whole recording."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor

from irtools.checks import check_choice
from irtools.kernels.second_moments import second_moments
from irtools.methods.alternating.updates import VARIANTS, AMSettings, Solution, solve
from irtools.methods.separator import Recording, Reduction, Separator, choose_settings

_MIXTURES = ("mics", "mixdown", "clean")
_BLOCKS_AT_ONCE = 1 << 14


def alternating_minimisation(
    recording: Recording,
    *,
    mixture: str = "mics",
    assignment=None,
    n_sources: int | None = None,
    variant: str = "slides",
    callback: Callable | None = None,
    **settings,
) -> Separator:
    """Reduce bleed by alternating minimisation of ‖X - ΛS‖² + ‖m - bᵀS‖².

    Parameters
    ----------
    recording : Recording
        With the mixdown m itself, for ``mixture="mixdown"`` and ``mixture="clean"``. Read once.
    mixture : "mics", "mixdown" or "clean"
        What m is: the sum of the microphones; a mixdown of the concert; or the sum of the *clean* sources, which is
        privileged information that no live recording has, and is labelled so in the result.
    assignment : sequence of int, optional
        Close microphone of each source; by default microphone n for source n.
    n_sources : int, optional
        Number of sources where ``assignment`` is not given; by default one per microphone.
    variant : str
        One of :data:`irtools.methods.alternating.updates.VARIANTS`.
    callback : callable, optional
        ``callback(iteration, cost, gains=...)`` hears of each iteration.
    **settings
        Fields of :class:`irtools.methods.alternating.updates.AMSettings` that replace those of the variant.

    Returns
    -------
    Separator
        Exactly the separation of the whole recording, wherever it was cut: second moments add up. ``sources`` are
        λ_nn ŝ_n, ``gains`` is Λ (the mean over the blocks where ``block_samples`` is set) and ``details`` has
        ``mixture``, ``privileged``, ``weights`` (b), ``demixing`` (A of S = A [X; m]), ``settings`` and ``notes``
        (sentences, such as that every gain is at its lower clip).

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
    >>> import irtools as ir
    >>> sources = torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))
    >>> mics = torch.tensor([[1.0, 0.2], [0.2, 1.0]]) @ sources
    >>> ir.reduce(mics, 8000, "am", mixture="clean", mixdown=sources.sum(0), variant="notebook").gains.round(decimals=2)
    tensor([[1.0000, 0.2000],
            [0.2000, 1.0000]])
    """
    chosen = choose_settings(VARIANTS, variant, settings, argument="variant")
    check_choice("mixture", mixture, _MIXTURES)
    close_mics = recording.close_mics(assignment, n_sources)
    details = {"mixture": mixture, "privileged": mixture == "clean", "settings": asdict(chosen)}
    if chosen.block_samples is not None:

        def in_blocks(mics, mixdown):
            return _separate_blocks(torch.cat([mics, _mixture(mixture, mics, mixdown)]), close_mics, chosen, details)

        return Separator(in_blocks, close_mics, align=chosen.block_samples, details=details)

    moments = sum(second_moments(mics, _mixture(mixture, mics, mixdown)) for mics, mixdown in recording.pieces())
    found = solve(moments.cpu().numpy()[None], close_mics, chosen, callback)
    gains, demixing = torch.from_numpy(found.gains[0]), torch.from_numpy(found.demixing[0])
    images = gains[close_mics, range(len(close_mics))][:, None] * demixing

    def separate(mics, mixdown):
        w = images.to(mics)
        return w[:, :-1] @ mics + w[:, -1:] * _mixture(mixture, mics, mixdown)

    details |= {"weights": found.weights[0].tolist(), "demixing": demixing.tolist()}
    details["notes"] = _notes(gains, found.cost, chosen)
    learned = {"cost": torch.from_numpy(found.cost), "n_iter": found.n_iter, "converged": bool(found.converged.all())}
    return Separator(separate, close_mics, gains=gains, details=details, **learned)


def _separate_blocks(rows: Tensor, close_mics: list[int], settings: AMSettings, details: dict) -> Reduction:
    """Independent problems on consecutive blocks of [X; m]; a shorter last block is a problem of its own."""
    size, samples = settings.block_samples, rows.shape[1]
    whole, step = samples // size * size, size * _BLOCKS_AT_ONCE
    sources = rows.new_empty(len(close_mics), samples)
    solutions = []
    for start, stop in [(i, min(i + step, whole)) for i in range(0, whole, step)] + [(whole, samples)]:
        if start == stop:
            continue
        blocks = rows[:, start:stop].unflatten(1, (-1, min(size, stop - start))).transpose(0, 1).double()
        found = solve((blocks @ blocks.mT).cpu().numpy(), close_mics, settings)
        images = torch.from_numpy(found.gains[:, close_mics, range(len(close_mics)), None] * found.demixing)
        sources[:, start:stop] = (images.to(blocks) @ blocks).transpose(0, 1).flatten(1).to(rows.dtype)
        solutions.append(found)
    found = _joined(solutions)
    return Reduction(
        sources=sources,
        gains=torch.as_tensor(found.gains.mean(0)).to(rows),
        cost=torch.as_tensor(found.cost),
        n_iter=found.n_iter,
        converged=bool(np.all(found.converged)),
        details=details,
    )


def _joined(solutions: list[Solution]) -> Solution:
    """Solutions of consecutive groups of blocks as one; a group that stopped early keeps its last objective."""
    n_iter = max(found.n_iter for found in solutions)
    cost = sum(np.pad(found.cost, (0, n_iter - found.n_iter), mode="edge") for found in solutions)
    stacked = {
        name: np.concatenate([getattr(found, name) for found in solutions])
        for name in ("gains", "weights", "demixing", "converged")
    }
    return Solution(**stacked, cost=cost, n_iter=n_iter)


def _mixture(mixture: str, mics: Tensor, mixdown: Tensor | None) -> Tensor:
    """m as one row, shape (1, samples)."""
    if mixture == "mics":
        if mixdown is not None:
            raise ValueError("mixdown: given, but mixture='mics' does not use it; expected 'mixdown' or 'clean'")
        return mics.sum(0, keepdim=True)
    if mixdown is None:
        raise ValueError(f"mixdown: expected a Tensor of shape ({mics.shape[1]},) for mixture={mixture!r}, got None")
    return mixdown.to(mics)[None]


def _notes(gains, cost, settings):
    """What a reader of the result should know."""
    notes, low = [], settings.off_diagonal[0]
    if gains.numel() > 1 and (gains <= low).sum() >= gains.numel() - gains.shape[1]:
        notes.append(f"every bleed gain is at its lower clip, {low:g}: the answer is that setting, not the recording")
    if settings.stop == "decrease" and cost[-1] > cost[-2]:
        notes.append("the projection raised the objective, which the stopping rule takes for convergence")
    return notes
