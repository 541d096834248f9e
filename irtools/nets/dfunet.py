"""The dilated U-Net, corrected: any number of microphones in any order, at any level, of any length."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from irtools.nets.estimate import Estimate
from irtools.nets.fronts import SpectralFront, WaveformFront
from irtools.nets.graph import MicAttention
from irtools.nets.level import without_level
from irtools.nets.losses import check_kind, negative_si_sdr
from irtools.nets.mic_unet import MicUNet
from irtools.nets.other_mics import PooledOthers


class DFUNet(nn.Module):
    """Dilated U-Net with weights shared by all microphones, which hear each other at every level.

    Parameters
    ----------
    graph : {None, "mics", "frames", "gated"}
        What ties the microphones at the coarsest level: the mean and the maximum over the others, as on the levels
        above, or attention; see :class:`irtools.nets.graph.MicAttention`.
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

    Raises
    ------
    ValueError
        An unknown graph or front.

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
        super().__init__()
        if front not in ("stft", "waveform"):
            raise ValueError(f"front: expected stft or waveform, got {front!r}")
        self.config = {
            "graph": graph,
            "front": front,
            "channels": list(channels),
            "stride": stride,
            "window_size": window_size,
            "hop": hop,
            "sample_rate": sample_rate,
        }
        self.sample_rate = sample_rate
        if front == "stft":
            self.front = SpectralFront(channels[0], window_size=window_size, hop=hop, stride=stride)
        else:
            self.front = WaveformFront(channels[0], stride=stride)
        bottleneck = PooledOthers if graph is None else partial(MicAttention, graph=graph)
        self.body = MicUNet(channels[0], channels, self.front.kernel, self.front.pool, bottleneck)

    def forward(self, mics: Tensor) -> Tensor:
        """Recordings of shape (batch, mics, samples) at a level of 1 → own-mic images of the same shape."""
        carrier, features = self.front.analyse(mics)
        return self.front.synthesise(carrier, self.body(features))

    def reduce(self, mics: Tensor) -> Estimate:
        """Estimate what each microphone would have heard of its own source alone.

        Parameters
        ----------
        mics : Tensor, shape (batch, mics, samples)

        Returns
        -------
        Estimate
            ``sources`` of shape (batch, mics, samples), one a microphone.
        """
        scaled, level = without_level(mics)
        sources = self(scaled.to(self._dtype())).to(mics)
        return Estimate(torch.where(mics.abs().amax(-1, keepdim=True) > 0, sources, 0) * level)

    def attention(self, mics: Tensor) -> Tensor:
        """How much each microphone listens to each, over the whole recording: the edges of a graph.

        Parameters
        ----------
        mics : Tensor, shape (batch, mics, samples)

        Returns
        -------
        Tensor, shape (batch, mics, mics)
            Mean over frames; row k says where microphone k listens, and sums to 1.

        Raises
        ------
        ValueError
            A network without a graph.
        """
        attention = self.body.exchange[-1]
        if not isinstance(attention, MicAttention):
            raise ValueError("graph: expected a network with mics, frames or gated, got None")
        seen = []
        with attention.register_forward_pre_hook(lambda module, args: seen.append(args[0])):
            self(without_level(mics)[0].to(self._dtype()))
        return attention.edges(seen[0]).mean(1)

    def loss(self, mics: Tensor, references: Tensor, gains: Tensor | None = None, kind: str = "published") -> Tensor:
        """What training makes small.

        Parameters
        ----------
        mics : Tensor, shape (batch, mics, samples)
        references : Tensor, shape (batch, sources, samples)
            Own-mic images; source n belongs to microphone n.
        gains : Tensor, optional
            Unused: no Λ is estimated.
        kind : {"published", "si-sdr"}
            Mean squared error of waveforms, or minus SI-SDR in dB.

        Returns
        -------
        Tensor, scalar
        """
        sources = self.reduce(mics).sources[:, : references.shape[1]]
        return negative_si_sdr(sources, references) if check_kind(kind) == "si-sdr" else mse_loss(sources, references)

    def _dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype
