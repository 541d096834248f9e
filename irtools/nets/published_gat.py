"""The published graph attention, computed without the matrix of all pairs of nodes where that is possible."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu
from torch.utils.checkpoint import checkpoint

GRAPHS = ("all-ones", "similarity")
#: Slope of the LeakyReLU inside the attention, as in Spektral's GATConv.
SLOPE = 0.2
# Two cells are similar if the dot product of their features is at least this.
_SIMILAR = 0.6


def all_pairs_attention(own: Tensor, neighbours: Tensor, values: Tensor) -> Tensor:
    """Additive attention of every node to all nodes, exact, in O(nodes log nodes) and without a matrix.

    Σ_j w_ij v_j with w_ij = softmax_j LeakyReLU(own_i + neighbours_j); ``own`` and ``neighbours`` are (batch, nodes),
    ``values`` and the result (batch, nodes, channels).

    With neighbours sorted, those of node i whose score is positive are the last ones. exp(LeakyReLU(a_i + b_j)) is
    exp(a_i) exp(b_j) for these and exp(0.2 a_i) exp(0.2 b_j) for the others, so that a sum from the end of exp(b_j) v_j
    and one from the start of exp(0.2 b_j) v_j serve all nodes. Sums are in float64, relative to the largest score.
    """
    order = neighbours.argsort(dim=1)
    ranked = neighbours.gather(1, order).double()
    one = torch.ones_like(values[..., :1])
    carried = torch.cat([values, one], dim=2).double()
    carried = carried.gather(1, order[..., None].expand_as(carried))
    below = ranked - ranked[:, -1:]
    rising = (carried * (SLOPE * below).exp()[..., None]).cumsum(1)
    falling = (carried * below.exp()[..., None]).flip(1).cumsum(1).flip(1)
    # A row of zeros at the end that is empty for some nodes.
    rising, falling = (
        nn.functional.pad(total, edge) for total, edge in ((rising, (0, 0, 1, 0)), (falling, (0, 0, 0, 1)))
    )
    first_positive = torch.searchsorted(ranked.detach(), -own.detach().double().contiguous())
    index = first_positive[..., None].expand(*own.shape, carried.shape[2])
    best = own.double() + ranked[:, -1:]
    largest = leaky_relu(best, SLOPE)
    total = (best - largest).exp()[..., None] * falling.gather(1, index)
    total = total + (SLOPE * best - largest).exp()[..., None] * rising.gather(1, index)
    return (total[..., :-1] / total[..., -1:]).to(values)


def tied_attention(nodes: Tensor, own: Tensor, neighbours: Tensor, values: Tensor, rows: int = 512) -> Tensor:
    """The same, of every node to itself and to those of ``nodes`` (batch, nodes, features) that are similar to it.

    Memory grows with ``rows``, the nodes at a time, times nodes; time with nodes².
    """

    def of_rows(start: int, nodes: Tensor, own: Tensor, neighbours: Tensor, values: Tensor) -> Tensor:
        here = slice(start, start + rows)
        tied = nodes[:, here] @ nodes.mT >= _SIMILAR
        tied.diagonal(start, 1, 2).fill_(True)
        scores = leaky_relu(own[:, here, None] + neighbours[:, None], SLOPE)
        return scores.masked_fill(~tied, -math.inf).softmax(-1) @ values

    # The scores of all pairs are not kept for the gradient, but computed again.
    return torch.cat(
        [
            checkpoint(of_rows, start, nodes, own, neighbours, values, use_reentrant=False, preserve_rng_state=False)
            for start in range(0, nodes.shape[1], rows)
        ],
        dim=1,
    )


class PublishedGAT(nn.Module):
    """One head of graph attention over the cells of the deepest level, as published.

    Parameters
    ----------
    channels : int
    graph : {"all-ones", "similarity"}
        Every cell of microphone and time is tied to every other; or to those whose features have a dot product of at
        least 0.6 with its own.

    Notes
    -----
    h_i = b + Σ_j w_ij W x_j, w_ij = softmax_j LeakyReLU(a₁ᵀW x_i + a₂ᵀW x_j), over the neighbours of i and i itself:
    the layer ties each node to itself, also where the published code has zeroed that.

    Differs from the published layer in that attention is not dropped out: over 55 112 nodes that changes next to
    nothing, and in getAudio.py it went on after training.

    References
    ----------
    .. [1] P. Veličković et al., "Graph attention networks", ICLR, 2018.
    .. [2] https://github.com/its-rajesh/GIRNet (getAudio.py, GAT.py); the layer is GATConv of Spektral.
    """

    def __init__(self, channels: int, graph: str):
        super().__init__()
        self.graph = graph
        self.weight = nn.Parameter(torch.empty(channels, channels))
        self.own = nn.Parameter(torch.empty(channels))
        self.neighbours = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        # Glorot's rule as Keras reads it off weights of three axes, (inputs, heads, outputs) and (outputs, heads, 1).
        nn.init.uniform_(self.weight, -1, 1).data.mul_(math.sqrt(6 / (channels + channels**2)))
        for vector in (self.own, self.neighbours):
            nn.init.uniform_(vector, -1, 1).data.mul_(math.sqrt(3 / channels))

    def forward(self, features: Tensor) -> Tensor:
        """Features of shape (batch, channels, mics, time), and those of the same shape that replace them."""
        cells = features.permute(0, 2, 3, 1)
        nodes = cells.flatten(1, 2)
        values = nodes @ self.weight
        own, neighbours = values @ self.own, values @ self.neighbours
        if self.graph == "all-ones":
            heard = all_pairs_attention(own, neighbours, values)
        else:
            heard = tied_attention(nodes, own, neighbours, values)
        return (heard + self.bias).view_as(cells).permute(0, 3, 1, 2)
