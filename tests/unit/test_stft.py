"""The short-time Fourier transform: exact inverse for any length, and what numpy says of one frame."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from irtools.stft import istft, stft


@given(
    samples=st.integers(1, 3000),
    half=st.integers(2, 300),
    part=st.sampled_from([2, 3, 4, 10]),
    window=st.sampled_from(["hann", "hamming"]),
    rows=st.sampled_from([(), (2,), (2, 3)]),
)
def test_the_inverse_is_exact_for_any_length(samples, half, part, window, rows):
    size, hop = 2 * half, max(1, 2 * half // part)
    generator = torch.Generator().manual_seed(samples)
    waveforms = torch.randn(*rows, samples, generator=generator, dtype=torch.float64)
    spectra = stft(waveforms, size, hop, window)
    assert spectra.shape == (*rows, half + 1, 1 + samples // hop)
    assert torch.allclose(istft(spectra, samples, size, hop, window), waveforms, atol=1e-9)


def test_a_frame_is_the_transform_of_its_windowed_samples():
    waveform = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    frame = stft(waveform, 64, 16)[:, 5]
    cut = waveform.numpy()[5 * 16 - 32 : 5 * 16 + 32] * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 64))
    # torch counts phase from the start of the frame, as numpy does.
    assert np.allclose(frame.numpy(), np.fft.rfft(cut))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"window_size": 2}, "window_size: expected at least 4 samples, got 2"),
        ({"window_size": 63}, "window_size: expected an even number .*63"),
        ({"window_size": 64.0}, "window_size: expected an int in samples, got float 64.0"),
        ({"hop": 0}, "hop: expected 1 to 32 .*got 0"),
        ({"hop": 33}, "hop: expected 1 to 32 .*got 33"),
        ({"window": "kaiser"}, "window: expected one of hann, hamming, got 'kaiser'"),
    ],
)
def test_bad_settings_are_refused_by_name(change, words):
    settings = {"window_size": 64, "hop": 16, "window": "hann"} | change
    with pytest.raises((TypeError, ValueError), match=words):
        stft(torch.zeros(100), **settings)
    with pytest.raises((TypeError, ValueError), match=words):
        istft(torch.zeros(33, 7, dtype=torch.complex64), 100, **settings)


def test_spectra_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"spectra: expected \(33, 7\) .* got \(33, 8\)"):
        istft(torch.zeros(33, 8, dtype=torch.complex64), 100, 64, 16)
