"""The fused kernels compile to machine code for compute capability 9.0, which needs no GPU."""

import os

import pytest
import torch

from irtools.kernels.median_filter import median_filter
from irtools.kernels.psd_update import psd_update, wiener_update

triton = pytest.importorskip("triton")

pytestmark = pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter compiles nothing")

POINTERS = {torch.float32: "*fp32", torch.int32: "*i32", torch.int64: "*i64"}
TYPES = {int: "i32", float: "fp32"}


class Compiled:
    """Stands for a kernel: a launch compiles it instead."""

    def __init__(self, kernel):
        self.kernel = kernel

    def __getitem__(self, grid):
        return self.launch

    def launch(self, *arguments, num_warps, **constants):
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource

        types = [POINTERS[a.dtype] if isinstance(a, torch.Tensor) else TYPES[type(a)] for a in arguments]
        names = [name for name in self.kernel.arg_names if name not in constants]
        signature = dict(zip(names, types, strict=True)) | dict.fromkeys(constants, "constexpr")
        source = ASTSource(
            fn=self.kernel, signature={name: signature[name] for name in self.kernel.arg_names}, constexprs=constants
        )
        self.code = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": num_warps}).asm


def compiled(module, call, monkeypatch):
    kernel = Compiled(module._bins)
    monkeypatch.setattr(module, "_bins", kernel)
    monkeypatch.setattr("irtools.kernels.backend._hindrance", lambda tensors: None)
    call()
    return kernel.code


@pytest.mark.slow
@pytest.mark.parametrize("rows", [4, 12])
def test_the_update_of_the_power_model(rows, monkeypatch):
    from irtools.kernels.psd_update import _triton

    power, gains = torch.ones(2, rows, 64), torch.ones(2, rows, rows)
    code = compiled(_triton, lambda: psd_update(power, power, gains, sparsity=1.0, backend="triton"), monkeypatch)
    assert ".target sm_90" in code["ptx"] and code["cubin"] and ("mma.sync" in code["ptx"]) == (rows == 12)


def test_the_wiener_step(monkeypatch):
    from irtools.kernels.psd_update import _triton

    power, gains = torch.ones(2, 4, 64), torch.ones(2, 4, 4)
    code = compiled(_triton, lambda: wiener_update(power, power, gains, torch.eye(4), backend="triton"), monkeypatch)
    assert code["cubin"]


def test_the_median_filter(monkeypatch):
    from irtools.kernels.median_filter import _triton

    footprint = torch.ones(3, 5, dtype=torch.bool)
    code = compiled(_triton, lambda: median_filter(torch.ones(2, 6, 64), footprint, backend="triton"), monkeypatch)
    assert code["cubin"] and "shfl" not in code["ptx"]  # every bin's taps are in one thread
