"""What each microphone is told of all the others, in an order-free way."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def mean_of_others(values: Tensor) -> Tensor:
    """For each microphone of (batch, mics, ...), the mean over the other ones; 0 where there is only one."""
    return (values.sum(1, keepdim=True) - values) / max(values.shape[1] - 1, 1)


def max_of_others(values: Tensor) -> Tensor:
    """For each microphone of (batch, mics, ...), the maximum over the other ones; 0 where there is only one."""
    mics = values.unbind(1)
    if len(mics) == 1:
        return torch.zeros_like(values)
    # Maxima of all before and of all after each microphone: 3 K - 6 comparisons, and the same value in any order.
    before, after = [mics[0]], [mics[-1]]
    for ahead, behind in zip(mics[1:-1], mics[-2:0:-1], strict=True):
        before.append(torch.maximum(before[-1], ahead))
        after.append(torch.maximum(after[-1], behind))
    after.reverse()
    between = [torch.maximum(left, right) for left, right in zip(before[:-1], after[1:], strict=True)]
    return torch.stack([after[0], *between, before[-1]], 1)


class PooledOthers(nn.Module):
    """Adds to each microphone's features what the mean and the maximum over the others say.

    y_k = x_k + B [mean_{j≠k} A x_j ; max_{j≠k} A x_j], where A, of a quarter as many rows as there are channels, says
    what is worth telling, and B what to make of it.
    """

    def __init__(self, channels: int):
        super().__init__()
        told = max(channels // 4, 1)
        self.tell = nn.Conv2d(channels, told, 1, bias=False)
        self.hear = nn.Conv2d(2 * told, channels, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, mics, channels, rows, columns) → what goes on, of the same shape."""
        told = self.tell(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        heard = torch.cat([mean_of_others(told), max_of_others(told)], dim=2)
        return features + self.hear(heard.flatten(0, 1)).unflatten(0, features.shape[:2])
