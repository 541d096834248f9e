"""Independent component analysis (ICA): one demixing matrix, from the independence of the sources alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from irtools.checks import check_choice, check_int, check_number
from irtools.kernels.second_moments import second_moments
from irtools.methods.iteration import warn_not_converged
from irtools.methods.separator import Recording, Separator

_FUNCTIONS = ("logcosh", "exp", "cube")
# Of a microphone's power, and of the largest eigenvalue of the correlations: less than this is nothing.
_SILENCE, _RANK = 1e-12, 1e-8
_FEWEST_FRAMES = 1000


def independent_components(
    recording: Recording,
    *,
    assignment=None,
    n_sources: int | None = None,
    fun: str = "logcosh",
    max_iter: int = 500,
    tol: float = 1e-4,
    seed: int | None = None,
    max_frames: int = 2_000_000,
) -> Separator:
    """Reduce bleed by FastICA: components as independent as possible, brought back to the microphones.

    Parameters
    ----------
    recording : Recording
        Read once. Of each piece, evenly spaced samples are kept.
    assignment : sequence of int, optional
        Close microphone of each source; by default microphone n for source n.
    n_sources : int, optional
        Number of sources where ``assignment`` is not given; by default one per microphone.
    fun : "logcosh", "exp" or "cube"
        Contrast function G: of the log-cosh, of a Gaussian, or the kurtosis.
    max_iter : int
    tol : float
        Stop when no row of the rotation turns by more: 1 - ``|<w_new, w_old>|`` < tol.
    seed : int, optional
        Of a random start. None starts at the microphones themselves, the best guess on a stage of close microphones.
    max_frames : int
        The contrast is averaged over at most this many samples, evenly spaced over the recording. The correlations are
        those of all samples.

    Returns
    -------
    Separator
        One matrix for the recording, wherever it was cut, so that pieces need no overlap. ``gains`` is Λ estimated,
        with ones at the close microphones; ``details`` has ``demixing`` (sources, mics), ``rank`` (the number of
        components), ``frames`` (samples used for the contrast) and ``notes``.

    Raises
    ------
    TypeError, ValueError
        Invalid input or settings.
    FloatingPointError
        Moments or a rotation that are not finite.

    Warns
    -----
    ConvergenceWarning
        The stopping rule was not met within ``max_iter`` iterations.

    Notes
    -----
    With C the correlations of the microphones and z = C^(-1/2) x, the rows w of a rotation W are fixed points of

        w <- E[z g(wᵀ z)] - E[g'(wᵀ z)] w,   W <- (W Wᵀ)^(-1/2) W,   g = G'.

    Components have no order, sign or scale. They go to the sources so that the sum of their ``|correlations|`` with
    the close microphones is largest. Source n is the image of its component at its own microphone, a_n u_nᵀ x, with
    u_n the row of the demixing matrix and a_n the entry of the mixing matrix.

    There are as many components as microphones carry independent signals. Where these are fewer than the sources,
    two microphones share a component, and a silent or constant microphone comes back as it is. An offset is left out
    of what is learned and separated like a signal.

    Differs from the paper in the start at the microphones, and in the subset of samples. The model is X = ΛS: a delay
    of some samples between microphones breaks it, and of several Gaussian sources none can be told from another.

    References
    ----------
    .. [1] A. Hyvärinen and E. Oja, "Independent component analysis: algorithms and applications", Neural Networks
       13(4-5), 2000, pp. 411-430.
    .. [2] F. Pedregosa et al., "Scikit-learn: machine learning in Python", JMLR 12, 2011, pp. 2825-2830.

    Examples
    --------
    >>> import irtools as ir
    >>> draw = torch.randn(2, 2, 9000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> mics = torch.tensor([[1.0, 0.2], [0.3, 1.0]], dtype=torch.float64) @ (draw[0] * draw[1].abs())
    >>> ir.reduce(mics, 8000, "ica").gains.round(decimals=1)
    tensor([[1.0000, 0.2000],
            [0.3000, 1.0000]], dtype=torch.float64)
    """
    check_choice("fun", fun, _FUNCTIONS)
    check_int("max_iter", max_iter, 1)
    check_int("max_frames", max_frames, _FEWEST_FRAMES)
    check_number("tol", tol, above=0, below=1)
    if seed is not None:
        check_int("seed", seed, 0)
    close_mics = recording.close_mics(assignment, n_sources)
    moments, frames = _gather(recording.pieces(), max_frames)
    settings = {"fun": fun, "max_iter": max_iter, "tol": tol, "seed": seed, "max_frames": max_frames}
    found = _decompose(moments, frames, settings)
    gains, images, notes = _at_own_mics(found, close_mics)
    return Separator(
        separate=lambda mics, mixdown: torch.from_numpy(images).to(mics) @ mics,
        close_mics=close_mics,
        gains=torch.from_numpy(gains),
        n_iter=found.n_iter,
        converged=found.converged,
        details={
            "demixing": images.tolist(),
            "rank": found.mixing.shape[1],
            "frames": frames.shape[1],
            "settings": settings,
            "notes": notes,
        },
    )


@dataclass(frozen=True)
class _Mixing:
    """Standardised microphones = mixing @ components, in units of each microphone's deviation, and its inverse."""

    mixing: np.ndarray  # (mics, components): correlations
    demixing: np.ndarray  # (components, mics)
    deviation: np.ndarray  # (mics,); 0 for a microphone that does not vary
    n_iter: int
    converged: bool


def _gather(pieces: Iterable, max_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Second moments of the microphones and a row of ones, and every ``stride``-th sample: wherever the cuts are."""
    moments, kept, stride, seen = 0, [], 1, 0
    for mics, _ in pieces:
        moments = moments + second_moments(mics, torch.ones_like(mics[:1]))
        first, seen = seen, seen + mics.shape[1]
        while -(-seen // stride) > max_frames:
            kept = [torch.cat(kept, dim=1)[:, ::2].clone()] if kept else []
            stride *= 2
        kept.append(mics[:, -first % stride :: stride].cpu().clone())
    return moments.cpu().numpy(), torch.cat(kept, dim=1).double().numpy()


def _decompose(moments, frames, settings) -> _Mixing:
    samples, sums, power = moments[-1, -1], moments[:-1, -1], np.diag(moments)[:-1]
    if not np.isfinite(moments).all():
        raise FloatingPointError("ica: the second moments of the microphones are not finite (before iteration 1)")
    mean = sums / samples
    covariance = moments[:-1, :-1] / samples - np.outer(mean, mean)
    varies = np.diag(covariance) > _SILENCE * power / samples
    deviation = np.sqrt(np.where(varies, np.diag(covariance), 0))
    inverse = np.divide(1, deviation, out=np.zeros_like(deviation), where=varies)
    values, vectors = np.linalg.eigh(covariance * np.outer(inverse, inverse))
    kept = values > _RANK * max(values[-1], 1)
    values, vectors = values[kept], vectors[:, kept]
    whitening = (vectors / np.sqrt(values)).T
    rotation, n_iter, converged = _rotate((whitening * inverse) @ (frames - mean[:, None]), vectors, settings)
    mixing, demixing = (vectors * np.sqrt(values)) @ rotation.T, rotation @ whitening * inverse
    return _Mixing(mixing, demixing, deviation, n_iter, converged)


def _rotate(white, vectors, settings) -> tuple[np.ndarray, int, bool]:
    """FastICA's rotation of the whitened microphones, its number of iterations, and whether it converged."""
    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning as NotConverged

    rank = len(white)
    if rank < 2:
        return np.eye(rank), 0, True
    ica = FastICA(
        algorithm="parallel",
        whiten=False,
        fun=settings["fun"],
        max_iter=settings["max_iter"],
        tol=settings["tol"],
        w_init=_start(vectors, settings["seed"]),
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", NotConverged)
        rotation = ica.fit(white.T).components_
    converged = not any(issubclass(one.category, NotConverged) for one in caught)
    if not np.isfinite(rotation).all():
        raise FloatingPointError(f"ica: the rotation is not finite at iteration {ica.n_iter_}")
    if not converged:
        why = "the sources may be dependent, or more than one of them Gaussian"
        warn_not_converged("ica", ica.n_iter_, why)
    return rotation, ica.n_iter_, converged


def _start(vectors, seed):
    """Where the rotation starts: the most independent of the microphones in whitened coordinates, or at random."""
    from scipy.linalg import qr

    rank = vectors.shape[1]
    if seed is not None:
        return np.random.default_rng(seed).standard_normal((rank, rank))
    order = qr(vectors.T, pivoting=True)[2]
    return vectors[np.sort(order[:rank])]


def _at_own_mics(found, close_mics):
    """Λ, the rows that make each source's image at its own microphone, and what a reader should know."""
    from scipy.optimize import linear_sum_assignment

    n_mics, n_sources = len(found.deviation), len(close_mics)
    gains, images, notes = np.zeros((n_mics, n_sources)), np.zeros((n_sources, n_mics)), []
    own = np.abs(found.mixing[close_mics])
    component = np.full(n_sources, -1)
    if own.size:
        rows, columns = linear_sum_assignment(own, maximize=True)
        component = own.argmax(axis=1)
        component[rows] = columns
    for n, (mic, c) in enumerate(zip(close_mics, component, strict=True)):
        if c < 0 or own[n, c] == 0:
            gains[mic, n] = images[n, mic] = 1
            continue
        column = found.deviation * found.mixing[:, c]
        gains[:, n] = column / column[mic]
        images[n] = column[mic] * found.demixing[c]
        if same := [m for m in range(n) if component[m] == c and own[m, c] > 0]:
            notes.append(
                f"sources {same[0]} and {n} share a component: the microphones carry fewer signals than sources"
            )
    return gains, images, notes
