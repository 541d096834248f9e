"""A dilated U-Net that all microphones share, and that lets each of them hear the others at every level."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from irtools.nets.other_mics import PooledOthers


class MicUNet(nn.Module):
    """Features of every microphone in, features of ``channels[0]`` at the same resolution out.

    Level i: convolution with a dilation of 2^i over columns, batch normalisation, LeakyReLU, the other microphones (by
    ``bottleneck`` at the coarsest), average pooling; then the same upwards, where the skip is added. Weights are
    shared, so any number of microphones fits, and permuting them permutes what comes out.
    """

    def __init__(
        self,
        inputs: int,
        channels: Sequence[int],
        kernel: tuple[int, int],
        pool: tuple[int, int],
        bottleneck: Callable[[int], nn.Module],
    ):
        super().__init__()
        self.pool = pool
        widths = [inputs, *channels]
        last = len(channels) - 1
        self.down = nn.ModuleList(
            _convolution(widths[level], widths[level + 1], kernel, 2**level) for level in range(len(channels))
        )
        self.exchange = nn.ModuleList(
            (bottleneck if level == last else PooledOthers)(width) for level, width in enumerate(channels)
        )
        self.narrow = nn.ModuleList(
            nn.Conv2d(channels[level + 1], channels[level], 1, bias=False) for level in range(last)
        )
        self.up = nn.ModuleList(
            _convolution(channels[level], channels[level], kernel, 2**level) for level in range(last)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, mics, inputs, rows, columns) → (batch, mics, channels[0], rows, columns)."""
        group = features.shape[:2]
        flat = features.flatten(0, 1)
        skips = []
        for level, (convolve, exchange) in enumerate(zip(self.down, self.exchange, strict=True)):
            if level:
                flat = avg_pool2d(flat, self.pool, ceil_mode=True)
            flat = exchange(convolve(flat).unflatten(0, group)).flatten(0, 1)
            skips.append(flat)
        flat = skips.pop()
        for narrow, convolve in zip(reversed(self.narrow), reversed(self.up), strict=True):
            skip = skips.pop()
            flat = convolve(skip + interpolate(narrow(flat), size=skip.shape[-2:]))
        return flat.unflatten(0, group)


def _convolution(inputs: int, outputs: int, kernel: tuple[int, int], dilation: int) -> nn.Sequential:
    padding = (kernel[0] // 2, dilation * (kernel[1] // 2))
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=(1, dilation), bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(0.1),
    )
