"""The choice between torch and Triton, without a GPU, with an imagined one, and in the interpreter."""

import subprocess
import sys

import pytest
import torch

from irtools.kernels import backend
from irtools.kernels.backend import choose_backend, launched_with_interpreter, on_device
from irtools.kernels.blocks import on_threads

HERE = torch.zeros(2)


class Imagined:
    """What the choice looks at of a CUDA tensor."""

    is_cuda, requires_grad, dtype = True, False, torch.float32

    def __init__(self, index=0, **traits):
        self.device = torch.device("cuda", index)
        vars(self).update(traits)


@pytest.fixture(autouse=True)
def no_interpreter(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


@pytest.fixture
def recent_gpu(monkeypatch):
    monkeypatch.setattr(backend, "_missing_triton", lambda: None)
    monkeypatch.setattr(backend, "_too_old", lambda device: None)


def test_cuda_tensors_that_the_kernel_takes_go_to_triton(recent_gpu):
    for name in ("auto", "triton"):
        assert choose_backend(name, Imagined(), Imagined(dtype=torch.complex64)) == "triton"
    assert choose_backend("torch", Imagined()) == "torch"


@pytest.mark.parametrize(
    ("tensors", "unsupported", "reason"),
    [
        ([Imagined()], "too many rows", "too many rows"),
        ([Imagined(dtype=torch.float64)], None, "dtype float64"),
        ([Imagined(requires_grad=True)], None, "a gradient is asked for"),
        ([Imagined(), Imagined(1)], None, "several devices: cuda:0, cuda:1"),
        ([HERE], None, "tensors on cpu"),
        ([HERE, Imagined()], None, "several devices: cpu, cuda:0"),
    ],
)
def test_triton_that_cannot_run_says_why_and_auto_falls_back(tensors, unsupported, reason, recent_gpu):
    with pytest.raises(RuntimeError, match=f"backend: 'triton' cannot run: .*{reason}"):
        choose_backend("triton", *tensors, unsupported=unsupported)
    assert choose_backend("auto", *tensors, unsupported=unsupported) == "torch"


def test_a_gradient_that_nobody_wants_is_no_hindrance(recent_gpu):
    with torch.no_grad():
        assert choose_backend("triton", Imagined(requires_grad=True)) == "triton"


def test_no_triton_and_an_old_gpu_are_reasons(monkeypatch, recent_gpu):
    monkeypatch.setattr(backend, "_too_old", lambda device: f"compute capability 7.5 of {device}")
    with pytest.raises(RuntimeError, match=r"compute capability 7\.5 of cuda:0"):
        choose_backend("triton", Imagined())
    monkeypatch.setattr(backend, "_missing_triton", lambda: "triton cannot be imported")
    with pytest.raises(RuntimeError, match="cannot be imported"):
        choose_backend("triton", Imagined())
    assert choose_backend("auto", Imagined()) == "torch"


def test_a_missing_triton_is_seen_without_an_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    assert "triton cannot be imported" in backend._missing_triton.__wrapped__()


@pytest.mark.parametrize(("capability", "refused"), [((7, 5), True), ((8, 0), False), ((9, 0), False)], ids=str)
def test_triton_compiles_for_recent_gpus(capability, refused, monkeypatch):
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    found = backend._too_old.__wrapped__(torch.device("cuda", 0))
    assert (found is not None) == refused and (not refused or "compute capability 7.5 of cuda:0" in found)


def test_in_the_interpreter_only_an_explicit_triton_runs_on_the_processor(monkeypatch, recent_gpu):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert launched_with_interpreter()
    assert choose_backend("triton", HERE) == "triton" and choose_backend("auto", HERE) == "torch"


def test_another_backend_is_refused_by_name():
    with pytest.raises(ValueError, match="backend: expected one of auto, torch, triton, got 'cuda'"):
        choose_backend("cuda", HERE)


def test_the_processor_is_no_device_to_switch_to():
    with on_device(HERE) as nothing:
        assert nothing is None


def test_the_kernels_import_neither_triton_nor_the_rest_of_the_library_and_touch_no_gpu():
    ops = ("lagged_covariance", "median_filter", "psd_update", "second_moments", "weighted_covariance")
    script = (
        f"import sys, torch; from irtools.kernels import {', '.join(ops)}; x = torch.ones(2, 3);"
        "second_moments.second_moments(x); weighted_covariance.weighted_covariance(x, x);"
        "print(torch.cuda.is_initialized(), 'triton' in sys.modules,"
        " sorted(name for name in sys.modules if name.startswith('irtools.') and 'kernels' not in name))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False []"


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_blocks_on_threads_come_back_in_order_each_with_one_thread(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = on_threads(lambda block: (block, torch.get_num_threads()), list(range(20)))
        assert [block for block, _ in found] == list(range(20))
        assert {inside for _, inside in found} == {1}
        assert torch.get_num_threads() == threads
        assert on_threads(len, []) == []
    finally:
        torch.set_num_threads(before)


def test_an_error_in_a_block_is_raised():
    with pytest.raises(ZeroDivisionError):
        on_threads(lambda block: 1 / block, [2, 1, 0])
