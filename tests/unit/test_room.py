"""The convolutive stage: delays and gains against geometry, reverberation, images, bleed, and errors."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from irtools.stage.geometry import Stage, lay_out_stage
from irtools.stage.room import simulate_room
from irtools.stage.room_responses import (
    MAX_ORDER,
    RT60_TOLERANCE,
    SPEED_OF_SOUND,
    reverberation_time,
    room_impulse_responses,
)

RATE = 16000


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def stems(n_sources=4, samples=RATE // 2, seed=0, dtype=torch.float64):
    return torch.randn(n_sources, samples, generator=seeded(seed), dtype=dtype)


def mean_bleed_db(scene):
    bleed = np.array(scene.details["bleed_db"])
    return bleed[~np.eye(*bleed.shape, dtype=bool)].mean()


def test_published_positions():
    stage = lay_out_stage(4)
    expected = [[3, 5, 1], [5.5, 5.5, 1], [8, 5.5, 1], [10.5, 5, 1]]
    torch.testing.assert_close(stage.sources, torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(stage.sources - stage.mics, torch.tensor([[0, 0.5, 0]]).expand(4, 3).double())
    assert stage.room_m == (13.5, 7.0, 7.0)


def test_the_stage_scales_with_its_room_but_not_the_distance_of_the_microphones():
    small, large = lay_out_stage(4), lay_out_stage(4, 6, room_m=(27.0, 21.0, 7.0))
    factor = torch.tensor([2.0, 3.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(large.sources, factor * small.sources)
    torch.testing.assert_close(large.sources - large.mics[:4], small.sources - small.mics)
    # Room microphones stand in a row between band and audience, and look at the band.
    assert large.mics[4:].tolist() == [[9.0, 5.25, 3.5], [18.0, 5.25, 3.5]]
    assert large.facing[4:].tolist() == [[0.0, 1.0, 0.0]] * 2


def test_random_stages_fill_the_ranges_they_are_drawn_from():
    stages = [lay_out_stage(4, geometry="random", generator=seeded(s)) for s in range(200)]
    rooms = torch.tensor([stage.room_m for stage in stages])
    same_room = [lay_out_stage(4, room_m=stage.room_m).sources for stage in stages]
    moved = torch.cat([stage.sources - place for stage, place in zip(stages, same_room, strict=True)])
    turned = torch.cat([torch.rad2deg(torch.atan2(stage.facing[:, 0], stage.facing[:, 1])) for stage in stages])
    drawn = [*rooms.T, *moved.T, turned]
    ranges = [(12, 15), (7, 9), (5, 8), (-0.3, 0.3), (-0.3, 0.3), (-0.2, 0.2), (-30, 30)]
    for values, (low, high) in zip(drawn, ranges, strict=True):
        margin = 0.05 * (high - low)
        assert low <= values.min() < low + margin and high - margin < values.max() <= high


@pytest.mark.parametrize("room_m", [None, (4.0, 3.0, 2.2)])
def test_a_kit_has_microphones_close_to_its_drums_and_two_above(room_m):
    stage = lay_out_stage(5, room_m=room_m, geometry="kit")
    distances = stage.distances()
    assert distances.shape == (7, 5)
    own, others = distances[:5].diagonal(), distances[:5][~torch.eye(5, dtype=bool)]
    assert (own >= 0.05).all() and (own <= 0.1).all() and others.min() > 3 * own.max()
    apart = (stage.sources[:, None] - stage.sources[None]).norm(dim=2)
    assert 0.3 < apart[1, 2] < 0.4 and apart[1, 2] == apart[apart > 0].min()
    above = stage.mics[5:, 2] - stage.sources[1:, 2].mean()
    assert torch.allclose(above, torch.full_like(above, 1.0), atol=0.02) and (distances[5:] > 0.85).all()
    assert stage.facing[5:].tolist() == [[0.0, 0.0, -1.0]] * 2
    torch.testing.assert_close(stage.mics[:5] + own[:, None] * stage.facing[:5], stage.sources)


def test_a_smaller_kit_is_the_first_drums_of_the_larger_one():
    whole, small = lay_out_stage(5, geometry="kit"), lay_out_stage(3, 4, geometry="kit")
    assert torch.equal(small.sources, whole.sources[:3]) and small.room_m == whole.room_m
    assert torch.equal(small.mics, whole.mics[[0, 1, 2, 5]]) and torch.equal(small.facing, whole.facing[[0, 1, 2, 5]])
    with pytest.raises(ValueError, match=r"n_sources: expected 1 to 5 \(the drums of a kit\), got 6"):
        lay_out_stage(6, geometry="kit")
    with pytest.raises(ValueError, match="n_mics: expected 3 to 5, got 6"):
        lay_out_stage(3, 6, geometry="kit")


@given(
    n_sources=st.integers(1, 12),
    extra=st.integers(0, 3),
    distance_m=st.floats(0.05, 1.5),
    geometry=st.sampled_from(["published", "random"]),
    seed=st.integers(0, 999),
)
@settings(max_examples=60, deadline=None)
def test_every_stage_is_in_its_room_at_the_distance_asked_for(n_sources, extra, distance_m, geometry, seed):
    stage = lay_out_stage(
        n_sources, n_sources + extra, distance_m=distance_m, geometry=geometry, generator=seeded(seed)
    )
    own = (stage.mics[:n_sources] - stage.sources).norm(dim=1)
    torch.testing.assert_close(own, torch.full_like(own, distance_m))
    torch.testing.assert_close(stage.facing.norm(dim=1), torch.ones(n_sources + extra, dtype=torch.float64))
    # A close microphone faces its source.
    torch.testing.assert_close(stage.mics[:n_sources] + distance_m * stage.facing[:n_sources], stage.sources)
    for positions in (stage.sources, stage.mics):
        assert (positions > 0).all() and (positions < torch.tensor(stage.room_m)).all()


def test_random_stage_is_drawn_from_the_generator():
    rooms = [lay_out_stage(4, geometry="random", generator=seeded(s)) for s in (1, 1, 2)]
    assert torch.equal(rooms[0].mics, rooms[1].mics) and rooms[0].room_m == rooms[1].room_m
    assert rooms[0].room_m != rooms[2].room_m
    assert lay_out_stage(4, room_m=(12, 9, 4), geometry="random").room_m == (12.0, 9.0, 4.0)


@pytest.mark.parametrize("pattern", ["omni", "cardioid"])
@pytest.mark.parametrize("geometry", ["published", "random"])
def test_anechoic_responses_are_the_delay_and_gain_of_the_geometry(pattern, geometry):
    stage = lay_out_stage(4, 5, distance_m=1.2, geometry=geometry, generator=seeded())
    room = room_impulse_responses(stage, 44100, rt60_s=0.0, pattern=pattern)
    gains = []
    for k in range(5):
        for n in range(4):
            response = room.responses[k, n].numpy()
            towards = (stage.sources[n] - stage.mics[k]).numpy()
            distance = np.sqrt((towards**2).sum())
            gain = room.scale / distance
            if pattern == "cardioid":
                gain *= (1 + towards @ stage.facing[k].numpy() / distance) / 2
            # Gain and group delay at low frequencies: sum and centroid of the taps.
            assert response.sum() == pytest.approx(gain, rel=2e-3, abs=1e-4)
            assert room.direct_gain[k, n].item() == pytest.approx(gain, rel=1e-9)
            assert room.delay_samples[k, n].item() == pytest.approx(distance / SPEED_OF_SOUND * 44100)
            if gain > 0.01:
                centroid = (response * np.arange(len(response))).sum() / response.sum()
                assert centroid == pytest.approx(distance / SPEED_OF_SOUND * 44100, abs=0.3)
            gains.append(response.sum() if k == n else None)
    own = [gain for gain in gains if gain is not None]
    assert sum(own) / len(own) == pytest.approx(1.0, rel=2e-3)
    assert room.rt60_s == [None] * 4 and room.max_order == 0


def test_time_differences_between_microphones_match_the_geometry():
    pulse = torch.zeros(4, 4000, dtype=torch.float64)
    pulse[2, 100] = 1
    scene = simulate_room(pulse, 44100, rt60_s=0.2)
    for k in range(4):
        distance = math.dist(scene.details["source_positions_m"][2], scene.details["mic_positions_m"][k])
        first = int(scene.mics[k].abs().gt(0.5 * scene.mics[k].abs().max()).nonzero()[0]) - 100
        assert first == pytest.approx(distance / 343 * 44100, abs=1.0)
        assert scene.details["direct_delay_samples"][k][2] == pytest.approx(distance / 343 * 44100)


@pytest.mark.parametrize("room_m", [(13.5, 7.0, 7.0), (10.0, 8.0, 3.0)])
def test_measured_reverberation_is_the_one_asked_for(room_m):
    import pyroomacoustics

    others = []
    for asked in (0.2, 0.3, 0.45):
        stage = lay_out_stage(2, room_m=room_m)
        room = room_impulse_responses(stage, RATE, rt60_s=asked)
        assert np.mean(room.rt60_s) == pytest.approx(asked, rel=RT60_TOLERANCE)
        # Another implementation of T20, from 5 ms after the direct path on.
        tail = room.responses[0, 0, int(room.delay_samples[0, 0]) + RATE // 200 :].numpy()
        others.append(pyroomacoustics.experimental.measure_rt60(tail, RATE, decay_db=20))
        assert others[-1] == pytest.approx(room.rt60_s[0], rel=0.02)
    assert others == sorted(others)


@pytest.mark.parametrize("pattern", ["omni", "cardioid"])
@pytest.mark.parametrize("seed", range(3))
def test_random_stages_have_the_reverberation_asked_for(seed, pattern):
    stage = lay_out_stage(2, geometry="random", generator=seeded(seed))
    room = room_impulse_responses(stage, RATE, rt60_s=0.2, pattern=pattern)
    assert np.mean(room.rt60_s) == pytest.approx(0.2, rel=RT60_TOLERANCE)
    assert room.absorption == room_impulse_responses(stage, RATE, rt60_s=0.2).absorption


def test_sabine_walls_are_those_of_the_published_room():
    room = room_impulse_responses(lay_out_stage(4), RATE, rt60_s=0.25, absorption="sabine")
    assert room.absorption == pytest.approx(0.896, abs=1e-3) and room.max_order == 17
    # The trap that calibration avoids: far from 0.25 s.
    assert np.mean(room.rt60_s) < 0.22


@given(rt60_s=st.floats(0.1, 2.0), floor_db=st.floats(-300, -80), start=st.integers(0, 300))
@settings(max_examples=25, deadline=None)
def test_reverberation_time_of_an_exponential_decay(rt60_s, floor_db, start):
    time = np.arange(int(8000 * 1.5 * rt60_s)) / 8000
    decay = 10 ** (-3 * time / rt60_s) * np.where(np.arange(len(time)) % 2, 1, -1)
    decay[:start] = 30.0  # a direct path to leave out
    level = 10 ** (floor_db / 20)
    assert reverberation_time(decay + level, 8000, start=start) == pytest.approx(rt60_s, rel=0.05)


def test_reverberation_time_of_a_response_that_does_not_decay_is_none():
    assert reverberation_time(np.zeros(100), 8000) is None
    assert reverberation_time(np.eye(1, 100)[0], 8000) is None
    assert reverberation_time(np.ones(3), 8000) is None


@pytest.mark.parametrize("pattern", ["omni", "cardioid"])
def test_microphones_are_the_sum_of_the_images(pattern):
    sources = stems(3)
    scene = simulate_room(sources, RATE, n_mics=4, pattern=pattern)
    images = []
    for n in range(3):
        alone = torch.zeros_like(sources)
        alone[n] = sources[n]
        images.append(simulate_room(alone, RATE, n_mics=4, pattern=pattern).mics)
        torch.testing.assert_close(scene.references[n], images[n][n], rtol=0, atol=1e-12)
    torch.testing.assert_close(scene.mics, sum(images), rtol=0, atol=1e-12)
    energy = torch.stack([image.square().sum(1) for image in images], dim=1)
    expected = 10 * torch.log10(energy / energy[:3].diagonal())
    torch.testing.assert_close(torch.tensor(scene.details["bleed_db"], dtype=torch.float64), expected)


def test_references_are_own_microphone_images_and_never_the_dry_source():
    sources = stems(2, 3000)
    scene = simulate_room(sources, RATE, rt60_s=0.2)
    room = room_impulse_responses(lay_out_stage(2), RATE, rt60_s=0.2)
    for n in range(2):
        direct = np.convolve(sources[n].numpy(), room.responses[n, n].numpy())[:3000]
        np.testing.assert_allclose(scene.references[n].numpy(), direct, rtol=0, atol=1e-11)
    assert torch.equal(scene.sources, sources)
    error = (scene.references - sources).square().sum(1)
    assert (error > 0.5 * sources.square().sum(1)).all()


def test_own_quality_agrees_with_the_waveforms():
    scene = simulate_room(stems(2), RATE)
    for n, level in enumerate(scene.details["input_sdr_db"]):
        residual = scene.mics[n] - scene.references[n]
        expected = 10 * math.log10(scene.references[n].square().sum() / residual.square().sum())
        assert level == pytest.approx(expected)


def test_cardioids_lower_the_bleed():
    omni, cardioid = (simulate_room(stems(), RATE, rt60_s=0.3, pattern=p) for p in ("omni", "cardioid"))
    assert mean_bleed_db(cardioid) < mean_bleed_db(omni) - 2


def test_distance_and_reverberation_raise_the_bleed():
    levels = [mean_bleed_db(simulate_room(stems(), RATE, distance_m=d)) for d in (0.2, 0.5, 1.0)]
    assert levels == sorted(levels) and levels[0] < levels[2] - 6
    levels = [mean_bleed_db(simulate_room(stems(), RATE, rt60_s=t)) for t in (0.0, 0.2, 0.4)]
    assert levels == sorted(levels)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("samples", [1, 50, 3001])
def test_length_and_dtype_follow_the_input(dtype, samples):
    sources = stems(2, samples, dtype=dtype)
    before = sources.clone()
    scene = simulate_room(sources, RATE, n_mics=3, names=["a", "b"])
    assert scene.mics.shape == (3, samples) and scene.references.shape == (2, samples)
    assert scene.mics.dtype == scene.references.dtype == dtype and torch.equal(sources, before)
    assert scene.names == ("a", "b") and scene.assignment == (0, 1) and scene.gains is None
    json.dumps(scene.details, allow_nan=False)


def test_same_seed_same_bits():
    import pyroomacoustics

    arguments = dict(geometry="random", noise_db=-40.0)
    first = simulate_room(stems(), RATE, generator=seeded(7), **arguments)
    # Whatever a caller has set for pyroomacoustics neither reaches the scene nor is overwritten.
    settings_before = {name: pyroomacoustics.constants.get(name) for name in ("num_threads", "rir_hpf_enable", "c")}
    try:
        pyroomacoustics.constants.set("num_threads", 2)
        pyroomacoustics.constants.set("c", 300.0)
        second = simulate_room(stems(), RATE, generator=seeded(7), **arguments)
        assert pyroomacoustics.constants.get("c") == 300.0
        assert pyroomacoustics.constants.get("num_threads") == 2
    finally:
        for name, value in settings_before.items():
            pyroomacoustics.constants.set(name, value)
    assert torch.equal(first.mics, second.mics) and torch.equal(first.references, second.references)
    assert first.details == second.details and first.details["seed"] == 7
    assert not torch.equal(first.mics, simulate_room(stems(), RATE, generator=seeded(8), **arguments).mics)


def test_noise_is_on_the_microphones_and_not_on_the_references():
    clean, noisy = (simulate_room(stems(), RATE, noise_db=n, generator=seeded()) for n in (None, -20.0))
    noise = noisy.mics - clean.mics
    level = 10 * torch.log10(noise.square().mean(1) / clean.mics.square().mean(1))
    torch.testing.assert_close(level, torch.full_like(level, -20.0), rtol=0, atol=0.3)
    assert torch.equal(clean.references, noisy.references)


def test_silent_source():
    sources = stems(3)
    sources[1] = 0
    scene = simulate_room(sources, RATE)
    assert not scene.references[1].any() and scene.mics[1].any()
    assert scene.details["input_sdr_db"][1] is None
    assert [row[1] for row in scene.details["bleed_db"]] == [None] * 3
    assert not simulate_room(torch.zeros(2, 100), RATE).mics.any()


def test_given_stage_is_used():
    stage = lay_out_stage(2, 3, room_m=(9, 6, 4), distance_m=0.3)
    scene = simulate_room(stems(2), RATE, geometry=stage)
    assert scene.details["room_m"] == [9.0, 6.0, 4.0] and scene.n_mics == 3
    assert scene.details["distances_m"][0][0] == pytest.approx(0.3)
    with pytest.raises(ValueError, match="geometry: expected a Stage of 3 sources, got 2"):
        simulate_room(stems(3), RATE, geometry=stage)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(rt60_s=0.2, absorption="sabine"), r"rt60_s: expected at least 0\.224 s"),
        (dict(rt60_s=0.01), r"rt60_s: .*a longer one \(at most 1\.168 s"),
        (dict(rt60_s=2.0), r"rt60_s: expected at most 1\.168 s"),
        (dict(rt60_s=-1.0), "rt60_s: expected at least 0 s, got -1.0"),
        (dict(rt60_s=math.nan), "rt60_s: expected at least 0 s, got nan"),
        (dict(distance_m=0.0), "distance_m: expected a positive"),
        (dict(distance_m=20.0), "mics: expected positions inside the room"),
        (dict(room_m=(10, 8)), "room_m: expected three positive"),
        (dict(room_m=(10, 8, -3)), "room_m: expected three positive"),
        (dict(n_mics=1), "n_mics: expected at least 2, got 1"),
        (dict(pattern="ribbon"), "pattern: expected one of omni, cardioid, got 'ribbon'"),
        (dict(geometry="arena"), "geometry: expected one of published, random, kit, got 'arena'"),
        (dict(absorption="eyring"), "absorption: expected 'calibrated', 'sabine'"),
        (dict(absorption=0.0), "absorption: expected a number in"),
        (dict(max_order=MAX_ORDER + 1), "max_order: expected 0 to 80, got 81"),
        (dict(noise_db=math.nan), "noise_db: expected a finite"),
        (dict(sources=torch.full((2, 3), math.nan)), "sources: .*non-finite"),
        (dict(names=["a"]), "names: expected 2"),
        (dict(sample_rate=-1), "sample_rate: expected a positive"),
    ],
)
def test_invalid_values_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate_room(**{"sources": stems(2, 64), "sample_rate": RATE, **arguments})


@pytest.mark.parametrize("sample_rate", [None, 44100.0, True])
def test_sample_rate_is_an_integer(sample_rate):
    with pytest.raises(TypeError, match="sample_rate: expected"):
        simulate_room(stems(2, 64), sample_rate)


def test_stage_refuses_impossible_positions():
    inside = torch.tensor([[1.0, 1.0, 1.0]], dtype=torch.float64)
    with pytest.raises(ValueError, match="1 mm"):
        Stage((2.0, 2.0, 2.0), inside, inside, inside)
    with pytest.raises(ValueError, match="mics: expected at least 1"):
        Stage((2.0, 2.0, 2.0), inside, inside + 0.1, inside.repeat(2, 1))
    with pytest.raises(ValueError, match="sources: expected positions inside the room"):
        Stage((2.0, 2.0, 2.0), inside + 1, inside, inside)
