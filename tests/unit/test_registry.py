"""What every method of the registry promises, whatever it computes."""

import inspect

import pytest
import torch

import irtools as ir
from irtools.methods.registry import LEARNERS


def recording(n=3, samples=4000):
    generator = torch.Generator().manual_seed(7)
    draw = torch.randn(n, samples, generator=generator) * torch.rand(n, samples, generator=generator) ** 4
    return 0.2 * (torch.eye(n) + 0.1) @ draw


BAD_INPUT = {
    "not a tensor": ([[0.0]], 44100, TypeError, "torch.Tensor"),
    "integers": (torch.zeros(2, 8, dtype=torch.int64), 44100, TypeError, "float32 or float64"),
    "one axis": (torch.zeros(8), 44100, ValueError, r"got \(8,\)"),
    "three axes": (torch.zeros(1, 2, 8), 44100, ValueError, r"got \(1, 2, 8\)"),
    "no samples": (torch.zeros(2, 0), 44100, ValueError, "at least one sample"),
    "no microphones": (torch.zeros(0, 8), 44100, ValueError, "at least 1 microphone"),
    "NaN": (torch.tensor([[0.0, 1.0], [0.0, torch.nan]]), 44100, ValueError, "microphone 1 .*nan.* sample 1"),
    "infinity": (torch.tensor([[0.0, torch.inf]]), 44100, ValueError, "microphone 0 .*inf.* sample 1"),
    "rate is a float": (torch.zeros(2, 8), 44100.0, TypeError, "sample_rate"),
    "rate is zero": (torch.zeros(2, 8), 0, ValueError, "sample_rate"),
}


@pytest.mark.parametrize("method", ir.METHODS)
@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_refused_by_name(method, case):
    mics, sample_rate, error, words = BAD_INPUT[case]
    with pytest.raises(error, match=words):
        ir.reduce(mics, sample_rate, method=method)
    with pytest.raises(error, match=words):
        ir.METHODS[method](mics, sample_rate)


@pytest.mark.parametrize("method", ir.METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_dtype_and_input_are_kept(method, dtype):
    mics = recording().to(dtype)
    before = mics.clone()
    found = ir.reduce(mics, 44100, method=method)
    assert found.sources.shape == mics.shape and found.sources.dtype == dtype
    assert torch.isfinite(found.sources).all()
    assert torch.equal(mics, before)
    assert found.method == method and found.seconds > 0


@pytest.mark.parametrize("method", ir.METHODS)
def test_silence_offset_and_clipping_are_input_like_any_other(method):
    assert ir.reduce(torch.zeros(2, 2000), 44100, method=method).sources.abs().max() == 0
    for mics in (recording() + 0.5, recording().mul(50).clamp(-1, 1)):
        assert torch.isfinite(ir.reduce(mics, 44100, method=method).sources).all()


@pytest.mark.parametrize("method", ir.METHODS)
def test_every_method_has_the_one_signature(method):
    parameters = list(inspect.signature(ir.METHODS[method]).parameters.values())
    assert [p.name for p in parameters[:2]] == ["mics", "sample_rate"]
    assert all(p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in parameters[2:])


def test_unknown_names_list_what_there_is():
    with pytest.raises(ValueError, match=r"method: expected one of am.*got 'kamirr'"):
        ir.reduce(recording(), 44100, method="kamirr")
    with pytest.raises(ValueError, match="device: expected 'auto'"):
        ir.reduce(recording(), 44100, device="abacus")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is present")
def test_an_explicit_device_that_is_missing_is_an_error():
    with pytest.raises(ValueError, match="no CUDA device"):
        ir.reduce(recording(), 44100, device="cuda")


def test_learners_are_methods():
    assert set(LEARNERS) <= set(ir.METHODS)
