"""Blind separators of pyroomacoustics, brought back to the close microphones by the microphones alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager

import numpy as np
from torch import Tensor

from irtools.checks import check_mics
from irtools.comparison.foreign_spectra import import_package, reduction_of, spectra_of
from irtools.methods.separator import Reduction

# White noise under every microphone, relative to its mean power: covariances of empty frequencies stay invertible.
_DITHER_DB = -120.0


def auxiva(mics: Tensor, sample_rate: int, *, n_iter: int = 20, window_size: int | None = None) -> Reduction:
    """Independent vector analysis by auxiliary functions, of pyroomacoustics.

    Parameters
    ----------
    mics : Tensor, shape (mics, samples), float32 or float64
        Each is the close microphone of one source.
    sample_rate : int
        In Hz.
    n_iter : int
        Iterations; the package's own default.
    window_size : int, optional
        In samples, even; the power of two nearest to 93 ms by default. The hop is half of it.

    Returns
    -------
    Reduction
        ``details["assignment"]`` is the component that each source got.

    Raises
    ------
    TypeError, ValueError
        Invalid input, or a recording with fewer frames than microphones.
    FloatingPointError
        The package returned values that are not finite.

    Notes
    -----
    The method returns components in any order and at any level. Each goes to the microphone whose power it explains
    best, all microphones together (:func:`assign`), and is projected back on it in every frequency. References play no
    part in this.

    References
    ----------
    .. [1] N. Ono, "Stable and fast update rules for independent vector analysis based on auxiliary function
       technique", WASPAA, 2011.

    Examples
    --------
    >>> import torch
    >>> noise = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    >>> auxiva(noise, 8000, n_iter=2).details["assignment"]
    [0, 1]
    """
    return _determined("auxiva", mics, sample_rate, window_size, n_iter=n_iter)


def ilrma(
    mics: Tensor,
    sample_rate: int,
    *,
    n_iter: int = 20,
    n_components: int = 2,
    seed: int = 0,
    window_size: int | None = None,
) -> Reduction:
    """Independent low-rank matrix analysis, of pyroomacoustics.

    Parameters
    ----------
    mics, sample_rate, n_iter, window_size
        As in :func:`auxiva`.
    n_components : int
        Of the spectrogram of each source; the package's own default.
    seed : int
        Of the first factors.

    Returns
    -------
    Reduction

    Raises
    ------
    TypeError, ValueError, FloatingPointError
        As in :func:`auxiva`.

    References
    ----------
    .. [1] D. Kitamura, N. Ono, H. Sawada, H. Kameoka and H. Saruwatari, "Determined blind source separation unifying
       independent vector analysis and nonnegative matrix factorization", IEEE/ACM TASLP, vol. 24, no. 9, 2016.

    Examples
    --------
    >>> import torch
    >>> noise = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    >>> ilrma(noise, 8000, n_iter=2).n_iter
    2
    """
    with _seeded(seed):
        return _determined("ilrma", mics, sample_rate, window_size, n_iter=n_iter, n_components=n_components)


def fastmnmf2(
    mics: Tensor,
    sample_rate: int,
    *,
    n_iter: int = 30,
    n_components: int = 8,
    seed: int = 0,
    window_size: int | None = None,
) -> Reduction:
    """Multichannel matrix factorisation with jointly diagonalisable covariances, of pyroomacoustics.

    Parameters
    ----------
    mics, sample_rate, window_size
        As in :func:`auxiva`.
    n_iter, n_components : int
        The package's own defaults.
    seed : int
        Of the first factors.

    Returns
    -------
    Reduction
        The image of each source in its own microphone.

    Raises
    ------
    TypeError, ValueError, FloatingPointError
        As in :func:`auxiva`.

    References
    ----------
    .. [1] K. Sekiguchi, Y. Bando, A. A. Nugraha, K. Yoshii and T. Kawahara, "Fast multichannel nonnegative matrix
       factorization with directivity-aware jointly-diagonalizable spatial covariance matrices for blind source
       separation", IEEE/ACM TASLP, vol. 28, 2020.

    Examples
    --------
    >>> import torch
    >>> noise = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    >>> fastmnmf2(noise, 8000, n_iter=1).sources.shape
    torch.Size([2, 8000])
    """
    with _seeded(seed):
        return _blind(
            "fastmnmf2",
            mics,
            sample_rate,
            window_size,
            lambda bss, mixtures: np.moveaxis(
                bss.fastmnmf2(mixtures, n_iter=n_iter, n_components=n_components, mic_index="all"), 0, 2
            ),
            n_iter,
        )


def assign(mixtures: np.ndarray, images: np.ndarray) -> list[int]:
    """The component that belongs to each microphone: together they explain the most of the microphones' power.

    Parameters
    ----------
    mixtures : array, shape (frames, freqs, mics), complex
    images : array, shape (frames, freqs, mics, components), complex
        Each component as heard in each microphone.

    Returns
    -------
    list of int
        Of each microphone a component, each component once.

    Examples
    --------
    >>> images = np.zeros((1, 1, 2, 2), complex)
    >>> images[..., 0, 1], images[..., 1, 0] = 1, 1
    >>> assign(np.ones((1, 1, 2), complex), images)
    [1, 0]
    """
    from scipy.optimize import linear_sum_assignment

    correlation = np.einsum("tfk,tfkj->kj", mixtures.conj(), images, optimize=True)
    power = (np.abs(images) ** 2).sum((0, 1)) * (np.abs(mixtures) ** 2).sum((0, 1))[:, None]
    explained = np.abs(correlation) ** 2 / np.maximum(power, 1e-300)
    return [int(component) for component in linear_sum_assignment(explained, maximize=True)[1]]


def _determined(name: str, mics: Tensor, sample_rate: int, window_size: int | None, **options) -> Reduction:
    def images(bss, mixtures):
        components = getattr(bss, name)(mixtures, proj_back=False, **options)
        power = np.maximum((np.abs(components) ** 2).sum(0), 1e-300)
        level = np.einsum("tfj,tfk->fkj", components.conj(), mixtures, optimize=True) / power[:, None]
        return level * components[:, :, None]

    return _blind(name, mics, sample_rate, window_size, images, options["n_iter"])


def _blind(name, mics: Tensor, sample_rate: int, window_size, images_of: Callable, n_iter: int) -> Reduction:
    check_mics(mics, sample_rate)
    # A silent microphone has a silent source, and no covariance to invert.
    active = mics.abs().amax(1) > 0
    if active.sum() < 2:
        return Reduction(mics.clone(), method=name, details={"assignment": list(range(len(mics)))})
    size, mixtures = spectra_of(mics[active], sample_rate, window_size)
    count = mixtures.shape[2]
    if len(mixtures) <= count:
        raise ValueError(f"mics: expected more than {count * size // 2} samples, got {mics.shape[1]}")
    images = images_of(import_package("pyroomacoustics").bss, _dithered(mixtures))
    if not np.isfinite(images).all():
        raise FloatingPointError(f"{name}: values that are not finite after {n_iter} iterations")
    chosen = assign(mixtures, images)
    estimates = np.zeros((*mixtures.shape[:2], len(mics)), mixtures.dtype)
    estimates[..., active.cpu().numpy()] = images[:, :, np.arange(count), chosen]
    return reduction_of(name, mics, estimates, size, n_iter, assignment=chosen)


def _dithered(mixtures: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(0)
    noise = random.standard_normal((*mixtures.shape, 2)) @ np.array([1, 1j])
    return mixtures + noise * 10 ** (_DITHER_DB / 20) * np.sqrt((np.abs(mixtures) ** 2).mean((0, 1)))


@contextmanager
def _seeded(seed: int):
    """The packages draw from numpy's global generator; its state is put back."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
