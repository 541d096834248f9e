"""The convolutive stage: dry sources recorded by close microphones in a simulated room, as a :class:`Scene`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from irtools.checks import check_int, check_mics, check_number
from irtools.stage.geometry import Stage, lay_out_stage
from irtools.stage.linear import add_sensor_noise
from irtools.stage.room_responses import DECAY_DB, room_impulse_responses
from irtools.stage.scene import Scene, bleed_in_db, input_quality
from irtools.stage.walk import walk_along, walked_images


def simulate_room(
    sources: Tensor,
    sample_rate: int,
    *,
    rt60_s: float = 0.2,
    distance_m: float = 0.5,
    room_m=None,
    n_mics: int | None = None,
    pattern: str = "omni",
    absorption: str | float = "calibrated",
    max_order: int | None = None,
    geometry: str | Stage = "published",
    walk_m: float = 0.0,
    walker: int = 0,
    noise_db: float | None = None,
    names=None,
    generator: torch.Generator | None = None,
) -> Scene:
    """Record dry sources with close microphones on a simulated stage.

    Parameters
    ----------
    sources : Tensor, shape (sources, samples), float32 or float64
        Dry sources.
    sample_rate : int
        In Hz.
    rt60_s : float
        Reverberation time, in seconds, as measured at the close microphones; 0 is an anechoic stage.
    distance_m, room_m, n_mics, geometry
        See :func:`irtools.lay_out_stage`. A Stage as ``geometry`` brings its own room and positions, and the other
        three are unused.
    pattern, absorption, max_order
        See :func:`irtools.room_impulse_responses`.
    walk_m : float
        Metres along x, from the first sample to the last at an even pace, that source ``walker`` walks with its
        microphone, which it holds in its hand; negative the other way.
    walker : int
        Number of this source.
    noise_db : float, optional
        White sensor noise, in dB relative to each microphone's mean power.
    names : sequence of str, optional
        One per source.
    generator : torch.Generator, optional
        On the CPU. Draws the random stage, then the noise; the same state gives the same bits.

    Returns
    -------
    Scene
        Same dtype, device and length as ``sources``: what rings on after the last sample is cut. ``references`` are
        the own-mic images h_nn * s_n, without noise; the dry ``sources`` are no reference. ``gains`` is None.
        ``details`` has the geometry, ``rt60_s`` (asked for) and ``measured_rt60_s``, walls, delay and gain of every
        direct path, all of these before a walk, ``bleed_db`` (energy of each source at each microphone over that at
        its own), input quality.

    Raises
    ------
    TypeError, ValueError
        Invalid sources or sample rate, a stage or a walk that does not fit the room, or a reverberation time that the
        room cannot have.

    Notes
    -----
    x_k = Σ_n h_kn * s_n + v_k, convolved by FFT in float64. One gain for the whole stage makes the mean direct path
    into the close microphones 1, in place of 1/distance.

    On a walk, x_k(t) = Σ_n Σ_p w_p(t) (h_kn,p * s_n)(t), with positions p at most as far apart as sound travels in a
    sample, and weights that fade linearly from one to the next: a response is that of the time when sound is heard.
    White noise loses 1 dB by these fades, music, which has little above a quarter of the sample rate, nothing.

    Differs from the published simulations, whose targets are dry stems: an estimate without any bleed scores about
    -7 dB against those, because of delay and gain alone.

    Examples
    --------
    >>> noise = torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))
    >>> scene = simulate_room(noise, 8000, rt60_s=0.0)
    >>> scene.mics.shape, scene.details["bleed_db"][0][0]
    (torch.Size([2, 4000]), 0.0)
    """
    n_sources = len(check_mics(sources, sample_rate, name="sources"))
    if isinstance(geometry, Stage):
        stage = geometry
    else:
        where = dict(distance_m=distance_m, room_m=room_m, geometry=geometry, generator=generator)
        stage = lay_out_stage(n_sources, n_mics, **where)
    if len(stage.sources) != n_sources:
        raise ValueError(f"geometry: expected a Stage of {n_sources} sources, got {len(stage.sources)}")
    check_number("walk_m", walk_m, unit="m")
    check_int("walker", walker, 0, n_sources - 1)
    # Before anything that takes long: a walk may lead out of the room.
    stages = walk_along(stage, walker, walk_m, sample_rate) if walk_m else []
    room = room_impulse_responses(
        stage, sample_rate, rt60_s=rt60_s, pattern=pattern, absorption=absorption, max_order=max_order
    )
    walked = walked_images(sources, stages, walker, room, sample_rate, pattern) if walk_m else {}
    mics, references, energy = _convolve(sources, room.responses, walked)
    references = references.to(sources)
    mics = add_sensor_noise(mics.to(sources), noise_db, generator)
    times = [time for time in room.rt60_s if time is not None]
    details = {
        "kind": "room",
        "rt60_s": float(rt60_s),
        "measured_rt60_s": room.rt60_s,
        "mean_measured_rt60_s": sum(times) / len(times) if times else None,
        "rt60_decay_db": list(DECAY_DB),
        "absorption": room.absorption,
        "max_order": room.max_order,
        "pattern": pattern,
        "scale_m": room.scale,
        "direct_delay_samples": room.delay_samples.tolist(),
        "direct_gain": room.direct_gain.tolist(),
        "walk_m": float(walk_m),
        "walker": walker if walk_m else None,
        "noise_db": noise_db,
        "seed": None if generator is None else generator.initial_seed(),
        "bleed_db": bleed_in_db(energy / energy.diagonal()),
        **input_quality(mics, references),
        **stage.describe(),
    }
    return Scene(mics, references, sources, sample_rate, None, None, names, details)


def _convolve(sources: Tensor, responses: Tensor, walked: dict) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of the images at each microphone, the own-mic images, and the energy of every image; float64.

    Of the pairs (microphone, source) that are in ``walked`` the images are those.
    """
    from scipy.signal import oaconvolve

    n_mics, n_sources, _ = responses.shape
    samples = sources.shape[1]
    mics, references = np.zeros((n_mics, samples)), np.zeros((n_sources, samples))
    energy = np.zeros((n_mics, n_sources))
    for n, source in enumerate(sources):
        dry = source.detach().to("cpu", torch.float64).numpy()
        # A silent source has silent images.
        for k in range(n_mics) if dry.any() else ():
            image = walked.get((k, n))
            if image is None:
                image = oaconvolve(dry, responses[k, n].numpy())[:samples]
            energy[k, n] = image @ image
            mics[k] += image
            if k == n:
                references[n] = image
    return torch.from_numpy(mics), torch.from_numpy(references), torch.from_numpy(energy)
