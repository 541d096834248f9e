"""The convolutional autoencoder (CAE) as published: what bleeds into a microphone is noise, removed from magnitudes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, pad

from irtools.checks import check_int
from irtools.nets.estimate import Estimate
from irtools.nets.keras_defaults import BATCH_NORM, start_like_keras
from irtools.nets.level import without_level
from irtools.nets.network import Network
from irtools.stft import istft, stft

# Stacked frames that go through the network at a time: bounds the memory, not the result.
_ROWS_AT_ONCE = 64


class CAE(Network):
    """Autoencoder of stacked magnitude frames, one microphone at a time.

    Parameters
    ----------
    n_conditions : int
        0 is one network per stem, as published. More is one network for that many stems: a learned vector per stem is
        added to the bottleneck, and microphone n is stem n.
    window_size, hop : int
        Of the STFT, in samples.
    context : int
        Frames that are stacked, odd.
    channels : sequence of two int
        Of the two convolutions.
    bottleneck : int
    sample_rate : int
        In Hz.

    Notes
    -----
    With F = window/2 + 1 and R = 3F rows (3075 by default):

    =============================================  ============
    layer                                          output
    =============================================  ============
    convolution 2×1, 32 channels, ReLU, BN         (R-1) × 32
    convolution 2×1, 64 channels, ReLU, BN         (R-2) × 64
    dense, ReLU                                    100
    dense, ReLU                                    (R-2) × 64
    transposed convolution 2×1, 32, ReLU, BN       (R-1) × 32
    transposed convolution 2×1, 1, ReLU, BN        R × 1
    =============================================  ============

    39,540,137 parameters as Keras counts (:func:`irtools.nets.parameters.keras_parameters`), more than 99 % of them in
    the two dense layers.

    :meth:`forward` is the published network. :meth:`reduce` differs from the published code in that the level is taken
    out and put back; that the three estimates of a frame are averaged, where the code takes the first; that magnitudes
    are kept >= 0, which the batch normalisation after the last ReLU does not; and in that training and use share one
    hop, where the code trains without overlap.

    References
    ----------
    .. [1] R. Rajesh and P. Rajan, "Neural networks for interference reduction in multi-track recordings",
       WASPAA, 2023.

    Examples
    --------
    >>> net = CAE(window_size=64, hop=16).eval()
    >>> net.reduce(torch.randn(1, 2, 500)).sources.shape
    torch.Size([1, 2, 500])
    """

    def __init__(
        self,
        *,
        n_conditions: int = 0,
        window_size: int = 2048,
        hop: int = 512,
        context: int = 3,
        channels: tuple[int, int] = (32, 64),
        bottleneck: int = 100,
        sample_rate: int = 22050,
    ):
        super().__init__(locals())
        check_int("n_conditions", n_conditions, 0)
        check_int("context", context, 1)
        if context % 2 == 0:
            raise ValueError(f"context: expected an odd number of frames, got {context}")
        first, second = channels
        self.rows = context * (window_size // 2 + 1)
        wide = (self.rows - 2) * second
        self.encoder = nn.Sequential(
            nn.Conv1d(1, first, 2),
            nn.ReLU(),
            nn.BatchNorm1d(first, **BATCH_NORM),
            nn.Conv1d(first, second, 2),
            nn.ReLU(),
            nn.BatchNorm1d(second, **BATCH_NORM),
        )
        self.narrow = nn.Linear(wide, bottleneck)
        self.condition = nn.Embedding(n_conditions, bottleneck) if n_conditions else None
        self.widen = nn.Linear(bottleneck, wide)
        self.decoder = nn.Sequential(
            nn.ConvTranspose1d(second, first, 2),
            nn.ReLU(),
            nn.BatchNorm1d(first, **BATCH_NORM),
            nn.ConvTranspose1d(first, 1, 2),
            nn.ReLU(),
            nn.BatchNorm1d(1, **BATCH_NORM),
        )
        start_like_keras(self)

    def forward(self, frames: Tensor, stem: Tensor | None = None) -> Tensor:
        """Stacked magnitudes (batch, context * freqs), the earliest frame first, of the microphone → of the source.

        ``stem``, int64, is the condition of each row, where the network has conditions.
        """
        encoded = self.encoder(frames[:, None])
        # Keras flattens with the channels last.
        code = self.narrow(encoded.mT.flatten(1)).relu()
        if self.condition is not None:
            code = code + self.condition(stem)
        wide = self.widen(code).relu()
        return self.decoder(wide.unflatten(1, (self.rows - 2, -1)).mT)[:, 0]

    def reduce(self, mics: Tensor) -> Estimate:
        """One source per microphone: the estimated magnitudes with the phases of the microphone; no gains."""
        scaled, level = without_level(mics)
        spectra = self._spectra(scaled)
        stacked = self._stacked(spectra.abs().to(self.narrow.weight.dtype))
        rows = zip(*(each.split(_ROWS_AT_ONCE) for each in (stacked.flatten(0, 2), self._stems(stacked))), strict=True)
        found = torch.cat([self(*some) for some in rows])
        magnitudes = self._averaged(found.view_as(stacked)).clamp(min=0)
        # The phase of a zero is zero, which keeps digital silence.
        waveforms = self._waveforms(magnitudes * spectra.sgn(), mics.shape[-1])
        return Estimate(waveforms * level)

    def _published_loss(self, mics: Tensor, references: Tensor, gains: Tensor | None) -> Tensor:
        """Mean square error of the stacked magnitudes."""
        scaled, level = without_level(mics)
        stacked = self._stacked(self._spectra(scaled).abs())
        targets = self._stacked(self._spectra(references / torch.where(level > 0, level, 1)).abs())
        return mse_loss(self(stacked.flatten(0, 2), self._stems(stacked)), targets.flatten(0, 2))

    def _spectra(self, waveforms: Tensor) -> Tensor:
        """Spectra of which white noise at a level of 1 has a magnitude about 1."""
        window_size, hop = self.config["window_size"], self.config["hop"]
        return stft(waveforms, window_size, hop) / (0.375 * window_size) ** 0.5

    def _waveforms(self, spectra: Tensor, samples: int) -> Tensor:
        window_size, hop = self.config["window_size"], self.config["hop"]
        return istft(spectra * (0.375 * window_size) ** 0.5, samples, window_size, hop)

    def _stacked(self, magnitudes: Tensor) -> Tensor:
        """(batch, mics, freqs, frames) as (batch, mics, frames, context * freqs); zeros before and after."""
        context = self.config["context"]
        padded = pad(magnitudes, (context // 2, context // 2))
        return padded.unfold(3, context, 1).permute(0, 1, 3, 4, 2).flatten(3)

    def _averaged(self, stacked: Tensor) -> Tensor:
        """Each frame as the mean of its estimates: (batch, mics, frames, rows) as (batch, mics, freqs, frames)."""
        context, frames = self.config["context"], stacked.shape[2]
        half, number = context // 2, torch.arange(frames, device=stacked.device)
        parts = pad(stacked.unflatten(3, (context, -1)), (0, 0, 0, 0, half, half))
        total = sum(parts[:, :, 2 * half - place :][:, :, :frames, place] for place in range(context))
        count = 1 + number.clamp(max=half) + number.flip(0).clamp(max=half)
        return (total / count[:, None]).mT

    def _stems(self, stacked: Tensor) -> Tensor:
        """Number of the microphone of each row of ``stacked``: its condition, where the network has conditions."""
        batch, n_mics, frames, _ = stacked.shape
        most = self.config["n_conditions"]
        if most and n_mics > most:
            raise ValueError(f"mics: expected at most {most} (one per stem), got {n_mics}")
        return torch.arange(n_mics, device=stacked.device).repeat_interleave(frames).repeat(batch)
