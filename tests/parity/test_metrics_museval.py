"""BSS Eval against museval, every window and ratio, and against mir_eval where their definitions agree."""

import shutil
import warnings

import numpy as np
import pytest
import torch

from irtools.metrics import bss_eval, sdr

TOLERANCE_DB = 1e-4
ROUNDING_DB = 120.0  # above it the error that a ratio measures is rounding error
RATE = 8000
RATIOS = ("sdr", "isr", "sir", "sar")


@pytest.fixture(scope="module")
def museval_metrics():
    if not (shutil.which("ffmpeg") and shutil.which("ffprobe")):
        pytest.skip("museval imports musdb, which needs ffmpeg and ffprobe on PATH")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # musdb's and pandas' own warnings, at import
        import museval.metrics
    return museval.metrics


def museval_ratios(metrics, estimates, references, window, hop=None, taps=512):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # log10(0) and the mean of NaN in museval
        ratios = metrics.bss_eval(
            references.double().numpy()[..., None],
            estimates.double().numpy()[..., None],
            window=np.inf if window is None else window,
            hop=np.inf if window is None else (hop or window),
            filters_len=taps,
        )
    return torch.from_numpy(np.stack(ratios[:4]))


def assert_equal(ours, theirs, tolerance=TOLERANCE_DB):
    ours = torch.stack(tuple(ours))
    assert ours.shape == theirs.shape
    for name, a, b in zip(RATIOS, ours, theirs, strict=True):
        assert not b.isnan().any(), "museval gave no number: nothing would be compared"
        a, b = a.clamp(max=ROUNDING_DB), b.clamp(max=ROUNDING_DB)
        assert (a - b).abs().max() < tolerance, f"{name}: {(a - b).abs().max():.1e} dB"


