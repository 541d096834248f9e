"""What is left of the other sources: in an estimate (residual bleed) and in an interference matrix (gains)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from irtools.checks import check_assignment, check_int
from irtools.metrics.bss_eval import projection_filters
from irtools.metrics.correlations import block_toeplitz, correlations
from irtools.metrics.signals import check_signals, decibels


def residual_bleed_db(estimates: Tensor, references: Tensor, *, filter_length: int = 1) -> Tensor:
    """Level of each other source inside each estimate, relative to the source that belongs there: ``[n, j]``, in dB.

    It looks for source j in estimate n by a filter of ``filter_length`` taps: one is a gain at zero delay; delayed or
    reverberant bleed needs more. ``-inf`` where there is none of it; the diagonal is 0. Row n is NaN where reference n
    is silent or nothing of it is found (no level to relate to), and so is column j of a silent source.

    Notes
    -----
    The estimate is explained by all sources together, ŝ_n ≈ Σ_j c_nj * s_j by least squares, and

    bleed[n, j] = 10 log10(|c_nj * s_j|² / |c_nn * s_n|²).

    Unlike SIR this names the source a residue came from, and explains away what correlated sources share.
    For ŝ = A s with independent sources it is 20 log10(|A_nj| |s_j| / (|A_nn| |s_n|)), exactly.

    >>> s = torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0]])
    >>> residual_bleed_db(s + 0.1 * s.flip(0), s).round(decimals=3) + 0.0
    tensor([[  0., -20.],
            [-20.,   0.]], dtype=torch.float64)
    """
    check_signals(estimates, references)
    if references.ndim != 2:
        raise ValueError(f"estimates: expected shape (sources, samples), got {tuple(references.shape)}")
    check_int("filter_length", filter_length, 1)
    filters, _ = projection_filters(estimates, references, filter_length)
    # |c_nj * s_j|² from the autocorrelation of each source.
    auto = correlations(references[:, None], [references[:, None]], 0, filter_length - 1)
    found = [((c @ block_toeplitz(lags)) * c).sum(-1) for c, lags in zip(filters.unbind(1), auto, strict=True)]
    energy, silent = torch.stack(found, 1).clamp(min=0), auto[:, 0, 0, 0] == 0
    ratio = decibels(energy, energy.diagonal()[:, None])
    ratio[(energy.diagonal() == 0) | silent] = torch.nan
    ratio[:, silent] = torch.nan
    return ratio.fill_diagonal_(0.0)


def gains_error(
    estimated: Tensor, true: Tensor, *, normalise: bool = True, assignment: Sequence[int] | None = None
) -> float:
    """Frobenius distance between an estimated interference matrix and the true one, (mics, sources), in amplitude.

    ``normalise`` divides each column of both by its own close-microphone entry first (``inf`` where the estimated one
    is 0), so that a source's scale, which no method can know, does not count: |Λ̂ D̂⁻¹ - Λ D⁻¹| with
    D = diag(Λ[assignment[n], n]), microphone n being the close one of source n without an assignment.

    >>> true = torch.tensor([[1.0, 0.2], [0.1, 1.0]])
    >>> gains_error(true * torch.tensor([3.0, 0.5]), true) < 1e-6
    True
    """
    for name, gains in (("estimated", estimated), ("true", true)):
        if gains.ndim != 2 or not torch.isfinite(gains).all():
            kind = "a non-finite value" if gains.ndim == 2 else f"shape {tuple(gains.shape)}"
            raise ValueError(f"{name}: expected a finite (mics, sources) matrix, got {kind}")
    if estimated.shape != true.shape:
        raise ValueError(f"estimated: expected the shape of true, {tuple(true.shape)}, got {tuple(estimated.shape)}")
    ours, truth = estimated.double(), true.double()
    if normalise:
        own, columns = check_assignment(assignment, *true.shape), range(true.shape[1])
        if (truth[own, columns] == 0).any():
            raise ValueError("true: expected own-microphone gains other than 0 (they scale the columns)")
        if (ours[own, columns] == 0).any():
            return float("inf")
        ours, truth = ours / ours[own, columns], truth / truth[own, columns]
    return torch.linalg.norm(ours - truth).item()
