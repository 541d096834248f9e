"""MIRA and FastMIRA: agreement with plain loops, random projections, recordings in pieces, awkward input."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loops_powers import fit_by_loops, reduce_by_loops

import irtools as ir
from irtools.methods.powers import fastmira as fastmira_module
from irtools.methods.powers import mira as mira_module
from irtools.methods.powers.mira import PRESETS
from irtools.methods.powers.random_projections import projected_powers
from irtools.methods.powers.settings import PowerSettings
from irtools.methods.separator import Recording
from irtools.metrics.distortion import si_sdr
from irtools.stft import stft

mira, fastmira = (partial(ir.reduce, sample_rate=8000, method=name) for name in ("mira", "fastmira"))
SMALL = {"window_size": 256, "hop": 64}
BOTH = pytest.mark.parametrize("method", [mira, fastmira], ids=["mira", "fastmira"])


def scene(n=3, samples=12_000, seed=0, bleed=0.2, dtype=torch.float64):
    """Sources that sound in stretches of 1000 samples, as music does, and the microphones that hear them."""
    generator = torch.Generator().manual_seed(seed)
    level = torch.rand(n, samples // 1000 + 1, generator=generator, dtype=dtype) ** 3
    sources = torch.randn(n, samples, generator=generator, dtype=dtype)
    sources = sources * level.repeat_interleave(1000, 1)[:, :samples]
    return sources, (torch.eye(n, dtype=dtype) * (1 - bleed) + bleed) @ sources


def distance(found, expected):
    return float((found - expected).norm() / expected.norm())


def as_options(chosen):
    return {name: getattr(chosen, name) for name in PowerSettings.__dataclass_fields__}


@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(1, 4),
    seed=st.integers(0, 999),
    alpha=st.sampled_from([1.0, 1.6, 2.0]),
    beta=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    leakage=st.floats(0.01, 1.0),
    n_iter=st.integers(0, 3),
    gain_iter=st.integers(0, 2),
    per_frequency=st.booleans(),
    first_passes=st.integers(0, 2),
    smoothing=st.sampled_from([(1, 1), (3, 4), (10, 10)]),
    sparsity=st.sampled_from([0.0, 1.0, 1e4]),
)
def test_agrees_with_the_plain_loops(n, seed, **options):
    _, mics = scene(n, 3000, seed)
    chosen = replace(PRESETS["practical"], **SMALL, **options)
    found = mira(mics, **as_options(chosen))
    expected, _ = reduce_by_loops(mics, chosen)
    assert distance(found.sources, expected) < 1e-6


def test_fastmira_agrees_with_the_plain_loops():
    _, mics = scene(3, 9000)
    chosen = replace(fastmira_module.PRESETS["practical"], **SMALL)
    learning = replace(chosen, n_iter=5, first_passes=0)
    virtual = projected_powers([(mics, None)], chosen, 128, 0)
    _, gains = fit_by_loops(virtual.transpose(0, 1).numpy(), torch.eye(3, dtype=torch.bool).numpy(), learning)
    own = gains[range(3), range(3)]
    expected, _ = reduce_by_loops(mics, replace(chosen, gain_iter=0), gains / own)
    found = fastmira(mics, **SMALL)
    assert distance(found.sources, expected) < 1e-6
    assert torch.allclose(found.gains, torch.from_numpy((gains / own)[:, :, 0]).sqrt(), rtol=1e-9)


def test_projections_are_random_sums_of_the_frames_with_the_same_weights_in_every_microphone():
    _, mics = scene(2, 3000)
    chosen = PowerSettings(**SMALL)
    weights = torch.randn(1 + 3000 // 64, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    expected = (stft(mics, 256, 64) @ weights.to(torch.complex128)).abs() ** 2
    found = projected_powers([(mics, None)], chosen, 7, seed=3)
    assert torch.allclose(found.transpose(0, 1), expected / expected.mean(), rtol=1e-9)
    # One Q for all: microphones that differ by a factor have projections that do.
    twins = projected_powers([(torch.stack([mics[0], 3 * mics[0]]), None)], chosen, 7, seed=3)
    assert torch.allclose(twins[:, 1], 9 * twins[:, 0])


def test_projections_grow_with_neither_the_recording_nor_its_pieces():
    _, mics = scene(2, 64 * 200)
    shapes = {projected_powers([(mics[:, :n], None)], PowerSettings(**SMALL), 5, 0).shape for n in (640, 64 * 200)}
    assert shapes == {(129, 2, 5)}
    silence = torch.zeros(2, 640, dtype=torch.float64)
    first = projected_powers([(mics, None)], PowerSettings(**SMALL), 5, 0)
    padded = projected_powers([(mics, None), (silence, None)], PowerSettings(**SMALL), 5, 0)
    assert torch.allclose(first, padded)


def test_the_seed_decides():
    _, mics = scene()
    one, same, other = (fastmira(mics, **SMALL, seed=seed).sources for seed in (1, 1, 2))
    assert torch.equal(one, same) and 1e-6 < distance(other, one) < 0.1


@BOTH
def test_bleed_is_reduced_and_the_gains_are_found(method):
    sources, mics = scene(3, 60_000)
    found = method(mics, window_size=1024, hop=256)
    assert (si_sdr(found.sources, sources) - si_sdr(mics, sources)).min() > 2
    assert torch.allclose(found.gains, torch.full((3, 3), 0.2, dtype=torch.float64).fill_diagonal_(1), atol=0.2)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99), preset=st.sampled_from(sorted(PRESETS)), scale=st.sampled_from([1e-6, 1e4]))
def test_permuting_and_scaling_the_microphones(seed, preset, scale):
    _, mics = scene(4, 4000, seed)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
    for method in (mira, fastmira):
        options = {**SMALL, "preset": preset}
        found, moved = method(mics, **options), method(scale * mics[order], **options)
        assert distance(moved.sources, scale * found.sources[order]) < 1e-6
        assert torch.allclose(moved.gains, found.gains[order][:, order], rtol=1e-5)


def test_gains_common_to_all_frequencies_are_one():
    _, mics = scene(3)
    assert mira(mics, **SMALL).details["power_gains"].shape == (1, 3, 3)
    assert mira(mics, **SMALL, per_frequency=True).details["power_gains"].shape == (129, 3, 3)


@BOTH
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_silence_anywhere_leaves_finite_numbers(method, preset, dtype):
    _, mics = scene(3, 20_000, dtype=dtype)
    one, gaps = mics.clone(), mics.clone()
    one[1] = 0
    gaps[:, 3000:15_000] = 0
    for recording in (one, gaps, 1e-30 * mics):
        found = method(recording, preset=preset)
        assert torch.isfinite(found.sources).all() and torch.isfinite(found.gains).all()
        assert found.sources.abs().max() <= 2 * recording.abs().max()
    assert method(torch.zeros_like(mics), preset=preset).sources.abs().max() == 0


@BOTH
@pytest.mark.parametrize("samples", [1, 2, 100])
def test_short_recordings_and_one_microphone(method, samples):
    _, mics = scene(2, samples)
    assert method(mics).sources.shape == mics.shape
    assert torch.allclose(method(mics[:1]).sources, mics[:1], atol=1e-12)


@BOTH
def test_several_microphones_a_source(method):
    sources, _ = scene(2, 30_000)
    gains = torch.tensor([[0.5, 0.5], [1.0, 0.3], [0.3, 1.0], [0.8, 0.3]], dtype=torch.float64)
    mics = gains @ sources
    for options in ({"assignment": [1, 2]}, {"close_mics": [[1, 3], [2]]}):
        found = method(mics, **SMALL, **options)
        assert found.gains.shape == (4, 2)
        assert (si_sdr(found.sources, sources) > si_sdr(mics[[1, 2]], sources) + 2).all()


def test_mira_starts_a_piece_at_the_gains_of_the_one_before():
    _, mics = scene(3, 24_000)
    separator = mira_module.mira(Recording.in_memory(mics, 8000), **SMALL)
    first = separator.reduce(mics[:, :12_000])
    assert torch.equal(first.sources, mira(mics[:, :12_000], **SMALL).sources)
    second = separator.reduce(mics[:, 12_000:])
    assert distance(second.sources, mira(mics[:, 12_000:], **SMALL).sources) > 1e-4


def test_fastmira_learns_from_all_pieces_and_then_stays():
    _, mics = scene(2, 24_000)
    silent = mics.clone()
    silent[:, :6000] = 0
    recording = Recording.in_memory(silent, 8000, cuts=[(0, 12_000), (12_000, 24_000)])
    separator = fastmira_module.fastmira(recording, **SMALL)
    found = [separator.reduce(silent[:, a:b]) for a, b in (*recording.cuts, recording.cuts[0])]
    assert torch.equal(found[0].sources, found[2].sources)
    assert all(torch.equal(one.gains, separator.gains) for one in found)
    whole = fastmira(mics, **SMALL)
    assert torch.allclose(separator.gains, whole.gains, atol=0.1)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"preset": "paper"}, ValueError, "preset: expected one of practical, public-code, got 'paper'"),
        ({"rho": 1}, TypeError, "rho: not a setting of this method"),
        ({"projections": 0}, ValueError, "projections: expected at least 1, got 0"),
        ({"projections": 8.0}, TypeError, "projections: expected an int, got float 8.0"),
        ({"learn_iter": -1}, ValueError, "learn_iter"),
        ({"seed": "x"}, TypeError, "seed: expected an int"),
        ({"sparsity": float("inf")}, ValueError, "sparsity"),
        ({"n_sources": 3}, ValueError, "n_sources"),
        ({"close_mics": [[5], [0]]}, ValueError, "close_mics"),
    ],
)
def test_bad_options_are_named(options, error, words):
    with pytest.raises(error, match=words):
        fastmira(torch.ones(2, 10), **options)