def music(seconds=4.0, n_sources=4, rate=RATE, seed=0):
    """Music-like stems: decaying notes of several partials, each source in its own register, with a little noise."""
    generator = torch.Generator().manual_seed(seed)
    samples = round(seconds * rate)
    stems = 1e-4 * torch.randn(n_sources, samples, generator=generator, dtype=torch.float64)
    for source in range(n_sources):
        for onset in torch.arange(0, samples - 1, rate // 4).tolist():
            time = torch.arange(samples - onset, dtype=torch.float64) / rate
            pitch = 60 * 2 ** (source + torch.rand(1, generator=generator).item())
            note = sum(torch.sin(2 * torch.pi * pitch * k * time) / k for k in range(1, 5))
            stems[source, onset:] += 0.1 * note * torch.exp(-6 * time)
    return stems


def bled(stems, seed=1, noise=1e-3):
    """Estimates with gains off, bleed, one late source, a soft clip and noise: every ratio has something to measure."""
    generator = torch.Generator().manual_seed(seed)
    n = len(stems)
    gains = (0.3 * torch.rand(n, n, generator=generator, dtype=torch.float64)).fill_diagonal_(0.9)
    mixed = gains @ stems.double()
    mixed[-1] = mixed[-1].roll(5)
    return torch.tanh(mixed) + noise * torch.randn(mixed.shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    ("window", "hop", "taps"),
    [
        (RATE, None, 512),
        (RATE, RATE // 2, 512),
        (3001, 1999, 64),
        (RATE // 2, RATE, 1),
        (None, None, 512),
        (10**6, 7, 32),
    ],
)
def test_music_equals_museval(museval_metrics, window, hop, taps):
    stems = music()
    estimates = bled(stems)
    theirs = museval_ratios(museval_metrics, estimates, stems, window, hop, taps)
    assert_equal(bss_eval(estimates, stems, window=window, hop=hop, filter_length=taps), theirs)


@pytest.mark.parametrize("n_sources", [1, 2, 6])
def test_any_number_of_sources(museval_metrics, n_sources):
    stems = music(2.0, n_sources)
    estimates = bled(stems)
    theirs = museval_ratios(museval_metrics, estimates, stems, RATE, taps=128)
    ours = bss_eval(estimates, stems, window=RATE, filter_length=128)
    assert_equal(ours, theirs)
    if n_sources == 1:
        assert (ours.sir == torch.inf).all()


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e3, 1e6])
def test_level_equals_museval(museval_metrics, scale):
    stems, estimates = scale * music(2.0), scale * bled(music(2.0))
    assert_equal(bss_eval(estimates, stems, window=RATE), museval_ratios(museval_metrics, estimates, stems, RATE))


def test_one_very_quiet_source(museval_metrics):
    stems = music(2.0) * torch.tensor([[1.0], [1.0], [1e-4], [1.0]], dtype=torch.float64)
    estimates = bled(stems)
    assert_equal(bss_eval(estimates, stems, window=RATE), museval_ratios(museval_metrics, estimates, stems, RATE))


@pytest.mark.parametrize("distorted", [False, True])
def test_falcon_equals_museval(museval_metrics, distorted):
    from irtools.recording.datasets import falcon69

    song = falcon69()
    references = song.waveforms[:, : 3 * song.sample_rate]
    generator = torch.Generator().manual_seed(0)
    gains = (0.3 * torch.rand(4, 4, generator=generator)).fill_diagonal_(0.9)
    estimates = bled(references) if distorted else gains @ references  # linear bleed alone has no artifacts
    theirs = museval_ratios(museval_metrics, estimates, references, song.sample_rate)
    ours = bss_eval(estimates, references, window=song.sample_rate)
    assert_equal(ours, theirs)
    assert distorted or (ours.sar > 100).all()


def test_windows_without_silence_are_museval_s(museval_metrics):
    stems = music()
    stems[2, RATE : 2 * RATE] = 0
    estimates = bled(stems)
    theirs = museval_ratios(museval_metrics, estimates, stems, RATE)
    ours = torch.stack(bss_eval(estimates, stems, window=RATE))
    assert theirs[..., 1].isnan().all() and not theirs[..., [0, 2, 3]].isnan().any()
    assert_equal(ours[..., [0, 2, 3]], theirs[..., [0, 2, 3]])
    assert ours[:, 2, 1].isnan().all()
    assert not ours[:, [0, 1, 3], 1].isnan().any()


def test_silent_window_has_the_values_museval_would_give_the_others(museval_metrics):
    """museval's own decomposition, called past its rule that one silent source empties the window."""
    m, window = museval_metrics, slice(RATE, 2 * RATE)
    stems = music()
    stems[2, window] = 0
    estimates = bled(stems)
    s, h = stems.numpy()[..., None], estimates.numpy()[..., None]
    gram, spectra = m._compute_reference_correlations(s, 512)
    ours = torch.stack(bss_eval(estimates, stems, window=RATE))[..., 1]
    for n in (0, 1, 3):
        joint = m._compute_projection_filters(gram, spectra, h[n])
        own = m._compute_projection_filters(gram[n, n], spectra[n], h[n])
        theirs = m._bss_crit(*m._bss_decomp_mtifilt(s[:, window], h[n, window], n, joint, own), False)
        assert torch.allclose(ours[:, n], torch.tensor(np.array(theirs, dtype=float)), rtol=0, atol=TOLERANCE_DB)


def test_source_silent_throughout_leaves_the_projection(museval_metrics):
    stems = music(2.0)
    stems[1] = 0
    estimates, others = bled(stems), [0, 2, 3]
    with pytest.raises(ValueError, match="non-silent"):
        museval_ratios(museval_metrics, estimates, stems, RATE)
    ours = torch.stack(bss_eval(estimates, stems, window=RATE))
    assert ours[:, 1].isnan().all()
    assert_equal(ours[:, others], museval_ratios(museval_metrics, estimates[others], stems[others], RATE))


def test_delayed_copy_equals_museval_over_everything(museval_metrics):
    """The filters are not unique, the projections are: where a window cuts nothing, both must agree."""
    stems = music(2.0)
    stems[3] = 0
    stems[3, 10:] = 0.5 * stems[0, :-10]
    estimates = bled(stems)
    theirs = museval_ratios(museval_metrics, estimates, stems, None, taps=128)
    assert_equal(bss_eval(estimates, stems, filter_length=128), theirs)


def test_band_limited_stems_do_not_hang_on_the_last_bit(museval_metrics):
    """All stems empty above 1 kHz: museval's windows move by dB under noise of 1e-15, these do not."""
    spectrum = torch.fft.rfft(music(2.0))
    spectrum[:, torch.fft.rfftfreq(2 * RATE, 1 / RATE) > 1000] = 0
    stems = torch.fft.irfft(spectrum, 2 * RATE)
    estimates = bled(stems)
    jitter = 1e-15 * torch.randn(stems.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    calls = {
        "museval": lambda s: museval_ratios(museval_metrics, estimates, s, RATE),
        "irtools": lambda s: torch.stack(bss_eval(estimates, s, window=RATE)),
    }
    moved = {name: (call(stems) - call(stems * (1 + jitter))).abs().max() for name, call in calls.items()}
    assert moved["museval"] > 1
    assert moved["irtools"] < 0.5
    ours, theirs = calls["irtools"](stems), calls["museval"](stems)
    assert (ours[0] - theirs[0]).abs().max() < TOLERANCE_DB  # SDR needs no filter


def test_equals_mir_eval_over_everything():
    """One window over the whole signal: BSS Eval v3 (images), mir_eval's, is then the same as v4."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mir_eval.separation

        stems = music(2.0, 3)
        estimates = bled(stems)
        theirs = mir_eval.separation.bss_eval_images(stems.numpy(), estimates.numpy(), compute_permutation=False)
    ours = torch.stack(bss_eval(estimates, stems))[..., 0]
    assert torch.allclose(ours, torch.from_numpy(np.stack(theirs[:4])), rtol=0, atol=TOLERANCE_DB)
    assert torch.allclose(sdr(estimates, stems), ours[0], rtol=0, atol=1e-9)
