"""Losses that networks share."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import normalize

KINDS = ("published", "si-sdr")


def check_kind(kind: str) -> str:
    """Return ``kind`` if it names a loss, otherwise raise a ``ValueError`` that lists them.

    Examples
    --------
    >>> check_kind("si-sdr")
    'si-sdr'
    """
    if kind not in KINDS:
        raise ValueError(f"kind: expected {' or '.join(KINDS)}, got {kind!r}")
    return kind


def negative_si_sdr(
    estimates: Tensor, references: Tensor, *, limit_db: float = 40.0, silent_db: float = -60.0
) -> Tensor:
    """Minus the mean SI-SDR of a batch, kept between ± ``limit_db`` so that no source takes over.

    Parameters
    ----------
    estimates, references : Tensor, shape (batch, sources, samples)
    limit_db : float
        What a perfect estimate scores, and minus what one without any of the source scores.
    silent_db : float
        Sources whose energy is below this, in dB relative to the loudest of their recording, are left out.

    Returns
    -------
    Tensor, scalar, in dB
        0, with zero gradients, where every reference is silent.

    Notes
    -----
    With ρ the correlation of estimate and reference (no mean is removed), SI-SDR = 10 log10(ρ² / (1 - ρ²)) [1]_. Here
    it is 10 log10((ρ² + τ) / (1 - ρ² + τ)) with τ = 10^(-limit/10), the soft threshold of [2]_ at both ends.

    References
    ----------
    .. [1] J. Le Roux, S. Wisdom, H. Erdogan, J. R. Hershey, "SDR - half-baked or well done?", ICASSP 2019.
    .. [2] S. Wisdom et al., "Unsupervised sound separation using mixture invariant training", NeurIPS 2020.

    Examples
    --------
    >>> import torch
    >>> references = torch.tensor([[[3.0, 4.0], [0.0, 0.0]]])
    >>> round(negative_si_sdr(torch.tensor([[[6.0, 8.0], [1.0, 1.0]]]), references).item(), 3)
    -40.0
    """
    heard = normalize(references, dim=-1, eps=1e-30)
    ours = normalize(estimates, dim=-1, eps=1e-30)
    rho = (ours * heard).sum(-1, keepdim=True)
    distortion = (ours - rho * heard).square().sum(-1)
    tau = 10 ** (-limit_db / 10)
    si_sdr = 10 * ((rho.squeeze(-1).square() + tau) / (distortion + tau)).log10()
    level = references.norm(dim=-1)
    counts = level > 10 ** (silent_db / 20) * level.amax(-1, keepdim=True)
    return -(si_sdr * counts).sum() / counts.sum().clamp(min=1)
