"""What each microphone is told of all the others, in an order-free way."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def mean_of_others(values: Tensor, dim: int = 1) -> Tensor:
    """Mean over the other microphones, for each microphone.

    Parameters
    ----------
    values : Tensor, shape (..., mics, ...)
    dim : int
        Axis of the microphones.

    Returns
    -------
    Tensor, shape of ``values``
        0 where there is only one microphone.

    Examples
    --------
    >>> mean_of_others(torch.tensor([[1.0, 2.0, 6.0]]))
    tensor([[4.0000, 3.5000, 1.5000]])
    """
    return (values.sum(dim, keepdim=True) - values) / max(values.shape[dim] - 1, 1)


def max_of_others(values: Tensor, dim: int = 1) -> Tensor:
    """Maximum over the other microphones, for each microphone.

    Parameters
    ----------
    values : Tensor, shape (..., mics, ...)
    dim : int
        Axis of the microphones.

    Returns
    -------
    Tensor, shape of ``values``
        0 where there is only one microphone.

    Notes
    -----
    Maxima of all before and of all after each microphone: 3 K - 6 comparisons, and the same value in any order.

    Examples
    --------
    >>> max_of_others(torch.tensor([[1.0, 2.0, 6.0]]))
    tensor([[6., 6., 2.]])
    """
    mics = values.unbind(dim)
    if len(mics) == 1:
        return torch.zeros_like(values)
    before, after = [mics[0]], [mics[-1]]
    for ahead, behind in zip(mics[1:-1], mics[-2:0:-1], strict=True):
        before.append(torch.maximum(before[-1], ahead))
        after.append(torch.maximum(after[-1], behind))
    after.reverse()
    between = [torch.maximum(left, right) for left, right in zip(before[:-1], after[1:], strict=True)]
    return torch.stack([after[0], *between, before[-1]], dim)


class PooledOthers(nn.Module):
    """Adds to each microphone's features what the mean and the maximum over the others say.

    Parameters
    ----------
    channels : int

    Notes
    -----
    y_k = x_k + B [mean_{j≠k} A x_j ; max_{j≠k} A x_j], where A, of a quarter as many rows as there are channels, says
    what is worth telling, and B what to make of it.

    Examples
    --------
    >>> PooledOthers(8)(torch.zeros(1, 4, 8, 16, 5)).shape
    torch.Size([1, 4, 8, 16, 5])
    """

    def __init__(self, channels: int):
        super().__init__()
        told = max(channels // 4, 1)
        self.tell = nn.Conv2d(channels, told, 1, bias=False)
        self.hear = nn.Conv2d(2 * told, channels, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Features of shape (batch, mics, channels, rows, columns), and those of the same shape that go on."""
        told = self.tell(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        heard = torch.cat([mean_of_others(told), max_of_others(told)], dim=2)
        return features + self.hear(heard.flatten(0, 1)).unflatten(0, features.shape[:2])
