"""The loss that all networks can be trained with."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import normalize

KINDS = ("published", "si-sdr")
# Sources this much quieter than the loudest of their recording, in amplitude, do not count: -60 dB.
_SILENT = 1e-3


def negative_si_sdr(estimates: Tensor, references: Tensor, *, limit_db: float = 40.0) -> Tensor:
    """Minus the mean SI-SDR in dB of (batch, sources, samples), kept between ± ``limit_db`` so that none takes over.

    With ρ the correlation of estimate and reference (no mean is removed), SI-SDR = 10 log10(ρ² / (1 - ρ²)) [1]_. Here
    it is 10 log10((ρ² + τ) / (1 - ρ² + τ)) with τ = 10^(-limit/10), the soft threshold of [2]_ at both ends. It is 0,
    with zero gradients, where every reference is silent.

    References
    ----------
    .. [1] J. Le Roux, S. Wisdom, H. Erdogan, J. R. Hershey, "SDR - half-baked or well done?", ICASSP 2019.
    .. [2] S. Wisdom et al., "Unsupervised sound separation using mixture invariant training", NeurIPS 2020.
    """
    heard = normalize(references, dim=-1, eps=1e-30)
    ours = normalize(estimates, dim=-1, eps=1e-30)
    rho = (ours * heard).sum(-1, keepdim=True)
    distortion = (ours - rho * heard).square().sum(-1)
    tau = 10 ** (-limit_db / 10)
    si_sdr = 10 * ((rho.squeeze(-1).square() + tau) / (distortion + tau)).log10()
    level = references.norm(dim=-1)
    counts = level > _SILENT * level.amax(-1, keepdim=True)
    return -(si_sdr * counts).sum() / counts.sum().clamp(min=1)
