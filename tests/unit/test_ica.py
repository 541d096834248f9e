"""ICA: what independence alone finds, what it cannot find, and what comes back from odd microphones."""

import math
import subprocess
import sys
import warnings
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import irtools as ir
from irtools.methods.ica import _gather, independent_components
from irtools.methods.separator import ConvergenceWarning, Recording

SAMPLES = 20_000
ica = partial(ir.reduce, sample_rate=8000, method="ica")
seeds = st.integers(0, 10_000)


def sparse(n, seed, samples=SAMPLES):
    """Independent heavy-tailed sources (Laplace), float64."""
    return 0.1 * torch.from_numpy(np.random.default_rng(seed).laplace(size=(n, samples)))


def bleed(n_mics, n_sources, seed):
    """Gains with ones at the close microphones and off-diagonal ones up to 0.5 / (n - 1) * 1.5, of either sign."""
    generator = np.random.default_rng(seed)
    gains = generator.uniform(-0.75, 0.75, (n_mics, n_sources)) / max(n_sources - 1, 1)
    gains[range(n_sources), range(n_sources)] = 1
    return torch.from_numpy(gains)


def si_sdr(estimate, reference):
    """In dB, per row, from its definition."""
    scale = (estimate * reference).sum(1, keepdim=True) / reference.square().sum(1, keepdim=True)
    target = scale * reference
    return 10 * torch.log10(target.square().sum(1) / (estimate - target).square().sum(1))


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 5), seed=seeds)
def test_independent_sources_are_found(n, seed):
    sources, gains = sparse(n, seed), bleed(n, n, seed)
    found = ica(gains @ sources)
    assert si_sdr(found.sources, sources).min() > 25
    # As heard at the own microphone: in level and sign too.
    assert (found.sources - sources).norm() / sources.norm() < 0.06
    assert (found.gains - gains).abs().max() < 0.06
    assert found.converged and found.details["rank"] == n


@pytest.mark.parametrize("fun", ["logcosh", "exp", "cube"])
def test_every_contrast_finds_them(fun):
    sources, gains = sparse(3, 1), bleed(3, 3, 1)
    assert si_sdr(ica(gains @ sources, fun=fun).sources, sources).min() > 25


@pytest.mark.parametrize("seed", range(4))
def test_a_delay_breaks_the_model(seed):
    """The same stage, but the bleed arrives 20 samples late: white sources then seem to be as many again."""
    sources, gains = sparse(2, seed), torch.tensor([[1, 0.5], [0.4, 1]], dtype=torch.float64)
    late = torch.roll(sources, 20, dims=1)
    mics = sources + (gains - torch.eye(2)) @ late
    assert si_sdr(ica(gains @ sources).sources, sources).min() > 25
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert si_sdr(ica(mics).sources, sources).max() < 15


