"""Multiplicative updates of the power model V ≈ ΛP, bin by bin; the inner loop of KAMIR, MIRA and FastMIRA."""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.kernels.backend import choose_backend
from irtools.kernels.psd_update import _blocks, _reference

__all__ = ["gain_sums", "psd_step", "psd_update", "wiener_update"]

_MOST_ROWS = 32
_BETAS = (0, 1, 2)
_ALPHAS = (0.5, 1, 1.5, 2)


def psd_update(
    power: Tensor,
    psd: Tensor,
    gains: Tensor,
    *,
    beta: float = 0.0,
    noise: float = 0.0,
    sparsity: float = 0.0,
    floor: float = 0.0,
    backend: str = "auto",
) -> tuple[Tensor, Tensor, Tensor]:
    """One multiplicative step of P for the β-divergence, and the sums of the step of Λ that follows it.

    Parameters
    ----------
    power : Tensor, shape (freqs, mics, frames), float32 or float64
        V, not negative.
    psd : Tensor, shape (freqs, sources, frames)
        P, positive.
    gains : Tensor, shape (freqs, mics, sources) or (1, mics, sources)
        Λ, positive: a gain per frequency, or one for all.
    beta : float
        0 is the Itakura-Saito divergence, 1 Kullback-Leibler, 2 least squares.
    noise : float
        ε of the model V̂ = ΛP + ε, in units of V; with ε > 0 silent bins weigh nothing.
    sparsity : float
        ρ of the penalty ρ Σ_ft GM_n(P) / AM_n(P), the ratio of the geometric to the arithmetic mean over the sources.
    floor : float
        Lower bound of the new P.
    backend : {"auto", "torch", "triton"}
        The fused kernel takes float32, at most 32 microphones and 32 sources, and β of 0, 1 or 2; see
        :func:`irtools.kernels.backend.choose_backend`.

    Returns
    -------
    psd : Tensor, shape (freqs, sources, frames)
        The new P.
    numerator, denominator : Tensor, shape (freqs, mics, sources)
        Sums over the frames, with the new P: the step of a gain per frequency is ``gains * numerator / denominator``;
        for gains common to several frequencies, add both up over those first.

    Raises
    ------
    ValueError
        Shapes that do not fit together.
    RuntimeError
        ``backend="triton"`` that cannot run.

    Notes
    -----
    With V̂ = ΛP + ε, and a, c zero without the penalty:

    ``p_n ← p_n (Σ_k λ_kn v_k v̂_k^(β-2) + a) / (Σ_k λ_kn v̂_k^(β-1) + c_n)``,
    ``a = ρ N GM / (Σ_n p_n)²``, ``c_n = ρ GM / (p_n Σ_n p_n)``,
    ``numerator_kn = Σ_t v_k v̂_k^(β-2) p_n``, ``denominator_kn = Σ_t v̂_k^(β-1) p_n``.

    Without the penalty neither step raises the divergence for 0 <= β <= 2 [1]_. V̂ is recomputed between the two, so
    the sums cannot share the products of the step of P; what they share is one pass over V and P.

    The fused kernel reads V and P once and writes the new P once; every program sums over its own frames, and the sums
    of the programs are added in a fixed order, so that two runs agree in every bit. On a processor 131072 values of V
    are worked on at a time: with as many sources as microphones the extra memory beyond the results is three such
    blocks, 1.5 MiB in single precision, eight with the penalty (of a single frequency, if that is longer).

    References
    ----------
    .. [1] C. Févotte and J. Idier, "Algorithms for nonnegative matrix factorization with the beta-divergence", Neural
       Computation 23(9), 2011.

    Examples
    --------
    >>> import torch
    >>> power, psd = torch.full((1, 1, 2), 6.0), torch.ones(1, 1, 2)
    >>> psd_update(power, psd, torch.full((1, 1, 1), 2.0))
    (tensor([[[3., 3.]]]), tensor([[[1.]]]), tensor([[[1.]]]))
    """
    _check(power, psd, gains)
    run = _chosen(backend, _unsupported(power, psd, beta, _BETAS), power, psd, gains)
    return run.psd_update(power, psd, gains, beta, noise, sparsity, floor)


def psd_step(
    power: Tensor,
    psd: Tensor,
    gains: Tensor,
    *,
    beta: float = 0.0,
    noise: float = 0.0,
    sparsity: float = 0.0,
    floor: float = 0.0,
    backend: str = "auto",
) -> Tensor:
    """The step of P of :func:`psd_update` without the sums, for gains that stay.

    Parameters
    ----------
    power, psd, gains, beta, noise, sparsity, floor, backend
        As in :func:`psd_update`.

    Returns
    -------
    Tensor, shape (freqs, sources, frames)
        The new P.

    Examples
    --------
    >>> import torch
    >>> psd_step(torch.full((1, 1, 2), 6.0), torch.ones(1, 1, 2), torch.full((1, 1, 1), 2.0))
    tensor([[[3., 3.]]])
    """
    _check(power, psd, gains)
    run = _chosen(backend, _unsupported(power, psd, beta, _BETAS), power, psd, gains)
    return run.psd_step(power, psd, gains, beta, noise, sparsity, floor)


