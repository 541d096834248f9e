"""A simulated recording with the truth about it, the :class:`Scene`, and the quality of its untouched mics."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from irtools.checks import check_assignment, check_mics
from irtools.recording.reading import check_names


@dataclass(frozen=True, eq=False)
class Scene:
    """A simulated recording together with the truth about it.

    Attributes
    ----------
    mics, references, sources : Tensor, shape (mics or sources, samples), float32 or float64
        What the microphones record; each source as heard at its own microphone (its own-mic image), which an
        estimate is scored against; the dry sources that went in.
    sample_rate : int or None
        In Hz.
    gains : Tensor, shape (mics, sources), or None
        Interference matrix Λ in amplitude; None where the stage is convolutive.
    assignment, names : tuple
        Close microphone and name of each source; microphone n and ``source<n>`` by default.
    details : dict
        Plain types, ready for ``json.dumps(..., allow_nan=False)``: a level that is undefined or infinite is None.

    Raises
    ------
    TypeError, ValueError
        Fields whose types, shapes, dtypes, devices or lengths contradict each other.

    Examples
    --------
    >>> stems = torch.eye(2)
    >>> scene = Scene(mics=stems, references=stems, sources=stems)
    >>> scene.n_mics, scene.n_sources, scene.samples, scene.names
    (2, 2, 2, ('source0', 'source1'))
    """

    mics: Tensor
    references: Tensor
    sources: Tensor
    sample_rate: int | None = None
    gains: Tensor | None = None
    assignment: tuple[int, ...] | None = None
    names: tuple[str, ...] | None = None
    details: dict = field(default_factory=dict)

    def __post_init__(self):
        check_mics(self.mics, self.sample_rate)
        n_sources = len(check_mics(self.sources, name="sources"))
        expected = (n_sources, self.samples)
        for name in ("references", "sources"):
            value = check_mics(getattr(self, name), name=name)
            if tuple(value.shape) != expected:
                raise ValueError(f"{name}: expected shape {expected} (sources, samples), got {tuple(value.shape)}")
            if (value.dtype, value.device) != (self.mics.dtype, self.mics.device):
                raise ValueError(
                    f"{name}: expected {self.mics.dtype} on {self.mics.device} like mics, "
                    f"got {value.dtype} on {value.device}"
                )
        if self.gains is not None:
            check_gains(self.gains, self.n_mics, n_sources)
        names = [f"source{n}" for n in range(n_sources)] if self.names is None else self.names
        names = check_names(names)
        if len(names) != n_sources:
            raise ValueError(f"names: expected {n_sources} (one per source), got {len(names)}: {names}")
        # A frozen dataclass is filled in once, here.
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "assignment", tuple(check_assignment(self.assignment, self.n_mics, n_sources)))

    @property
    def n_mics(self) -> int:
        return self.mics.shape[0]

    @property
    def n_sources(self) -> int:
        return self.sources.shape[0]

    @property
    def samples(self) -> int:
        return self.mics.shape[1]


def check_gains(gains, n_mics: int | None, n_sources: int) -> Tensor:
    """Λ as a tensor of finite real numbers; any number of at least ``n_sources`` rows where ``n_mics`` is None."""
    gains = torch.as_tensor(gains)
    if gains.dtype == torch.bool or gains.is_complex():
        raise TypeError(f"gains: expected real numbers, got dtype {gains.dtype}")
    rows = f"at least {n_sources}" if n_mics is None else n_mics
    fits = gains.ndim == 2 and gains.shape[1] == n_sources
    if not fits or (gains.shape[0] < n_sources if n_mics is None else gains.shape[0] != n_mics):
        raise ValueError(f"gains: expected shape ({rows} mics, {n_sources} sources), got {tuple(gains.shape)}")
    if not torch.isfinite(gains).all():
        raise ValueError(f"gains: expected finite values, got {gains.tolist()}")
    return gains


def input_quality(mics: Tensor, references: Tensor, assignment=None) -> dict:
    """SDR and SI-SDR of the untouched close microphones, in dB, one value per source; None where not finite."""
    own_mics = check_assignment(assignment, mics.shape[0], references.shape[0])
    sdr, si_sdr = [], []
    for reference, mic in zip(references.double(), mics[own_mics].double(), strict=True):
        power = reference.square().sum()
        projection = reference * ((mic * reference).sum() / power)
        sdr.append(_finite_db(power / (mic - reference).square().sum()))
        si_sdr.append(_finite_db(projection.square().sum() / (mic - projection).square().sum()))
    return {"input_sdr_db": sdr, "input_si_sdr_db": si_sdr}


def bleed_in_db(power_ratios: Tensor) -> list[list[float | None]]:
    """Each source's power at each microphone over that at its own, in dB; None where not finite."""
    return [[_finite_db(ratio) for ratio in row] for row in power_ratios.tolist()]


def _finite_db(power_ratio) -> float | None:
    # None, unlike an infinity or NaN, can be written as strict JSON.
    ratio = float(power_ratio)
    return 10 * math.log10(ratio) if 0 < ratio < math.inf else None