@settings(max_examples=10, deadline=None)
@given(n=st.integers(2, 4), extra=st.integers(0, 2), seed=seeds, noise_db=st.sampled_from([None, -60]))
def test_more_microphones_than_sources(n, extra, seed, noise_db):
    sources, gains = sparse(n, seed), bleed(n + extra, n, seed)
    mics = gains @ sources
    if noise_db is not None:
        mics = mics + 10 ** (noise_db / 20) * sparse(n + extra, seed + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = ica(mics, n_sources=n)
    assert found.sources.shape == (n, SAMPLES) and found.gains.shape == (n + extra, n)
    assert si_sdr(found.sources, sources).min() > 25
    assert (found.gains - gains).abs().max() < 0.06
    assert found.details["rank"] == (n if noise_db is None else n + extra)


@settings(max_examples=10, deadline=None)
@given(seed=seeds, order=st.permutations(range(4)))
def test_the_order_of_microphones_is_the_order_of_sources(seed, order):
    mics = bleed(4, 4, seed) @ sparse(4, seed, 5000)
    options = {"tol": 1e-8}
    found, moved = ica(mics, **options), ica(mics[order], **options)
    assert torch.allclose(moved.sources, found.sources[order], atol=1e-4)
    assert torch.allclose(moved.gains, found.gains[order][:, order], atol=1e-3)


@settings(max_examples=10, deadline=None)
@given(seed=seeds, powers=st.lists(st.integers(-5, 5), min_size=3, max_size=3))
def test_each_microphone_has_its_own_level(seed, powers):
    mics, levels = bleed(3, 3, seed) @ sparse(3, seed, 5000), 10.0 ** torch.tensor(powers, dtype=torch.float64)
    found, scaled = (ica(m, tol=1e-8) for m in (mics, levels[:, None] * mics))
    assert torch.allclose(scaled.sources / levels[:, None], found.sources, atol=1e-5)
    assert torch.allclose(scaled.gains, levels[:, None] * found.gains / levels, rtol=1e-3, atol=0)


def test_an_assignment_says_which_sources():
    sources, gains = sparse(3, 4), bleed(3, 3, 4)
    found = ica(gains @ sources, assignment=[2, 0])
    assert si_sdr(found.sources, sources[[2, 0]]).min() > 25
    assert (found.gains - gains[:, [2, 0]]).abs().max() < 0.06
    assert torch.equal(found.gains[[2, 0], [0, 1]], torch.ones(2, dtype=torch.float64))


def test_the_start_at_random_finds_the_same():
    sources, gains = sparse(3, 5), bleed(3, 3, 5)
    mics = gains @ sources
    alone = ica(mics, tol=1e-8)
    for seed in range(3):
        found = ica(mics, tol=1e-8, seed=seed)
        assert torch.allclose(found.sources, alone.sources, atol=1e-3)
    assert torch.equal(found.sources, ica(mics, tol=1e-8, seed=2).sources)


def test_a_source_that_is_louder_at_the_wrong_microphone_keeps_its_own():
    """Both microphones hear the first source best; each component is still given away once."""
    sources, gains = sparse(2, 13), torch.tensor([[1, 0.1], [2, 1]], dtype=torch.float64)
    found = ica(gains @ sources)
    assert si_sdr(found.sources, sources).min() > 25 and found.details["notes"] == []


def test_the_start_is_at_the_microphones():
    """Without bleed nothing is to be found: the first step ends where it started."""
    clean = sparse(4, 14)
    assert ica(clean, tol=1e-3).n_iter == 1
    assert ica(clean, tol=1e-3, seed=0).n_iter > 3
    # Nor with a microphone too many, which takes the place of one of the others.
    assert ica(clean[[0, 1, 2, 3, 3]], tol=1e-3).n_iter < 5


# Odd microphones


def test_a_silent_microphone_stays_silent_and_the_others_do_not_notice():
    sources, gains = sparse(3, 6), bleed(3, 3, 6)
    mics = gains @ sources
    mics[1] = 0
    found = ica(mics)
    assert found.sources[1].abs().max() == 0 and found.details["rank"] == 2
    assert torch.equal(found.gains[:, 1], torch.tensor([0.0, 1, 0], dtype=torch.float64))
    without = ica(mics[[0, 2]])
    assert torch.allclose(found.sources[[0, 2]], without.sources, atol=1e-9)


def test_two_equal_microphones_share_a_component():
    sources = sparse(2, 7)
    mics = (bleed(2, 2, 7) @ sources)[[0, 1, 1]]
    found = ica(mics)
    assert found.details["rank"] == 2 and "sources 1 and 2 share a component" in found.details["notes"][0]
    assert si_sdr(found.sources, sources[[0, 1, 1]]).min() > 25
    assert torch.allclose(found.sources[1], found.sources[2], atol=1e-9)


def test_a_constant_microphone_comes_back_as_it_is():
    mics = bleed(2, 2, 8) @ sparse(2, 8)
    found = ica(torch.cat([mics, torch.full((1, SAMPLES), 0.3, dtype=torch.float64)]))
    assert torch.equal(found.sources[2], torch.full((SAMPLES,), 0.3, dtype=torch.float64))
    assert torch.allclose(found.sources[:2], ica(mics).sources, atol=1e-9)


def test_an_offset_is_separated_like_a_signal():
    """Also where it is ten thousand times the signal."""
    sources, mics = sparse(2, 9), bleed(2, 2, 9) @ sparse(2, 9)
    for offset in torch.tensor([[[0.5], [-0.2]], [[1e4 * sources.std()], [0.0]]], dtype=torch.float64):
        plain, moved = ica(mics, tol=1e-8), ica(mics + offset, tol=1e-8)
        demixing = torch.tensor(plain.details["demixing"], dtype=torch.float64)
        assert torch.allclose(moved.sources, plain.sources + demixing @ offset, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("samples", [1, 2, 3, 4])
def test_fewer_samples_than_microphones_have_a_result(samples):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = ica(sparse(4, 10, samples))
    assert torch.isfinite(found.sources).all() and found.details["rank"] == samples - 1


def test_one_sample_comes_back():
    mics = sparse(3, 11, 1)
    assert torch.equal(ica(mics).sources, mics)


def test_gaussian_sources_do_not_converge_in_two_iterations_and_it_says_so():
    mics = torch.randn(4, 3000, generator=torch.Generator().manual_seed(0))
    with pytest.warns(ConvergenceWarning, match="ica: not converged after 2 iterations"):
        found = ica(mics, max_iter=2, seed=0)
    assert not found.converged and found.n_iter == 2


def test_numbers_that_overflow_are_named():
    with pytest.raises(FloatingPointError, match=r"second moments .* not finite \(before iteration 1\)"):
        ica(torch.full((2, 10), 1e200, dtype=torch.float64))


def test_the_seed_decides_where_the_rotation_starts():
    mics = bleed(3, 3, 4) @ sparse(3, 4)
    one, same, other = (ica(mics, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.sources, same.sources) and not torch.equal(one.sources, other.sources)


# In pieces


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, SAMPLES - 1), unique=True, max_size=4).map(sorted), seed=st.integers(0, 20))
def test_wherever_the_recording_is_cut_the_matrix_is_the_same(cuts, seed):
    mics = (bleed(3, 3, seed) @ sparse(3, seed)).float()
    bounds = [0, *cuts, SAMPLES]
    cuts = list(pairwise(bounds))
    whole = ica(mics)
    separator = independent_components(Recording.in_memory(mics, cuts=cuts))
    joined = torch.cat([separator.reduce(mics[:, a:b]).sources for a, b in cuts], dim=1)
    assert torch.allclose(joined, whole.sources, atol=1e-6)
    assert torch.allclose(separator.gains.float(), whole.gains, atol=1e-5) and separator.overlap == 0


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=12), most=st.integers(1, 300))
def test_the_samples_kept_are_evenly_spaced_wherever_the_cuts_are(lengths, most):
    total = sum(lengths)
    ramp = torch.arange(total, dtype=torch.float64)[None]
    moments, kept = _gather(((piece, None) for piece in ramp.split(lengths, dim=1)), most)
    stride = 2 ** max(0, math.ceil(math.log2(total / most)))
    assert kept[0].tolist() == list(range(0, total, stride)) and kept.shape[1] <= most
    assert moments[-1, -1] == total and moments[0, 1] == total * (total - 1) / 2


