"""The fused second moments against the float64 product; without a GPU, in Triton's interpreter."""

import pytest
import torch
from interpreter import DEVICE, on_triton

from irtools.kernels.second_moments import second_moments

# Rows of one or two tensors, and samples: one, primes, a whole block and one more or less, several programs, tiles.
SHAPES = [
    ((1,), 1),
    ((3,), 127),
    ((2, 3), 128),
    ((4, 1), 129),
    ((1,), 4097),
    ((2,), 4500),
    ((8, 1), 1031),
    ((11,), 257),
    ((12,), 200),
    ((16, 1), 131),
    ((32, 1), 127),
]


def draw(rows, samples, scale=1.0):
    """Rows as views with steps into memory that holds NaN everywhere else."""
    generator = torch.Generator().manual_seed(0)
    parts = []
    for n in rows:
        room = torch.full((2 * n + 1, 3 * samples + 2), torch.nan, device=DEVICE)
        view = room[1::2, 1 : 3 * samples : 3]
        view.copy_(scale * torch.randn(n, samples, generator=generator))
        parts.append(view)
    return parts


def assert_double(found, parts):
    """Every entry to 1e-13 of the levels of its two rows, ten times finer than the contract of the reference."""
    wide = torch.cat(parts).double()
    expected = wide @ wide.T
    assert found.dtype == expected.dtype and found.shape == expected.shape
    level = expected.diagonal().sqrt()
    assert ((found - expected).abs() <= 1e-13 * level[:, None] * level[None, :]).all()


@on_triton
@pytest.mark.parametrize(("rows", "samples"), SHAPES, ids=str)
def test_equals_the_float64_product(rows, samples, nan_in_new_memory):
    parts = draw(rows, samples)
    assert_double(second_moments(*parts, backend="triton"), parts)


@on_triton
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_extreme_scales(scale, nan_in_new_memory):
    parts = draw((3, 1), 150, scale)
    assert_double(second_moments(*parts, backend="triton"), parts)


@on_triton
def test_one_row_that_is_repeated_and_the_imaginary_part_of_a_conjugate(nan_in_new_memory):
    mics, (mixture, _) = draw((3,), 61)[0], draw((1, 1), 61)
    assert_double(second_moments(mics, mixture.expand(2, 61), backend="triton"), [mics, mixture.expand(2, 61)])
    negated = torch.complex(mics, mics).conj().imag
    assert_double(second_moments(negated, backend="triton"), [negated])


@on_triton
def test_sums_are_in_double_precision():
    z = torch.full((1, 1 << 13), 0.1, device=DEVICE)
    exact = (1 << 13) * float(z[0, 0]) ** 2
    assert abs(second_moments(z, backend="triton").item() / exact - 1) < 1e-12


@on_triton
def test_two_runs_agree_in_every_bit():
    parts = draw((2, 1), 4500)
    runs = [second_moments(*parts, backend="triton") for _ in range(2)]
    assert torch.equal(*runs) and torch.equal(runs[0], runs[0].mH)


@on_triton
def test_what_is_not_a_number_stays_in_its_row():
    (z,) = draw((3,), 40)
    z[1, 7] = torch.nan
    assert second_moments(z, backend="triton").isnan().nonzero().tolist() == [[0, 1], [1, 0], [1, 1], [1, 2], [2, 1]]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([torch.zeros(34, 2)], "34 rows"),
        ([torch.zeros(1, 2)] * 3, "3 tensors of up to 2 axes"),
        ([torch.zeros(2, 1, 2)], "1 tensors of up to 3 axes"),
        ([torch.zeros(1, 0)], "nothing to add up"),
        ([torch.zeros(1, 2, dtype=torch.float64)], "dtype float64"),
        ([torch.zeros(1, 2, requires_grad=True)], "a gradient is asked for"),
    ],
)
def test_what_the_kernel_does_not_take_is_refused_or_left_to_torch(rows, reason):
    with pytest.raises(RuntimeError, match=rf"backend: 'triton' cannot run: .*{reason}"):
        second_moments(*rows, backend="triton")
    assert torch.equal(second_moments(*rows), second_moments(*rows, backend="torch"))
