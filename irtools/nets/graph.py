"""Attention between microphones, whose weights are the edges of an interference graph."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class MicAttention(nn.Module):
    """Adds to each microphone's features, in each frame, what those that it attends to say.

    In a frame, node k has a query q_k, a key c_k and values v_k, 1 x 1 convolutions of its features. y_k = x_k +
    B Σ_j w_kj v_j, with w_kj = softmax_j(⟨q_k, c_j⟩ / √size) [1]_, so that each node is one of its own neighbours [2]_.

    Differs from the published graph in that its nodes, 55 112 cells of 4 microphones x 13 778 samples all tied to each
    other, need 11 GiB per matrix; in that its similarity, a dot product of at least 0.6, depends on the level; and in
    that features are added rather than multiplied.

    References
    ----------
    .. [1] A. Vaswani et al., "Attention is all you need", NeurIPS 2017.
    .. [2] P. Veličković et al., "Graph attention networks", ICLR 2018.
    """

    def __init__(self, channels: int):
        super().__init__()
        told = max(channels // 4, 1)
        self.query = nn.Conv2d(channels, told, 1, bias=False)
        self.key = nn.Conv2d(channels, told, 1, bias=False)
        self.value = nn.Conv2d(channels, told, 1, bias=False)
        self.hear = nn.Conv2d(told, channels, 1, bias=False)

    def edges(self, features: Tensor) -> Tensor:
        """How much each microphone (third axis) listens to each (last): (batch, frames, mics, mics), rows sum to 1."""
        queries, keys = (self._nodes(convolve, features) for convolve in (self.query, self.key))
        return (queries @ keys.mT / math.sqrt(queries.shape[-1])).softmax(-1)

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, mics, channels, rows, frames) → what goes on, of the same shape."""
        group = features.shape[:2]
        values = self.value(features.flatten(0, 1)).unflatten(0, group)
        heard = torch.einsum("btkj,bjcrt->bkcrt", self.edges(features), values)
        return features + self.hear(heard.flatten(0, 1)).unflatten(0, group)

    def _nodes(self, convolve: nn.Module, features: Tensor) -> Tensor:
        """Shape (batch, frames, mics, size)."""
        return convolve(features.flatten(0, 1)).unflatten(0, features.shape[:2]).permute(0, 4, 1, 2, 3).flatten(3)
