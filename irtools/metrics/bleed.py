"""What is left of the other sources: in an estimate (residual bleed) and in an interference matrix (gains)."""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.metrics.bss_eval import block_toeplitz, correlations, projection_filters
from irtools.metrics.distortion import check_signals, decibels


def residual_bleed_db(
    estimates: Tensor,
    references: Tensor,
    images_of_others: Tensor | None = None,
    *,
    filter_length: int = 1,
) -> Tensor:
    """Level of each other source inside each estimate, relative to the source that belongs there.

    Parameters
    ----------
    estimates, references : Tensor, shape (sources, samples), float32 or float64
    images_of_others : Tensor, shape (sources, sources, samples), optional
        ``[n, j]`` is source j as heard at source n's microphone (the diagonal is not read). Where bleed is delayed or
        reverberant, this, or a longer filter, lets it be recognised; without it ``references[j]`` stands for source j.
    filter_length : int
        Taps of the filters that look for each source; 1 is a gain at zero delay.

    Returns
    -------
    Tensor, shape (sources, sources), float64, in dB
        ``[n, j]``: source j in estimate n; ``-inf`` where there is none of it. The diagonal is 0. Row n is NaN where
        reference n is silent or nothing of it is found (no level to relate to), and so is column j of a silent source.

    Raises
    ------
    TypeError, ValueError
        Signals that cannot be compared, images of another shape, a ``filter_length`` that is not positive.

    Notes
    -----
    The estimate is explained by all sources together, ŝ_n ≈ Σ_j c_nj * s_j by least squares, and

    bleed[n, j] = 10 log10(|c_nj * s_j|² / |c_nn * s_n|²).

    Unlike SIR this names the source a residue came from, and explains away what correlated sources share.
    For ŝ = A s with independent sources it is 20 log10(|A_nj| |s_j| / (|A_nn| |s_n|)), exactly.

    Examples
    --------
    >>> s = torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0]])
    >>> residual_bleed_db(s + 0.1 * s.flip(0), s).round(decimals=3) + 0.0
    tensor([[  0., -20.],
            [-20.,   0.]], dtype=torch.float64)
    """
    h, s = check_signals(estimates, references)
    if s.ndim != 2:
        raise ValueError(f"estimates: expected shape (sources, samples), got {tuple(s.shape)}")
    if isinstance(filter_length, bool) or not isinstance(filter_length, int) or filter_length < 1:
        raise ValueError(f"filter_length: expected an int of at least 1, got {filter_length!r}")
    n_sources = len(s)
    if images_of_others is None:
        filters, _ = projection_filters(h, s, filter_length)
        energy = _filtered_energy(filters, s)
    else:
        expected = (n_sources, n_sources, s.shape[1])
        if tuple(images_of_others.shape) != expected:
            raise ValueError(f"images_of_others: expected shape {expected}, got {tuple(images_of_others.shape)}")
        images, own = images_of_others.double(), torch.eye(n_sources, dtype=torch.bool, device=s.device)[..., None]
        images, _ = check_signals(torch.where(own, s, images), torch.zeros_like(images), "images_of_others")
        rows = []
        for estimate, present in zip(h, images, strict=True):
            filters, _ = projection_filters(estimate[None], present, filter_length)
            rows.append(_filtered_energy(filters, present)[0])
        energy = torch.stack(rows)
    silent = (s == 0).all(-1)
    ratio = decibels(energy, energy.diagonal()[:, None])
    ratio[(energy.diagonal() == 0) | silent] = torch.nan
    ratio[:, silent] = torch.nan
    return ratio.fill_diagonal_(0.0)


def gains_error(
    estimated: Tensor, true: Tensor, *, normalise: bool = True, assignment: tuple[int, ...] | None = None
) -> float:
    """Distance between an estimated interference matrix and the true one.

    Parameters
    ----------
    estimated, true : Tensor, shape (mics, sources), real
        Λ in amplitude.
    normalise : bool
        Divide each column of both by its own close-microphone entry first, so that a source's scale, which no method
        can know, does not count.
    assignment : sequence of int, optional
        Close microphone of each source; None for microphone n of source n.

    Returns
    -------
    float
        Frobenius norm |Λ̂ - Λ|, amplitude (no unit); ``inf`` where an estimated own-microphone gain to divide by is 0.

    Raises
    ------
    ValueError
        Matrices that differ in shape or are not finite, an assignment that does not fit, a true own-microphone gain
        of 0 to divide by.

    Notes
    -----
    |Λ̂ D̂⁻¹ - Λ D⁻¹| with D = diag(Λ[assignment[n], n]): after it the own-microphone entries are 1 in both.
    A column with the estimated gains of a silent source counts like every other.

    Examples
    --------
    >>> true = torch.tensor([[1.0, 0.2], [0.1, 1.0]])
    >>> gains_error(true * torch.tensor([3.0, 0.5]), true) < 1e-6
    True
    >>> round(gains_error(true + torch.tensor([[0.0, 0.3], [0.0, 0.0]]), true), 4)
    0.3
    """
    for name, gains in (("estimated", estimated), ("true", true)):
        if gains.ndim != 2 or not torch.isfinite(gains).all():
            kind = "a non-finite value" if gains.ndim == 2 else f"shape {tuple(gains.shape)}"
            raise ValueError(f"{name}: expected a finite (mics, sources) matrix, got {kind}")
    if estimated.shape != true.shape:
        raise ValueError(f"estimated: expected the shape of true, {tuple(true.shape)}, got {tuple(estimated.shape)}")
    ours, truth = estimated.double(), true.double()
    if normalise:
        n_mics, n_sources = true.shape
        own = list(range(n_sources)) if assignment is None else [int(mic) for mic in assignment]
        if len(own) != n_sources or not all(0 <= mic < n_mics for mic in own):
            raise ValueError(f"assignment: expected {n_sources} indices from 0 to {n_mics - 1}, got {own}")
        columns = range(n_sources)
        if (truth[own, columns] == 0).any():
            raise ValueError("true: expected own-microphone gains other than 0 (they scale the columns)")
        if (ours[own, columns] == 0).any():
            return float("inf")
        ours, truth = ours / ours[own, columns], truth / truth[own, columns]
    return torch.linalg.norm(ours - truth).item()


def _filtered_energy(filters: Tensor, sources: Tensor) -> Tensor:
    """|c_nj * s_j|² for each filter (N, J, taps), from the autocorrelation of each source."""
    taps = filters.shape[-1]
    energy = [
        torch.einsum("na,ab,nb->n", c, block_toeplitz(correlations(s[None], s[None][:0], taps)[0]), c)
        for c, s in zip(filters.unbind(1), sources, strict=True)
    ]
    return torch.stack(energy, dim=1).clamp(min=0)
