"""The dilated U-Net, corrected: any number of microphones in any order, at any level, of any length."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from irtools.checks import check_choice
from irtools.nets.estimate import Estimate
from irtools.nets.fronts import SpectralFront, WaveformFront
from irtools.nets.graph import MicAttention
from irtools.nets.level import without_level
from irtools.nets.mic_unet import MicUNet
from irtools.nets.network import Network
from irtools.nets.other_mics import PooledOthers


class DFUNet(Network):
    """Dilated U-Net with weights shared by all microphones, which hear each other at every level.

    Parameters
    ----------
    graph : {None, "frames"}
        What ties the microphones at the coarsest level: the mean and the maximum over the others, as on the levels
        above, or attention in each frame; see :class:`irtools.nets.graph.MicAttention`.
    front : {"stft", "waveform"}
        A mask on each microphone's own spectra, or a change of its own waveform; see :mod:`irtools.nets.fronts`.
    channels : sequence of int
        Of each level, from the finest.
    stride : int
        Frequencies, or samples, that share a row or column of features at the finest level.
    window_size, hop : int
        Of the spectra, in samples; unused by "waveform".
    sample_rate : int
        In Hz, of the recordings to train on.

    Notes
    -----
    Differs from the published network, :class:`irtools.nets.published_dfunet.PublishedDFUNet`, in that

    * each microphone is an item of the batch, where the published one convolves over a zero-padded axis of four: any
      number of microphones is possible, and permuting them permutes the estimates;
    * the level is taken out before and put back after: estimates scale with the recording, and silence stays silence;
    * the skip of the finest level is at the full rate, the published one comes after pooling and dropout;
    * nothing follows the last layer, where the published one has a LeakyReLU on samples;
    * dilation doubles on every level;
    * it works on spectra, if not told otherwise, and hears half a second on either side, where the published network
      hears 60 ms in all, less than the rooms ring.

    References
    ----------
    .. [1] R. Rajesh and P. Rajan, "Neural networks for interference reduction in multi-track recordings",
       WASPAA, 2023.
    .. [2] https://github.com/its-rajesh/GIRNet (dfUNet and its graph attention).

    Examples
    --------
    >>> net = DFUNet(channels=(8, 16), window_size=512, hop=128).eval()
    >>> net.reduce(torch.zeros(2, 3, 1000)).sources.shape
    torch.Size([2, 3, 1000])
    """

    def __init__(
        self,
        *,
        graph: str | None = None,
        front: str = "stft",
        channels: Sequence[int] = (32, 48, 64),
        stride: int = 16,
        window_size: int = 4096,
        hop: int = 1024,
        sample_rate: int = 22050,
    ):
        super().__init__(locals())
        if graph is not None:
            check_choice("graph", graph, ("frames",))
        check_choice("front", front, ("stft", "waveform"))
        if front == "stft":
            self.front = SpectralFront(channels[0], window_size=window_size, hop=hop, stride=stride)
        else:
            self.front = WaveformFront(channels[0], stride=stride)
        bottleneck = PooledOthers if graph is None else MicAttention
        self.body = MicUNet(channels[0], channels, self.front.kernel, self.front.pool, bottleneck)

    def forward(self, mics: Tensor) -> Tensor:
        """Recordings of shape (batch, mics, samples) at a level of 1 → own-mic images of the same shape."""
        carrier, features = self.front.analyse(mics)
        return self.front.synthesise(carrier, self.body(features))

    def reduce(self, mics: Tensor) -> Estimate:
        """One source per microphone; no gains."""
        scaled, level = without_level(mics)
        sources = self(scaled.to(self._dtype())).to(mics)
        return Estimate(torch.where(mics.abs().amax(-1, keepdim=True) > 0, sources, 0) * level)

    def attention(self, mics: Tensor) -> Tensor:
        """Where each microphone of (batch, mics, samples) listens: (batch, mics, mics), mean over frames."""
        attention = self.body.exchange[-1]
        if not isinstance(attention, MicAttention):
            raise ValueError("graph: expected a network with frames, got None")
        seen = []
        with attention.register_forward_pre_hook(lambda module, args: seen.append(args[0])):
            self(without_level(mics)[0].to(self._dtype()))
        return attention.edges(seen[0]).mean(1)

    def _dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype
