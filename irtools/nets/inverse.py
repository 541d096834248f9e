"""From an interference matrix to sources and back, in a way that gradients can follow."""

from __future__ import annotations

import torch
from torch import Tensor


def conditioned_inverse(gains: Tensor, floor: float) -> Tensor:
    """Pseudo-inverse of interference matrices that amplifies nothing by more than ``1 / floor``.

    Parameters
    ----------
    gains : Tensor, shape (..., mics, sources), mics >= sources
        Λ in amplitude.
    floor : float
        Singular values of Λ below this are raised to it; positive, in amplitude.

    Returns
    -------
    Tensor, shape (..., sources, mics), float64

    Notes
    -----
    Λ⁺ exactly where every singular value reaches the floor. What is added to Λ elsewhere is a constant to the
    gradient, which is that of a matrix of full rank: the derivative of a singular value decomposition, infinite where
    two singular values are equal as those of Λ = I are, is not needed.

    Examples
    --------
    >>> conditioned_inverse(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), 0.1).tolist()
    [[1.0, 0.0], [0.0, 10.0]]
    """
    gains = gains.double()
    with torch.no_grad():
        left, values, right = torch.linalg.svd(gains, full_matrices=False)
        raised = (left * (values.clamp(min=floor) - values)[..., None, :]) @ right
    return torch.linalg.pinv(gains + raised)


def own_mic_images(gains: Tensor, mics: Tensor, floor: float) -> Tensor:
    """Each source as heard at its own microphone, microphone n for source n.

    Parameters
    ----------
    gains : Tensor, shape (..., mics, sources)
        Λ in amplitude.
    mics : Tensor, shape (..., mics, samples)
    floor : float
        See :func:`conditioned_inverse`.

    Returns
    -------
    Tensor, shape (..., sources, samples), dtype of ``mics``

    Notes
    -----
    ŝ_n = λ_nn (Λ⁺ X)_n.

    Examples
    --------
    >>> gains = torch.tensor([[0.5, 0.1], [0.2, 1.0]])
    >>> sources = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    >>> torch.allclose(own_mic_images(gains, gains @ sources, 0.05), torch.tensor([[0.5, 1.0], [3.0, -1.0]]))
    True
    """
    own = gains.diagonal(dim1=-2, dim2=-1).double()
    return (own[..., None] * conditioned_inverse(gains, floor)).to(mics.dtype) @ mics


def projected_gains(mics: Tensor, references: Tensor) -> Tensor:
    """The interference matrix that explains microphones best from their references: Λ where it was never drawn.

    Parameters
    ----------
    mics : Tensor, shape (..., mics, samples)
    references : Tensor, shape (..., sources, samples)

    Returns
    -------
    Tensor, shape (..., mics, sources), float64

    Notes
    -----
    Λ = X S⁺, the target that the published t-UNet is trained on. In a room, with delays and reverberation, no Λ
    explains the microphones, and this is the least bad one. A silent reference gets a column of zeros.

    Examples
    --------
    >>> gains = torch.tensor([[1.0, 0.25], [0.5, 1.0]])
    >>> sources = torch.tensor([[1.0, 2.0, 3.0], [3.0, -1.0, 1.0]])
    >>> torch.allclose(projected_gains(gains @ sources, sources), gains.double())
    True
    """
    mics, references = mics.double(), references.double()
    return mics @ references.mT @ torch.linalg.pinv(references @ references.mT, hermitian=True)
