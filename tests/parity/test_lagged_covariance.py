"""Lagged covariances against the sums that define them, in double precision."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import pad

from irtools.kernels import blocks
from irtools.kernels import lagged_covariance as kernel
from irtools.kernels.lagged_covariance import _blocks, _reference, lagged_covariance

DTYPES = {torch.complex64: 2e-5, torch.complex128: 1e-12}


def draw(freqs, sources, frames, dtype=torch.complex128, scale=1.0):
    generator = torch.Generator().manual_seed(0)
    z = scale * torch.randn(freqs, sources, frames, dtype=dtype, generator=generator)
    x = scale * torch.randn(freqs, frames, dtype=dtype, generator=generator)
    return z, x, torch.rand(freqs, frames, dtype=x.real.dtype, generator=generator)


def by_definition(z, x, weights, taps, every=1):
    """The stack of lagged frames, one by one."""
    freqs, sources, frames = z.shape
    b = torch.zeros(freqs, sources * taps, frames, dtype=torch.complex128)
    for source in range(sources):
        for lag in range(taps):
            for frame in range(lag, frames):
                b[:, source * taps + lag, frame] = z[:, source, frame - lag]
    weights = weights.to(b) * (torch.arange(frames) % every == 0)
    covariance = torch.einsum("ft,fit,fjt->fij", weights, b, b.conj())
    return covariance, torch.einsum("ft,ft,fjt->fj", weights, x.to(b), b.conj())


def assert_close(found, expected, tolerance=1e-12):
    for ours, truth in zip(found, expected, strict=True):
        assert ours.shape == truth.shape
        assert (ours - truth).abs().max() <= tolerance * truth.abs().max()


@settings(deadline=None)
@given(
    dtype=st.sampled_from(list(DTYPES)),
    freqs=st.integers(1, 4),
    sources=st.integers(1, 4),
    frames=st.integers(1, 30),
    taps=st.integers(1, 9),
    every=st.integers(1, 4),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_they_are_the_weighted_sums_of_outer_products(dtype, freqs, sources, frames, taps, every, scale):
    arguments = draw(freqs, sources, frames, dtype, scale)
    plain = lagged_covariance(*arguments, taps, every=every)
    blocked = _blocks.lagged_covariance(*arguments, taps, every)
    assert all(part.dtype == dtype for part in (*plain, *blocked))
    for found in (plain, blocked):
        assert_close(found, by_definition(*arguments, taps, every), DTYPES[dtype])
    assert_close([plain[0]], [plain[0].mH], DTYPES[dtype])
    assert torch.equal(blocked[0], blocked[0].mH)


@pytest.fixture(params=[False, True], ids=["few", "many"])
def many(request, monkeypatch):
    """Whether the products are so many that real matrix products form them."""
    monkeypatch.setattr(kernel, "_LEAST_PRODUCTS", 0 if request.param else 1 << 60)


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("shape", [(7, 3, 60), (1, 2, 700), (3, 5, 41)], ids=str)
def test_blocks_of_frequencies_give_the_same(shape, every, many, monkeypatch):
    for module, name in ((blocks, "VALUES_AT_ONCE"), (_blocks, "_VALUES_AT_ONCE")):
        monkeypatch.setattr(module, name, 1 << 9)
    arguments = draw(*shape)
    assert_close(lagged_covariance(*arguments, 5, every=every), by_definition(*arguments, 5, every))


@pytest.mark.parametrize("shape", [(2, 1, 9), (3, 3, 200), (2, 7, 90)], ids=str)
def test_rows_of_other_levels_lose_no_more_digits_than_in_the_plain_product(shape):
    z, x, weights = draw(*shape, torch.complex64)
    z *= 10.0 ** torch.arange(shape[1])[:, None]
    truth, _ = by_definition(z, x, weights, 5)
    level = torch.diagonal(truth, dim1=1, dim2=2).real.sqrt()
    level = level[:, :, None] * level[:, None, :]
    found, plain = _blocks.lagged_covariance(z, x, weights, 5, 1), _reference.lagged_covariance(z, x, weights, 5, 1)
    error, allowed = (((part[0] - truth).abs() / level).max() for part in (found, plain))
    assert error <= 3 * allowed + 1e-6


def test_views_and_conjugates_give_the_same(many):
    z, x, weights = draw(2, 3, 60)
    z, x, weights = (part[..., ::2] for part in (z, x, weights))
    found = lagged_covariance(z.conj(), x.conj(), weights, 4, every=2)
    assert_close([part.conj() for part in found], by_definition(z, x, weights, 4, 2))


@pytest.mark.parametrize("shape", [(0, 2, 5), (2, 0, 5), (2, 3, 0)], ids=str)
def test_nothing_to_add_up_gives_zeros(shape, many):
    covariance, cross = lagged_covariance(*draw(*shape), 4)
    assert covariance.shape == (shape[0], 4 * shape[1], 4 * shape[1]) and cross.shape == (shape[0], 4 * shape[1])
    assert not covariance.any() and not cross.any()


@pytest.mark.parametrize("every", [1, 2])
def test_the_gains_of_a_noiseless_mixture_are_found(every, many):
    z, _, weights = draw(3, 2, 90)
    gains = torch.randn(3, 8, dtype=z.dtype, generator=torch.Generator().manual_seed(1))
    x = torch.zeros_like(z[:, 0])
    for row in range(8):
        source, lag = divmod(row, 4)
        x[:, lag:] += gains[:, row, None] * z[:, source, : z.shape[2] - lag]
    covariance, cross = lagged_covariance(z, x, weights, 4, every=every)
    assert_close([torch.linalg.solve(covariance, cross[:, None], left=False)[:, 0]], [gains], 1e-9)


def test_a_recording_that_starts_one_frame_later_gives_the_same(many):
    z, x, weights = draw(2, 3, 40)
    later = [pad(part, (1, 0), value=first) for part, first in ((z, 0), (x, 9), (weights, 0))]
    assert_close(lagged_covariance(*later, 5), lagged_covariance(z, x, weights, 5))


def test_fewer_taps_are_a_part_of_more(many):
    arguments = draw(2, 3, 40)
    few, more = lagged_covariance(*arguments, 2, every=2), lagged_covariance(*arguments, 6, every=2)
    rows = [6 * source + lag for source in range(3) for lag in range(2)]
    assert_close(few, (more[0][:, rows][:, :, rows], more[1][:, rows]))


def test_the_order_of_sources_carries_over(many):
    z, x, weights = draw(2, 3, 40)
    order = [2, 0, 1]
    rows = [4 * source + lag for source in order for lag in range(4)]
    covariance, cross = lagged_covariance(z, x, weights, 4)
    assert_close(lagged_covariance(z[:, order], x, weights, 4), (covariance[:, rows][:, :, rows], cross[:, rows]))


def test_a_weight_of_zero_leaves_a_frame_out_and_every_sets_the_others_to_zero(many):
    z, x, weights = draw(2, 3, 41)
    kept = weights * (torch.arange(41) % 3 == 0)
    assert_close(lagged_covariance(z, x, weights, 4, every=3), lagged_covariance(z, x, kept, 4))


def test_gradients_go_through_also_where_a_weight_is_zero(many):
    z, x, weights = draw(2, 2, 7)
    weights[0, 3] = 0
    arguments = [part.requires_grad_() for part in (z, x, weights)]
    assert torch.autograd.gradcheck(lambda *parts: lagged_covariance(*parts, 3, every=2), arguments)


Z, X, W = torch.zeros(2, 3, 8, dtype=torch.cfloat), torch.zeros(2, 8, dtype=torch.cfloat), torch.zeros(2, 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((Z[0], X, W, 2), r"z: expected shape \(freqs, sources, frames\), got \(3, 8\)"),
        ((Z.real, X, W, 2), "z: expected a complex dtype, got float32"),
        ((Z, X[:1], W, 2), r"x: expected shape \(2, 8\) as in z, got \(1, 8\)"),
        ((Z, X.real, W, 2), "x: expected complex64 with a z of complex64, got float32"),
        ((Z, X, W[:, :7], 2), r"weights: expected shape \(2, 8\) as in z, got \(2, 7\)"),
        ((Z, X, X, 2), "weights: expected float32 with a z of complex64, got complex64"),
        ((Z, X, W.double(), 2), "weights: expected float32 with a z of complex64, got float64"),
        ((Z, X, W, 0), "taps: expected at least 1, got 0"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        lagged_covariance(*arguments)


def test_no_frames_between_and_an_unknown_backend_are_refused_by_name():
    with pytest.raises(ValueError, match="every: expected at least 1, got 0"):
        lagged_covariance(Z, X, W, 2, every=0)
    with pytest.raises(ValueError, match="backend: expected one of auto, torch, triton, got 'cuda'"):
        lagged_covariance(Z, X, W, 2, backend="cuda")