def wiener_update(
    power: Tensor,
    psd: Tensor,
    gains: Tensor,
    close: Tensor,
    *,
    alpha: float = 2.0,
    noise: float = 0.0,
    floor: float = 0.0,
    backend: str = "auto",
) -> Tensor:
    """P of the Wiener estimates at the close microphones: the step of P of KAMIR.

    Parameters
    ----------
    power, psd, gains, noise, floor
        As in :func:`psd_update`.
    close : Tensor, shape (mics, sources) or (freqs, mics, sources), dtype of ``power``
        1 where the microphone is a close one of the source; at least one in every column.
    alpha : float
        Exponent with which ``power`` was made, |x|^α.
    backend : {"auto", "torch", "triton"}
        As in :func:`psd_update`; the fused kernel takes α of 0.5, 1, 1.5 or 2.

    Returns
    -------
    Tensor, shape (freqs, sources, frames)
        The new P.

    Raises
    ------
    ValueError
        Shapes that do not fit together.

    Notes
    -----
    ``p_n ← mean_k |w_kn x_k|^α / λ_kn`` over the close microphones k of source n, with ``w_kn = λ_kn p_n / v̂_k``, which
    is ``p_n^α mean_k λ_kn^(α-1) v_k v̂_k^(-α)``. All sources move at once, where the published code moves one after the
    other, so that the answer does not depend on their order.

    Examples
    --------
    >>> import torch
    >>> power, psd = torch.full((1, 2, 1), 6.0), torch.tensor([[[2.0], [1.0]]])
    >>> wiener_update(power, psd, torch.ones(1, 2, 2), torch.eye(2)).squeeze()
    tensor([2.6667, 0.6667])
    """
    _check(power, psd, gains)
    run = _chosen(backend, _unsupported(power, psd, alpha, _ALPHAS), power, psd, gains, close)
    return run.wiener_update(power, psd, gains, close, alpha, noise, floor)


def gain_sums(
    power: Tensor, psd: Tensor, gains: Tensor, *, beta: float = 0.0, noise: float = 0.0, backend: str = "auto"
) -> tuple[Tensor, Tensor]:
    """Numerator and denominator of the step of Λ with the P that is given.

    Parameters
    ----------
    power, psd, gains, beta, noise, backend
        As in :func:`psd_update`.

    Returns
    -------
    numerator, denominator : Tensor, shape (freqs, mics, sources)

    Examples
    --------
    >>> import torch
    >>> gain_sums(torch.full((1, 1, 4), 6.0), torch.full((1, 1, 4), 3.0), torch.ones(1, 1, 1), beta=2)
    (tensor([[[72.]]]), tensor([[[36.]]]))
    """
    _check(power, psd, gains)
    run = _chosen(backend, _unsupported(power, psd, beta, _BETAS), power, psd, gains)
    return run.gain_sums(power, psd, gains, beta, noise)


def _check(power, psd, gains):
    freqs, mics, frames = power.shape
    if psd.ndim != 3 or (psd.shape[0], psd.shape[2]) != (freqs, frames):
        raise ValueError(f"psd: expected shape ({freqs}, sources, {frames}), got {tuple(psd.shape)}")
    if gains.shape not in [(freqs, mics, psd.shape[1]), (1, mics, psd.shape[1])]:
        raise ValueError(
            f"gains: expected shape ({freqs}, {mics}, {psd.shape[1]}) or (1, {mics}, {psd.shape[1]}), "
            f"got {tuple(gains.shape)}"
        )


def _unsupported(power, psd, exponent, exponents):
    """Why the fused kernel cannot take these; None where it can."""
    mics, sources = power.shape[1], psd.shape[1]
    if max(mics, sources) > _MOST_ROWS:
        return f"{mics} microphones and {sources} sources (at most {_MOST_ROWS} of each)"
    if exponent not in exponents:
        return f"exponent {exponent:g} (one of {', '.join(map(str, exponents))})"
    return None if power.numel() and psd.numel() else "no bins"


def _chosen(backend, unsupported, *tensors):
    """The module with the implementations for these tensors."""
    if choose_backend(backend, *tensors, unsupported=unsupported) == "triton":
        from irtools.kernels.psd_update import _triton

        return _triton
    differentiated = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    return _reference if differentiated or tensors[0].device.type != "cpu" else _blocks
