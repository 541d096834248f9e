"""How large a network is, counted as the published tables count."""

from __future__ import annotations

from torch import nn


def keras_parameters(net: nn.Module) -> int:
    """Number of parameters as Keras totals them.

    Parameters
    ----------
    net : nn.Module
        On any device, also "meta", where nothing is stored.

    Returns
    -------
    int
        All learned parameters, and the running mean and variance of batch normalisation, which Keras counts as
        parameters that are not trained; PyTorch's count of the batches seen is left out.

    Examples
    --------
    >>> keras_parameters(nn.BatchNorm2d(8))  # scale, offset, running mean, running variance
    32
    """
    learned = sum(parameter.numel() for parameter in net.parameters())
    running = sum(
        buffer.numel()
        for name, buffer in net.named_buffers()
        if name.rpartition(".")[2] in ("running_mean", "running_var")
    )
    return learned + running
