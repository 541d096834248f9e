"""The convolutional autoencoder (CAE) as published: what bleeds into a microphone is noise, removed from magnitudes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, pad

from irtools.nets.estimate import Estimate
from irtools.nets.keras_defaults import BATCH_NORM, start_like_keras
from irtools.nets.level import without_level
from irtools.nets.losses import check_kind, negative_si_sdr
from irtools.stft import istft, stft

# Stacked frames that go through the network at a time: bounds the memory, not the result.
_ROWS_AT_ONCE = 64


class CAE(nn.Module):
    """Autoencoder of stacked magnitude frames, one microphone at a time.

    Parameters
    ----------
    n_conditions : int
        0 is one network a stem, as published. More is one network for that many stems: a learned vector per stem is
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

    Raises
    ------
    ValueError
        A negative number of conditions, or an even context.

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
        super().__init__()
        if n_conditions < 0:
            raise ValueError(f"n_conditions: expected 0 or more, got {n_conditions}")
        if context < 1 or context % 2 == 0:
            raise ValueError(f"context: expected an odd number of frames, got {context}")
        self.config = {
            "n_conditions": n_conditions,
            "window_size": window_size,
            "hop": hop,
            "context": context,
            "channels": list(channels),
            "bottleneck": bottleneck,
            "sample_rate": sample_rate,
        }
        self.sample_rate = sample_rate
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
        """Stacked magnitudes of the source.

        Parameters
        ----------
        frames : Tensor, shape (batch, context * freqs)
            Magnitudes, the earliest frame first.
        stem : Tensor, shape (batch,), int64
            Condition of each row; needed where the network has conditions.

        Returns
        -------
        Tensor, shape (batch, context * freqs)
        """
        encoded = self.encoder(frames[:, None])
        # Keras flattens with the channels last.
        code = self.narrow(encoded.mT.flatten(1)).relu()
        if self.condition is not None:
            code = code + self.condition(stem)
        wide = self.widen(code).relu()
        return self.decoder(wide.unflatten(1, (self.rows - 2, -1)).mT)[:, 0]

    def reduce(self, mics: Tensor) -> Estimate:
        """Sources of recordings of any length, by the estimated magnitudes with the phases of the microphones.

        Parameters
        ----------
        mics : Tensor, shape (batch, mics, samples), float32 or float64
            At ``sample_rate``.

        Returns
        -------
        Estimate
            One source a microphone; no gains.

        Raises
        ------
        ValueError
            More microphones than conditions.
        """
        scaled, level = without_level(mics)
        spectra = self._spectra(scaled)
        stacked = self._stacked(spectra.abs().to(self.narrow.weight.dtype))
        rows, stems = stacked.flatten(0, 2), self._stems(stacked)
        found = torch.cat(
            [
                self(part, None if stems is None else stems[start : start + _ROWS_AT_ONCE])
                for start, part in zip(range(0, len(rows), _ROWS_AT_ONCE), rows.split(_ROWS_AT_ONCE), strict=True)
            ]
        )
        magnitudes = self._averaged(found.view_as(stacked)).clamp(min=0)
        # The phase of a zero is zero, which keeps digital silence.
        waveforms = self._waveforms(magnitudes * spectra.sgn(), mics.shape[-1])
        return Estimate(waveforms * level)

    def loss(self, mics: Tensor, references: Tensor, gains: Tensor | None = None, kind: str = "published") -> Tensor:
        """What training makes small.

        Parameters
        ----------
        mics : Tensor, shape (batch, mics, samples)
        references : Tensor, shape (batch, mics, samples)
            What each microphone has of its own source.
        gains : None
            Not used; every network takes it.
        kind : "published" or "si-sdr"
            Mean square error of the stacked magnitudes, or :func:`irtools.nets.losses.negative_si_sdr` in dB.

        Returns
        -------
        Tensor, scalar
        """
        if check_kind(kind) == "si-sdr":
            return negative_si_sdr(self.reduce(mics).sources, references)
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
        parts = stacked.unflatten(3, (context, -1))
        total, count = 0, 0
        for place in range(context):
            shift = place - context // 2
            inside = (min(max(shift, 0), frames), min(max(-shift, 0), frames))
            kept = parts[:, :, inside[1] : frames - inside[0], place]
            total = total + pad(kept, (0, 0, *inside))
            count = count + pad(kept.new_ones(kept.shape[2]), inside)
        return (total / count[:, None]).mT

    def _stems(self, stacked: Tensor) -> Tensor | None:
        """Condition of each row of ``stacked``, which is that of its microphone."""
        if self.condition is None:
            return None
        batch, n_mics, frames, _ = stacked.shape
        if n_mics > self.config["n_conditions"]:
            raise ValueError(f"mics: expected at most {self.config['n_conditions']} (one a stem), got {n_mics}")
        return torch.arange(n_mics, device=stacked.device).repeat_interleave(frames).repeat(batch)
