"""Image-source impulse responses of a stage in a rectangular room, with the reverberation time they measure."""

from __future__ import annotations

import itertools
import math
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from irtools.checks import check_choice, check_int, check_number, check_rate
from irtools.stage.geometry import Stage

SPEED_OF_SOUND = 343.0  # m/s
MAX_ORDER = 80  # about 700 000 image sources per pair: the most that takes under a second
MAX_ABSORPTION = 0.99
RT60_TOLERANCE = 0.05  # of the measured reverberation time, relative
AFTER_DIRECT_S = 0.005  # the decay is read from here on: the direct path of a close microphone is no decay
DECAY_DB = (-5.0, -25.0)  # where the decay is read, below the energy at its start: the range of T20


def room_impulse_responses(
    stage: Stage,
    sample_rate: int,
    *,
    rt60_s: float = 0.2,
    pattern: str = "omni",
    absorption: str | float = "calibrated",
    max_order: int | None = None,
) -> RoomResponses:
    """Simulate the impulse response from every source to every microphone of a stage.

    Parameters
    ----------
    stage : Stage
        See :func:`irtools.lay_out_stage`.
    sample_rate : int
        In Hz.
    rt60_s : float
        Reverberation time, in seconds; 0 is an anechoic room.
    pattern : {"omni", "cardioid"}
        Of the microphones; a cardioid faces its source.
    absorption : {"calibrated", "sabine"} or float
        How walls follow from ``rt60_s``: found by iteration, so that the reverberation time *measured* at the close
        microphones (by omnidirectional ones, whatever ``pattern``) is the one asked for; from Sabine's formula, as in
        the published simulations; or the energy absorption coefficient itself, when ``rt60_s`` only sets
        ``max_order``.
    max_order : int, optional
        Reflections of an image source; by default as many as reach the distance sound travels in ``rt60_s``. 0 is
        the direct path alone.

    Returns
    -------
    RoomResponses
        ``responses`` of shape (mics, sources, taps), float64, and what is known about them.

    Raises
    ------
    TypeError, ValueError
        A reverberation time that this room cannot have, with the range it can; an unknown pattern; no sample rate.

    Notes
    -----
    The image-source method [1]_ by pyroomacoustics [2]_. Its fractional-delay filters put 40 samples before every
    direct path; these are cut off all responses alike, so that a direct path arrives at distance / c (what would ring
    before time zero is lost: under 1 % of the gain for a delay of 12 samples, nothing from 40 on). Its 10 Hz
    high-pass is off: an anechoic response is a pure delay and gain.

    Sabine's α = 24 ln(10) V / (c A T) fails in rooms as dead as these: the published 13.5 x 7 x 7 m at 0.25 s has
    α = 0.90 and 0.18 to 0.21 s by measurement, and 0.2 s would need α > 1.

    References
    ----------
    .. [1] J. B. Allen and D. A. Berkley, "Image method for efficiently simulating small-room acoustics",
       J. Acoust. Soc. Am. 65, 1979.
    .. [2] R. Scheibler, E. Bezzam, I. Dokmanić, "Pyroomacoustics", ICASSP, 2018.

    Examples
    --------
    >>> from irtools.stage.geometry import lay_out_stage
    >>> anechoic = room_impulse_responses(lay_out_stage(2), 44100, rt60_s=0.0)
    >>> print(f"{anechoic.delay_samples[0, 0]:.2f} {anechoic.responses[0, 0].sum():.2f}")
    64.29 1.00
    """
    check_rate(sample_rate)
    check_choice("pattern", pattern, ("omni", "cardioid"))
    check_number("rt60_s", rt60_s, 0, unit="s")
    if isinstance(absorption, str) and absorption not in ("calibrated", "sabine"):
        raise ValueError(f"absorption: expected 'calibrated', 'sabine' or a number, got {absorption!r}")
    if max_order is None or rt60_s == 0:
        max_order = _image_order(stage.room_m, rt60_s)
    check_int("max_order", max_order, 0, MAX_ORDER)
    if max_order == 0:
        absorption = 1.0
    elif absorption == "sabine":
        absorption = _sabine_absorption(stage.room_m, rt60_s)
    elif absorption == "calibrated":
        absorption = _calibrated_absorption(stage, sample_rate, rt60_s, max_order)
    if not 0 < absorption <= 1:
        raise ValueError(f"absorption: expected a number in (0, 1], got {absorption!r}")
    responses = image_sources(stage, sample_rate, pattern, absorption, max_order)
    direct_gain = _direct_gain(stage, pattern)
    scale = 1 / direct_gain.diagonal().mean().item()
    delay = stage.distances() * (sample_rate / SPEED_OF_SOUND)
    measured = _measure_rt60(stage, sample_rate, absorption, max_order)
    return RoomResponses(responses * scale, delay, direct_gain * scale, scale, measured, float(absorption), max_order)


