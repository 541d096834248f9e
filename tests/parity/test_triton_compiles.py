"""The fused kernels compile for compute capability 9.0, which needs no GPU, and no register is spilled."""

import functools
import importlib
import os
import re
import subprocess

import pytest
import torch

from irtools.kernels.lagged_covariance import lagged_covariance
from irtools.kernels.median_filter import median_filter
from irtools.kernels.psd_update import gain_sums, psd_step, psd_update, wiener_update
from irtools.kernels.second_moments import second_moments
from irtools.kernels.weighted_covariance import weighted_covariance

triton = pytest.importorskip("triton")

pytestmark = pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter compiles nothing")

POINTERS = {torch.float32: "*fp32", torch.float64: "*fp64", torch.int32: "*i32", torch.int64: "*i64"}


class Compiled:
    """Stands for a kernel: a launch compiles it instead, with what Triton takes for granted of these arguments."""

    def __init__(self, kernel):
        self.kernel = kernel

    def __getitem__(self, grid):
        return self.launch

    def launch(self, *arguments, num_warps, **constants):
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource

        given = dict(zip([name for name in self.kernel.arg_names if name not in constants], arguments, strict=True))
        # A one (such as a stride) and multiples of 16 are known when a kernel is compiled.
        constants |= {name: value for name, value in given.items() if type(value) is int and value == 1}
        types = {name: type_of(value) for name, value in given.items()} | dict.fromkeys(constants, "constexpr")
        aligned = {
            (place,): [["tt.divisibility", 16]]
            for place, name in enumerate(self.kernel.arg_names)
            if types[name].startswith("*") or (types[name] == "i32" and given[name] % 16 == 0)
        }
        signature = {name: types[name] for name in self.kernel.arg_names}
        source = ASTSource(fn=self.kernel, signature=signature, constexprs=constants, attrs=aligned)
        self.found = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": num_warps})


def type_of(value):
    return POINTERS[value.dtype] if isinstance(value, torch.Tensor) else {int: "i32", float: "fp32"}[type(value)]


def resources(found, folder):
    """Registers per thread, bytes of its stack, where spilled registers go, and bytes of shared memory."""
    (folder / "kernel.cubin").write_bytes(found.asm["cubin"])
    command = [triton.knobs.nvidia.cuobjdump.path, "-res-usage", folder / "kernel.cubin"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    registers, stack = (int(re.search(rf"{name}:(\d+)", printed)[1]) for name in ("REG", "STACK"))
    return registers, stack, found.metadata.shared


def powers(mics):
    """V, P and Λ."""
    return torch.ones(64, mics, 400), torch.ones(64, mics, 400), torch.ones(64, mics, mics)


def lagged(sources):
    """Of seven frames, every other one."""
    x = torch.ones(64, 400)
    z = x[:, None].expand(-1, sources, -1).cfloat()
    return lagged_covariance(z, x.cfloat(), x, 7, every=2, backend="triton")


MODEL = {"noise": 1e-10, "backend": "triton"}
CROSS = torch.zeros(5, 17, dtype=torch.bool)
CROSS[2], CROSS[:, 8] = True, True
# Most registers and shared memory, as compiled with Triton 3.6; 255 registers are all that there are.
CASES = {
    "a step of P and the sums, 4 mics": ("psd_update", lambda: psd_update(*powers(4), **MODEL), 96, 2048),
    "a step of P and the sums, 8 mics": ("psd_update", lambda: psd_update(*powers(8), **MODEL), 255, 2048),
    "a step of P and the sums, 12 mics": ("psd_update", lambda: psd_update(*powers(12), **MODEL), 232, 2048),
    "a step of P with the penalty": ("psd_update", lambda: psd_step(*powers(8), sparsity=1.0, **MODEL), 128, 2048),
    "KAMIR's step of P": ("psd_update", lambda: wiener_update(*powers(8), torch.eye(8), **MODEL), 200, 2048),
    "KAMIR's sums": ("psd_update", lambda: gain_sums(*powers(8), **MODEL), 255, 2048),
    "second moments, 8 mics": (
        "second_moments",
        lambda: second_moments(torch.ones(8, 1 << 16), torch.ones(1, 1 << 16), backend="triton"),
        160,
        32,
    ),
    "covariances, 4 mics": (
        "weighted_covariance",
        lambda: weighted_covariance(powers(4)[0].cfloat(), powers(4)[1], backend="triton"),
        64,
        16,
    ),
    "lagged covariances, 2 sources": ("lagged_covariance", lambda: lagged(2), 128, 8192),
    "lagged covariances, 7 sources": ("lagged_covariance", lambda: lagged(7), 168, 8192),
    "median of 21": ("median_filter", lambda: median_filter(powers(4)[0], CROSS, backend="triton"), 64, 0),
}


@pytest.fixture(scope="module")
def compiled():
    """Of a case, what it compiles to."""

    @functools.cache
    def compile_case(name):
        op, call, *_ = CASES[name]
        module = importlib.import_module(f"irtools.kernels.{op}._triton")
        with pytest.MonkeyPatch.context() as patch:
            kernel = Compiled(module._kernel)
            patch.setattr(module, "_kernel", kernel)
            patch.setattr("irtools.kernels.backend._hindrance", lambda tensors: None)
            call()
        return kernel.found

    return compile_case


@pytest.mark.parametrize("name", CASES)
def test_a_kernel_stays_within_its_registers_and_shared_memory(name, compiled, tmp_path):
    registers, stack, shared = resources(compiled(name), tmp_path)
    most_registers, most_shared = CASES[name][2:]
    assert stack == 0, "registers spill to memory"
    assert registers <= most_registers and shared <= most_shared


def test_many_microphones_use_tensor_cores_and_few_do_not(compiled):
    in_cores = ["mma.sync" in compiled(f"a step of P and the sums, {mics} mics").asm["ptx"] for mics in (4, 8, 12)]
    assert in_cores == [False, False, True]


def test_the_taps_of_a_bin_are_in_one_thread(compiled):
    assert "shfl" not in compiled("median of 21").asm["ptx"]
