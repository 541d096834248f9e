"""Weighted covariances against the sum that defines them, in double precision."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from irtools.kernels import blocks
from irtools.kernels.weighted_covariance import outer_products, weighted_covariance

DTYPES = {torch.float32: 2e-5, torch.float64: 1e-12, torch.complex64: 2e-5, torch.complex128: 1e-12}


def draw(shape, dtype, seed=0):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def by_definition(x, weights):
    wide = x.to(torch.complex128 if x.is_complex() else torch.float64)
    return torch.einsum("...nt,...it,...jt->...nij", weights.to(wide), wide, wide.conj()) / x.shape[-1]


@settings(deadline=None)
@given(
    dtype=st.sampled_from(list(DTYPES)),
    batch=st.sampled_from([(), (1,), (5,), (2, 3)]),
    mics=st.integers(1, 6),
    sources=st.integers(1, 5),
    frames=st.integers(1, 40),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_it_is_the_mean_of_weighted_outer_products(dtype, batch, mics, sources, frames, scale):
    x = scale * draw((*batch, mics, frames), dtype)
    weights = draw((*batch, sources, frames), x.real.dtype, 1).abs()
    found, expected = weighted_covariance(x, weights), by_definition(x, weights)
    assert found.shape == expected.shape and found.dtype == dtype
    size = expected.abs().amax()
    assert (found - expected).abs().amax() <= DTYPES[dtype] * size
    assert torch.equal(found, found.mH)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_products_made_once_give_the_same(dtype):
    x, weights = draw((3, 4, 50), dtype), draw((3, 2, 50), torch.float64, 1).abs()
    products = outer_products(x)
    assert products.shape == (3, 16 if x.is_complex() else 10, 50) and not products.is_complex()
    assert torch.allclose(
        weighted_covariance(x, weights, products=products), weighted_covariance(x, weights), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("shape", [(3, 2, 5), (7, 4, 60), (1, 5, 3000), (2, 3, 2, 1100), (0, 2, 5)], ids=str)
def test_blocks_of_frequencies_give_the_same(dtype, shape, monkeypatch):
    monkeypatch.setattr(blocks, "VALUES_AT_ONCE", 1 << 9)
    x, weights = draw(shape, dtype), draw((*shape[:-2], 3, shape[-1]), torch.float64, 1).abs()
    assert torch.allclose(weighted_covariance(x, weights), by_definition(x, weights), rtol=1e-12, atol=1e-14)


def test_a_batch_of_weights_under_one_recording():
    x, weights = draw((4, 60), torch.complex128), draw((5, 2, 60), torch.float64, 1).abs()
    assert torch.allclose(weighted_covariance(x, weights), by_definition(x[None], weights))


def test_gradients_go_through():
    x, weights = draw((2, 3, 5), torch.complex128), draw((2, 2, 5), torch.float64, 1).abs()
    assert torch.autograd.gradcheck(weighted_covariance, (x.requires_grad_(), weights.requires_grad_()))


def test_the_order_of_microphones_and_sources_carries_over():
    x, weights = draw((4, 60), torch.complex128), draw((3, 60), torch.float64, 1).abs()
    mics, sources = [2, 0, 3, 1], [1, 2, 0]
    moved = weighted_covariance(x[mics], weights[sources])
    assert torch.allclose(moved, weighted_covariance(x, weights)[sources][:, mics][:, :, mics])


def test_bad_weights_are_refused_by_name():
    with pytest.raises(ValueError, match="weights: expected 8 frames as in x, got 7"):
        weighted_covariance(torch.zeros(2, 8), torch.zeros(2, 7))
    with pytest.raises(ValueError, match="weights: expected a real dtype, got complex64"):
        weighted_covariance(torch.zeros(2, 8), torch.zeros(2, 8, dtype=torch.cfloat))
