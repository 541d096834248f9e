"""From an interference matrix to sources and back, in a way that gradients can follow."""

from __future__ import annotations

import torch
from torch import Tensor

# Samples that are made float64 at a time: bounds the memory, not the result.
_SAMPLES_AT_ONCE = 1 << 20


def conditioned_inverse(gains: Tensor, floor: float) -> Tensor:
    """Pseudo-inverse of Λ (..., mics, sources) in float64, whose singular values below ``floor`` are raised to it.

    It is Λ⁺ exactly where every singular value reaches the floor, and amplifies nothing by more than ``1 / floor``.
    """
    gains = gains.double()
    # A constant to the gradient: the derivative of a decomposition is infinite where singular values are equal.
    with torch.no_grad():
        left, values, right = torch.linalg.svd(gains, full_matrices=False)
        raised = (left * (values.clamp(min=floor) - values)[..., None, :]) @ right
    return torch.linalg.pinv(gains + raised)


def own_mic_images(gains: Tensor, mics: Tensor, floor: float) -> Tensor:
    """Each source as heard at its own microphone, ŝ_n = λ_nn (Λ⁺ X)_n, microphone n for source n."""
    own = gains.diagonal(dim1=-2, dim2=-1).double()
    return (own[..., None] * conditioned_inverse(gains, floor)).to(mics.dtype) @ mics


def projected_gains(mics: Tensor, sources: Tensor) -> Tensor:
    """Λ = X S⁺ (..., mics, sources), float64: what explains microphones best, in least squares, by these sources.

    In a room, with delays and reverberation, no Λ explains the microphones, and this is the least bad one. A silent
    source gets a column of zeros.
    """
    cross = gram = 0
    for x, s in zip(mics.split(_SAMPLES_AT_ONCE, -1), sources.split(_SAMPLES_AT_ONCE, -1), strict=True):
        x, s = x.double(), s.double()
        cross, gram = cross + x @ s.mT, gram + s @ s.mT
    return cross @ torch.linalg.pinv(gram, hermitian=True)
