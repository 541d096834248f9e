"""The fused lagged covariances against the reference in double precision; without a GPU, in the interpreter."""

import pytest
import torch
from interpreter import inside_nan, on_triton

from irtools.kernels.lagged_covariance import _reference, lagged_covariance

ATOL = 1e-6

# Frequencies, sources, frames, taps, every: ones, more taps than frames, a block of frames and one more or less,
# several programs for the frames, a tile of rows and one more or less, several tiles, with x alone in the last one.
SHAPES = [
    (1, 1, 1, 1, 1),
    (2, 2, 3, 5, 1),
    (3, 1, 31, 1, 1),
    (2, 2, 32, 4, 1),
    (1, 3, 33, 5, 1),
    (2, 1, 64, 13, 2),
    (1, 2, 67, 8, 2),
    (2, 1, 300, 3, 1),
    (1, 2, 1300, 2, 3),
    (1, 4, 40, 8, 1),
    (1, 3, 29, 13, 5),
    (1, 7, 45, 13, 2),
]


def shown(shape):
    return "{}f-{}n-{}t-{}taps-every{}".format(*shape)


def draw(shape, scale=1.0):
    freqs, sources, frames, *_ = shape
    generator = torch.Generator().manual_seed(0)
    z = scale * torch.randn(freqs, sources, frames, dtype=torch.complex64, generator=generator)
    x = scale * torch.randn(freqs, frames, dtype=torch.complex64, generator=generator)
    return tuple(map(inside_nan, (z, x, torch.rand(freqs, frames, generator=generator) ** 4 / scale)))


def assert_close_to_double(found, z, x, weights, taps, every):
    """At most twice the error of plain single precision and a few roundings, relative to the levels of the rows."""
    single = _reference.lagged_covariance(z, x, weights, taps, every)
    truth = _reference.lagged_covariance(z.cdouble(), x.cdouble(), weights.double(), taps, every)
    level = torch.diagonal(truth[0], dim1=1, dim2=2).real.sqrt().clamp_min(1e-30)
    own = (weights.double()[:, ::every] * x.cdouble()[:, ::every].abs() ** 2).sum(1).sqrt()
    assert torch.equal(found[0], found[0].mH)
    for ours, plain, exact, levels in zip(
        found, single, truth, (level[:, :, None] * level[:, None], level * own[:, None]), strict=True
    ):
        assert ours.dtype == z.dtype and ours.shape == exact.shape
        error, allowed = (((part - exact).abs() / levels).max() for part in (ours, plain))
        assert error <= 2 * allowed + ATOL


@on_triton
@pytest.mark.parametrize("shape", SHAPES, ids=shown)
def test_they_are_the_weighted_sums_of_outer_products(shape, nan_in_new_memory):
    arguments = *draw(shape), *shape[3:]
    assert_close_to_double(lagged_covariance(*arguments[:4], every=shape[4], backend="triton"), *arguments)


@on_triton
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_extreme_scales(scale, nan_in_new_memory):
    arguments = draw((2, 3, 70), scale)
    assert_close_to_double(lagged_covariance(*arguments, 6, every=2, backend="triton"), *arguments, 6, 2)


@on_triton
def test_the_longest_spans(monkeypatch):
    from irtools.kernels.lagged_covariance import _triton

    monkeypatch.setattr(_triton, "_PROGRAMS", 1)
    arguments = draw((1, 2, 2500))
    assert_close_to_double(lagged_covariance(*arguments, 3, backend="triton"), *arguments, 3, 1)


@on_triton
def test_a_recording_that_is_a_conjugate():
    z, x, weights = draw((1, 3, 40))
    found = lagged_covariance(z.conj(), x.conj(), weights, 3, backend="triton")
    expected = lagged_covariance(z, x, weights, 3, backend="triton")
    assert all(torch.equal(ours, part.conj()) for ours, part in zip(found, expected, strict=True))


@on_triton
@pytest.mark.parametrize("shape", [(1, 2, 700, 2, 1), (2, 7, 65, 5, 2)], ids=shown)
def test_two_runs_agree_in_every_bit(shape):
    runs = [lagged_covariance(*draw(shape), shape[3], every=shape[4], backend="triton") for _ in range(2)]
    assert all(torch.equal(*parts) for parts in zip(*runs, strict=True))


@on_triton
def test_what_is_not_a_number_stays_with_its_source_and_in_the_frames_that_are_added_up():
    z, x, weights = draw((1, 3, 40))
    z[0, 1, 4] = torch.nan
    x[0, 7] = weights[0, 7] = torch.nan
    covariance, cross = lagged_covariance(z, x, weights, 2, every=2, backend="triton")
    # Frame 4 is one of the frames with no lag, and never the one before.
    assert cross[0].isnan().nonzero().flatten().tolist() == [2]
    bad = torch.zeros(6, 6, dtype=torch.bool)
    bad[2], bad[:, 2] = True, True
    assert torch.equal(covariance[0].isnan(), bad)


Z, X, W = torch.zeros(1, 2, 4, dtype=torch.cfloat), torch.zeros(1, 4, dtype=torch.cfloat), torch.zeros(1, 4)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((Z[..., :0], X[:, :0], W[:, :0]), "nothing to add up"),
        ((Z.cdouble(), X.cdouble(), W.double()), "dtype complex128"),
        ((Z, X, W.clone().requires_grad_()), "a gradient is asked for"),
    ],
)
def test_what_the_kernel_does_not_take_is_refused_or_left_to_torch(arguments, reason):
    with pytest.raises(RuntimeError, match=rf"backend: 'triton' cannot run: .*{reason}"):
        lagged_covariance(*arguments, 3, backend="triton")
    assert lagged_covariance(*arguments, 3)[0].shape == (1, 6, 6)
