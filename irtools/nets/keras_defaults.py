"""What the published networks got from Keras without asking: their initial weights and their batch normalisation."""

from __future__ import annotations

from torch import nn

#: Keyword arguments of a batch normalisation as Keras has it: a running mean kept by 99 %, and its epsilon.
BATCH_NORM = {"momentum": 0.01, "eps": 1e-3}


def start_like_keras(net: nn.Module) -> nn.Module:
    """Draw the weights of convolutions and dense layers, in place, by Glorot's uniform rule; biases become zero."""
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return net
