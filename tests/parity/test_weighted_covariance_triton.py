"""The fused weighted covariances against their definition in double precision; without a GPU, in the interpreter."""

import pytest
import torch
from interpreter import inside_nan, on_triton

from irtools.kernels.weighted_covariance import _reference, outer_products, weighted_covariance

ATOL = 1e-6

# Frequencies, microphones, sources, frames: ones, odd and even numbers of pairs, a block of frames and one more or
# less, several programs for the frames, several groups of microphones, of pairs and of sources, the most.
SHAPES = [
    (1, 1, 1, 1),
    (3, 2, 1, 127),
    (2, 3, 5, 128),
    (2, 4, 4, 129),
    (1, 1, 2, 1300),
    (1, 2, 2, 1100),
    (2, 5, 2, 63),
    (1, 8, 8, 65),
    (1, 9, 9, 31),
    (1, 17, 2, 33),
    (1, 32, 2, 31),
    (1, 3, 32, 40),
]


def shown(shape):
    return "{}f-{}k-{}n-{}t".format(*shape)


def draw(shape, scale=1.0):
    freqs, mics, sources, frames = shape
    generator = torch.Generator().manual_seed(0)
    x = scale * torch.randn(freqs, mics, frames, dtype=torch.complex64, generator=generator)
    return inside_nan(x), inside_nan(torch.rand(freqs, sources, frames, generator=generator) ** 4 / scale)


def assert_close_to_double(found, x, weights):
    """At most twice the error of plain single precision and a few roundings, relative to the levels of the mics."""
    wide, single = x.to(torch.complex128), _reference.weighted_covariance(outer_products(x), weights, x.shape[1], True)
    truth = torch.einsum("fnt,fit,fjt->fnij", weights.to(wide), wide, wide.conj()) / x.shape[-1]
    level = torch.diagonal(truth, dim1=-2, dim2=-1).real.sqrt()
    level = level[..., :, None] * level[..., None, :]
    assert found.dtype == x.dtype and found.shape == truth.shape
    assert torch.equal(found, found.mH)
    error, allowed = (((ours - truth).abs() / level).max() for ours in (found, single))
    assert error <= 2 * allowed + ATOL


@on_triton
@pytest.mark.parametrize("shape", SHAPES, ids=shown)
def test_it_is_the_mean_of_weighted_outer_products(shape, nan_in_new_memory):
    x, weights = draw(shape)
    assert_close_to_double(weighted_covariance(x, weights, backend="triton"), x, weights)


@on_triton
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_extreme_scales(scale, nan_in_new_memory):
    x, weights = draw((2, 3, 3, 70), scale)
    assert_close_to_double(weighted_covariance(x, weights, backend="triton"), x, weights)


@on_triton
def test_a_recording_that_is_a_conjugate_and_products_that_are_there_already():
    x, weights = draw((1, 3, 2, 40))
    found = weighted_covariance(x, weights, products=outer_products(x), backend="triton")
    assert torch.equal(found, weighted_covariance(x, weights, backend="triton"))
    assert torch.equal(weighted_covariance(x.conj(), weights, backend="triton"), found.conj())


@on_triton
@pytest.mark.parametrize("shape", [(1, 2, 2, 1100), (2, 5, 3, 65)], ids=shown)
def test_two_runs_agree_in_every_bit(shape):
    x, weights = draw(shape)
    assert torch.equal(*(weighted_covariance(x, weights, backend="triton") for _ in range(2)))


@on_triton
def test_what_is_not_a_number_stays_with_its_microphone_and_source():
    x, weights = draw((1, 3, 2, 40))
    weights[0, 1, 5] = torch.nan
    x[0, 2, 3] = torch.nan
    bad = weighted_covariance(x, weights, backend="triton")[0].isnan()
    assert bad[1].all() and bad[0].nonzero().tolist() == [[0, 2], [1, 2], [2, 0], [2, 1], [2, 2]]


ZEROS, SPECTRA = torch.zeros(1, 2, 4), torch.zeros(1, 2, 4, dtype=torch.cfloat)


@pytest.mark.parametrize(
    ("x", "weights", "products", "reason"),
    [
        (SPECTRA[:, :1].expand(1, 33, 4), ZEROS, None, "33 microphones and 2 sources"),
        (SPECTRA, torch.zeros(1, 40, 4), None, "2 microphones and 40 sources"),
        (ZEROS, ZEROS, torch.zeros(1, 3, 4), r"shapes \(1, 2, 4\) and \(1, 2, 4\) of torch.float32"),
        (SPECTRA[0], ZEROS[0], None, r"shapes \(2, 4\)"),
        (SPECTRA, ZEROS.expand(3, 2, 4), None, r"and \(3, 2, 4\)"),
        (SPECTRA[..., :0], ZEROS[..., :0], None, "nothing to add up"),
        (SPECTRA.to(torch.cdouble), ZEROS.double(), None, "dtype complex128"),
        (SPECTRA, ZEROS.clone().requires_grad_(), None, "a gradient is asked for"),
    ],
)
def test_what_the_kernel_does_not_take_is_refused_or_left_to_torch(x, weights, products, reason):
    with pytest.raises(RuntimeError, match=rf"backend: 'triton' cannot run: .*{reason}"):
        weighted_covariance(x, weights, products=products, backend="triton")
    assert weighted_covariance(x, weights, products=products).shape[-3:] == (weights.shape[-2], *2 * x.shape[-2:-1])