@dataclass(frozen=True, eq=False)
class RoomResponses:
    """Impulse responses of a stage, free of the simulator's lead, with what is known about them."""

    responses: Tensor  # (mics, sources, taps), float64
    delay_samples: Tensor  # of the direct path, (mics, sources): distance / c · sample rate
    direct_gain: Tensor  # of the direct path, (mics, sources); its mean over the close microphones is 1
    scale: float  # what 1/distance was multiplied by to make it so, in metres
    rt60_s: list[float | None]  # by an omnidirectional microphone in the place of each close one; None: anechoic
    absorption: float  # energy absorption coefficient of every wall; 1 in an anechoic room
    max_order: int  # reflections of an image source


def _measure_rt60(stage: Stage, sample_rate: int, absorption: float, max_order: int) -> list[float | None]:
    """Reverberation time at each close microphone, by an omnidirectional one in its place (as in ISO 3382)."""
    times = []
    for n in range(len(stage.sources) if max_order else 0):
        response = image_sources(stage, sample_rate, "omni", absorption, max_order, mics=[n], sources=[n])[0, 0]
        after_direct = stage.distances()[n, n].item() / SPEED_OF_SOUND + AFTER_DIRECT_S
        times.append(reverberation_time(response, sample_rate, start=int(after_direct * sample_rate)))
    return times or [None] * len(stage.sources)


def reverberation_time(response, sample_rate: int, *, start: int = 0) -> float | None:
    """Reverberation time in seconds of an impulse response from sample ``start`` on; None where it falls too little.

    Schroeder's backward integration (J. Acoust. Soc. Am. 37, 1965), E(t) = ∫_t^∞ h²(τ) dτ, and a straight line
    through the levels in ``DECAY_DB``, extrapolated to 60 dB.
    """
    energy = np.cumsum(np.asarray(response, dtype=np.float64)[start:][::-1] ** 2)[::-1]
    energy = energy[energy > 0]
    if len(energy) == 0:
        return None
    level_db = 10 * np.log10(energy / energy[0])
    first, last = (int(np.searchsorted(-level_db, -level)) for level in DECAY_DB)
    if last - first < 2 or last >= len(level_db):
        return None
    slope = np.polyfit(np.arange(first, last) / sample_rate, level_db[first:last], 1)[0]
    return float(-60 / slope)


def _reach(room_m) -> float:
    # The pile of image rooms up to order M holds a sphere of radius (M + 1) times this.
    return min(a * b / math.hypot(a, b) for a, b in itertools.combinations(room_m, 2))


def _longest(room_m) -> float:
    # Down to a millisecond, so that the time a message names is accepted.
    return math.floor(1000 * (MAX_ORDER + 1) * _reach(room_m) / SPEED_OF_SOUND) / 1000


def _image_order(room_m, rt60_s: float) -> int:
    order = max(math.ceil(SPEED_OF_SOUND * rt60_s / _reach(room_m) - 1), 1) if rt60_s > 0 else 0
    if order > MAX_ORDER:
        raise ValueError(
            f"rt60_s: expected at most {_longest(room_m):.3f} s in a room of {room_m} m (image order {MAX_ORDER}), "
            f"got {rt60_s} s (image order {order})"
        )
    return order


