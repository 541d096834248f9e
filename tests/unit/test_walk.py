"""A source that walks with its microphone: the static scenes it passes, and what does not move."""

import json
import math
from dataclasses import replace

import pytest
import torch

from irtools.comparison.scenes import make_scene, scenes_of
from irtools.stage.geometry import lay_out_stage
from irtools.stage.room import simulate_room

RATE = 8000


def noise(n_sources=3, samples=2000, seed=0, dtype=torch.float64):
    return torch.randn(n_sources, samples, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def slow(sources):
    """Without what is above an eighth of the sample rate."""
    spectra = torch.fft.rfft(sources)
    spectra[:, spectra.shape[1] // 4 :] = 0
    return torch.fft.irfft(spectra, sources.shape[1])


def alone(sources, n):
    return sources * (torch.arange(len(sources)) == n)[:, None]


def moved(stage, walker, along_m):
    """The stage with one source and its microphone elsewhere along x."""
    positions = {name: getattr(stage, name).clone() for name in ("sources", "mics")}
    for position in positions.values():
        position[walker, 0] += along_m
    return replace(stage, **positions)


@pytest.mark.parametrize(
    ("walker", "walk_m", "pattern", "rt60_s"),
    [(0, 0.3, "omni", 0.2), (1, -0.3, "cardioid", 0.2), (2, 0.3, "omni", 0.0)],
)
def test_a_walk_is_at_every_position_the_static_scene_there(walker, walk_m, pattern, rt60_s):
    # 0.3 m are 7 samples of sound: so many steps, of 1000 samples here.
    steps, pace = math.ceil(0.3 / 343 * RATE), 1000
    assert steps == 7
    sources, stage = noise(samples=steps * pace + 1), lay_out_stage(3, 4, distance_m=0.4)
    # All positions have the walls of the first.
    walls = {"pattern": pattern, "rt60_s": rt60_s, "absorption": 0.6 if rt60_s else "calibrated"}
    scene = simulate_room(sources, RATE, geometry=stage, walk_m=walk_m, walker=walker, **walls)
    for step in range(steps + 1):
        static = simulate_room(sources, RATE, geometry=moved(stage, walker, walk_m * step / steps), **walls)
        at = step * pace
        torch.testing.assert_close(scene.mics[:, at], static.mics[:, at], rtol=0, atol=1e-9)
        torch.testing.assert_close(scene.references[:, at], static.references[:, at], rtol=0, atol=1e-9)
        if step < steps:
            # Half way it is the mean of both.
            after = simulate_room(sources, RATE, geometry=moved(stage, walker, walk_m * (step + 1) / steps), **walls)
            mean = (static.mics[:, at + pace // 2] + after.mics[:, at + pace // 2]) / 2
            torch.testing.assert_close(scene.mics[:, at + pace // 2], mean, rtol=0, atol=1e-9)


def test_without_a_walk_nothing_changes_and_with_one_what_does_not_move():
    sources = noise()
    still = simulate_room(sources, RATE, n_mics=4)
    assert torch.equal(simulate_room(sources, RATE, n_mics=4, walk_m=0.0, walker=2).mics, still.mics)
    for n in (0, 2):
        static, walk = (simulate_room(alone(sources, n), RATE, n_mics=4, walk_m=m, walker=1) for m in (0.0, 0.5))
        assert torch.equal(walk.mics[[0, 2, 3]], static.mics[[0, 2, 3]])
        assert not torch.allclose(walk.mics[1], static.mics[1], atol=1e-3)
        assert torch.equal(walk.references, static.references)
    static, walk = (simulate_room(alone(sources, 1), RATE, n_mics=4, walk_m=m, walker=1) for m in (0.0, 0.5))
    assert (walk.mics - static.mics).abs().amax(1).min() > 1e-3


def test_the_own_image_nearly_stays_and_the_bleed_changes():
    sources = slow(noise(samples=2 * RATE))
    static, walk = (simulate_room(alone(sources, 0), RATE, walk_m=m) for m in (0.0, 1.0))
    change = (walk.mics - static.mics).square().sum(1) / static.mics.square().sum(1)
    assert change[0] < 0.05 and (change[1:] > 0.5).all()
    # Towards the other two, whose microphones hear the walker louder in the end.
    late = slice(3 * RATE // 2, None)
    louder = walk.mics[:, late].square().sum(1) / static.mics[:, late].square().sum(1)
    assert louder[1] > 1.2 and abs(louder[0] - 1) < 0.05


def test_a_walk_keeps_the_energy_and_has_no_clicks():
    sources, stage = slow(noise(samples=2 * RATE)), lay_out_stage(3)
    walls = {"absorption": 0.6, "rt60_s": 0.2}
    middle = slice(RATE - RATE // 5, RATE + RATE // 5)
    for n in (0, 1):
        walk = simulate_room(alone(sources, n), RATE, geometry=stage, walk_m=1.0, **walls)
        there = simulate_room(alone(sources, n), RATE, geometry=moved(stage, 0, 0.5), **walls)
        level_db = 10 * torch.log10(walk.mics[:, middle].square().sum(1) / there.mics[:, middle].square().sum(1))
        assert level_db.abs().max() < 0.3
    tone = torch.zeros_like(sources)
    tone[0] = torch.sin(2 * torch.pi * 200 / RATE * torch.arange(2 * RATE))
    walk = simulate_room(tone, RATE, geometry=stage, walk_m=1.0, **walls).mics[:, RATE // 2 :]
    # A tone of one frequency obeys x(t + 1) + x(t - 1) = 2 cos(w) x(t); a click does not.
    clicks = walk[:, 2:] + walk[:, :-2] - 2 * math.cos(2 * math.pi * 200 / RATE) * walk[:, 1:-1]
    assert (clicks.abs().amax(1) < 2e-3 * walk.abs().amax(1)).all()


@pytest.mark.parametrize("samples", [1, 2, 5, 300])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_short_and_silent_recordings(samples, dtype):
    sources = noise(2, samples, dtype=dtype)
    sources[1] = 0
    scene = simulate_room(sources, RATE, walk_m=0.5)
    assert scene.mics.shape == (2, samples) and scene.mics.dtype == dtype
    assert not scene.references[1].any() and torch.isfinite(scene.mics).all()
    assert simulate_room(noise(1, samples), RATE, walk_m=0.5).mics.shape == (1, samples)


def test_the_walk_of_a_benchmark_is_the_published_room_but_for_the_walk():
    (walk,), (room,) = (scenes_of([name], ["band:3"], seconds=1) for name in ("walk", "room"))
    scene, still = make_scene(walk), make_scene(room)
    assert torch.equal(make_scene(json.loads(json.dumps(walk))).mics, scene.mics)
    assert (scene.details["walk_m"], scene.details["walker"], scene.names[0]) == (1.0, 0, "vocals")
    assert (still.details["walk_m"], still.details["walker"]) == (0.0, None)
    same = ("source_positions_m", "mic_positions_m", "absorption", "direct_delay_samples")
    assert all(scene.details[name] == still.details[name] for name in same)
    assert torch.equal(scene.references[1:], still.references[1:])
    json.dumps(scene.details, allow_nan=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"walk_m": math.nan}, "walk_m: expected a finite number in m, got nan"),
        ({"walk_m": -7.0}, "sources: expected positions inside the room .*walk_m too large"),
        ({"walk_m": 1.0, "walker": 2}, "walker: expected 0 to 1, got 2"),
        ({"walk_m": 1.0, "walker": -1}, "walker: expected 0 to 1, got -1"),
    ],
)
def test_a_walk_that_cannot_be_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate_room(noise(2, 64), RATE, **arguments)
