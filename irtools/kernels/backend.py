"""Which implementation of a kernel a call gets: plain torch, or the fused Triton kernel where it can run."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os

import torch
from torch import Tensor

__all__ = ["choose_backend", "launched_with_interpreter", "on_device"]

_BACKENDS = ("auto", "torch", "triton")
_DTYPES = (torch.float32, torch.complex64)
_LEAST_CAPABILITY = (8, 0)


def choose_backend(backend: str, *tensors: Tensor, unsupported: str | None = None) -> str:
    """``"torch"`` or ``"triton"`` for these arguments of a kernel.

    ``"auto"`` takes Triton for CUDA tensors where it can run, and torch otherwise; a ``"triton"`` that cannot run is a
    RuntimeError with the reason: what the kernel does not take (``unsupported``; None where it takes all), another
    dtype than float32 and complex64, a gradient that is asked for (the kernels have none), no CUDA device, or no
    Triton. With ``TRITON_INTERPRET=1`` in the environment of the process an explicit ``"triton"`` runs on the CPU, in
    Triton's interpreter.
    """
    if backend not in _BACKENDS:
        raise ValueError(f"backend: expected one of {', '.join(_BACKENDS)}, got {backend!r}")
    if backend == "torch" or (backend == "auto" and not all(tensor.is_cuda for tensor in tensors)):
        return "torch"
    reason = unsupported or _hindrance(tensors)
    if reason is None:
        return "triton"
    if backend == "triton":
        raise RuntimeError(f"backend: 'triton' cannot run: {reason}")
    return "torch"


def launched_with_interpreter() -> bool:
    """Whether this process runs Triton kernels in the interpreter, on the CPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def on_device(tensor: Tensor):
    """Context in which kernels are launched on the device of ``tensor``."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else contextlib.nullcontext()


def _hindrance(tensors):
    """Why Triton cannot take these tensors here; None where it can."""
    for tensor in tensors:
        if tensor.dtype not in _DTYPES:
            return f"dtype {str(tensor.dtype).removeprefix('torch.')} (the kernel takes float32 and complex64)"
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return "a gradient is asked for (the kernel has none)"
    devices = sorted({str(tensor.device) for tensor in tensors})
    if len(devices) > 1:
        return f"tensors on several devices: {', '.join(devices)}"
    missing = _missing_triton()
    if missing or launched_with_interpreter():
        return missing
    if not tensors[0].is_cuda:
        return f"tensors on {devices[0]} (the kernel runs on a CUDA device, or with TRITON_INTERPRET=1)"
    return _too_old(tensors[0].device)


@functools.cache
def _missing_triton():
    try:
        importlib.import_module("triton")
    except ImportError as error:
        return f"triton cannot be imported ({error})"
    return None


@functools.cache
def _too_old(device):
    if torch.version.hip or torch.cuda.get_device_capability(device) >= _LEAST_CAPABILITY:
        return None
    found = ".".join(map(str, torch.cuda.get_device_capability(device)))
    return f"compute capability {found} of {device} (Triton takes {'.'.join(map(str, _LEAST_CAPABILITY))} and later)"
