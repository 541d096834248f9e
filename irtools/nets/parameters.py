"""How large a network is, counted as the published tables count."""

from __future__ import annotations

from torch import nn


def keras_parameters(net: nn.Module) -> int:
    """Number of parameters as Keras totals them: with the running mean and variance of batch normalisation."""
    running = (value for name, value in net.named_buffers() if name.endswith(("running_mean", "running_var")))
    return sum(value.numel() for value in (*net.parameters(), *running))
