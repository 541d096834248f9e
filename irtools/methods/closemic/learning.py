"""What is learned of a room from a recording of any length: spectra of excerpts that are spread over all of it."""

from __future__ import annotations

import torch
from torch import Tensor

from irtools.methods.separator import Recording
from irtools.stft import stft

# Complex values of the spectra of all microphones: two copies of 8 bytes each are held while a room is learned.
_MOST_BINS = 40_000_000
_EXCERPT_FRAMES = 160


def excerpts(samples: int, n_mics: int, window_size: int, hop: int) -> list[tuple[int, int]]:
    """First and end sample of each excerpt: the whole recording, or as much as fits, spread evenly over it."""
    frames = max(_EXCERPT_FRAMES, _MOST_BINS // (n_mics * (window_size // 2 + 1)))
    if samples <= frames * hop:
        return [(0, samples)]
    count, length = frames // _EXCERPT_FRAMES, _EXCERPT_FRAMES * hop
    if count == 1:
        return [((samples - length) // 2, (samples + length) // 2)]
    starts = [round(n * (samples - length) / (count - 1)) for n in range(count)]
    return [(start, start + length) for start in starts]


def read_excerpts(recording: Recording, levels: Tensor, window_size: int, hop: int, taps: int) -> tuple[Tensor, Tensor]:
    """Spectra (freqs, mics, frames) of the excerpts of a recording, and which frames (frames,) are heard in full.

    A frame at the edge of an excerpt lacks samples, or the frames before it whose sources still sound in it.
    """
    spectra, heard, edge = [], [], window_size // (2 * hop)
    for start, end in excerpts(recording.samples, recording.n_mics, window_size, hop):
        mics = recording.read(start, end)[0]
        spectra.append(stft(mics / levels[:, None], window_size, hop).transpose(0, 1))
        whole = torch.ones(spectra[-1].shape[2], dtype=mics.dtype, device=mics.device)
        if start > 0:
            whole[: edge + taps - 1] = 0
        if end < recording.samples:
            whole[-edge:] = 0
        heard.append(whole)
        recording.progress("learn", end, recording.samples)
    return torch.cat(spectra, dim=2), torch.cat(heard)
