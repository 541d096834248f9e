"""What alternating minimisation can and cannot know, and how it behaves on awkward input."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import irtools as ir
from irtools.methods.alternating.minimisation import alternating_minimisation
from irtools.methods.alternating.updates import VARIANTS, AMSettings, project
from irtools.methods.separator import ConvergenceWarning, Recording

am = partial(ir.reduce, sample_rate=8000, method="am")


def scene(n=4, samples=20_000, seed=0, bleed=0.1):
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(n, samples, generator=generator, dtype=torch.float64)
    sources = draw * torch.rand(n, samples, generator=generator, dtype=torch.float64) ** 4
    gains = torch.full((n, n), bleed, dtype=torch.float64).fill_diagonal_(1)
    return gains, sources, gains @ sources


def off_diagonal(matrix):
    return matrix[~torch.eye(len(matrix), dtype=torch.bool)]


def test_constant_bleed_and_the_clean_sum_give_lambda_back():
    gains, sources, mics = scene()
    found = am(mics, mixture="clean", mixdown=sources.sum(0), variant="notebook", tol=1e-13)
    assert (found.gains - gains).abs().max() < 1e-3
    error = (found.sources - sources).norm() / sources.norm()
    assert error < 1e-3
    assert found.converged and found.details["privileged"]


def test_the_sum_of_the_mics_moves_nothing_but_the_lower_clip():
    _, _, mics = scene()
    for gamma1 in (1e-3, 0.05, 0.2):
        found = am(mics, variant="notebook", off_diagonal=(gamma1, 0.5))
        assert torch.allclose(off_diagonal(found.gains), torch.tensor(gamma1, dtype=torch.float64), atol=1e-3)
        assert not found.details["privileged"]


@pytest.mark.parametrize("forced", [0.01, 0.1, 0.3])
def test_with_learned_weights_every_lambda_explains_the_recording(forced):
    _, sources, mics = scene(bleed=0.1)
    found = am(
        mics,
        mixture="clean",
        mixdown=sources.sum(0),
        variant="slides",
        eta=0.0,
        off_diagonal=(forced, forced),
        tol=1e-12,
        max_iter=20_000,
    )
    assert found.cost[-1] < 1e-6 * (mics**2).sum()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), variant=st.sampled_from(sorted(set(VARIANTS) - {"solver"})))
def test_permuting_the_mics_permutes_the_answer(seed, variant):
    _, sources, mics = scene(samples=2000, seed=seed)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
    options = {"variant": variant, "mixture": "clean", "mixdown": sources.sum(0), "tol": 1e-3, "max_iter": 10_000}
    found = am(mics, **options)
    swapped = am(mics[order], **options)
    assert torch.allclose(swapped.sources, found.sources[order], atol=1e-5)
    assert torch.allclose(swapped.gains, found.gains[order][:, order], atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 100))
def test_without_eta_and_absolute_tolerance_scaling_in_scales_out(scale, seed):
    _, sources, mics = scene(samples=2000, seed=seed)
    options = {"variant": "notebook", "eta": 0.0, "mixture": "clean"}
    loud = am(scale * mics, mixdown=scale * sources.sum(0), tol=1e-4 * scale**2, **options)
    found = am(mics, mixdown=sources.sum(0), tol=1e-4, **options)
    assert torch.allclose(loud.sources, scale * found.sources, rtol=1e-6, atol=1e-6 * scale)
    assert torch.allclose(loud.gains, found.gains, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(cuts=st.sets(st.integers(1, 2999), max_size=4))
def test_learning_in_pieces_is_learning_from_the_whole(cuts):
    _, sources, mics = scene(samples=3000)
    mixdown = sources.sum(0)
    edges = [0, *sorted(cuts), 3000]
    cuts = list(itertools.pairwise(edges))
    options = {"mixture": "clean", "variant": "notebook"}
    whole = am(mics, mixdown=mixdown, **options)
    separator = alternating_minimisation(Recording.in_memory(mics, 8000, mixdown, cuts), **options)
    joined = torch.cat([separator.reduce(mics[:, a:b], mixdown[a:b]).sources for a, b in cuts], dim=1)
    assert torch.allclose(joined, whole.sources, atol=1e-9)
    assert torch.allclose(separator.gains, whole.gains, atol=1e-9)


def test_learned_weights_stay_within_their_range():
    _, sources, mics = scene(n=2, samples=3000)
    mixdown = 3 * sources[0] + 0.1 * sources[1]
    options = {"variant": "minimisation2", "mixture": "mixdown", "mixdown": mixdown, "tol": 1e-9}
    bounded, free = (am(mics, **options, weights_range=bounds).details["weights"] for bounds in ((0.9, 1.1), None))
    assert all(0.9 <= weight <= 1.1 for weight in bounded) and all(abs(weight - 1) > 0.2 for weight in free)


def test_learned_blocks_separate_aligned_pieces_as_the_whole():
    _, sources, mics = scene(samples=1010)
    mixdown = sources.sum(0)
    separator = alternating_minimisation(Recording.in_memory(mics, 8000, mixdown), mixture="clean", variant="solver")
    assert separator.align == 25
    whole = am(mics, mixture="clean", mixdown=mixdown, variant="solver")
    joined = torch.cat(
        [separator.reduce(mics[:, p], mixdown[p]).sources for p in (slice(0, 500), slice(500, 1010))], dim=1
    )
    assert torch.allclose(joined, whole.sources, atol=1e-9)


def test_more_microphones_than_sources():
    generator = torch.Generator().manual_seed(4)
    sources = torch.randn(2, 20_000, generator=generator, dtype=torch.float64)
    gains = torch.tensor([[0.3, 0.3], [1.0, 0.1], [0.1, 1.0]], dtype=torch.float64)
    found = am(
        gains @ sources, mixture="clean", mixdown=sources.sum(0), variant="notebook", assignment=[1, 2], tol=1e-10
    )
    assert found.sources.shape == sources.shape and found.gains.shape == (3, 2)
    assert (found.gains - gains).abs().max() < 1e-2


def test_estimates_are_at_the_own_microphone():
    gains, sources, _ = scene()
    mics = torch.diag(torch.tensor([0.7, 0.8, 0.9, 1.0], dtype=torch.float64)) @ gains @ sources
    found = am(mics, mixture="clean", mixdown=sources.sum(0), variant="minimisation2", tol=1e-9)
    own = found.gains.diagonal()
    demixing = torch.tensor(found.details["demixing"], dtype=torch.float64)
    dry = demixing @ torch.cat([mics, sources.sum(0, keepdim=True)])
    assert torch.allclose(found.sources, own[:, None] * dry)


@pytest.mark.parametrize("variant", VARIANTS)
def test_silence_stays_silent(variant):
    found = am(torch.zeros(3, 100), variant=variant)
    assert found.sources.abs().max() == 0 and torch.isfinite(found.gains).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_silent_microphone_leaves_the_rest_finite(variant):
    _, _, mics = scene(samples=2000)
    mics[2] = 0
    found = am(mics, variant=variant)
    assert torch.isfinite(found.sources).all()


def test_one_microphone_is_returned():
    mic = torch.randn(1, 500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(am(mic, variant="notebook").sources, mic)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_follows_the_input_and_the_input_is_kept(dtype):
    _, _, mics = scene(samples=500)
    mics = mics.to(dtype)
    before = mics.clone()
    found = am(mics, variant="notebook")
    assert found.sources.dtype == found.gains.dtype == dtype
    assert torch.equal(mics, before)


def test_the_projection_is_idempotent_and_within_bounds():
    chosen = AMSettings(diagonal=(0.6, 1.0), off_diagonal=(0.01, 0.9), dominant=True)
    gains = np.random.default_rng(0).normal(size=(5, 4, 3))
    once = project(gains, [0, 2, 3], chosen)
    assert np.array_equal(once, project(once, [0, 2, 3], chosen))
    own = once[:, [0, 2, 3], [0, 1, 2]]
    assert (own >= 0.6).all() and (own <= 1).all()
    assert (once[:, [0, 2, 3]] <= own[:, :, None]).all()
    assert (once >= 0.01).all() and (once[:, 1] <= 0.9).all()


def test_running_out_of_iterations_is_said():
    _, sources, mics = scene()
    with pytest.warns(ConvergenceWarning, match="1 of 1 problem"):
        found = am(mics, mixture="clean", mixdown=sources.sum(0), variant="slides", max_iter=2)
    assert not found.converged and found.n_iter == 2 and len(found.cost) == 3


def test_a_singular_problem_names_its_iteration():
    mics = torch.ones(2, 10, dtype=torch.float64)
    with pytest.raises(FloatingPointError, match="iteration 1"):
        am(mics, variant="notebook", off_diagonal=(1.0, 1.0))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"variant": "nope"}, ValueError, "variant: expected one of slides"),
        ({"gamma": 1}, TypeError, "gamma: not a setting"),
        ({"mixture": "clean"}, ValueError, r"mixdown: expected a Tensor of shape \(10,\)"),
        ({"mixture": "sum"}, ValueError, "mixture: expected one of mics"),
        ({"mixdown": torch.zeros(10)}, ValueError, "mixdown: given, but"),
        ({"mixture": "mixdown", "mixdown": torch.zeros(9)}, ValueError, r"got \(9,\)"),
        ({"mixture": "mixdown", "mixdown": torch.full((10,), torch.nan)}, ValueError, "mixdown: .*non-finite"),
        ({"off_diagonal": (0.5, 0.1)}, ValueError, "off_diagonal"),
        ({"eta": -1.0}, ValueError, "eta"),
        ({"eta_in": "all"}, ValueError, "eta_in"),
        ({"weights": "free"}, ValueError, "weights"),
        ({"weights": (1.0,)}, ValueError, "weights: expected 2 numbers"),
        ({"max_iter": 0}, ValueError, "max_iter"),
        ({"max_iter": "many"}, TypeError, "max_iter: expected an int, got str 'many'"),
        ({"max_iter": 10.0}, TypeError, "max_iter: expected an int"),
        ({"eta": "small"}, TypeError, "eta: expected a number"),
        ({"off_diagonal": 0.5}, ValueError, "off_diagonal: expected .lower, upper."),
        ({"diagonal": ("a", "b")}, TypeError, "diagonal: expected a number"),
        ({"block_samples": 0}, ValueError, "block_samples"),
        ({"assignment": [0, 0]}, ValueError, "assignment"),
        ({"assignment": [0, 5]}, ValueError, "assignment"),
        ({"n_sources": 3}, ValueError, "n_sources"),
    ],
)
def test_bad_options_are_named(options, error, words):
    with pytest.raises(error, match=words):
        am(torch.ones(2, 10), **options)


def test_an_answer_that_is_only_the_clip_says_so():
    _, sources, mics = scene(samples=2000)
    blind = am(mics, variant="notebook")
    told = am(mics, variant="notebook", mixture="clean", mixdown=sources.sum(0))
    assert "lower clip, 0.001" in blind.details["notes"][0]
    assert "raised the objective" in blind.details["notes"][1] and blind.cost[-1] > blind.cost[-2]
    assert told.details["notes"] == []
