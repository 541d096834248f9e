"""What the published networks got from Keras without asking: their initial weights and their batch normalisation."""

from __future__ import annotations

from torch import nn

#: Keyword arguments of a batch normalisation as Keras has it: a running mean kept by 99 %, and its epsilon.
BATCH_NORM = {"momentum": 0.01, "eps": 1e-3}


def start_like_keras(net: nn.Module) -> nn.Module:
    """Draw the weights of convolutions and dense layers by Glorot's uniform rule, and set their biases to zero.

    Parameters
    ----------
    net : nn.Module
        Changed in place, on any device.

    Returns
    -------
    nn.Module
        ``net``.

    Notes
    -----
    Weights are U(-a, a) with a = √(6 / (fan_in + fan_out)).

    Examples
    --------
    >>> layer = start_like_keras(nn.Linear(4, 2))
    >>> layer.bias.tolist(), bool(layer.weight.abs().max() <= 1)
    ([0.0, 0.0], True)
    """
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return net
