"""The dilated full Wave-U-Net (dfUNet) as published: waveforms of four microphones in, their sources out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

from irtools.checks import check_choice
from irtools.nets.estimate import Estimate
from irtools.nets.keras_defaults import BATCH_NORM, start_like_keras
from irtools.nets.level import without_level
from irtools.nets.network import Network
from irtools.nets.published_gat import GRAPHS, PublishedGAT
from irtools.nets.windows import join_windows, split_windows

#: Of the LeakyReLU after convolutions.
SLOPE = 0.3


class PublishedDFUNet(Network):
    """Convolutions of 4 × 4 over microphones and time in a U-Net, with or without graph attention at its depth.

    Parameters
    ----------
    graph : {None, "all-ones", "similarity"}
        See :class:`irtools.nets.published_gat.PublishedGAT`.
    n_mics : int
        As many sources as microphones.
    samples : int
        Length of the windows, a multiple of 16.
    dilate_mics : bool
        As published. False dilates over time only.
    sample_rate : int
        In Hz.

    Notes
    -----
    ==========  ====================================================  ========================
    block       layers                                                microphones × time × ch.
    ==========  ====================================================  ========================
    down 1      2 conv 16, BN, LeakyReLU, max pool 1 × 2, dropout .1  4 × 110224 × 16
    down 2      the same, 32 channels, dilation 2                     4 × 55112 × 32
    down 3      the same, 64 channels, dilation 4                     4 × 27556 × 64
    down 4      the same, 128 channels, dilation 16                   4 × 13778 × 128
    graph       attention, LeakyReLU, times down 4                    4 × 13778 × 128
    bottleneck  2 conv 256, BN, LeakyReLU                             4 × 13778 × 256
    up 4        transposed conv 128 of stride 1, BN, LeakyReLU;       4 × 13778 × 128
                with down 4: 2 conv 128, LeakyReLU
    up 3, 2, 1  the same, 64, 32, 16 channels of stride 1 × 2;        4 × 110224 × 32
                with down 3, 2, 1: 2 conv 64, 32, 32, LeakyReLU
    out         transposed conv 1 of stride 1 × 2, LeakyReLU          4 × 220448 × 1
    ==========  ====================================================  ========================

    LeakyReLU has a slope of 0.3, padding is Keras' "same", also over the microphones. 3,859,793 parameters; 3,876,561
    with "all-ones"; 3,855,793 with "similarity", whose last level upwards has 16 channels.

    Dilation goes over the microphones too. On level 4 the four rows of a kernel lie 8 and 24 microphones away on either
    side, where four microphones have nothing but padding: down 4, the graph and the bottleneck give the same values
    whatever is recorded, and no graph can make a difference. With ``dilate_mics=False`` they hear the recording.

    :meth:`forward` is the published network. :meth:`reduce` differs from the published code in that the level is taken
    out and put back, in that a recording of any length is cut in windows, and in that a silent microphone stays silent.

    References
    ----------
    .. [1] https://github.com/its-rajesh/GIRNet (getAudio.py, GAT.py).
    .. [2] D. Stoller, S. Ewert, S. Dixon, "Wave-U-Net: a multi-scale neural network for end-to-end audio source
       separation", ISMIR, 2018.

    Examples
    --------
    >>> net = PublishedDFUNet(samples=1600).eval()
    >>> net.reduce(torch.zeros(1, 4, 1000)).sources.shape
    torch.Size([1, 4, 1000])
    """

    def __init__(
        self,
        *,
        graph: str | None = None,
        n_mics: int = 4,
        samples: int = 220448,
        dilate_mics: bool = True,
        sample_rate: int = 22050,
    ):
        super().__init__(locals())
        if graph is not None:
            check_choice("graph", graph, GRAPHS)
        if samples < 16 or samples % 16:
            raise ValueError(f"samples: expected a multiple of 16, got {samples}")
        last_channels = 16 if graph == "similarity" else 32
        shapes = ((1, 16, 1), (16, 32, 2), (32, 64, 4), (64, 128, 16))
        self.down = nn.ModuleList(_Down(*shape, dilate_mics) for shape in shapes)
        self.bottleneck = nn.Sequential(*_pair(128, 256), nn.BatchNorm2d(256, **BATCH_NORM), nn.LeakyReLU(SLOPE))
        shapes = ((256, 128, 128, 1), (128, 64, 64, 2), (64, 32, 32, 2), (32, 16, last_channels, 2))
        self.up = nn.ModuleList(_Up(*shape) for shape in shapes)
        self.out = _SameTransposed(last_channels, 1, 2)
        start_like_keras(self)
        self.gat = None if graph is None else PublishedGAT(128, graph)

    def encode(self, mics: Tensor) -> list[Tensor]:
        """Features of every level downwards, the coarsest last, of recordings (batch, mics, samples)."""
        levels = [mics[:, None]]
        for down in self.down:
            levels.append(down(levels[-1]))
        return levels[1:]

    def forward(self, mics: Tensor) -> Tensor:
        """Recordings (batch, mics, samples), samples a multiple of 16 → sources of the same shape."""
        n_mics, samples = mics.shape[1:]
        if n_mics != self.config["n_mics"] or samples % 16:
            raise ValueError(
                f"mics: expected {self.config['n_mics']} microphones and a multiple of 16 samples, "
                f"got {n_mics} and {samples}"
            )
        levels = self.encode(mics)
        deepest = levels[-1]
        if self.gat is not None:
            deepest = leaky_relu(self.gat(deepest), SLOPE) * deepest
        hidden = self.bottleneck(deepest)
        for up in self.up:
            hidden = up(hidden, levels.pop())
        return leaky_relu(self.out(hidden), SLOPE)[:, 0]

    def reduce(self, mics: Tensor) -> Estimate:
        """One source per microphone; no gains."""
        scaled, level = without_level(mics)
        samples = mics.shape[-1]
        # Convolutions take a shorter recording as it is.
        size = min(self.config["samples"], samples + -samples % 16)
        windows = split_windows(scaled.to(next(self.parameters()).dtype), size)
        sources = torch.stack([self(window) for window in windows.unbind(1)], dim=1)
        heard = mics.abs().amax(-1, keepdim=True) > 0
        return Estimate(torch.where(heard, join_windows(sources, samples).to(mics), 0) * level)


class _Same(nn.Conv2d):
    """4 × 4, padded as Keras pads "same": the odd row or column of padding at the end."""

    def __init__(self, inputs: int, outputs: int, dilation: tuple[int, int] = (1, 1)):
        super().__init__(inputs, outputs, 4, dilation=dilation)

    def forward(self, values: Tensor) -> Tensor:
        (rows, columns) = (3 * step for step in self.dilation)
        return super().forward(pad(values, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)))


class _SameTransposed(nn.ConvTranspose2d):
    """4 × 4, microphones kept and time multiplied by ``stride``; cropped as Keras crops."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__(inputs, outputs, 4, stride=(1, stride), padding=1)

    def forward(self, values: Tensor) -> Tensor:
        return super().forward(values)[:, :, : values.shape[2], : values.shape[3] * self.stride[1]]


class _Down(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, dilation: int, dilate_mics: bool):
        super().__init__(
            *_pair(inputs, outputs, (dilation if dilate_mics else 1, dilation)),
            nn.BatchNorm2d(outputs, **BATCH_NORM),
            nn.LeakyReLU(SLOPE),
            nn.MaxPool2d((1, 2)),
            nn.Dropout(0.1),
        )


class _Up(nn.Module):
    def __init__(self, inputs: int, raised: int, outputs: int, stride: int):
        super().__init__()
        self.rise = nn.Sequential(
            _SameTransposed(inputs, raised, stride), nn.BatchNorm2d(raised, **BATCH_NORM), nn.LeakyReLU(SLOPE)
        )
        self.join = nn.Sequential(*_pair(2 * raised, outputs), nn.LeakyReLU(SLOPE))

    def forward(self, values: Tensor, skip: Tensor) -> Tensor:
        return self.join(torch.cat([self.rise(values), skip], dim=1))


def _pair(inputs: int, outputs: int, dilation: tuple[int, int] = (1, 1)) -> tuple[nn.Module, nn.Module]:
    return _Same(inputs, outputs, dilation), _Same(outputs, outputs, dilation)
