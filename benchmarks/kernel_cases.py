"""What bench_kernels.py measures: for every kernel the sizes, the plain way to write it, and ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import pad

from irtools.kernels.lagged_covariance import lagged_covariance
from irtools.kernels.median_filter import median_filter
from irtools.kernels.psd_update import gain_sums, psd_update, wiener_update
from irtools.kernels.second_moments import second_moments
from irtools.kernels.weighted_covariance import weighted_covariance

NOISE, FLOOR = 1e-10, 1e-16


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


def _sources(sources: int, freqs: int, frames: int) -> Callable:
    """Spectra of the sources, what is regressed on them and its weights."""

    def draw(device):
        x, weights = _spectra(sources + 1, freqs, frames)(device)
        return x[:, :-1], x[:, -1], weights[:, -1]

    return draw


def _power_model(mics: int, freqs: int, frames: int) -> Callable:
    """V, P and gains of every frequency."""

    def draw(device):
        generator = torch.Generator(device).manual_seed(0)
        shapes = (freqs, mics, frames), (freqs, mics, frames), (freqs, mics, mics)
        return tuple(0.01 + torch.rand(shape, generator=generator, device=device) ** 4 for shape in shapes)

    return draw


def _planes(mics: int, freqs: int, frames: int) -> Callable:
    """Powers, and the footprint of 17 frames and 2 frequencies on either side."""

    def draw(device):
        generator = torch.Generator(device).manual_seed(0)
        footprint = torch.zeros(5, 17, dtype=torch.bool)
        footprint[2], footprint[:, 8] = True, True
        return torch.rand(mics, freqs, frames, generator=generator, device=device), footprint

    return draw


def _gram(waveforms, mixture):
    z = torch.cat([waveforms, mixture]).double()
    return z @ z.T


def _einsum(x, weights):
    return torch.einsum("fnt,fit,fjt->fnij", weights, x, x.conj()) / x.shape[-1]


def _lagged_einsum(z, x, weights, taps, every):
    """All lagged frames stacked."""
    b = pad(z, (taps - 1, 0)).unfold(-1, taps, every).flip(-1).mT.flatten(1, 2)
    x, weights = x[:, ::every], weights[:, ::every]
    return torch.einsum("ft,fit,fjt->fij", weights, b, b.conj()), torch.einsum("ft,ft,fjt->fj", weights, x, b.conj())


def _updated(power, psd, gains, beta):
    """The printed equations, one line each."""
    model = torch.einsum("fkn,fnt->fkt", gains, psd) + NOISE
    attraction = torch.einsum("fkn,fkt->fnt", gains, power * model ** (beta - 2))
    repulsion = torch.einsum("fkn,fkt->fnt", gains, model ** (beta - 1))
    psd = (psd * attraction / repulsion).clamp_min(FLOOR)
    return psd, *_sums(power, psd, gains, beta)


def _sums(power, psd, gains, beta):
    model = torch.einsum("fkn,fnt->fkt", gains, psd) + NOISE
    numerator = torch.einsum("fkt,fnt->fkn", power * model ** (beta - 2), psd)
    return numerator, torch.einsum("fkt,fnt->fkn", model ** (beta - 1), psd)


def _wiener(power, psd, gains):
    """KAMIR's step of P: the power of the masked close microphones, divided by their gains."""
    k = range(power.shape[1])
    model = torch.einsum("fkn,fnt->fkt", gains, psd) + NOISE
    own = gains[:, k, k, None]
    return ((own * psd / model) ** 2 * power / own).clamp_min(FLOOR)


def _our_wiener(power, psd, gains):
    return wiener_update(power, psd, gains, torch.eye(power.shape[1]).to(power), noise=NOISE, floor=FLOOR)


def _middle(values, footprint):
    """The median of shifted copies."""
    rows, columns = footprint.shape
    edges = (columns // 2, columns // 2, rows // 2, rows // 2)
    wide = pad(values, edges, mode="replicate")
    freqs, frames = values.shape[-2:]
    taps = [wide[..., i : i + freqs, j : j + frames] for i, j in footprint.nonzero().tolist()]
    return torch.stack(taps).median(0).values


BOTH, GPU = ("cpu", "cuda"), ("cuda",)
# MIRA's step with the sums that follow it, and what KAMIR's presets run: its step, and sums of their own.
UPDATES = [
    *(
        (f"beta {beta}", partial(_updated, beta=beta), partial(psd_update, beta=beta, noise=NOISE, floor=FLOOR))
        for beta in (0, 1, 2)
    ),
    ("Wiener step", _wiener, _our_wiener),
    ("sums of the gains", partial(_sums, beta=0), partial(gain_sums, beta=0, noise=NOISE)),
]
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
    *(
        Case(
            "lagged_covariance",
            f"{sources} sources x {freqs} freqs x {frames} frames, 7 taps every 2",
            devices,
            _sources(sources, freqs, frames),
            partial(_lagged_einsum, taps=7, every=2),
            partial(lagged_covariance, taps=7, every=2),
            1e-5,
        )
        for sources, freqs, frames, devices in (
            (3, 257, 400, BOTH),
            (7, 257, 400, BOTH),
            (15, 257, 400, BOTH),
            (7, 1025, 3230, GPU),
        )
    ),
    *(
        Case("psd_update", f"{size}, {what}", devices, draw, plain, ours, 1e-4)
        for size, devices, draw in (
            ("4 mics x 4097 freqs x 400 frames", BOTH, _power_model(4, 4097, 400)),
            ("8 mics x 4097 freqs x 12920 frames", GPU, _power_model(8, 4097, 12920)),
        )
        for what, plain, ours in UPDATES
    ),
    Case("median_filter", "4 x 1025 freqs x 200 frames", BOTH, _planes(4, 1025, 200), _middle, median_filter, 0.0),
    Case("median_filter", "8 x 4097 freqs x 3230 frames", GPU, _planes(8, 4097, 3230), _middle, median_filter, 0.0),
]
