"""The instantaneous stage: Λ's laws, the identity X = ΛS, the bleed level in dB, and the Scene."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from irtools.stage.gain_laws import LAWS, draw_gains, law_parameters
from irtools.stage.linear import INTERFERENCE, add_sensor_noise, simulate_linear
from irtools.stage.scene import Scene

SHAPES = st.integers(1, 6).flatmap(lambda n: st.tuples(st.integers(n, 8), st.just(n)))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def stems(n_sources=4, samples=4000, seed=0, dtype=torch.float64):
    levels = torch.tensor([1.0, 0.3, 2.0, 0.05, 0.7, 0.1], dtype=dtype)[:n_sources, None]
    return levels * torch.randn(n_sources, samples, generator=seeded(seed), dtype=dtype)


def decibels(numerator, denominator):
    return 10 * math.log10(float(numerator.square().sum()) / float(denominator.square().sum()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(shape=SHAPES, seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_mics_are_gains_times_sources(dtype, shape, seed):
    n_mics, n_sources = shape
    sources = stems(n_sources, 50, seed, dtype)
    before = sources.clone()
    scene = simulate_linear(sources, n_mics=n_mics, generator=seeded(seed))
    # Sum written out, in float64, sample by sample.
    expected = sum(scene.gains[:, n, None].double() * sources[n].double() for n in range(n_sources))
    torch.testing.assert_close(scene.mics.double(), expected, rtol=0, atol=1e-14 if dtype == torch.float64 else 1e-5)
    assert scene.mics.dtype == scene.references.dtype == scene.gains.dtype == dtype
    assert torch.equal(sources, before)


@given(shape=SHAPES, seed=st.integers(0, 999), low=st.floats(0, 0.4), width=st.floats(0, 0.5))
@settings(deadline=None)
def test_uniform_law_stays_in_its_interval(shape, seed, low, width):
    gains = draw_gains(*shape, law="uniform", low=low, high=low + width, generator=seeded(seed))
    own = torch.zeros(shape, dtype=torch.bool).fill_diagonal_(True)
    assert (gains[own] == 1).all()
    assert (gains[~own] >= low).all() and (gains[~own] <= low + width).all()


@pytest.mark.parametrize("law", LAWS)
@given(shape=SHAPES, seed=st.integers(0, 999), shuffle=st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_default_laws_keep_the_own_microphone_dominant(law, shape, seed, shuffle):
    n_mics, n_sources = shape
    assignment = shuffle.sample(range(n_mics), n_sources)
    gains = draw_gains(n_mics, n_sources, law=law, assignment=assignment, generator=seeded(seed))
    for source, mic in enumerate(assignment):
        others = [gains[mic, j] for j in range(n_sources) if j != source]
        assert all(gains[mic, source] > other for other in others)


@pytest.mark.parametrize(
    ("law", "own", "bleed"),
    [
        ("constant", (1, 1), (0.1, 0.1)),
        ("uniform", (1, 1), (0.01, 0.5)),
        ("attenuated", (0.6, 1), (0, 0.4)),
        ("decibel", (1, 1), (0.1, 0.1)),
    ],
)
def test_laws_fill_the_published_interval(law, own, bleed):
    gains = draw_gains(60, 60, law=law, generator=seeded())
    mask = torch.eye(60, dtype=torch.bool)
    for values, (low, high) in ((gains[mask], own), (gains[~mask], bleed)):
        assert low - 1e-12 <= values.min() <= low + 0.1 * (high - low) + 1e-12
        assert high - 0.1 * (high - low) - 1e-12 <= values.max() <= high + 1e-12


def test_level_in_decibels_is_an_amplitude_gain():
    gains = draw_gains(3, 2, law="decibel", level_db=-6.0)
    assert 20 * math.log10(gains[0, 1]) == pytest.approx(-6.0)
    assert gains[2].tolist() == [gains[0, 1], gains[0, 1]]


def test_same_seed_same_gains_in_every_dtype():
    single = draw_gains(4, 4, generator=seeded(3), dtype=torch.float32)
    assert torch.equal(single, draw_gains(4, 4, generator=seeded(3)).float())
    assert not torch.equal(single, draw_gains(4, 4, generator=seeded(4), dtype=torch.float32))


@pytest.mark.parametrize("level", ["low", "high", (3.0, 3.0), (-20.0, 40.0)])
@given(seed=st.integers(0, 99), n_sources=st.integers(2, 6), extra=st.integers(0, 2))
@settings(max_examples=10, deadline=None)
def test_interference_sets_the_mean_input_sdr(level, seed, n_sources, extra):
    sources = stems(n_sources, 3000, seed)
    scene = simulate_linear(
        sources, n_mics=n_sources + extra, law="attenuated", interference=level, generator=seeded(seed)
    )
    # From the waveforms alone: neither Λ nor the Gram matrix that set it.
    sdr = [decibels(r, x - r) for r, x in zip(scene.references, scene.mics, strict=False)]
    low, high = INTERFERENCE.get(level, level) if isinstance(level, str) else level
    target = scene.details["interference"]["target_db"]
    assert low <= target <= high
    assert sum(sdr) / n_sources == pytest.approx(target, abs=1e-6)
    assert scene.details["input_sdr_db"] == pytest.approx(sdr, abs=1e-6)


def test_interference_keeps_the_pattern_of_the_gains():
    sources, plain = stems(), draw_gains(5, 4, generator=seeded())
    scene = simulate_linear(sources, plain, interference=(7.0, 7.0))
    factor = scene.details["interference"]["factor"]
    close = ~torch.eye(5, 4, dtype=torch.bool)
    close[4] = False
    torch.testing.assert_close(scene.gains[close], plain[close] * factor, rtol=1e-12, atol=0)
    torch.testing.assert_close(scene.gains[~close], plain[~close], rtol=0, atol=0)


def test_interference_in_float32_is_exact_to_the_rounding_of_the_samples():
    scene = simulate_linear(stems(dtype=torch.float32), interference="high", generator=seeded())
    mean = sum(scene.details["input_sdr_db"]) / 4
    assert mean == pytest.approx(scene.details["interference"]["target_db"], abs=1e-5)


def test_high_interference_is_never_cleaner_than_low():
    clean = [simulate_linear(stems(), interference="low", generator=seeded(s)) for s in range(10)]
    loud = [simulate_linear(stems(), interference="high", generator=seeded(s)) for s in range(10)]
    mean = [[sum(scene.details["input_sdr_db"]) / 4 for scene in group] for group in (clean, loud)]
    assert min(mean[0]) >= 10 >= max(mean[1])


def test_silent_source_is_left_out_of_the_mean():
    sources = stems()
    sources[2] = 0
    scene = simulate_linear(sources, interference=(5.0, 5.0), generator=seeded())
    assert scene.details["input_sdr_db"][2] is None and scene.details["input_si_sdr_db"][2] is None
    heard = [decibels(scene.references[n], scene.mics[n] - scene.references[n]) for n in (0, 1, 3)]
    assert sum(heard) / 3 == pytest.approx(5.0, abs=1e-6)
    assert not scene.references[2].any() and scene.mics[2].any()


def test_interference_that_cannot_be_reached_is_an_error():
    for sources, gains in ((torch.zeros(3, 9), None), (stems(1), None), (stems(2), torch.eye(2))):
        with pytest.raises(ValueError, match="interference: expected a source with power"):
            simulate_linear(sources, gains, interference="low")


@given(order=st.permutations(range(4)))
@settings(max_examples=10, deadline=None)
def test_permuting_sources_permutes_the_scene(order):
    sources, gains = stems(), draw_gains(5, 4, generator=seeded())
    scene = simulate_linear(sources, gains, assignment=[4, 0, 2, 1])
    other = simulate_linear(sources[order], gains[:, order], assignment=[[4, 0, 2, 1][n] for n in order])
    torch.testing.assert_close(other.mics, scene.mics, rtol=0, atol=1e-14)
    assert torch.equal(other.references, scene.references[order])
    assert other.details["input_sdr_db"] == pytest.approx([scene.details["input_sdr_db"][n] for n in order])
    assert other.assignment == tuple(scene.assignment[n] for n in order)


def test_references_are_own_microphone_images():
    sources = stems(3)
    scene = simulate_linear(sources, law="attenuated", n_mics=5, assignment=[4, 1, 3], generator=seeded())
    for n, mic in enumerate([4, 1, 3]):
        assert torch.equal(scene.references[n], scene.gains[mic, n] * sources[n])
        assert scene.gains[mic, n] >= 0.6
    assert torch.equal(scene.sources, sources)
    # With every other source off, the close microphone records the reference and nothing else.
    alone = torch.zeros_like(sources)
    alone[1] = sources[1]
    torch.testing.assert_close(simulate_linear(alone, scene.gains).mics[1], scene.references[1])


def test_input_quality_against_its_definitions():
    scene = simulate_linear(stems(), [[0.8, 0.3, 0.1, 0.2], [0.2, 0.7, 0.1, 0.0], [0, 0, 1, 0], [0.1, 0.4, 0, 0.9]])
    for n in (0, 1, 3):
        mic, reference = scene.mics[n], scene.references[n]
        alpha = torch.linalg.lstsq(reference[:, None], mic[:, None]).solution.item()
        assert scene.details["input_sdr_db"][n] == pytest.approx(decibels(reference, mic - reference))
        assert scene.details["input_si_sdr_db"][n] == pytest.approx(
            decibels(alpha * reference, mic - alpha * reference)
        )
    assert scene.details["input_sdr_db"][2] is None  # nothing bleeds into it: infinite


def test_the_quality_of_the_microphones_counts_their_noise():
    scene = simulate_linear(stems(2), torch.eye(2), noise_db=-20.0, generator=seeded())
    for n, level in enumerate(scene.details["input_sdr_db"]):
        assert level == pytest.approx(decibels(scene.references[n], scene.mics[n] - scene.references[n]))
        assert level == pytest.approx(20.0, abs=0.5)


def test_details_describe_the_gains():
    gains = torch.tensor([[1.0, 0.1], [0.5, 1.0], [0.0, -2.0]], dtype=torch.float64)
    details = simulate_linear(stems(2), gains).details
    expected = [0.0, -20.0, 20 * math.log10(0.5), 0.0, None, 20 * math.log10(2)]
    bleed = [value for row in details["bleed_db"] for value in row]
    for value, level in zip(bleed, expected, strict=True):
        assert value is None if level is None else value == pytest.approx(level)
    spectrum = torch.linalg.svdvals(gains)
    assert details["condition"] == pytest.approx((spectrum[0] / spectrum[-1]).item())
    assert details["own_mic_dominant"] and details["law"] == "given"
    assert not simulate_linear(stems(2), [[1, 1], [0, 1]]).details["own_mic_dominant"]


def test_details_are_strict_json():
    silent = simulate_linear(torch.zeros(2, 5), law="attenuated", high=0.3, noise_db=-60.0, generator=seeded())
    details = json.loads(json.dumps(silent.details, allow_nan=False))
    assert details["parameters"] == {"own_low": 0.6, "own_high": 1.0, "low": 0.0, "high": 0.3}
    assert not silent.mics.any()


@pytest.mark.parametrize("noise_db", [-40.0, -10.0, 6.0])
def test_noise_level_is_relative_to_each_microphone(noise_db):
    mics = stems(3, 200_000, dtype=torch.float32)
    mics[2] = 0
    noise = add_sensor_noise(mics, noise_db, seeded()) - mics
    for k in (0, 1):
        assert decibels(noise[k], mics[k]) == pytest.approx(noise_db, abs=0.05)
    assert abs(torch.corrcoef(noise[:2])[0, 1]) < 0.02
    assert not noise[2].any()


def test_generator_makes_the_scene_repeatable():
    draw = dict(interference="low", noise_db=-30.0)
    first, second = (simulate_linear(stems(), generator=seeded(5), **draw) for _ in range(2))
    assert torch.equal(first.mics, second.mics) and first.details == second.details
    assert not torch.equal(first.mics, simulate_linear(stems(), generator=seeded(6), **draw).mics)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(sources=torch.full((2, 3), math.inf)), "sources: .*non-finite"),
        (dict(sources=torch.ones(3)), "sources: expected shape"),
        (dict(gains=torch.ones(2, 3)), "gains: expected shape"),
        (dict(gains=torch.ones(1, 2)), "gains: expected shape"),
        (dict(gains=torch.ones(2, 2), n_mics=3), "gains: expected shape"),
        (dict(gains=[[1.0, math.nan], [0.0, 1.0]]), "gains: expected finite"),
        (dict(n_mics=1), "n_sources: expected 1 to 1 .*, got 2"),
        (dict(assignment=[0, 0]), "assignment: expected each microphone once"),
        (dict(law="gaussian"), "law: expected one of constant"),
        (dict(law="uniform", low=0.5, high=0.1), "expected bleed gain with 0 <= low <= high"),
        (dict(law="attenuated", own_low=-1.0), "expected own gain with 0 <= low <= high"),
        (dict(law="decibel", level_db=math.nan), "expected bleed gain"),
        (dict(noise_db=math.inf), "noise_db: expected a finite"),
        (dict(interference="medium"), "interference: expected one of low, high, got 'medium'"),
        (dict(interference=(5.0, 1.0)), "interference: expected finite"),
        (dict(names=["a"]), "names: expected 2"),
        (dict(names=["a", "a"]), "names: expected each name once"),
        (dict(sample_rate=0), "sample_rate: expected a positive"),
    ],
)
def test_invalid_values_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate_linear(**{"sources": stems(2, 8), **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(sources=[[1.0]]), "sources: expected a torch.Tensor"),
        (dict(gains=torch.ones(2, 2, dtype=torch.complex64)), "gains: expected real"),
        (dict(level=0.1), "law 'uniform' has the parameters low, high, got level"),
        (dict(gains=torch.eye(2), low=0.1), "gains: given, so that low would have no effect"),
        (dict(names="ab"), "names: expected a sequence"),
        (dict(sample_rate=44100.0), "sample_rate: expected an int"),
    ],
)
def test_invalid_types_are_named(arguments, message):
    with pytest.raises(TypeError, match=message):
        simulate_linear(**{"sources": stems(2, 8), **arguments})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(references=torch.zeros(2, 7)), "references: expected shape"),
        (dict(references=torch.zeros(2, 8, dtype=torch.float64)), "references: expected torch.float32"),
        (dict(sources=torch.zeros(4, 8), references=torch.zeros(4, 8)), "n_sources"),
        (dict(gains=torch.eye(2)), "gains: expected shape"),
        (dict(assignment=(0, 3)), "assignment: expected microphone indices"),
    ],
)
def test_scene_refuses_fields_that_contradict_each_other(change, message):
    fields = dict(mics=torch.zeros(3, 8), references=torch.zeros(2, 8), sources=torch.zeros(2, 8))
    assert Scene(**fields).assignment == (0, 1)
    with pytest.raises(ValueError, match=message):
        Scene(**{**fields, **change})


def test_one_source_one_microphone():
    scene = simulate_linear(stems(1), names=["voice"], sample_rate=8000)
    assert torch.equal(scene.mics, scene.sources) and scene.names == ("voice",)
    assert scene.details["input_sdr_db"] == [None] and law_parameters("constant") == {"level": 0.1}
