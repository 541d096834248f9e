"""The truncated U-Net (t-UNet) as published: ten seconds of waveforms in, their interference matrix out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from irtools.checks import check_int
from irtools.nets.estimate import Estimate
from irtools.nets.inverse import own_mic_images, projected_gains
from irtools.nets.keras_defaults import start_like_keras
from irtools.nets.level import without_level
from irtools.nets.network import Network
from irtools.nets.windows import join_windows, split_windows


class TUNet(Network):
    """Convolutions along time, then dense layers that see all microphones and give Λ.

    Parameters
    ----------
    n_mics, n_sources : int
        Source n is closest to microphone n.
    samples : int
        Length that the network takes.
    channels : sequence of int
        Of the convolutions.
    kernel, pool : int
        In samples of their input.
    dense : sequence of int
        Width of the dense layers before the last, which has mics × sources.
    floor : float
        Least singular value of Λ that is inverted as it is, see :func:`irtools.nets.inverse.conditioned_inverse`.
    sample_rate : int
        In Hz.

    Notes
    -----
    Every convolution is 1 × 4, along time only and without padding, then ReLU and max pooling 1 × 9:

    =====  ========  ==================
    level  channels  time after pooling
    =====  ========  ==================
    1      16        24499
    2      32        2721
    3      64        302
    4      128       33
    5      512       3
    =====  ========  ==================

    The 4 × 3 × 512 values go through dense layers of 512, 128, 64, 32 and 16, all with ReLU, the last too: Λ has no
    negative gain, and a unit can die. 3,528,736 parameters.

    :meth:`forward` is the published network. :meth:`reduce` differs from the published code in that the level is taken
    out and put back, since Λ does not depend on it; in that a recording of any length is cut in windows with a Λ each;
    in that the inverse is a pseudo-inverse with a floor; and in that sources are scaled by λ_nn, as heard at their own
    microphones.

    References
    ----------
    .. [1] R. Rajesh and P. Rajan, "Neural networks for interference reduction in multi-track recordings",
       WASPAA, 2023.

    Examples
    --------
    >>> net = TUNet(samples=800, channels=(4, 8), dense=(16,)).eval()
    >>> found = net.reduce(torch.randn(1, 4, 1000))
    >>> found.sources.shape, found.gains.shape
    (torch.Size([1, 4, 1000]), torch.Size([1, 4, 4]))
    """

    def __init__(
        self,
        *,
        n_mics: int = 4,
        n_sources: int = 4,
        samples: int = 220500,
        channels: Sequence[int] = (16, 32, 64, 128, 512),
        kernel: int = 4,
        pool: int = 9,
        dense: Sequence[int] = (512, 128, 64, 32),
        floor: float = 0.05,
        sample_rate: int = 22050,
    ):
        super().__init__(locals())
        check_int("n_sources", n_sources, 1, n_mics)
        time = samples
        for _ in channels:
            time = (time - kernel + 1) // pool
        if time < 1:
            raise ValueError(f"samples: expected enough for {len(channels)} levels of pooling, got {samples}")
        self.encoder = nn.Sequential(
            *(
                layer
                for before, after in pairwise((1, *channels))
                for layer in (nn.Conv2d(before, after, (1, kernel)), nn.ReLU(), nn.MaxPool2d((1, pool)))
            )
        )
        widths = (n_mics * time * channels[-1], *dense, n_mics * n_sources)
        self.dense = nn.Sequential(
            *(layer for before, after in pairwise(widths) for layer in (nn.Linear(before, after), nn.ReLU()))
        )
        start_like_keras(self)

    def forward(self, mics: Tensor) -> Tensor:
        """Recordings (batch, mics, samples) of ``samples`` samples → Λ (batch, mics, sources), not negative."""
        expected = (self.config["n_mics"], self.config["samples"])
        if tuple(mics.shape[1:]) != expected:
            raise ValueError(f"mics: expected {expected} microphones and samples, got {tuple(mics.shape[1:])}")
        encoded = self.encoder(mics[:, None])
        # Keras flattens with the channels last.
        gains = self.dense(encoded.permute(0, 2, 3, 1).flatten(1))
        return gains.unflatten(1, (self.config["n_mics"], self.config["n_sources"]))

    def reduce(self, mics: Tensor) -> Estimate:
        """Sources, and as gains the mean over the windows, each weighted by its energy."""
        windows, gains, level = self._window_gains(mics)
        images = own_mic_images(gains, windows, self.config["floor"]) * level
        loudest = level.amax(1, keepdim=True)
        energy = torch.where(loudest > 0, level / torch.where(loudest > 0, loudest, 1), 1).square()
        return Estimate(join_windows(images, mics.shape[-1]), (gains * energy).sum(1) / energy.sum(1))

    def _published_loss(self, mics: Tensor, references: Tensor, gains: Tensor | None) -> Tensor:
        """Mean square error of Λ; where there is no true one, of :func:`irtools.nets.inverse.projected_gains`."""
        found = self._window_gains(mics)[1]
        target = projected_gains(mics, references) if gains is None else gains
        return mse_loss(found, target.to(found)[:, None].expand_as(found))

    def _window_gains(self, mics: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Windows at a level of 1 (batch, windows, mics, samples), their Λ, their levels."""
        windows = split_windows(mics, self.config["samples"])
        scaled, level = without_level(windows.flatten(0, 1))
        gains = self(scaled.to(self.dense[0].weight.dtype)).to(mics.dtype)
        return tuple(each.unflatten(0, windows.shape[:2]) for each in (scaled, gains, level))