def _sabine_absorption(room_m, rt60_s: float) -> float:
    area = 2 * sum(a * b for a, b in itertools.combinations(room_m, 2))
    shortest = 24 * math.log(10) * math.prod(room_m) / (SPEED_OF_SOUND * area)
    if rt60_s < shortest:
        raise ValueError(
            f"rt60_s: expected at least {shortest:.3f} s (absorption 1 by Sabine's formula) in a room of {room_m} m, "
            f"got {rt60_s} s; absorption='calibrated' reaches shorter times"
        )
    return shortest / rt60_s


def _calibrated_absorption(stage: Stage, sample_rate: int, rt60_s: float, max_order: int) -> float:
    """Absorption at which the mean reverberation time measured at the close microphones is ``rt60_s``."""
    low, high = 0.0, -math.log(1 - MAX_ABSORPTION)
    # Eyring: the time is about inverse to -ln(1 - α), so halving that interval converges evenly.
    for _ in range(16):
        exponent = (low + high) / 2
        absorption = 1 - math.exp(-exponent)
        times = _measure_rt60(stage, sample_rate, absorption, max_order)
        # A response with no decay left to read is shorter than any that can be asked for.
        time = sum(time or 0.0 for time in times) / len(times)
        error = abs(time / rt60_s - 1)
        if error <= RT60_TOLERANCE / 5:
            break
        low, high = (exponent, high) if time > rt60_s else (low, exponent)
    if error <= RT60_TOLERANCE:
        return absorption
    remedy = "a longer one" if time > rt60_s else "a shorter one, or a higher max_order"
    raise ValueError(
        f"rt60_s: expected a time that walls of absorption 0 to {MAX_ABSORPTION} can give this stage: {remedy} "
        f"(at most {_longest(stage.room_m):.3f} s in a room of {stage.room_m} m), got {rt60_s} s; the search ended at "
        f"{time:.3f} s with absorption {absorption:.2f}"
    )


def _direct_gain(stage: Stage, pattern: str) -> Tensor:
    distances = stage.distances()
    if pattern == "omni":
        return 1 / distances
    towards = (stage.sources[None] - stage.mics[:, None]) / distances[..., None]
    return (0.5 + 0.5 * (towards * stage.facing[:, None]).sum(2)) / distances


@contextmanager
def _plain_pyroomacoustics():
    """Pyroomacoustics without its high-pass, on one thread (sums in one order); settings are restored."""
    import pyroomacoustics

    settings = {"rir_hpf_enable": False, "num_threads": 1, "c": SPEED_OF_SOUND}
    before = {name: pyroomacoustics.constants.get(name) for name in settings}
    try:
        for name, value in settings.items():
            pyroomacoustics.constants.set(name, value)
        yield pyroomacoustics
    finally:
        for name, value in before.items():
            pyroomacoustics.constants.set(name, value)


def image_sources(
    stage: Stage, sample_rate: int, pattern: str, absorption: float, max_order: int, *, mics=None, sources=None
) -> Tensor:
    """Responses (mics, sources, taps) of given walls, of all or of some microphones and sources."""
    mics = list(range(len(stage.mics)) if mics is None else mics)
    sources = list(range(len(stage.sources)) if sources is None else sources)
    with _plain_pyroomacoustics() as pra:
        walls = pra.Material(float(absorption))
        room = pra.ShoeBox(list(stage.room_m), fs=sample_rate, max_order=max_order, materials=walls)
        for position in stage.sources[sources].tolist():
            room.add_source(position)
        directivity = None
        if pattern == "cardioid":
            directivity = [pra.directivities.Cardioid(axis) for axis in stage.facing[mics].numpy()]
        room.add_microphone_array(stage.mics[mics].numpy().T, directivity=directivity)
        room.compute_rir()
        lead = pra.constants.get("frac_delay_length") // 2
    responses = [torch.from_numpy(response[lead:].astype(np.float64)) for row in room.rir for response in row]
    return pad_sequence(responses, batch_first=True).unflatten(0, (len(mics), -1))
