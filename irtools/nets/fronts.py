"""From waveforms to the features that a network works on, and back: by a filterbank that is given or learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

from irtools.nets.other_mics import max_of_others
from irtools.stft import istft, stft

#: Least power of a bin, relative to the mean power of all microphones: 70 dB below it.
FLOOR = 1e-7


class SpectralFront(nn.Module):
    """Short-time spectra, ``stride`` neighbouring frequencies per row of features; back, a mask on each microphone.

    With p_k the power of a bin at microphone k, features are log p_k, log p_k / Σ_{j≠k} p_j and
    log p_k / max_{j≠k} p_j. The mask is σ(z + a log(p_k / Σ_{j≠k} p_j) + b), z from the features that come back: with
    z = 0, a = 1 and b = 1.6, where training starts, this is the Wiener mask of a bleed of -7 dB in power.
    """

    #: Kernels of a network that follows, and how much coarser each of its levels is, over rows and columns.
    kernel, pool = (3, 3), (2, 1)

    def __init__(self, channels: int, *, window_size: int, hop: int, stride: int):
        super().__init__()
        self.window_size, self.hop, self.stride = window_size, hop, stride
        self.into = nn.Conv2d(3 * stride, channels, 1)
        self.out = nn.Conv2d(channels, stride, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)
        self.sharpness = nn.Parameter(torch.tensor(1.0))
        self.bias = nn.Parameter(torch.tensor(1.6))

    def analyse(self, mics: Tensor) -> tuple[tuple[Tensor, Tensor, int], Tensor]:
        """Waveforms (batch, mics, samples) at a level of 1 → what synthesis needs, and the features."""
        spectra = stft(mics, self.window_size, self.hop)
        power = (spectra.real.square() + spectra.imag.square()) / (0.375 * self.window_size) + FLOOR
        log, loudest = power.log(), max_of_others(power)
        ratio = log - (power.sum(1, keepdim=True) - power).clamp(min=FLOOR).log()
        shown = torch.stack([log, ratio, log - loudest.clamp(min=FLOOR).log()], dim=2) / 4
        # Neighbouring frequencies become channels: no convolution at the full resolution.
        shown = pad(shown, (0, 0, 0, -shown.shape[3] % self.stride)).unflatten(3, (-1, self.stride))
        features = leaky_relu(self.into(shown.transpose(3, 4).flatten(2, 3).flatten(0, 1)), 0.1)
        return (spectra, ratio, mics.shape[-1]), features.unflatten(0, mics.shape[:2])

    def synthesise(self, carrier: tuple[Tensor, Tensor, int], features: Tensor) -> Tensor:
        """What :meth:`analyse` kept, and features of the shape that it gave → waveforms (batch, mics, samples)."""
        spectra, ratio, samples = carrier
        logits = self.out(features.flatten(0, 1)).transpose(1, 2).flatten(1, 2)[:, : ratio.shape[2]]
        mask = torch.sigmoid(4 * logits.unflatten(0, ratio.shape[:2]) + self.sharpness * ratio + self.bias)
        return istft(spectra * mask, samples, self.window_size, self.hop)


class WaveformFront(nn.Module):
    """A learned filterbank, filters four times as long as their stride; back, a change of each waveform."""

    kernel, pool = (1, 5), (1, 4)

    def __init__(self, channels: int, *, stride: int):
        super().__init__()
        self.stride = stride
        self.into = nn.Conv1d(1, channels, 4 * stride, stride)
        self.out = nn.ConvTranspose1d(channels, 1, 4 * stride, stride, bias=False)
        nn.init.normal_(self.out.weight, std=0.01)

    def analyse(self, mics: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms (batch, mics, samples) at a level of 1 → these, and the features."""
        samples = mics.shape[-1]
        around = 3 * self.stride // 2
        padded = pad(mics.flatten(0, 1), (around, -samples % self.stride + 3 * self.stride - around))
        features = leaky_relu(self.into(padded[:, None]), 0.1)
        return mics, features[:, :, None].unflatten(0, mics.shape[:2])

    def synthesise(self, mics: Tensor, features: Tensor) -> Tensor:
        """What :meth:`analyse` kept, and features of the shape that it gave → waveforms (batch, mics, samples)."""
        around = 3 * self.stride // 2
        change = self.out(features.flatten(0, 1).squeeze(2))[:, 0, around : around + mics.shape[-1]]
        return mics + change.unflatten(0, mics.shape[:2])
