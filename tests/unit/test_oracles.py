"""Oracles: exact where the model is exact, equal to their equations in loops, never below what they bound."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import irtools as ir
from irtools.metrics import oracles, sdr, si_sdr
from irtools.metrics.oracles import inverse_oracle, linear_oracle, mask_oracle

SMALL = {"window_size": 64, "hop": 16}
LINEAR = [{}, SMALL, SMALL | {"frames": 3}]


def noise(n=3, samples=3000, seed=0, dtype=torch.float64):
    return torch.randn(n, samples, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def scene(n_mics=3, n=3, seed=0, **options):
    draws = torch.Generator().manual_seed(seed + 1)  # the seed of the sources would draw them again as noise
    return ir.simulate_linear(noise(n, seed=seed), n_mics=n_mics, generator=draws, **options)


@settings(max_examples=15, deadline=None)
@given(
    n=st.integers(1, 4),
    extra=st.integers(0, 2),
    seed=st.integers(0, 1000),
    law=st.sampled_from(["uniform", "attenuated", "constant"]),
)
def test_without_noise_every_linear_oracle_is_exact_and_no_mask_is_better(n, extra, seed, law):
    stage = scene(n + extra, n, seed, law=law)
    scores = [
        si_sdr(found, stage.references)
        for found in (
            inverse_oracle(stage.mics, stage.gains),
            linear_oracle(stage.mics, stage.references),
            linear_oracle(stage.mics, stage.references, **SMALL),
        )
    ]
    assert (torch.stack(scores) > 150).all()
    assert torch.allclose(inverse_oracle(stage.mics, stage.gains), stage.references)
    if n > 1:
        masked = si_sdr(mask_oracle(stage.mics, stage.references, window_size=64), stage.references)
        untouched = si_sdr(stage.mics[:n], stage.references)
        assert (masked < torch.stack(scores).amin(0) - 100).all()
        # Beside hardly any bleed a mask may take as much of the source.
        assert (masked > untouched)[untouched < 30].all()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), noise_db=st.floats(-40, 0))
def test_with_noise_no_demixing_is_better_than_the_linear_oracle(seed, noise_db):
    stage = scene(seed=seed, noise_db=noise_db)
    best = linear_oracle(stage.mics, stage.references)
    scores = si_sdr(best, stage.references)
    assert (scores < 60).all()
    rivals = [inverse_oracle(stage.mics, stage.gains), stage.mics]
    rivals += [best + 0.01 * noise(3, 3, seed + i) @ stage.mics for i in range(3)]
    for rival in rivals:
        assert (si_sdr(rival, stage.references) <= scores + 1e-9).all()
        assert (sdr(rival, stage.references) <= sdr(best, stage.references) + 1e-9).all()


def test_the_inverse_amplifies_noise_where_the_microphones_are_nearly_alike():
    sources = noise(2)
    draws = torch.Generator().manual_seed(1)
    stage = ir.simulate_linear(sources, [[1, 0.99], [0.99, 1]], noise_db=-20, generator=draws)
    assert (si_sdr(inverse_oracle(stage.mics, stage.gains), sources) < -10).all()
    assert (si_sdr(linear_oracle(stage.mics, sources), sources) > -1).all()


def test_the_error_of_the_linear_oracle_is_orthogonal_to_the_microphones():
    stage = scene(4, 3, noise_db=-10)
    error = stage.references - linear_oracle(stage.mics, stage.references)
    assert (error @ stage.mics.T).abs().max() < 1e-9 * stage.mics.square().sum()


def test_one_matrix_a_frequency_undoes_a_delay_that_no_gain_can():
    sources = noise(2, 20000)
    mics = sources + 0.8 * sources.flip(0).roll(5, dims=1)
    assert (si_sdr(linear_oracle(mics, sources), sources) < 3).all()
    short, long = (si_sdr(linear_oracle(mics, sources, window_size=size), sources) for size in (64, 1024))
    assert (short > 6).all() and (long > short + 6).all()


def by_loops(mics, references, taper, hop, lags=1, learnt=None):
    """Wiener mask of microphone n, and least squares of all microphones, one frame and one frequency at a time."""
    size, samples = len(taper), mics.shape[1]
    padded = [np.pad(rows, ((0, 0), (size // 2, size))) for rows in (mics, references)]
    frames = 1 + samples // hop
    x, s = (
        np.array([[np.fft.rfft(taper * row[t * hop : t * hop + size]) for t in range(frames)] for row in rows])
        for rows in padded
    )
    masked, demixed = np.zeros_like(s), np.zeros_like(s)
    for n in range(len(s)):
        for t in range(frames):
            for f in range(x.shape[2]):
                own, other = abs(s[n, t, f]) ** 2, abs(x[n, t, f] - s[n, t, f]) ** 2
                masked[n, t, f] = own / (own + other) * x[n, t, f]
        for f in range(x.shape[2]):
            rows = np.array([[x[k, t - lag, f] if t >= lag else 0 for k in range(len(x)) for lag in range(lags)]
                             for t in range(frames)])  # fmt: skip
            demixed[n, :, f] = rows @ np.linalg.lstsq(rows[:learnt], s[n, :learnt, f], rcond=None)[0]

    def synthesis(spectra):
        out, weight = np.zeros((len(s), padded[0].shape[1])), np.zeros(padded[0].shape[1])
        for t in range(frames):
            part = slice(t * hop, t * hop + size)
            out[:, part] += taper * np.fft.irfft(spectra[:, t], size)
            weight[part] += taper**2
        return (out[:, size // 2 :] / np.maximum(weight[size // 2 :], 1e-30))[:, :samples]

    return synthesis(masked), synthesis(demixed)


def test_oracles_of_spectra_are_their_equations():
    stage = scene(2, 2, noise_db=-15)
    mics, references = stage.mics[:, :500], stage.references[:, :500]
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 64)
    masked, demixed = by_loops(mics.numpy(), references.numpy(), taper, 16)
    assert np.abs(mask_oracle(mics, references, window_size=64).numpy() - masked).max() < 1e-9
    assert np.abs(linear_oracle(mics, references, **SMALL).numpy() - demixed).max() < 1e-9
    assert torch.equal(linear_oracle(mics, references, window_size=64), linear_oracle(mics, references, **SMALL))


@pytest.mark.parametrize(("learn_samples", "learnt"), [(None, None), (320, 19)])
def test_filters_of_several_frames_are_least_squares_of_all_microphones_and_lags(monkeypatch, learn_samples, learnt):
    monkeypatch.setattr(oracles, "_FREQS_AT_ONCE", 20)  # 33 frequencies, 5 at a time
    stage = scene(3, 2, noise_db=-15)
    mics, references = stage.mics[:, :600], stage.references[:, :600]
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 64)
    # Frame 18 is the last that ends within 320 samples: 18 * 16 + 32.
    _, expected = by_loops(mics.numpy(), references.numpy(), taper, 16, lags=4, learnt=learnt)
    found = linear_oracle(mics, references, **SMALL, frames=4, learn_samples=learn_samples)
    assert np.abs(found.numpy() - expected).max() < 1e-9


def test_filters_of_as_many_frames_as_the_scene_has_are_exact_and_no_fewer_are():
    hop, samples = SMALL["hop"], 6000
    mics = noise(2, samples)
    # Every tap a multiple of the hop: a filter of three frames of the spectrum, at every frequency.
    mics[:, :100] = mics[:, -100:] = 0
    taps = noise(3 * 2, 2, seed=1).reshape(3, 2, 2)
    references = sum(tap @ mics.roll(lag * hop, dims=1) for lag, tap in enumerate(taps))
    fewer, exact = (si_sdr(linear_oracle(mics, references, **SMALL, frames=n), references) for n in (2, 3))
    assert (exact > 150).all() and (fewer < 20).all()


def test_more_frames_are_never_worse_where_they_were_fitted():
    stage = ir.simulate_room(noise(3, 12000), 8000, rt60_s=0.2)
    found = [linear_oracle(stage.mics, stage.references, window_size=256, frames=n) for n in (1, 2, 3, 5, 8)]
    scores = torch.stack([sdr(estimate, stage.references) for estimate in found])
    assert (scores.diff(dim=0) > 0).all() and (scores[-1] > scores[0] + 3).all()
    one = linear_oracle(stage.mics, stage.references, window_size=256)
    assert torch.equal(found[0], one)


@pytest.mark.parametrize("options", LINEAR)
def test_what_follows_the_learnt_samples_is_out_of_sample(options):
    mics, references = noise(3), noise(2, seed=1)  # nothing of one is in the other
    half = 1500
    found = linear_oracle(mics, references, **options, learn_samples=half)
    assert (sdr(found[:, :half], references[:, :half]) > 0).all()
    assert sdr(found[:, half:], references[:, half:]).mean() < 0
    changed = references.clone()
    changed[:, half:] = 0
    assert torch.equal(linear_oracle(mics, changed, **options, learn_samples=half), found)
    whole = linear_oracle(mics, references, **options, learn_samples=3000)
    assert (sdr(whole, references) > 0).all()


def test_a_mask_separates_what_does_not_overlap_and_nothing_that_does():
    t = torch.arange(8192, dtype=torch.float64)
    sources = torch.stack([torch.sin(0.1 * torch.pi * t), torch.sin(0.7 * torch.pi * t)])
    mics = sources + 0.5 * sources.flip(0)
    assert (si_sdr(mask_oracle(mics, sources, window_size=512), sources) > 40).all()
    source = noise(1)
    # Bleed that is the source itself at half its level: the mask is 1 / (1 + 0.25) everywhere.
    found = mask_oracle(1.5 * source, source, window_size=64)
    assert torch.allclose(found, 1.2 * source, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_oracles_follow_scale_and_order(scale):
    stage, order = scene(noise_db=-20), [2, 0, 1]
    for oracle in (
        *(partial(linear_oracle, **options) for options in LINEAR),
        lambda mics, references: mask_oracle(mics, references, window_size=64),
    ):
        found = oracle(stage.mics, stage.references)
        assert torch.allclose(oracle(scale * stage.mics, scale * stage.references), scale * found, rtol=1e-6)
        assert torch.allclose(oracle(stage.mics[order], stage.references[order]), found[order], atol=1e-9)


def test_a_quiet_microphone_counts_as_much_as_a_loud_one():
    stage = scene(noise_db=-20)
    level = torch.tensor([[1e-7], [1.0], [1e5]], dtype=torch.float64)
    for options in LINEAR:
        found = linear_oracle(stage.mics, stage.references, **options)
        assert torch.allclose(linear_oracle(level * stage.mics, stage.references, **options), found, atol=1e-9)


def test_the_close_microphones_may_be_in_any_order():
    stage = scene(4, 2, assignment=(3, 1), noise_db=-30)
    inverted = inverse_oracle(stage.mics, stage.gains, assignment=(3, 1))
    masked = mask_oracle(stage.mics, stage.references, assignment=(3, 1), window_size=64)
    assert (si_sdr(inverted, stage.references) > 20).all()
    assert (si_sdr(masked, stage.references) > si_sdr(stage.mics[[3, 1]], stage.references)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("samples", [1, 63, 1000])
def test_silence_a_silent_source_and_short_recordings(dtype, samples):
    gains = torch.eye(2, dtype=dtype)
    for sources in (torch.zeros(2, samples, dtype=dtype), noise(2, samples, dtype=dtype) * torch.tensor([[1], [0]])):
        before = sources.clone()
        for found in (
            inverse_oracle(sources, gains),
            *(linear_oracle(sources, sources, **options) for options in LINEAR),
            mask_oracle(sources, sources, window_size=64),
        ):
            assert found.dtype == dtype and found.shape == sources.shape
            assert torch.allclose(found, sources, atol=1e-4)
        assert torch.equal(sources, before)


@pytest.mark.parametrize("oracle", [linear_oracle, mask_oracle])
def test_what_does_not_fit_is_refused(oracle):
    x = noise()
    with pytest.raises(ValueError, match=r"references: expected shape .*at most 3 sources, 3000 samples.*\(4, 3000\)"):
        oracle(x, noise(4))
    with pytest.raises(ValueError, match=r"references: .*\(3, 10\)"):
        oracle(x, x[:, :10])
    with pytest.raises(TypeError, match=r"references: expected torch.float64 on cpu"):
        oracle(x, x.float())
    with pytest.raises(ValueError, match="window_size: expected an even number"):
        oracle(x, x, window_size=63)
    with pytest.raises(ValueError, match="frames: expected 1 without a window_size, got 2"):
        linear_oracle(x, x, frames=2)
    with pytest.raises(ValueError, match="frames: expected at least 1, got 0"):
        linear_oracle(x, x, frames=0)
    with pytest.raises(ValueError, match="learn_samples: expected 1 to 3000, got 3001"):
        linear_oracle(x, x, learn_samples=3001)
    with pytest.raises(ValueError, match=r"learn_samples: expected 32 to 3000 .*got 31"):
        linear_oracle(x, x, **SMALL, learn_samples=31)
    with pytest.raises(ValueError, match=r"gains: expected shape \(3 mics, 2 sources\)"):
        inverse_oracle(x, torch.eye(2))
