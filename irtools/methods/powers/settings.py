"""The power model that KAMIR, MIRA and FastMIRA share, |X|^α ≈ ΛP, and everything in which they differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from irtools.checks import check_assignment, check_choice, check_int, check_number

# Everything is in units of the mean power of the recording, or of its noise floor once equalised.
NOISE = 1e-10
FLOOR = 1e-16


@dataclass(frozen=True)
class PowerSettings:
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
    first_passes : int
        Passes of logistic thinning of the first P.
    first_slope, first_threshold : float
        Of the logistic function 1 / (1 + exp(-slope (w - threshold))) of those passes.
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
    first_passes: int = 0
    first_slope: float = 5.0
    first_threshold: float = 0.5
    smoothing: tuple[int, int] = (10, 10)
    sparsity: float = 0.0
    reselect: bool = False
    track_cost: bool = False

    def __post_init__(self):
        if check_int("window_size", self.window_size, 4, unit="samples") % 2:
            raise ValueError(f"window_size: expected an even number of samples, got {self.window_size}")
        check_int("hop", self.hop, 1, self.window_size // 2, unit="samples (half the window at most)")
        for name in ("n_iter", "gain_iter", "first_passes"):
            check_int(name, getattr(self, name), 0)
        for name, (least, most) in _RANGES.items():
            check_number(name, getattr(self, name), least, most)
        for name, known in _CHOICES.items():
            check_choice(name, getattr(self, name), known)
        for name in ("per_frequency", "normalise_rows", "reselect", "track_cost"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name}: expected True or False, got {getattr(self, name)!r}")
        if len(self.smoothing) != 2:
            raise ValueError(f"smoothing: expected two positive integers (freqs, frames), got {self.smoothing!r}")
        for side in self.smoothing:
            check_int("smoothing", side, 1)
        if self.sparsity and self.step == "wiener":
            raise ValueError("sparsity: the step 'wiener' has no penalty; expected 0, or step='multiplicative'")
        footprint_of(self)


_CHOICES = {"window": ("hann", "hamming"), "step": ("wiener", "multiplicative"), "equalise": ("floor", "level", "none")}
_RANGES = {
    "alpha": (1e-3, 2.0),
    "beta": (0.0, 2.0),
    "leakage": (1e-10, 1.0),
    "gain_floor": (1e-10, 1.0),
    "floor_quantile": (0.0, 1.0),
    "first_slope": (0.0, None),
    "first_threshold": (0.0, 1.0),
    "sparsity": (0.0, None),
}


def footprint_of(settings: PowerSettings) -> Tensor | None:
    """The kernel of the settings as a matrix of bool, or None."""
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


def close_matrix(close_mics, assignment, n_sources: int | None, n_mics: int) -> tuple[Tensor, list[int]]:
    """Which microphones are close to which source (mics, sources), and the one at which each source is estimated.

    ``close_mics`` lists the close microphones of every source, the first being the one at which it is estimated, or is
    a matrix (mics, sources) of 0 and 1; None leaves it to ``assignment`` and ``n_sources``.
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
    """``function`` of every item, in their order, on as many threads as torch uses."""
    # One block or one microphone is too little work for several threads: each thread takes whole items instead.
    threads = torch.get_num_threads()
    if min(threads, len(items)) == 1 or like.device.type != "cpu":
        return [function(item) for item in items]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(function, items))
    finally:
        torch.set_num_threads(threads)
