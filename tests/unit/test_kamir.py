"""KAMIR, and what it shares with MIRA: masks, settings, close microphones, silence, pieces."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loops_powers import fit_by_loops, reduce_by_loops

import irtools as ir
from irtools.methods.powers.fit import first_gains, first_psd, fit
from irtools.methods.powers.kamir import PRESETS
from irtools.methods.powers.kamir import kamir as learn
from irtools.methods.powers.reduction import reduce_piece
from irtools.methods.powers.settings import PowerSettings, close_matrix
from irtools.methods.powers.spectra import equaliser, powers
from irtools.methods.separator import Recording
from irtools.metrics.distortion import si_sdr

kamir = partial(ir.reduce, sample_rate=8000, method="kamir")
SMALL = {"window_size": 256, "hop": 64}


def scene(n=3, samples=12_000, seed=0, bleed=0.2, dtype=torch.float64):
    """Sources that sound in stretches of 1000 samples, as music does, and the microphones that hear them."""
    generator = torch.Generator().manual_seed(seed)
    level = torch.rand(n, samples // 1000 + 1, generator=generator, dtype=dtype) ** 3
    sources = torch.randn(n, samples, generator=generator, dtype=dtype)
    sources = sources * level.repeat_interleave(1000, 1)[:, :samples]
    return sources, (torch.eye(n, dtype=dtype) * (1 - bleed) + bleed) @ sources


def distance(found, expected):
    return float((found - expected).norm() / expected.norm())


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 4),
    seed=st.integers(0, 999),
    alpha=st.sampled_from([1.0, 1.6, 2.0]),
    beta=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    leakage=st.floats(0.01, 1.0),
    n_iter=st.integers(0, 3),
    gain_iter=st.integers(0, 3),
    normalise_rows=st.booleans(),
    per_frequency=st.booleans(),
    gain_floor=st.sampled_from([1e-6, 0.05]),
    footprint=st.sampled_from([None, (1, 3), (3, 2), [[0, 1, 0], [1, 1, 1], [0, 1, 0]]]),
)
def test_agrees_with_the_plain_loops(n, seed, **options):
    _, mics = scene(n, 3000, seed)
    chosen = PowerSettings(**SMALL, **options)
    found = kamir(mics, **{name: getattr(chosen, name) for name in PowerSettings.__dataclass_fields__})
    expected, gains = reduce_by_loops(mics, chosen)
    assert distance(found.sources, expected) < 1e-6
    own = gains[range(n), range(n)]
    relative = torch.from_numpy(gains / own).permute(2, 0, 1)
    assert torch.allclose(found.details["power_gains"], relative[: len(found.details["power_gains"])], rtol=1e-6)


def test_several_close_microphones_agree_with_the_plain_loops():
    _, mics = scene(4)
    chosen = PowerSettings(**SMALL, footprint=(1, 3))
    close = close_matrix([[0, 2], [1], [3, 0]], None, None, 4)[0]
    power = powers(mics, chosen)
    gains = first_gains(close, len(power), chosen, power)
    found = fit(power, first_psd(power, gains, close, chosen), gains, close, chosen)
    psd, loops = fit_by_loops(power.transpose(0, 1).numpy(), close.numpy(), chosen)
    assert distance(found.psd, torch.from_numpy(psd).transpose(0, 1)) < 1e-9
    assert distance(found.gains, torch.from_numpy(loops).permute(2, 0, 1)) < 1e-9


def test_bleed_is_reduced_and_the_gains_are_found():
    sources, mics = scene(3, 60_000)
    found = kamir(mics, window_size=1024, hop=256)
    assert (si_sdr(found.sources, sources) - si_sdr(mics, sources)).min() > 3
    assert torch.allclose(found.gains, torch.full((3, 3), 0.2, dtype=torch.float64).fill_diagonal_(1), atol=0.1)


def test_microphones_without_bleed_come_back():
    generator = torch.Generator().manual_seed(0)
    mics = torch.zeros(3, 9000, dtype=torch.float64)
    for k in range(3):
        mics[k, 3000 * k : 3000 * (k + 1)] = torch.randn(3000, generator=generator, dtype=torch.float64)
    found = kamir(mics, **SMALL, gain_floor=1e-10, leakage=1e-10, gain_iter=0)
    assert distance(found.sources, mics) < 1e-6


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 999),
    kernel=st.sampled_from([None, (1, 3)]),
    common=st.booleans(),
    preset=st.sampled_from(sorted(PRESETS)),
)
def test_permuting_the_microphones_permutes_the_answer(seed, kernel, common, preset):
    _, mics = scene(4, 4000, seed)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
    options = {**SMALL, "footprint": kernel, "per_frequency": not common, "preset": preset}
    found, swapped = kamir(mics, **options), kamir(mics[order], **options)
    assert torch.allclose(swapped.sources, found.sources[order], atol=1e-8)
    assert torch.allclose(swapped.gains, found.gains[order][:, order], atol=1e-8)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99), scale=st.sampled_from([1e-6, 1e-3, 7.0, 1e5]), preset=st.sampled_from(sorted(PRESETS)))
def test_scaling_in_scales_out(seed, scale, preset):
    _, mics = scene(3, 4000, seed)
    found, scaled = kamir(mics, **SMALL, preset=preset), kamir(scale * mics, **SMALL, preset=preset)
    assert distance(scaled.sources, scale * found.sources) < 1e-8
    assert torch.allclose(scaled.gains, found.gains, rtol=1e-6)


def test_equalisation_makes_the_level_of_a_microphone_irrelevant():
    _, mics = scene(3, 12_000)
    level = torch.tensor([[1.0], [20.0], [0.1]], dtype=torch.float64)
    for equalise in ("floor", "level"):
        options = {**SMALL, "equalise": equalise}
        found, moved = kamir(mics, **options), kamir(level * mics, **options)
        assert distance(moved.sources, level * found.sources) < 1e-5
        assert torch.allclose(moved.gains, found.gains * level / level.T, rtol=1e-4)


def test_the_noise_floor_is_the_quantile_and_never_zero():
    chosen = PowerSettings(**SMALL, equalise="floor", floor_quantile=0.05)
    power = torch.rand(5, 2, 101, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(equaliser(power, chosen)[..., 0], power.quantile(0.05, dim=2))
    power[:, 0, :50] = 0
    assert torch.allclose(equaliser(power, chosen)[:, 0, 0], 1e-6 * power[:, 0].mean(1))
    assert (equaliser(torch.zeros(5, 2, 9), chosen) > 0).all()


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("per_frequency", [True, False])
def test_the_multiplicative_steps_do_not_raise_the_cost(beta, per_frequency):
    _, mics = scene(3, 6000)
    options = {"beta": beta, "step": "multiplicative", "gain_floor": 1e-10, "per_frequency": per_frequency}
    cost = kamir(mics, **SMALL, **options, n_iter=12, track_cost=True).cost
    assert len(cost) == 13 and (cost.diff() <= 1e-9 * cost[0]).all() and cost[-1] < 0.9 * cost[0]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_silence_anywhere_leaves_finite_numbers(preset, dtype):
    _, mics = scene(3, 20_000, dtype=dtype)
    one, gaps = mics.clone(), mics.clone()
    one[1] = 0
    gaps[:, 3000:15_000] = 0
    for recording in (one, gaps, 1e-30 * mics):
        found = kamir(recording, preset=preset)
        assert torch.isfinite(found.sources).all() and torch.isfinite(found.gains).all()
        assert found.sources.abs().max() <= 2 * recording.abs().max()
    assert kamir(torch.zeros_like(mics), preset=preset).sources.abs().max() == 0


@pytest.mark.parametrize("samples", [1, 2, 100])
def test_short_recordings_and_one_microphone(samples):
    _, mics = scene(2, samples)
    assert kamir(mics).sources.shape == mics.shape
    assert torch.allclose(kamir(mics[:1]).sources, mics[:1], atol=1e-12)


def test_more_microphones_than_sources():
    sources, _ = scene(2, 30_000)
    gains = torch.tensor([[0.5, 0.5], [1.0, 0.3], [0.3, 1.0], [0.8, 0.3]], dtype=torch.float64)
    for options in ({"assignment": [1, 2]}, {"close_mics": [[1, 3], [2]]}):
        found = kamir(gains @ sources, **SMALL, **options)
        assert found.sources.shape == sources.shape and found.gains.shape == (4, 2)
        assert (si_sdr(found.sources, sources) > si_sdr((gains @ sources)[[1, 2]], sources) + 3).all()
    matrix = torch.tensor([[0, 0], [1, 0], [0, 1], [1, 0]])
    assert torch.equal(kamir(gains @ sources, **SMALL, close_mics=matrix).sources, found.sources)
    assert found.details["close_mics"] == [[1, 3], [2]]


def test_close_microphones_are_selected_anew_by_the_middle_frequency():
    sources, _ = scene(2, 30_000)
    gains = torch.tensor([[1.0, 0.1], [0.1, 1.0], [1.0, 0.1]], dtype=torch.float64)
    mics = gains @ sources
    # An offset of one microphone sets its lowest frequency apart from the third one's.
    mics[0] += 10
    found = kamir(mics, **SMALL, assignment=[0, 1], reselect=True, n_iter=10)
    assert found.details["close_mics"] == [[0, 2], [1]]


def test_close_microphones_are_chosen_anew_by_their_gain():
    """Three microphones hear the first source at 1, 0.95 and 0.4: the first two become its close ones."""
    sources, _ = scene(2, 30_000)
    gains = torch.tensor([[1.0, 0.1], [0.1, 1.0], [0.95, 0.1], [0.4, 0.1]], dtype=torch.float64)
    found = kamir(gains @ sources, **SMALL, n_sources=2, reselect=True, n_iter=4, leakage=0.9)
    assert found.details["close_mics"] == [[0, 2], [1]]


def test_the_noise_floor_is_what_a_microphone_exceeds_nearly_always():
    """The twentieth part of the frames is below it, and never less than a millionth of the mean."""
    power = torch.linspace(0, 100, 101, dtype=torch.float64).expand(3, 2, 101).clone()
    power[:, 1] = 0
    power[:, 1, 0] = 101
    found = equaliser(power, PowerSettings(**SMALL, equalise="floor"))
    assert found[:, 0].flatten().tolist() == [5.0] * 3
    for quantile, value in ((0.0, 0.0), (0.5, 50.0), (1.0, 100.0)):
        settings = PowerSettings(**SMALL, equalise="floor", floor_quantile=quantile)
        assert equaliser(power, settings)[0, 0, 0] == pytest.approx(value, abs=1e-4)
    assert torch.allclose(found[:, 1], torch.tensor(1e-6, dtype=torch.float64))


def test_pieces_carry_the_gains():
    _, mics = scene(3, 24_000)
    separator = learn(Recording.in_memory(mics, 8000), **SMALL)
    assert separator.overlap == 8000 and separator.close_mics == [0, 1, 2]
    first = separator.reduce(mics[:, :12_000])
    assert torch.equal(first.sources, kamir(mics[:, :12_000], **SMALL).sources)
    second = separator.reduce(mics[:, 12_000:])
    alone = kamir(mics[:, 12_000:], **SMALL)
    error = [float(abs(found.gains - 0.2).fill_diagonal_(0).mean()) for found in (second, alone)]
    assert distance(second.sources, alone.sources) > 1e-4 and error[0] < 1.2 * error[1]


@pytest.mark.parametrize("equalise", ["floor", "level", "none"])
def test_carried_gains_are_those_of_the_recording_whatever_the_equaliser(equalise):
    _, mics = scene(3, 12_000)
    mics = mics * torch.tensor([[1.0], [5.0], [0.2]], dtype=torch.float64)
    known = 0.05 + torch.rand(129, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    known[:, range(3), range(3)] = 1
    chosen = PowerSettings(**SMALL, equalise=equalise, n_iter=0, gain_floor=1e-10)
    found = reduce_piece(mics, chosen, *close_matrix(None, None, None, 3), known)
    assert torch.allclose(found.details["power_gains"], known)


def test_a_silent_piece_does_not_unlearn():
    _, mics = scene(2, 12_000)
    gap = torch.zeros_like(mics)
    gap[1] = mics[1]
    kept = learn(Recording.in_memory(mics), **SMALL, n_iter=1)
    heard = [kept.reduce(piece) for piece in (mics, gap, mics)]
    direct = learn(Recording.in_memory(mics), **SMALL, n_iter=1)
    direct.reduce(mics)
    again = direct.reduce(mics)
    assert torch.isfinite(heard[1].sources).all()
    column = [found.details["power_gains"][:, 1, 0] for found in (heard[2], again)]
    assert torch.allclose(*column, rtol=0.2, atol=0.02)


def test_the_dtype_and_the_input_are_kept():
    for dtype in (torch.float32, torch.float64):
        _, mics = scene(2, 3000, dtype=dtype)
        before = mics.clone()
        found = kamir(mics, **SMALL)
        assert found.sources.dtype == found.gains.dtype == found.details["power_gains"].dtype == dtype
        assert torch.equal(mics, before)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"preset": "best"}, ValueError, "preset: expected one of practical, paper"),
        ({"iterations": 3}, TypeError, "iterations: not a setting of this method; expected one of window_size"),
        ({"window_size": 63}, ValueError, "window_size"),
        ({"hop": 0}, ValueError, "hop: expected 1 to"),
        ({"window": "kaiser"}, ValueError, "window: expected one of hann"),
        ({"alpha": 0.0}, ValueError, "alpha: expected 0.001 to 2, got 0.0"),
        ({"alpha": "2"}, TypeError, "alpha: expected a number"),
        ({"beta": 3.0}, ValueError, "beta: expected 0 to 2"),
        ({"step": "newton"}, ValueError, "step: expected one of wiener, multiplicative, got 'newton'"),
        ({"per_frequency": 1}, TypeError, "per_frequency: expected True or False"),
        ({"leakage": 0.0}, ValueError, "leakage"),
        ({"n_iter": 2.0}, TypeError, "n_iter: expected an int, got float 2.0"),
        ({"n_iter": -1}, ValueError, "n_iter: expected at least 0"),
        ({"gain_iter": True}, TypeError, "gain_iter"),
        ({"gain_floor": 2.0}, ValueError, "gain_floor"),
        ({"equalise": "loudness"}, ValueError, "equalise: expected one of floor, level, none"),
        ({"floor_quantile": 1.5}, ValueError, "floor_quantile"),
        ({"footprint": (0, 3)}, ValueError, "footprint"),
        ({"footprint": "plus"}, ValueError, "footprint: expected None"),
        ({"first_slope": float("nan")}, ValueError, "first_slope"),
        ({"first_threshold": 2}, ValueError, "first_threshold"),
        ({"first_passes": -1}, ValueError, "first_passes"),
        ({"smoothing": (10, 0)}, ValueError, "smoothing: expected at least 1, got 0"),
        ({"sparsity": -1.0}, ValueError, "sparsity"),
        ({"sparsity": 1.0}, ValueError, "sparsity: the step 'wiener'"),
        ({"normalise_rows": "yes"}, TypeError, "normalise_rows"),
        ({"assignment": [0, 0]}, ValueError, "assignment"),
        ({"n_sources": 3}, ValueError, "n_sources"),
        ({"close_mics": [[0], [2]]}, ValueError, "close_mics: expected microphone indices 0 to 1"),
        ({"close_mics": [[0], []]}, ValueError, "close_mics: expected at least one microphone"),
        ({"close_mics": [[0], [0, 1]]}, ValueError, "close_mics: expected another first microphone"),
        ({"close_mics": torch.ones(3, 2)}, ValueError, "close_mics: expected a matrix of 0 and 1 with 2 rows"),
        ({"close_mics": [[0]], "assignment": [0]}, ValueError, "assignment: close_mics names"),
        ({"close_mics": [[0]], "n_sources": 2}, ValueError, "n_sources: close_mics names 1"),
    ],
)
def test_bad_options_are_named(options, error, words):
    with pytest.raises(error, match=words):
        kamir(torch.ones(2, 10), **options)


def test_presets_differ_in_what_they_say():
    assert PRESETS["paper"] == replace(
        PowerSettings(),
        window_size=8192,
        hop=819,
        leakage=0.8,
        gain_iter=3,
        normalise_rows=True,
        gain_floor=0.05,
        equalise="floor",
    )