def test_a_subset_of_the_samples_is_nearly_the_whole():
    sources, gains = sparse(3, 12), bleed(3, 3, 12)
    found = ica(gains @ sources, max_frames=5000)
    assert found.details["frames"] == 5000 and si_sdr(found.sources, sources).min() > 20


def test_what_it_needs_is_imported_when_it_runs():
    script = (
        "import sys, irtools; irtools.METHODS; print(*{'sklearn', 'scipy.linalg', 'scipy.optimize'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"fun": "tanh"}, ValueError, "fun: expected one of logcosh, exp, cube, got 'tanh'"),
        ({"max_iter": 0}, ValueError, "max_iter: expected at least 1, got 0"),
        ({"max_iter": 2.0}, TypeError, "max_iter: expected an int, got float"),
        ({"max_frames": 10}, ValueError, "max_frames: expected at least 1000, got 10"),
        ({"tol": 0}, ValueError, "tol: expected more than 0 and less than 1"),
        ({"tol": "low"}, TypeError, "tol: expected a number, got str"),
        ({"tol": math.nan}, ValueError, "tol: expected more than 0 and less than 1"),
        ({"seed": -1}, ValueError, "seed: expected at least 0"),
        ({"seed": 0.5}, TypeError, "seed: expected an int, got float"),
        ({"n_sources": 3}, ValueError, "n_sources: expected 1 to 2"),
        ({"assignment": [0, 0]}, ValueError, "assignment: expected each microphone once"),
    ],
)
def test_settings_that_make_no_sense_are_named(options, error, words):
    with pytest.raises(error, match=words):
        ir.reduce(torch.zeros(2, 100), 8000, method="ica", **options)
