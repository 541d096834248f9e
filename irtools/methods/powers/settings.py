"""The power model that KAMIR, MIRA and FastMIRA share, |X|^α ≈ ΛP, and everything in which they differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from irtools.checks import check_assignment

# Everything is in units of the mean power of the recording, or of its noise floor once equalised.
NOISE = 1e-10
FLOOR = 1e-16


@dataclass(frozen=True)
class Settings:
    """Every parameter of the family; the three methods are choices of them.

    Attributes
    ----------
    window_size, hop, window
        Of the spectra, in samples, at any sample rate; see :func:`irtools.stft.stft`.
    alpha : float
        Exponent of V = |X|^α, 0 to 2: 2 is power, less is a fractional power spectral density.
    beta : float
        Divergence between V and ΛP: 0 Itakura-Saito, 1 Kullback-Leibler, 2 least squares, or between.
    step : "wiener" or "multiplicative"
        How P moves: to the Wiener estimates at the close microphones (KAMIR), or down the divergence at all
        microphones (MIRA).
    per_frequency : bool
        A gain per frequency, or one for all.
    leakage : float
        First value of every gain of a microphone that is not a close one; close ones start at 1.
    n_iter : int
        Iterations. More of them separate more, and distort more.
    gain_iter : int
        Steps of Λ in each iteration; 0 keeps the first gains.
    normalise_rows : bool
        Divide every row of Λ by its sum after a step.
    gain_floor : float
        Lower bound of every gain, after that.
    equalise : "floor", "level" or "none"
        What the powers are divided by before the gains are compared with ``leakage`` and ``gain_floor``: the noise
        floor of each microphone at each frequency, the mean power of each microphone, or nothing.
    floor_quantile : float
        The quantile over time that is taken for the noise floor.
    footprint : (int, int), sequence of rows of bool, or None
        Kernel of the back-fitting: P is replaced by its median over these bins (freqs, frames) in each iteration.
    approximate : bool
        One iteration only, in which a logistic function of it replaces every mask.
    slope, threshold : float
        Of that function, 1 / (1 + exp(-slope (w - threshold))).
    first_passes : int
        Passes of logistic thinning of the first P.
    first_slope, first_threshold : float
        Of those passes.
    smoothing : (int, int)
        Hamming window (freqs, frames) over which those passes compare the sources.
    sparsity : float
        ρ of :func:`irtools.kernels.psd_update.psd_update`; multiplicative step only.
    reselect : bool
        Choose the close microphones anew after each iteration: those whose median gain over the frequencies exceeds
        0.8 times the largest of the source.
    track_cost : bool
        Record the divergence after each iteration.
    """

    window_size: int = 4096
    hop: int = 1024
    window: str = "hann"
    alpha: float = 2.0
    beta: float = 0.0
    step: str = "wiener"
    per_frequency: bool = True
    leakage: float = 0.1
    n_iter: int = 5
    gain_iter: int = 1
    normalise_rows: bool = False
    gain_floor: float = 1e-3
    equalise: str = "none"
    floor_quantile: float = 0.05
    footprint: object = None
    approximate: bool = False
    slope: float = 20.0
    threshold: float = 0.6
    first_passes: int = 0
    first_slope: float = 5.0
    first_threshold: float = 0.5
    smoothing: tuple[int, int] = (10, 10)
    sparsity: float = 0.0
    reselect: bool = False
    track_cost: bool = False

    def __post_init__(self):
        _check_numbers(self)
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}")
        for name in ("per_frequency", "normalise_rows", "approximate", "reselect", "track_cost"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name}: expected True or False, got {getattr(self, name)!r}")
        if len(self.smoothing) != 2 or any(not _is_int(side) or side < 1 for side in self.smoothing):
            raise ValueError(f"smoothing: expected two positive integers (freqs, frames), got {self.smoothing!r}")
        if self.sparsity and self.step == "wiener":
            raise ValueError("sparsity: the step 'wiener' has no penalty; expected 0, or step='multiplicative'")
        footprint_of(self)


_CHOICES = {"window": ("hann", "hamming"), "step": ("wiener", "multiplicative"), "equalise": ("floor", "level", "none")}
_COUNTS = {"n_iter": 0, "gain_iter": 0, "first_passes": 0}
_RANGES = {
    "alpha": (1e-3, 2.0),
    "beta": (0.0, 2.0),
    "leakage": (1e-10, 1.0),
    "gain_floor": (1e-10, 1.0),
    "floor_quantile": (0.0, 1.0),
    "slope": (0.0, math.inf),
    "threshold": (0.0, 1.0),
    "first_slope": (0.0, math.inf),
    "first_threshold": (0.0, 1.0),
    "sparsity": (0.0, math.inf),
}


def _is_int(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_numbers(settings):
    size, hop = settings.window_size, settings.hop
    if not (_is_int(size) and size >= 4 and size % 2 == 0):
        raise ValueError(f"window_size: expected an even number of samples, 4 or more, got {size!r}")
    if not (_is_int(hop) and 1 <= hop <= size // 2):
        raise ValueError(f"hop: expected 1 to {size // 2} samples (half the window), got {hop!r}")
    for name, least in _COUNTS.items():
        value = getattr(settings, name)
        if not _is_int(value):
            raise TypeError(f"{name}: expected an int, got {value!r}")
        if value < least:
            raise ValueError(f"{name}: expected {least} or more, got {value}")
    for name, (low, high) in _RANGES.items():
        value = getattr(settings, name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise TypeError(f"{name}: expected a number, got {value!r}")
        if not (low <= value <= high and math.isfinite(value)):
            raise ValueError(f"{name}: expected {low:g} to {high:g}, got {value!r}")


def footprint_of(settings: Settings) -> Tensor | None:
    """The kernel of the settings as a matrix of bool, or None.

    Examples
    --------
    >>> footprint_of(Settings(footprint=(1, 3)))
    tensor([[True, True, True]])
    """
    shape = settings.footprint
    if shape is None:
        return None
    try:
        matrix = torch.as_tensor(shape)
        if matrix.ndim == 1 and len(matrix) == 2 and not matrix.is_floating_point() and (matrix > 0).all():
            return torch.ones(*matrix.tolist(), dtype=torch.bool)
        if matrix.ndim == 2 and matrix.any():
            return matrix.bool()
    except (TypeError, ValueError, RuntimeError):
        pass
    raise ValueError(f"footprint: expected None, (freqs, frames) or a matrix with at least one bin, got {shape!r}")


def choose_settings(presets: dict[str, Settings], preset: str, changes: dict) -> Settings:
    """The settings of a preset with some of them changed; a wrong name is refused with those that exist.

    Examples
    --------
    >>> choose_settings({"mine": Settings()}, "mine", {"n_iter": 2}).n_iter
    2
    """
    if preset not in presets:
        raise ValueError(f"preset: expected one of {', '.join(presets)}, got {preset!r}")
    known = [field.name for field in fields(Settings)]
    for name in changes:
        if name not in known:
            raise TypeError(f"{name}: not a setting of the power model; expected one of {', '.join(known)}")
    return replace(presets[preset], **changes)


def close_matrix(close_mics, assignment, n_sources: int | None, n_mics: int) -> tuple[Tensor, list[int]]:
    """Which microphones are close to which source, and the one at which each source is estimated.

    Parameters
    ----------
    close_mics : sequence of sequences of int, matrix (mics, sources) of 0 and 1, or None
        The close microphones of every source, several if it has several.
    assignment, n_sources
        As in :func:`irtools.checks.check_assignment`, for one close microphone a source.
    n_mics : int

    Returns
    -------
    close : Tensor, shape (mics, sources), bool
    own_mics : list of int
        The first of each; no microphone is the first of two sources.

    Raises
    ------
    ValueError
        Indices out of range, a source without a microphone, or both ``close_mics`` and one of the others.

    Examples
    --------
    >>> close_matrix([[0, 1], [2]], None, None, 3)[1]
    [0, 2]
    """
    if close_mics is None:
        own_mics = check_assignment(assignment, n_mics, n_sources)
        lists = [[mic] for mic in own_mics]
    else:
        if assignment is not None:
            raise ValueError("assignment: close_mics names the microphones already; expected one of the two")
        lists = _mic_lists(close_mics, n_mics)
        own_mics = [chosen[0] for chosen in lists]
        if n_sources is not None and n_sources != len(lists):
            raise ValueError(f"n_sources: close_mics names {len(lists)} sources, got {n_sources}")
        if len(set(own_mics)) != len(own_mics):
            raise ValueError(f"close_mics: expected another first microphone for each source, got {own_mics}")
    close = torch.zeros(n_mics, len(lists), dtype=torch.bool)
    for source, chosen in enumerate(lists):
        close[chosen, source] = True
    return close, own_mics


def _mic_lists(close_mics, n_mics):
    if isinstance(close_mics, Tensor) or hasattr(close_mics, "__array__"):
        matrix = torch.as_tensor(close_mics)
        if matrix.ndim != 2 or matrix.shape[0] != n_mics or not ((matrix == 0) | (matrix == 1)).all():
            raise ValueError(
                f"close_mics: expected a matrix of 0 and 1 with {n_mics} rows, got shape {tuple(matrix.shape)}"
            )
        lists = [column.nonzero()[:, 0].tolist() for column in matrix.T]
    else:
        lists = [[int(mic) for mic in chosen] for chosen in close_mics]
    if not lists or any(not chosen for chosen in lists):
        raise ValueError(f"close_mics: expected at least one microphone for every source, got {lists}")
    if any(not 0 <= mic < n_mics for chosen in lists for mic in chosen):
        raise ValueError(f"close_mics: expected microphone indices 0 to {n_mics - 1}, got {lists}")
    return lists


def in_threads(function: Callable, items: Sequence, like: Tensor) -> list:
    """``function`` of every item, in their order, on as many threads as torch uses.

    Notes
    -----
    On a processor, operations on one block or one microphone are too short to be shared among threads: waiting for
    each other takes longer, much longer where other programs are at work. So each thread computes alone.

    Examples
    --------
    >>> in_threads(abs, [-1, 2, -3], torch.zeros(1))
    [1, 2, 3]
    """
    threads = torch.get_num_threads()
    if min(threads, len(items)) == 1 or like.device.type != "cpu":
        return [function(item) for item in items]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(function, items))
    finally:
        torch.set_num_threads(threads)
