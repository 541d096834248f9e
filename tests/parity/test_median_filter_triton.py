"""The fused median filter gives the numbers of the reference, exactly; without a GPU, in the interpreter."""

import pytest
import torch
from interpreter import DEVICE, inside_nan, on_triton

from irtools.kernels.median_filter import _reference, median_filter

# One bin, primes, more than a tile, a whole tile and one bin more, four axes.
SHAPES = [(1, 1), (5, 7), (2, 3, 43), (128, 1), (3, 43), (2, 2, 3, 11)]
FOOTPRINTS = [(1, 1), (1, 3), (3, 1), (3, 3), (2, 4)]


def sides(shape):
    return "x".join(map(str, shape))


def draw(shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator) * 10.0 ** torch.randint(-6, 7, shape, generator=generator)


def assert_exact(values, footprint, monkeypatch):
    expected = _reference.median_filter(values, footprint)
    empty = torch.empty
    with monkeypatch.context() as patch:
        patch.setattr(torch, "empty", lambda *sides, **kind: empty(*sides, **kind).fill_(torch.nan))
        found = median_filter(values, footprint, backend="triton")
    assert found.dtype == torch.float32 and torch.equal(found, expected)


@on_triton
@pytest.mark.parametrize("footprint", FOOTPRINTS, ids=sides)
@pytest.mark.parametrize("shape", SHAPES, ids=sides)
def test_whole_rectangles(shape, footprint, monkeypatch):
    assert_exact(inside_nan(draw(shape)), torch.ones(footprint, dtype=torch.bool), monkeypatch)


@on_triton
@pytest.mark.parametrize("footprint", [(5, 5), (11, 11), (1, 128)], ids=sides)
def test_large_rectangles(footprint, monkeypatch):
    assert_exact(inside_nan(draw((7, 13))), torch.ones(footprint, dtype=torch.bool), monkeypatch)


@on_triton
@pytest.mark.parametrize("seed", range(6))
def test_footprints_with_holes_and_values_with_ties(seed, monkeypatch):
    generator = torch.Generator().manual_seed(seed)
    footprint = torch.rand(torch.randint(1, 7, (2,), generator=generator).tolist(), generator=generator) < 0.6
    footprint[0, -1] = True
    values = torch.randint(-2, 3, (2, 5, 9), generator=generator).float()
    assert_exact(inside_nan(values), footprint, monkeypatch)


@on_triton
@pytest.mark.parametrize("scale", [1e-38, 1e-6, 1e6, 1e30])
def test_extreme_scales(scale, monkeypatch):
    assert_exact(inside_nan(scale * draw((6, 20))), torch.ones(3, 5, dtype=torch.bool), monkeypatch)


@on_triton
def test_infinities_and_what_is_not_a_number_are_above_all():
    values = torch.tensor([[1.0, torch.inf, torch.nan, torch.nan, 2.0, -torch.inf, -3.0, -4.0]], device=DEVICE)
    footprint = torch.ones(1, 3, dtype=torch.bool)
    found = median_filter(values, footprint, backend="triton")
    assert torch.equal(found.nan_to_num(7), _reference.median_filter(values, footprint).nan_to_num(7))


@on_triton
def test_axes_in_another_order_and_two_runs(monkeypatch):
    values, footprint = draw((9, 3, 13)).to(DEVICE).transpose(0, 1), torch.ones(3, 2, dtype=torch.bool)
    assert_exact(values, footprint, monkeypatch)
    runs = [median_filter(values, footprint, backend="triton") for _ in range(2)]
    assert torch.equal(*runs)


@on_triton
def test_more_taps_than_registers_are_refused_or_left_to_the_reference():
    values, footprint = draw((4, 5)).to(DEVICE), torch.ones(1, 129, dtype=torch.bool)
    with pytest.raises(RuntimeError, match="footprint of 129 bins"):
        median_filter(values, footprint, backend="triton")
    assert torch.equal(median_filter(values, footprint), _reference.median_filter(values, footprint))
    with pytest.raises(RuntimeError, match="float64"):
        median_filter(values.double(), footprint[:, :3], backend="triton")
