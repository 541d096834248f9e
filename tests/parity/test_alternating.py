"""The moments give the iterates of the rules as printed, for every published variant."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import irtools as ir
from irtools.methods.alternating.loops import alternate_on_samples
from irtools.methods.alternating.updates import VARIANTS, AMSettings

am = partial(ir.reduce, sample_rate=8000, method="am")


def sparse_sources(n_sources, samples, seed):
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(n_sources, samples, generator=generator, dtype=torch.float64)
    return draw * torch.rand(n_sources, samples, generator=generator, dtype=torch.float64) ** 4


def mix(sources, seed, low=0.01, high=0.4):
    n = len(sources)
    gains = torch.empty(n, n, dtype=torch.float64)
    gains.uniform_(low, high, generator=torch.Generator().manual_seed(seed)).fill_diagonal_(1)
    return gains @ sources


def distance(found, expected):
    return float((found - expected).norm() / expected.norm())


def assert_same_iterates(mics, mixdown, chosen, n_iter, bound=1e-8):
    exact = replace(chosen, stop="objective", tol=0.0, max_iter=n_iter, block_samples=None)
    gains, sources, weights, cost = alternate_on_samples(mics, mixdown, exact, n_iter)
    with pytest.warns(UserWarning, match="still moving"):
        found = am(
            mics, mixture="mixdown", mixdown=mixdown, **{k: getattr(exact, k) for k in exact.__dataclass_fields__}
        )
    assert distance(found.gains, gains) < bound
    # The printed S is dry; ours is at the own microphone.
    assert distance(found.sources, gains.diagonal()[:, None] * sources) < bound
    assert distance(torch.tensor(found.details["weights"]), weights.float()) < 1e-6
    expected = torch.tensor(cost)
    power = float((mics**2).sum())
    assert torch.allclose(found.cost, expected.double(), rtol=1e-6, atol=1e-12 * power)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("privileged", [True, False], ids=["clean", "mics"])
def test_every_variant_has_the_iterates_of_the_printed_rules(variant, privileged):
    sources = sparse_sources(4, 3000, seed=1)
    mics = mix(sources, seed=2)
    assert_same_iterates(mics, (sources if privileged else mics).sum(0), VARIANTS[variant], n_iter=25)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(2, 6),
    seed=st.integers(0, 10_000),
    eta_in=st.sampled_from(["gram", "both", "sources"]),
    learned=st.booleans(),
    dominant=st.booleans(),
    low=st.floats(0.6, 1.0),
    log_eta=st.integers(-8, -1),
)
def test_iterates_agree_for_any_settings(n, seed, eta_in, learned, dominant, low, log_eta):
    sources = sparse_sources(n, 800, seed)
    chosen = AMSettings(
        diagonal=(low, 1.0),
        off_diagonal=(1e-3, 0.3),
        dominant=dominant,
        weights="learned" if learned else "ones",
        eta=10.0**log_eta,
        eta_in=eta_in,
    )
    # Far from the clips the learned problem has a flat valley, where rounding grows with the iterations.
    assert_same_iterates(mix(sources, seed + 1), sources.sum(0), chosen, n_iter=6, bound=1e-7)


def test_blocks_are_independent_problems():
    sources = sparse_sources(3, 25 * 7 + 11, seed=5)
    mics = mix(sources, seed=6)
    mixdown = sources.sum(0)
    options = {"variant": "solver", "mixture": "clean"}
    found = am(mics, mixdown=mixdown, **options)
    for start in range(0, mics.shape[1], 25):
        piece = slice(start, start + 25)
        alone = am(mics[:, piece], mixdown=mixdown[piece], **options, block_samples=None)
        assert torch.allclose(found.sources[:, piece], alone.sources, rtol=1e-6, atol=1e-9)
    assert found.gains.shape == (3, 3)
