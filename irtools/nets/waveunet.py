"""Wave-U-Net: the waveform of a mixture in, the waveforms of its stems out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv_transpose1d, pad

from irtools.checks import check_int

#: What the published separation was trained with; the defaults are what a minute on one core is enough for.
PAPER = {"channels": (32, 64, 128, 256, 512, 1024), "separate": True, "sample_rate": 44100, "samples": 88200}
# Channels that are normalised together, of the published code.
_GROUP = 8


class WaveUNet(nn.Module):
    """U-Net on samples with a context: what it gives is shorter than what it reads, and sees no padding.

    Parameters
    ----------
    n_stems : int
    channels : sequence of int
        Of each level from the finest, each a multiple of 8.
    kernel, taps : int
        Of every convolution, and of the fixed low-pass filter of every change of rate; odd.
    stride : int
        From one level to the next.
    separate : bool
        One network per stem, as published, or one for all.
    difference : bool
        The last stem is the mixture without the others, so that the stems add up to the mixture.
    sample_rate : int
        In Hz, of the recordings to train on.
    samples : int
        That one pass gives at least; training and :meth:`separate` work in passes.

    Notes
    -----
    Level i, downwards: convolution to c_i channels (the skip), convolution to c_(i+1), low-pass and every 4th sample.
    At the bottom one convolution. Upwards: zeros between samples and low-pass, convolution to c_i, the skip beside it,
    cropped at both ends, convolution to c_i. At last a weighted sum over channels. Each convolution is followed by
    normalisation in groups of 8 channels and a ReLU. No convolution and no filter pads: :attr:`context` more samples
    are read on either side.

    This is the network of [2]_, six levels with strides of 4, as the published experiments copied it, and not that of
    [1]_, with twelve levels and strides of 2. Differs from [2]_ in that

    * the level of the mixture is taken out before and put back after, so that stems scale with the mixture, and
      silence gives silence;
    * the low-pass filters do not pad, where there they mirror; and interpolation keeps the level, where there it
      divides it by the stride, which the normalisation undoes;
    * estimates are not clipped to ±1.

    The window of the filter is Hann's, as in the code, where a Blackman window was written down: a time index is
    missing in its last term.

    References
    ----------
    .. [1] D. Stoller, S. Ewert, S. Dixon, "Wave-U-Net: a multi-scale neural network for end-to-end audio source
       separation", ISMIR 2018.
    .. [2] https://github.com/f90/Wave-U-Net-Pytorch.

    Examples
    --------
    >>> net = WaveUNet(n_stems=3, channels=(8, 16), separate=False, samples=500).eval()
    >>> net.separate(torch.zeros(1234)).shape
    torch.Size([3, 1234])
    """

    def __init__(
        self,
        *,
        n_stems: int = 4,
        channels: Sequence[int] = (16, 32, 64, 96, 128),
        kernel: int = 5,
        stride: int = 4,
        taps: int = 15,
        separate: bool = False,
        difference: bool = False,
        sample_rate: int = 8000,
        samples: int = 8000,
    ):
        super().__init__()
        for name, value in (("kernel", kernel), ("taps", taps)):
            if value < 1 or value % 2 == 0:
                raise ValueError(f"{name}: expected an odd number of taps, got {value}")
        if len(channels) < 2 or any(width < 1 or width % _GROUP for width in channels):
            raise ValueError(f"channels: expected two levels or more of multiples of {_GROUP}, got {tuple(channels)}")
        check_int("n_stems", n_stems, 1 + difference)
        check_int("stride", stride, 2)
        check_int("samples", samples, 1)
        self.sample_rate, self.n_stems, self.difference = sample_rate, n_stems, difference
        learned = n_stems - difference
        networks, outputs = (learned, 1) if separate else (1, learned)
        self.networks = nn.ModuleList(_OneNetwork(channels, kernel, stride, taps, outputs) for _ in range(networks))
        self.input_samples, self.output_samples = pass_sizes(samples, len(channels), kernel, stride, taps)

    @property
    def context(self) -> int:
        """Samples that are read before, and after, those that come out."""
        return (self.input_samples - self.output_samples) // 2

    def forward(self, mixtures: Tensor) -> Tensor:
        """Mixtures (batch, input_samples) → stems (batch, stems, output_samples) of the middle."""
        level = mixtures.square().mean(-1, keepdim=True).sqrt()[:, None]
        scaled = mixtures[:, None] / torch.where(level > 0, level, 1)
        stems = torch.cat([network(scaled) for network in self.networks], 1)
        if self.difference:
            stems = torch.cat([stems, _middle(scaled, stems.shape[-1]) - stems.sum(1, keepdim=True)], 1)
        return stems * level

    @torch.no_grad()
    def separate(self, mixture: Tensor, *, batch: int = 8) -> Tensor:
        """Stems (stems, samples) of a mixture (samples,) of any length, ``batch`` passes at a time.

        The mixture goes on as zeros at both ends. Group normalisation sees one pass at a time, as in training.
        """
        if mixture.ndim != 1 or not len(mixture):
            raise ValueError(f"mixture: expected shape (samples,), got {tuple(mixture.shape)}")
        if not mixture.isfinite().all():
            raise ValueError("mixture: expected finite samples")
        passes = math.ceil(len(mixture) / self.output_samples)
        missing = passes * self.output_samples - len(mixture)
        dtype = next(self.parameters()).dtype
        padded = pad(mixture.to(dtype), (self.context, self.context + missing))
        windows = padded.unfold(0, self.input_samples, self.output_samples)
        stems = torch.cat([self(some) for some in windows.split(batch)])
        return stems.transpose(0, 1).flatten(1)[:, : len(mixture)].to(mixture)


def pass_sizes(samples: int, levels: int, kernel: int, stride: int, taps: int) -> tuple[int, int]:
    """Samples read and given in one pass that gives at least ``samples``; their difference is even.

    Both follow from the number of samples at the bottom, the least that gives enough: upwards, n samples become
    (n - 1) stride + 1 - (taps - 1) - 2 (kernel - 1); downwards, what is read is found in the same way.
    """
    convolution, filtering = kernel - 1, taps - 1

    def given(bottom: int) -> int:
        for _ in range(levels - 1):
            bottom = (bottom - 1) * stride + 1 - filtering - 2 * convolution
        return bottom

    bottom = 1
    while given(bottom) < samples:
        bottom += 1
    read = bottom + convolution
    for _ in range(levels - 1):
        read = (read - 1) * stride + 1 + filtering + 2 * convolution
    return read, given(bottom)


class _OneNetwork(nn.Module):
    def __init__(self, channels, kernel: int, stride: int, taps: int, outputs: int):
        super().__init__()
        self.stride = stride
        self.register_buffer("low_pass", low_pass(taps, stride), persistent=False)
        pairs = list(itertools.pairwise(channels))

        def convolution(inputs: int, width: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv1d(inputs, width, kernel), nn.GroupNorm(width // _GROUP, width), nn.ReLU())

        self.skip = nn.ModuleList(convolution(fine if level else 1, fine) for level, (fine, _) in enumerate(pairs))
        self.widen = nn.ModuleList(convolution(fine, coarse) for fine, coarse in pairs)
        self.bottom = convolution(channels[-1], channels[-1])
        self.narrow = nn.ModuleList(convolution(coarse, fine) for fine, coarse in pairs)
        self.join = nn.ModuleList(convolution(2 * fine, fine) for fine, _ in pairs)
        self.output = nn.Conv1d(channels[0], outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        skips = []
        for skip, widen in zip(self.skip, self.widen, strict=True):
            skips.append(skip(features))
            features = self._decimate(widen(skips[-1]))
        features = self.bottom(features)
        for narrow, join in zip(reversed(self.narrow), reversed(self.join), strict=True):
            features = narrow(self._interpolate(features))
            features = join(torch.cat([_middle(skips.pop(), features.shape[-1]), features], 1))
        return self.output(features)

    def _decimate(self, features: Tensor) -> Tensor:
        return conv1d(features.flatten(0, 1)[:, None], self.low_pass, stride=self.stride).unflatten(
            0, features.shape[:2]
        )[:, :, 0]

    def _interpolate(self, features: Tensor) -> Tensor:
        rows = features.flatten(0, 1)[:, None]
        stuffed = conv_transpose1d(rows, self.stride * self.low_pass, stride=self.stride)
        border = self.low_pass.shape[-1] - 1
        return stuffed[..., border : stuffed.shape[-1] - border].unflatten(0, features.shape[:2])[:, :, 0]


def low_pass(taps: int, stride: int) -> Tensor:
    """Filter (1, 1, taps) of what ``stride`` times fewer samples can hold: a sinc in a Hann window, of sum 1."""
    time = torch.arange(taps, dtype=torch.float64) - taps // 2
    window = 0.5 + 0.5 * torch.cos(2 * math.pi * time / max(taps - 1, 1))
    response = torch.sinc(time / stride) * window
    return (response / response.sum()).float()[None, None]


def _middle(features: Tensor, samples: int) -> Tensor:
    border = (features.shape[-1] - samples) // 2
    return features[..., border : border + samples]
