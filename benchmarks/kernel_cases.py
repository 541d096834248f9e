"""What bench_kernels.py measures: for every kernel the sizes, the plain way to write it, and ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from irtools.kernels.second_moments import second_moments
from irtools.kernels.weighted_covariance import weighted_covariance

MIB = 1 << 20


@dataclass(frozen=True)
class Case:
    """One size of one kernel.

    Attributes
    ----------
    op : str
        Directory of the kernel; ``tests/parity/test_<op>.py`` and ``test_<op>_triton.py`` gate it.
    size : str
        As in the table.
    devices : tuple of str
        Where this size is measured.
    draw : callable
        ``draw(device)`` makes the arguments.
    plain, ours : callable
        Take the arguments; the answers, tensors or tuples of them, are compared.
    tolerance : float
        Largest difference of the answers, relative to the largest number of the plain one.
    """

    op: str
    size: str
    devices: tuple[str, ...]
    draw: Callable[[str], tuple]
    plain: Callable
    ours: Callable
    tolerance: float

    def traffic(self, arguments: tuple, answer) -> int:
        """Bytes of a kernel that reads every argument once and writes its answer once."""
        tensors = [part for part in (*arguments, *tensors_of(answer)) if isinstance(part, Tensor)]
        return sum(part.numel() * part.element_size() for part in tensors)


def tensors_of(answer) -> tuple[Tensor, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


def _recording(mics: int, seconds: float) -> Callable:
    def draw(device):
        generator = torch.Generator(device).manual_seed(0)
        waveforms = torch.randn(mics, round(44100 * seconds), generator=generator, device=device)
        return waveforms, waveforms.mean(0, keepdim=True)

    return draw


def _spectra(mics: int, freqs: int, frames: int) -> Callable:
    def draw(device):
        generator = torch.Generator(device).manual_seed(0)
        x = torch.randn(freqs, mics, frames, dtype=torch.complex64, generator=generator, device=device)
        return x, torch.rand(freqs, mics, frames, generator=generator, device=device)

    return draw


def _gram(waveforms, mixture):
    z = torch.cat([waveforms, mixture]).double()
    return z @ z.T


def _einsum(x, weights):
    return torch.einsum("fnt,fit,fjt->fnij", weights, x, x.conj()) / x.shape[-1]


BOTH, GPU = ("cpu", "cuda"), ("cuda",)
CASES = [
    Case("second_moments", "8 mics + mixture x 1 min", BOTH, _recording(8, 60), _gram, second_moments, 1e-12),
    Case("second_moments", "8 mics + mixture x 10 min", GPU, _recording(8, 600), _gram, second_moments, 1e-12),
    Case(
        "weighted_covariance",
        "4 mics x 4097 freqs x 400 frames",
        BOTH,
        _spectra(4, 4097, 400),
        _einsum,
        weighted_covariance,
        1e-5,
    ),
    # Ten minutes at 44.1 kHz, windows of 8192 samples every 2048.
    Case(
        "weighted_covariance",
        "8 mics x 4097 freqs x 12920 frames",
        GPU,
        _spectra(8, 4097, 12920),
        _einsum,
        weighted_covariance,
        1e-5,
    ),
]
