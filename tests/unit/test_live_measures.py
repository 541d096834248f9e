"""Measures without references: invariances, known rests, gains and delays of simulated stages, defined silence."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from irtools.band.songs import render_song
from irtools.metrics.blind.bleed_matrix import WINDOW_S, band_powers, bleed_matrix, explained_by_others
from irtools.metrics.blind.changes import energy_change_db, log_kurtosis_ratio
from irtools.metrics.blind.coherence import coherence, mean_coherence
from irtools.metrics.blind.delays import arrival_delays, gcc_phat
from irtools.metrics.blind.rests import detect_rests
from irtools.stage.linear import simulate_linear
from irtools.stage.room import simulate_room

RATE = 8000
QUICK = settings(deadline=None, max_examples=15)
seeds = st.integers(0, 2**31 - 1)
OFF = ~torch.eye(3, dtype=torch.bool)


def noise(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture(scope="module")
def stems():
    """Three stems of which each rests for a second and a half."""
    stems = render_song(12, seconds=10.0, sample_rate=RATE, cache_dir=False).waveforms[:3, RATE:].double()
    for n in range(3):
        stems[n, at_rest(n)] = 0
    return stems


def at_rest(n):
    return slice((1 + 2 * n) * RATE, (1 + 2 * n) * RATE + 3 * RATE // 2)


@pytest.fixture(scope="module")
def mixture(stems):
    gains = torch.tensor([[1.0, 0.3, 0.05], [0.1, 1.0, 0.2], [0.25, 0.15, 1.0]], dtype=torch.float64)
    return simulate_linear(stems, gains, noise_db=-60.0, generator=torch.Generator().manual_seed(0))


# The bleed matrix


def test_known_gains_are_recovered(mixture):
    error = 10 * bleed_matrix(mixture.mics, RATE).log10() - 20 * mixture.gains.log10()
    assert error[OFF].abs().max() < 2.5 and error[OFF].abs().median() < 0.7 and (error.diagonal() == 0).all()


def test_a_mixture_without_bleed_has_none(stems):
    assert bleed_matrix(stems + 1e-4 * noise(*stems.shape), RATE)[OFF].max() < 1e-3


@settings(deadline=None, max_examples=5)
@given(st.permutations(range(3)), st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=3))
def test_the_bleed_matrix_follows_order_and_level_of_the_microphones(mixture, order, levels):
    levels = torch.tensor(levels, dtype=torch.float64)
    expected = bleed_matrix(mixture.mics, RATE)[order][:, order] * (levels[:, None] / levels).square()
    found = bleed_matrix((mixture.mics[order]) * levels[:, None], RATE)
    assert torch.allclose(found, expected, rtol=1e-6)


def test_rows_at_rest_explain_themselves(mixture, stems):
    """What the matrix is made of: at rest, a microphone is the combination of the others."""
    rest = slice(5 * RATE // 4, 9 * RATE // 4)  # inside the first rest
    power = mixture.mics[:, rest].square().sum(1)
    told = explained_by_others(mixture.mics, RATE)[0] @ power
    assert abs(10 * math.log10(told / power[0])) < 1.5


def test_the_matrix_is_what_the_weights_of_the_microphones_mean(mixture):
    """(I - C) B is diagonal: with every source but one at rest, all microphones obey their weights."""
    weights, matrix = explained_by_others(mixture.mics, RATE), bleed_matrix(mixture.mics, RATE)
    product = matrix - weights @ matrix
    assert product[OFF].abs().max() < 1e-12 and (product.diagonal() > 0).all() and (matrix.diagonal() == 1).all()


def test_noise_far_below_the_music_says_nothing_about_bleed(mixture):
    """Twice as much noise as music, 70 dB below it and in the first microphone hardly any, leaves the matrix alone."""
    level = mixture.mics.square().mean().sqrt() * torch.tensor([[1e-5], [3e-4], [3e-4]], dtype=torch.float64)
    hiss = level * noise(3, 2 * mixture.mics.shape[1], seed=5)
    found, expected = bleed_matrix(torch.cat([mixture.mics, hiss], 1), RATE), bleed_matrix(mixture.mics, RATE)
    assert (10 * (found / expected).log10()).abs().max() < 0.3


def test_two_microphones_that_hear_the_same_have_no_matrix():
    same = noise(1, 4 * RATE).repeat(2, 1)
    assert bleed_matrix(same, RATE).isnan().all()


def test_a_silent_microphone_is_left_out(mixture):
    mics = torch.cat([mixture.mics, torch.zeros(1, mixture.mics.shape[1], dtype=torch.float64)])
    matrix = bleed_matrix(mics, RATE)
    assert matrix[3].isnan().all() and matrix[:, 3].isnan().all()
    assert torch.equal(matrix[:3, :3], bleed_matrix(mixture.mics, RATE))
    assert bleed_matrix(torch.zeros(2, RATE), RATE).isnan().all()
    assert torch.equal(bleed_matrix(mixture.mics[:1], RATE), torch.ones(1, 1, dtype=torch.float64))


def test_short_recordings_have_an_outcome():
    assert bleed_matrix(noise(2, 1), RATE).isnan().all()
    assert not detect_rests(noise(2, 1), RATE).any()


def test_bands_share_out_the_power():
    from irtools.stft import stft

    wave, size = noise(1, RATE), 2 * round(0.37 * RATE / 2)
    power = stft(wave, size, size // 2).abs().square()[0]
    first = round(50 * size / RATE)
    assert torch.allclose(band_powers(wave, RATE)[0].sum(0), power[first:-1].sum(0))


# Delays


@QUICK
@given(seeds, st.floats(-20, 20), st.floats(0.01, 100), st.booleans())
def test_a_known_delay_is_found(seed, delay, gain, inverted):
    wave = noise(4096, seed=seed)
    size = 16384
    turn = torch.exp(-2j * math.pi * delay * torch.fft.rfftfreq(size, dtype=torch.float64))
    turn[-1] = 0
    late = torch.fft.irfft(torch.fft.rfft(wave, size) * turn, size)[:4096]
    sign = -1 if inverted else 1
    curve, found = gcc_phat(wave, gain * late, 40)
    assert curve.shape == (81,) and abs(found - delay) < 0.05
    if inverted:
        assert gcc_phat(wave, sign * late, 40)[0][40 + round(delay)] < 0


def test_swapping_the_microphones_turns_the_delay_round():
    first, second = noise(2, 2048)
    mics = torch.stack([first + 0.1 * second, first.roll(9) + 0.1 * second])
    assert gcc_phat(*mics, 20)[1] == pytest.approx(-gcc_phat(*mics.flip(0), 20)[1], abs=1e-6)


def test_a_copy_has_a_correlation_of_one():
    wave = noise(64)
    curve, delay = gcc_phat(wave, wave, 3)
    assert curve[3] == pytest.approx(1.0, abs=1e-9) and delay == pytest.approx(0.0, abs=1e-9)


def test_arrival_delays_of_a_room_are_those_of_its_direct_paths(stems):
    scene = simulate_room(stems, RATE, rt60_s=0.15)
    paths = torch.tensor(scene.details["direct_delay_samples"], dtype=torch.float64)
    paths = paths - paths.diagonal()
    found = arrival_delays(scene.mics, RATE) * RATE
    assert (found - paths)[OFF].abs().max() < 1.0
    order = [2, 0, 1]
    again = arrival_delays(scene.mics[order] * torch.tensor([[5.0], [0.1], [1.0]]), RATE) * RATE
    assert torch.allclose(again, found[order][:, order], atol=1e-6)


def test_silence_has_no_delay():
    assert math.isnan(gcc_phat(noise(100), torch.zeros(100, dtype=torch.float64), 5)[1])
    delays = arrival_delays(torch.stack([noise(RATE), torch.zeros(RATE, dtype=torch.float64)]), RATE)
    assert delays.diagonal().eq(0).all() and delays[0, 1].isnan() and delays[1, 0].isnan()


# Rests


def test_rests_are_found_and_playing_is_not_called_rest(mixture, stems):
    rests = detect_rests(mixture.mics, RATE)
    for n in range(3):
        # One frame at both ends is left out.
        assert rests[n, at_rest(n)].double().mean() > 0.4
        own = stems[n].square()
        assert own[rests[n]].mean() < 1e-2 * own[~rests[n]].mean()


def test_rests_do_not_depend_on_gains_and_follow_the_order(mixture):
    rests = detect_rests(mixture.mics, RATE)
    order, levels = [1, 2, 0], torch.tensor([[4.0], [0.25], [32.0]], dtype=torch.float64)
    assert torch.equal(detect_rests(mixture.mics[order] * levels, RATE), rests[order])


def test_the_defaults_are_those_that_the_measured_figures_belong_to(stems):
    """In a room that rings, each of them decides: with more of one, other rests are found."""
    mics = simulate_room(stems, RATE, rt60_s=0.35, generator=torch.Generator().manual_seed(0)).mics
    chosen = {"margin": 3.0, "unexplained": 0.2, "least_s": 0.5}
    found = detect_rests(mics, RATE)
    assert torch.equal(found, detect_rests(mics, RATE, **chosen))
    for name, value in {"margin": 4.0, "unexplained": 0.4, "least_s": 1.0}.items():
        assert not torch.equal(found, detect_rests(mics, RATE, **chosen | {name: value})), name


def test_a_rest_lasts_at_least_as_long_as_asked(mixture):
    assert not detect_rests(mixture.mics, RATE, least_s=5.0).any()


def test_asking_for_more_finds_no_more(mixture):
    """Rests grow with the margin and with the share that may stay unexplained."""
    strict, default = detect_rests(mixture.mics, RATE, margin=1.5), detect_rests(mixture.mics, RATE)
    lenient = detect_rests(mixture.mics, RATE, unexplained=0.5)
    assert (strict <= default).all() and (default <= lenient).all() and strict.sum() < lenient.sum()


def test_silence_is_rest_and_a_single_microphone_rests_where_it_is_quiet():
    assert detect_rests(torch.zeros(2, RATE), RATE).all() and detect_rests(torch.zeros(2, 1), RATE).all()
    wave = noise(1, 2 * RATE)
    wave[:, RATE:] *= 1e-3
    rests = detect_rests(wave, RATE)
    assert not rests[:, : RATE - 1].any() and rests[:, 3 * RATE // 2 :].all()


# Energy


@QUICK
@given(seeds, st.floats(1e-3, 1e3))
def test_a_gain_changes_the_energy_by_its_decibels(seed, gain):
    wave = noise(2, 300, seed=seed)
    change = energy_change_db(gain * wave, wave, wave > 0)
    assert torch.allclose(change, torch.full_like(change, 20 * math.log10(gain)), atol=1e-9)


def test_only_the_samples_that_count_are_compared():
    before = torch.ones(2, 6)
    after = torch.tensor([[1.0, 1, 1, 0.1, 0.1, 0.1], [0.0, 0, 0, 1, 1, 1]])
    where = torch.arange(6) >= 3
    assert energy_change_db(after, before, where) == pytest.approx(torch.tensor([-20.0, 0.0]), abs=1e-5)
    assert energy_change_db(after, before, ~where).tolist() == [0.0, -math.inf]
    assert energy_change_db(after, before, where & ~where).isnan().all()
    assert (
        energy_change_db(after, 0 * before).isnan().sum() == 0 and energy_change_db(0 * after, 0 * before).isnan().all()
    )


# Coherence


@QUICK
@given(seeds, st.sampled_from(["none", "power"]), st.permutations(range(3)))
def test_coherence_does_not_see_levels_and_follows_the_order(seed, weighting, order):
    mics = torch.eye(3, dtype=torch.float64).add(0.3) @ noise(3, 9000, seed=seed)
    matrix = coherence(mics, weighting=weighting)
    levels = torch.tensor([[3.0], [1e-3], [-70.0]], dtype=torch.float64)
    assert torch.allclose(coherence((mics * levels)[order], weighting=weighting), matrix[order][:, order])
    assert torch.equal(matrix, matrix.T) and (matrix >= 0).all() and (matrix <= 1).all()


def test_coherence_is_that_of_plain_loops():
    from irtools.stft import stft

    mics = torch.tensor([[1.0, 0.5], [0.2, 1.0]], dtype=torch.float64) @ noise(2, 3000)
    x, y = stft(mics, 256, 64)
    values, weights = [], []
    for f in range(129):
        cross = sum(complex(a) * complex(b).conjugate() for a, b in zip(x[f], y[f], strict=True))
        power = sum(abs(complex(a)) ** 2 for a in x[f]), sum(abs(complex(b)) ** 2 for b in y[f])
        values.append(abs(cross) ** 2 / (power[0] * power[1]))
        weights.append(math.sqrt(power[0] * power[1]))
    assert coherence(mics, window_size=256, hop=64)[0, 1].item() == pytest.approx(sum(values) / 129)
    weighted = sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)
    found = coherence(mics, weighting="power", window_size=256, hop=64)
    assert found[0, 1].item() == pytest.approx(weighted)


def test_power_weights_hear_the_loud_frequencies():
    from irtools.comparison.listening.trials import low_pass

    shared = 10 * low_pass(noise(40000), RATE, 400.0)
    mics = noise(2, 40000) + shared
    assert mean_coherence(mics, weighting="power") > 2 * mean_coherence(mics)


def test_coherence_beside_silence_is_zero():
    matrix = coherence(torch.stack([noise(4000), torch.zeros(4000, dtype=torch.float64)]))
    assert torch.equal(matrix, torch.eye(2, dtype=torch.float64))
    assert math.isnan(mean_coherence(noise(1, 4000)))


# Musical noise


@QUICK
@given(seeds, st.floats(1e-4, 1e4))
def test_a_change_of_level_is_no_musical_noise(seed, gain):
    wave = noise(2, 6000, seed=seed)
    assert log_kurtosis_ratio(gain * wave, wave).abs().max() < 1e-9


@pytest.mark.parametrize("level", [1e-40, 1e40])
def test_levels_whose_powers_would_leave_the_numbers_change_nothing(level):
    before, after = noise(2, 8000), noise(2, 8000) * (noise(2, 8000, seed=1) > 0.5)
    found = log_kurtosis_ratio(level * before, level * after)
    assert torch.isfinite(found).all()
    assert torch.allclose(found, log_kurtosis_ratio(before, after), rtol=1e-6)


def test_gaussian_noise_has_a_kurtosis_of_six():
    """Against a sinusoid, whose powers are constant and have 1."""
    time = torch.arange(400_000, dtype=torch.float64)
    tone = torch.sin(2 * math.pi * 100 / 1024 * time)[None]
    found = log_kurtosis_ratio(noise(1, 400_000), tone, (time >= 1024) & (time < 399_000))
    assert math.exp(found) == pytest.approx(6.0, rel=0.15)


def test_harder_masks_are_more_musical():
    from irtools.stft import istft, stft

    wave = noise(1, 60_000)
    spectra = stft(wave, 1024, 512)
    power = spectra.abs().square()
    values = []
    for share in (0.5, 0.9, 0.99):
        kept = spectra * (power > power.quantile(share, dim=2, keepdim=True))
        values.append(log_kurtosis_ratio(istft(kept, 60_000, 1024, 512), wave).item())
    assert 0 < values[0] < values[1] < values[2]


def test_what_happens_to_dither_is_no_musical_noise():
    """Noise below 1 kHz, and dither 80 dB below it that a method gates."""
    spectrum = torch.fft.rfft(noise(1, 40_000))
    spectrum[:, 5000:] = 0
    wave, dither = torch.fft.irfft(spectrum, 40_000), 1e-4 * noise(1, 40_000, seed=1)
    gated = dither * (torch.arange(40_000) % 8000 < 2000)
    assert log_kurtosis_ratio(wave + gated, wave + dither).abs() < 0.02
    assert log_kurtosis_ratio(gated, dither) > 0.5


def test_frames_that_touch_a_masked_sample_are_left_out():
    wave = noise(1, 16_000)
    other = wave.clone()
    other[:, 8000:] *= torch.rand(8000, generator=torch.Generator().manual_seed(1)).gt(0.99)
    first = torch.arange(16_000) < 8000
    assert log_kurtosis_ratio(other, wave, first).abs() < 1e-12
    assert log_kurtosis_ratio(other, wave).abs() > 0.01


def test_musical_noise_of_silence_is_not_defined():
    wave = noise(1, 4000)
    assert log_kurtosis_ratio(0 * wave, wave).isnan().all() and log_kurtosis_ratio(wave, 0 * wave).isnan().all()
    assert log_kurtosis_ratio(wave, wave, torch.zeros(4000, dtype=torch.bool)).isnan().all()


# Arguments


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: bleed_matrix(x[0], RATE), ValueError, "mics"),
        (lambda x: band_powers(x, 10), ValueError, "sample_rate"),
        (lambda x: detect_rests(x, RATE, margin=0.0), ValueError, "margin"),
        (lambda x: detect_rests(x, RATE, unexplained=1.5), ValueError, "unexplained"),
        (lambda x: detect_rests(x, RATE, least_s=-1.0), ValueError, "least_s"),
        (lambda x: arrival_delays(x, RATE, max_delay_s=round(WINDOW_S * RATE / 2) / RATE), ValueError, "max_delay_s"),
        (lambda x: gcc_phat(x[0], x[1], 0), ValueError, "max_delay"),
        (lambda x: gcc_phat(x[0], x[1], x.shape[1]), ValueError, "max_delay"),
        (lambda x: gcc_phat(x[0], x[1], 2.5), TypeError, "max_delay"),
        (lambda x: gcc_phat(x[0], x[1, 1:], 2), ValueError, "first, second"),
        (lambda x: coherence(x, weighting="loud"), ValueError, "weighting"),
        (lambda x: energy_change_db(x, x[:, 1:]), ValueError, "after"),
        (lambda x: energy_change_db(x, x, torch.ones(900)), TypeError, "where"),
        (lambda x: log_kurtosis_ratio(x, x, torch.ones(5, dtype=torch.bool)), ValueError, "where"),
        (lambda x: energy_change_db(x / 0, x), ValueError, "non-finite"),
    ],
)
def test_an_argument_that_cannot_be_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(noise(2, 900))


def test_arguments_stay_as_they_were(mixture):
    mics = mixture.mics.clone()
    for measure in (bleed_matrix, arrival_delays, detect_rests):
        measure(mics, RATE)
    coherence(mics)
    log_kurtosis_ratio(0.5 * mics, mics)
    assert torch.equal(mics, mixture.mics)
