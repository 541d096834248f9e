"""Alternating minimisation as printed: every rule on the samples themselves.

The specification that the fast version is tested and timed against; the book shows this listing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.methods.alternating.updates import AMSettings


def alternate_on_samples(
    mics: Tensor, mixture: Tensor, settings: AMSettings, n_iter: int
) -> tuple[Tensor, Tensor, Tensor, list[float]]:
    """Λ, S, b and the cost after ``n_iter`` iterations on X = ``mics`` and m, one microphone per source, no stopping.

    ``block_samples``, ``stop`` and ``tol`` of the settings are not used.
    """
    eye = torch.eye(len(mics)).to(mics)
    gains, sources = eye, mics
    weights = torch.ones(len(mics)).to(mics)
    if not isinstance(settings.weights, str):
        weights = torch.tensor(settings.weights).to(mics)
    cost = [_objective(mics, mixture, gains, sources, weights)]
    for _ in range(n_iter):
        cross = mics @ sources.T + (settings.eta * eye if settings.eta_in == "both" else 0)
        gains = cross @ torch.linalg.inv(sources @ sources.T + settings.eta * eye)
        gains = torch.where(eye.bool(), gains.clamp(*settings.diagonal), gains.clamp(*settings.off_diagonal))
        if settings.dominant:
            gains = torch.minimum(gains, gains.diagonal()[:, None])
        normal = gains.T @ gains + torch.outer(weights, weights)
        normal = normal + (settings.eta * eye if settings.eta_in == "sources" else 0)
        sources = torch.linalg.inv(normal) @ (gains.T @ mics + torch.outer(weights, mixture))
        if settings.weights == "learned":
            weights = torch.linalg.inv(sources @ sources.T + settings.eta * eye) @ (sources @ mixture)
            if settings.weights_range is not None:
                weights = weights.clamp(*settings.weights_range)
        cost.append(_objective(mics, mixture, gains, sources, weights))
    return gains, sources, weights, cost


def _objective(mics, mixture, gains, sources, weights):
    return float(((mics - gains @ sources) ** 2).sum() + ((mixture - weights @ sources) ** 2).sum())
