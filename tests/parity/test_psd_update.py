"""The updates of the power model against loops over bins, microphones and sources, and what they must not raise."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from irtools.kernels import blocks
from irtools.kernels.psd_update import _reference, gain_sums, psd_step, psd_update, wiener_update
from irtools.methods.powers.fit import divergence
from irtools.methods.powers.settings import NOISE

SHAPES = {
    "freqs": st.integers(1, 4),
    "mics": st.integers(1, 5),
    "sources": st.integers(1, 4),
    "frames": st.integers(1, 9),
}
BETAS = st.sampled_from([0.0, 0.5, 1.0, 1.7, 2.0])


def draw(freqs, mics, sources, frames, seed, common=False):
    generator = torch.Generator().manual_seed(seed)

    def positive(*shape):
        return 0.01 + torch.rand(shape, generator=generator, dtype=torch.float64) ** 4

    return (
        positive(freqs, mics, frames),
        positive(freqs, sources, frames),
        positive(1 if common else freqs, mics, sources),
    )


def loops(power, psd, gains, beta, noise, sparsity):
    """The printed equations, a number at a time."""
    v, p = power.numpy(), psd.numpy()
    freqs, mics, frames = v.shape
    sources = p.shape[1]
    g = np.broadcast_to(gains.numpy(), (freqs, mics, sources))
    new = np.empty_like(p)
    up, down = np.zeros((freqs, mics, sources)), np.zeros((freqs, mics, sources))
    for f in range(freqs):
        for t in range(frames):
            total, geometric = p[f, :, t].sum(), p[f, :, t].prod() ** (1 / sources)
            for n in range(sources):
                a, c = sparsity * sources * geometric / total**2, sparsity * geometric / (p[f, n, t] * total)
                for k in range(mics):
                    model = sum(g[f, k, m] * p[f, m, t] for m in range(sources)) + noise
                    a += g[f, k, n] * v[f, k, t] * model ** (beta - 2)
                    c += g[f, k, n] * model ** (beta - 1)
                new[f, n, t] = p[f, n, t] * a / c
            for k in range(mics):
                model = sum(g[f, k, m] * new[f, m, t] for m in range(sources)) + noise
                for n in range(sources):
                    up[f, k, n] += v[f, k, t] * model ** (beta - 2) * new[f, n, t]
                    down[f, k, n] += model ** (beta - 1) * new[f, n, t]
    return new, up, down


@settings(max_examples=40, deadline=None)
@given(
    **SHAPES,
    seed=st.integers(0, 999),
    common=st.booleans(),
    beta=BETAS,
    noise=st.sampled_from([0.0, 0.1]),
    sparsity=st.sampled_from([0.0, 2.0]),
)
def test_one_step_is_the_printed_one(freqs, mics, sources, frames, seed, common, beta, noise, sparsity):
    power, psd, gains = draw(freqs, mics, sources, frames, seed, common)
    found = psd_update(power, psd, gains, beta=beta, noise=noise, sparsity=sparsity)
    for ours, expected in zip(found, loops(power, psd, gains, beta, noise, sparsity), strict=True):
        assert np.allclose(ours.numpy(), expected, rtol=1e-9)
    assert torch.equal(psd_step(power, psd, gains, beta=beta, noise=noise, sparsity=sparsity), found[0])
    again = gain_sums(power, found[0], gains, beta=beta, noise=noise)
    assert torch.equal(again[0], found[1]) and torch.equal(again[1], found[2])


@settings(max_examples=40, deadline=None)
@given(**SHAPES, seed=st.integers(0, 999), alpha=st.sampled_from([0.5, 1.0, 1.5, 2.0]))
def test_the_wiener_step_is_the_power_of_the_masked_close_microphones(freqs, mics, sources, frames, seed, alpha):
    power, psd, gains = draw(freqs, mics, sources, frames, seed)
    close = torch.rand(mics, sources, generator=torch.Generator().manual_seed(seed)) < 0.5
    close[seed % mics] = True
    found = wiener_update(power, psd, gains, close.double(), alpha=alpha)
    images = gains[:, :, :, None] * psd[:, None]
    masked = (images / images.sum(2, keepdim=True)) ** alpha * power[:, :, None] / gains[..., None]
    expected = (masked * close[:, :, None]).sum(1) / close.sum(0)[:, None]
    assert torch.allclose(found, expected, rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(**SHAPES, seed=st.integers(0, 999), common=st.booleans(), beta=BETAS)
def test_neither_step_raises_the_divergence(freqs, mics, sources, frames, seed, common, beta):
    power, psd, gains = draw(freqs, mics, sources, frames, seed, common)
    cost = [divergence(power, psd, gains, beta)]
    for _ in range(5):
        psd, up, down = psd_update(power, psd, gains, beta=beta, noise=NOISE)
        cost.append(divergence(power, psd, gains, beta))
        gains = gains * (up.sum(0, keepdim=True) / down.sum(0, keepdim=True) if common else up / down)
        cost.append(divergence(power, psd, gains, beta))
    assert all(after <= before + 1e-9 * cost[0] for before, after in itertools.pairwise(cost))


@settings(max_examples=30, deadline=None)
@given(**SHAPES, seed=st.integers(0, 999), scale=st.sampled_from([1e-6, 1.0, 1e6]))
def test_single_precision_is_close_at_any_scale(freqs, mics, sources, frames, seed, scale):
    power, psd, gains = draw(freqs, mics, sources, frames, seed)
    exact = psd_update(scale * power, scale * psd, gains)
    for single, double in zip(
        psd_update((scale * power).float(), (scale * psd).float(), gains.float()), exact, strict=True
    ):
        assert single.dtype == torch.float32
        assert torch.allclose(single.double(), double, rtol=2e-5)


@pytest.mark.parametrize("common", [False, True], ids=["per frequency", "common"])
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("sparsity", [0.0, 2.0])
def test_blocks_of_frequencies_give_what_all_at_once_give(beta, sparsity, common, monkeypatch):
    # Two frequencies at a time, the last alone, of arrays whose axes lie in another order.
    monkeypatch.setattr(blocks, "VALUES_AT_ONCE", 2 * 4 * 9)
    power, psd, gains = draw(7, 4, 3, 9, seed=0, common=common)
    power, psd = (part.transpose(0, 1).contiguous().transpose(0, 1) for part in (power, psd))
    before = [part.clone() for part in (power, psd, gains)]
    found = psd_update(power, psd, gains, beta=beta, noise=0.1, sparsity=sparsity, floor=1e-3)
    for ours, expected in zip(found, _reference.psd_update(power, psd, gains, beta, 0.1, sparsity, 1e-3), strict=True):
        assert torch.allclose(ours, expected, rtol=1e-12)
    assert torch.equal(psd_step(power, psd, gains, beta=beta, noise=0.1, sparsity=sparsity, floor=1e-3), found[0])
    close = torch.eye(4, 3, dtype=torch.float64)
    for weights in (close, close.expand(7, -1, -1)):
        moved = wiener_update(power, psd, gains, weights, alpha=1.5, noise=0.1)
        assert torch.allclose(moved, _reference.wiener_update(power, psd, gains, weights, 1.5, 0.1, 0.0), rtol=1e-12)
    assert all(map(torch.equal, (power, psd, gains), before))


def test_a_model_that_fits_stays():
    _, psd, gains = draw(3, 4, 2, 5, seed=0)
    found, up, down = psd_update(gains @ psd, psd, gains)
    assert torch.allclose(found, psd) and torch.allclose(up, down)


def test_silence_goes_to_the_floor_and_weighs_nothing():
    _, psd, gains = draw(1, 3, 2, 6, seed=1)
    power = torch.zeros(1, 3, 6, dtype=torch.float64)
    found, _, down = psd_update(power, psd, gains, noise=1e-10, floor=1e-16)
    assert torch.equal(found, torch.full_like(psd, 1e-16)) and down.max() < 1e-4


def test_shapes_that_do_not_fit_are_refused():
    power, psd, gains = draw(2, 3, 2, 4, seed=0)
    with pytest.raises(ValueError, match=r"psd: expected shape \(2, sources, 4\)"):
        psd_update(power, psd[:, :, :3], gains)
    with pytest.raises(ValueError, match=r"gains: expected shape \(2, 3, 2\) or \(1, 3, 2\), got \(2, 2, 3\)"):
        gain_sums(power, psd, gains.mT)
    with pytest.raises(ValueError, match="gains"):
        wiener_update(power, psd, gains[0], torch.ones(3, 2))
