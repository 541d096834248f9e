"""Blind separators of pyroomacoustics, brought back to the close microphones by the microphones alone.

They return components in any order and at any level. Each component goes to the microphone whose power it explains
best, all microphones together, and is projected back on it in every frequency. References play no part in this.
"""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
from torch import Tensor

from irtools.checks import check_mics
from irtools.comparison.rivals.spectra import import_package, reduction_of, spectra_of
from irtools.methods.separator import Reduction

# White noise under every microphone, relative to its mean power: covariances of empty frequencies stay invertible.
_DITHER_DB = -120.0


#: The separators with the package's own defaults; other options of theirs can be given, too.
SEPARATORS = {
    # N. Ono, "Stable and fast update rules for independent vector analysis based on auxiliary function technique",
    # WASPAA, 2011.
    "auxiva": {"n_iter": 20},
    # D. Kitamura et al., "Determined blind source separation unifying independent vector analysis and nonnegative
    # matrix factorization", IEEE/ACM TASLP 24(9), 2016.
    "ilrma": {"n_iter": 20, "n_components": 2},
    # K. Sekiguchi et al., "Fast multichannel nonnegative matrix factorization with directivity-aware
    # jointly-diagonalizable spatial covariance matrices for blind source separation", IEEE/ACM TASLP 28, 2020.
    "fastmnmf2": {"n_iter": 30, "n_components": 8},
}


def separate(
    name: str, mics: Tensor, sample_rate: int, *, window_size: int | None = None, seed: int = 0, **options
) -> Reduction:
    """Run one of :data:`SEPARATORS`; ``details["assignment"]`` is the component that each source got."""
    check_mics(mics, sample_rate)
    options = SEPARATORS[name] | options
    # A silent microphone has a silent source, and no covariance to invert.
    active = mics.abs().amax(1) > 0
    if active.sum() < 2:
        return Reduction(mics.clone(), method=name, details={"assignment": list(range(len(mics)))})
    size, mixtures = spectra_of(mics[active], sample_rate, window_size)
    count = mixtures.shape[2]
    if len(mixtures) <= count:
        raise ValueError(f"mics: expected more than {count * size // 2} samples, got {mics.shape[1]}")
    with _seeded(seed):
        images = _images(name, _dithered(mixtures), options)
    if not np.isfinite(images).all():
        raise FloatingPointError(f"{name}: values that are not finite after {options['n_iter']} iterations")
    chosen = assign(mixtures, images)
    estimates = np.zeros((*mixtures.shape[:2], len(mics)), mixtures.dtype)
    estimates[..., active.cpu().numpy()] = images[:, :, np.arange(count), chosen]
    return reduction_of(name, mics, estimates, size, options["n_iter"], assignment=chosen)


def _images(name: str, mixtures: np.ndarray, options: dict) -> np.ndarray:
    """Each component as heard in each microphone, (frames, freqs, mics, components)."""
    separator = getattr(import_package("pyroomacoustics").bss, name)
    if name == "fastmnmf2":
        return np.moveaxis(separator(mixtures, mic_index="all", **options), 0, 2)
    components = separator(mixtures, proj_back=False, **options)
    power = np.maximum((np.abs(components) ** 2).sum(0), 1e-300)
    level = np.einsum("tfj,tfk->fkj", components.conj(), mixtures, optimize=True) / power[:, None]
    return level * components[:, :, None]


def assign(mixtures: np.ndarray, images: np.ndarray) -> list[int]:
    """The component that belongs to each microphone: together they explain the most of the microphones' power."""
    from scipy.optimize import linear_sum_assignment

    correlation = np.einsum("tfk,tfkj->kj", mixtures.conj(), images, optimize=True)
    power = (np.abs(images) ** 2).sum((0, 1)) * (np.abs(mixtures) ** 2).sum((0, 1))[:, None]
    explained = np.abs(correlation) ** 2 / np.maximum(power, 1e-300)
    return [int(component) for component in linear_sum_assignment(explained, maximize=True)[1]]


def _dithered(mixtures: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(0)
    noise = random.standard_normal((*mixtures.shape, 2)) @ np.array([1, 1j])
    return mixtures + noise * 10 ** (_DITHER_DB / 20) * np.sqrt((np.abs(mixtures) ** 2).mean((0, 1)))


@contextmanager
def _seeded(seed: int):
    """The package draws from numpy's global generator; its state is put back."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
