"""Attention between microphones, whose weights are the edges of an interference graph."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

#: What a node of the graph is, and how two of them are tied.
GRAPHS = ("mics", "frames", "gated")


class MicAttention(nn.Module):
    """Adds to each microphone's features what those that it attends to say.

    Parameters
    ----------
    channels : int
    graph : {"mics", "frames", "gated"}
        Nodes are microphones, over the whole recording; or microphones in each frame; or these, with edges that a
        gate opens where two nodes are alike, in place of a softmax.

    Notes
    -----
    Node k has a query q_k, a key c_k and values v_k, 1 x 1 convolutions of its features; queries and keys are means
    over all frames in "mics". y_k = x_k + B Σ_j w_kj v_j, with w_kj = softmax_j(⟨q_k, c_j⟩ / √size) for "mics" and
    "frames" [1]_, and w_kj = g_kj / Σ_i g_ki, g_kk = 1, g_kj = σ(s (cos(q_k, c_j) - θ)), for "gated", s and θ learned.
    Each row of w sums to 1, and each node is one of its own neighbours [2]_.

    Differs from the published graph in that its nodes, 55 112 cells of 4 microphones x 13 778 samples all tied to each
    other, need 11 GiB a matrix; in that its similarity, a dot product of at least 0.6, depends on the level; and in
    that features are added rather than multiplied.

    References
    ----------
    .. [1] A. Vaswani et al., "Attention is all you need", NeurIPS 2017.
    .. [2] P. Veličković et al., "Graph attention networks", ICLR 2018.

    Examples
    --------
    >>> attention = MicAttention(8, "frames")
    >>> features = torch.randn(1, 4, 8, 16, 5)
    >>> attention(features).shape, attention.edges(features).shape
    (torch.Size([1, 4, 8, 16, 5]), torch.Size([1, 5, 4, 4]))
    """

    def __init__(self, channels: int, graph: str = "frames"):
        super().__init__()
        if graph not in GRAPHS:
            raise ValueError(f"graph: expected one of {', '.join(GRAPHS)}, got {graph!r}")
        self.graph = graph
        told = max(channels // 4, 1)
        self.query = nn.Conv2d(channels, told, 1, bias=False)
        self.key = nn.Conv2d(channels, told, 1, bias=False)
        self.value = nn.Conv2d(channels, told, 1, bias=False)
        self.hear = nn.Conv2d(told, channels, 1, bias=False)
        if graph == "gated":
            self.slope = nn.Parameter(torch.tensor(5.0))
            self.threshold = nn.Parameter(torch.tensor(0.6))

    def edges(self, features: Tensor) -> Tensor:
        """How much each microphone (third axis) listens to each (last axis).

        Parameters
        ----------
        features : Tensor, shape (batch, mics, channels, rows, frames)

        Returns
        -------
        Tensor, shape (batch, frames or 1, mics, mics)
            Not negative; rows sum to 1.
        """
        queries, keys = (self._nodes(convolve, features) for convolve in (self.query, self.key))
        if self.graph != "gated":
            return (queries @ keys.mT / math.sqrt(queries.shape[-1])).softmax(-1)
        alike = normalize(queries, dim=-1) @ normalize(keys, dim=-1).mT
        gates = (self.slope * (alike - self.threshold)).sigmoid()
        own = torch.eye(gates.shape[-1], dtype=torch.bool, device=gates.device)
        gates = gates.masked_fill(own, 1)
        return gates / gates.sum(-1, keepdim=True)

    def forward(self, features: Tensor) -> Tensor:
        """Features of shape (batch, mics, channels, rows, frames), and those of the same shape that go on."""
        group = features.shape[:2]
        values = self.value(features.flatten(0, 1)).unflatten(0, group)
        heard = torch.einsum("btkj,bjcrt->bkcrt", self.edges(features).expand(-1, features.shape[-1], -1, -1), values)
        return features + self.hear(heard.flatten(0, 1)).unflatten(0, group)

    def _nodes(self, convolve: nn.Module, features: Tensor) -> Tensor:
        """Shape (batch, frames or 1, mics, size)."""
        nodes = convolve(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        if self.graph == "mics":
            nodes = nodes.mean(-1, keepdim=True)
        return nodes.permute(0, 4, 1, 2, 3).flatten(3)
