"""The median filter against SciPy's, for any footprint; the two ways of computing it agree exactly."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from irtools.kernels.median_filter import _partition, _reference, median_filter


@settings(max_examples=60, deadline=None)
@given(
    freqs=st.integers(1, 12),
    frames=st.integers(1, 12),
    footprint=st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=6).filter(
        lambda rows: any(map(any, rows))
    ),
    columns=st.integers(1, 4),
    seed=st.integers(0, 999),
)
def test_equals_the_filter_of_scipy(freqs, frames, footprint, columns, seed):
    kernel = torch.tensor(footprint)[:, :columns]
    kernel[0, 0] |= not kernel.any()
    # Few different values, so that ties occur.
    values = torch.randint(0, 9, (2, freqs, frames), generator=torch.Generator().manual_seed(seed)).double()
    expected = [ndimage.median_filter(v.numpy(), footprint=kernel.numpy(), mode="nearest") for v in values]
    for found in (median_filter(values, kernel), _reference.median_filter(values, kernel)):
        assert np.array_equal(found.numpy(), np.stack(expected))


def test_blocks_of_frequencies_join_without_a_seam(monkeypatch):
    values = torch.rand(3, 40, 7, generator=torch.Generator().manual_seed(0))
    kernel = torch.ones(5, 3, dtype=torch.bool)
    whole = median_filter(values, kernel)
    monkeypatch.setattr(_partition, "_VALUES_AT_ONCE", 1)
    assert torch.equal(median_filter(values, kernel), whole)


def test_strided_values_and_gradients():
    values = torch.rand(6, 3, 9, generator=torch.Generator().manual_seed(0))
    kernel = torch.ones(3, 3, dtype=torch.bool)
    turned = values.transpose(0, 1)
    assert torch.equal(median_filter(turned, kernel), median_filter(turned.contiguous(), kernel))
    values.requires_grad_()
    median_filter(values, kernel).sum().backward()
    assert values.grad.sum() == values.numel()


def test_a_single_bin_is_no_filter_and_a_click_is_removed():
    values = torch.zeros(5, 9)
    values[2, 4] = 1
    assert torch.equal(median_filter(values, torch.ones(1, 1, dtype=torch.bool)), values)
    assert median_filter(values, torch.ones(1, 3, dtype=torch.bool)).max() == 0


def test_bad_footprints_are_refused():
    for kernel in (torch.zeros(3, 3, dtype=torch.bool), torch.ones(3, dtype=torch.bool)):
        with pytest.raises(ValueError, match="footprint: expected a matrix with at least one bin"):
            median_filter(torch.zeros(4, 4), kernel)
    with pytest.raises(ValueError, match="values"):
        median_filter(torch.zeros(4), torch.ones(1, 3, dtype=torch.bool))
