import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from irtools.kernels.second_moments import _reference, second_moments


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (3, 127), (5, 128), (4, 129), (2, 7, 61), (3, 0)], ids=str)
def test_equals_the_float64_product(shape, dtype, monkeypatch):
    monkeypatch.setattr(_reference, "_SAMPLES_AT_ONCE", 32)
    z = torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    found = second_moments(z)
    assert found.dtype == torch.float64
    assert torch.allclose(found, torch.einsum("...it,...jt->...ij", z.double(), z.double()), rtol=1e-12, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    cut=st.integers(0, 200),
    split=st.integers(0, 4),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    at_once=st.integers(1, 300),
)
def test_adds_over_samples_and_stacks_over_rows(cut, split, scale, at_once):
    z = scale * torch.randn(4, 200, generator=torch.Generator().manual_seed(cut))
    whole = second_moments(z)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_reference, "_SAMPLES_AT_ONCE", at_once)
        in_time = second_moments(z[:, :cut]) + second_moments(z[:, cut:])
        in_rows = second_moments(z[:split], z[split:])
    assert torch.allclose(whole, in_time, rtol=1e-10, atol=1e-10 * scale**2)
    assert torch.allclose(whole, in_rows, rtol=1e-10, atol=1e-10 * scale**2)


def test_takes_rows_that_are_not_contiguous():
    z = torch.randn(50, 6, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(second_moments(z.T), second_moments(z.T.contiguous()))
    assert torch.allclose(second_moments(z.T[::2]), second_moments(z.T)[::2, ::2])


def test_float32_input_is_accumulated_in_double_precision():
    z = torch.full((1, 1 << 20), 0.1)
    exact = (1 << 20) * float(z[0, 0]) ** 2
    assert abs(second_moments(z).item() / exact - 1) < 1e-12


def test_refuses_unequal_lengths_complex_rows_and_nothing():
    with pytest.raises(ValueError, match=r"equal numbers of samples, got \[4, 5\]"):
        second_moments(torch.zeros(1, 4), torch.zeros(1, 5))
    with pytest.raises(ValueError, match="at least one tensor"):
        second_moments()
    with pytest.raises(ValueError, match="rows: expected real samples"):
        second_moments(torch.zeros(1, 4), torch.zeros(1, 4, dtype=torch.cfloat))
