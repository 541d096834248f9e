"""Training: examples that only the seed and the step decide, rooms and songs that parts do not share, exact resumes."""

import json
import math
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import irtools as ir
from irtools.band.songs import split_of
from irtools.commands import main as cli
from irtools.nets import NETS
from irtools.nets.estimate import Estimate
from irtools.recording.datasets.songs import PARTS, Song
from irtools.training import rooms, run, stems
from irtools.training.examples import Batch, Material, draw_batch, fixed_scenes, gather, step_batch
from irtools.training.record import COLUMNS, read_log
from irtools.training.rooms import room_bank, stage_images
from irtools.training.run import train
from irtools.training.separation import SeparationSettings, train_separator
from irtools.training.settings import PRESETS, Settings, preset_settings, relative_rate
from irtools.training.stems import Stems, draw_stems, folder_pool
from irtools.training.validation import improvement_db

RATE = 8000
SMALL = {"songs": 2, "song_seconds": 2.0, "seconds": 0.25, "lineups": ("pop",)}


def noise_pool(n_stems=4, songs=3, samples=6000):
    """Songs of which stem n of song s has the constant level 1 + n + 10 s, so that a sample tells where it is from."""
    levels = [1 + torch.arange(n_stems) + 10 * song for song in range(songs)]
    waveforms = [level[:, None] * torch.ones(samples) for level in levels]
    return [Stems(str(n), n_stems, samples, lambda a, b, x=x: x[:, a : a + b]) for n, x in enumerate(waveforms)]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# Stems


def test_stems_are_shuffled_or_in_the_order_of_their_song():
    kept = [draw_stems(noise_pool(), seeded(n), 3, 10, shuffle=False)[:, 0] % 10 for n in range(20)]
    assert all(levels.tolist() == [1, 2, 3] for levels in kept)
    drawn = {tuple((draw_stems(noise_pool(), seeded(n), 3, 10)[:, 0] % 10).tolist()) for n in range(200)}
    assert len(drawn) == 24 and all(len(set(levels)) == 3 for levels in drawn)


@pytest.mark.parametrize("shuffle", [True, False])
def test_remixed_stems_come_from_songs_of_their_own(shuffle):
    def songs(remix):
        drawn = [draw_stems(noise_pool(), seeded(n), 3, 10, remix=remix, shuffle=shuffle)[:, 0] for n in range(50)]
        if not shuffle:
            assert all((levels % 10).tolist() == [1, 2, 3] for levels in drawn)
        return [len(set((levels // 10).tolist())) for levels in drawn]

    assert set(songs(0)) == {1} and {2, 3} <= set(songs(1)) and 10 < songs(0.5).count(1) < 45


@given(st.integers(0, 1000), st.floats(0, 20))
@settings(max_examples=30, deadline=None)
def test_gains_of_stems_stay_in_their_range(seed, gain_db):
    drawn = draw_stems(noise_pool(songs=1), seeded(seed), 4, 10, shuffle=False, gain_db=gain_db)
    gains = 20 * torch.log10(drawn[:, 0] / torch.arange(1, 5))
    assert gains.abs().max() <= gain_db + 1e-4
    assert gain_db < 1 or len(set(gains.tolist())) == 4


def test_a_moment_in_which_fewer_than_two_stems_play_is_drawn_again():
    waveforms = torch.zeros(3, 20000)
    waveforms[0] = 1
    waveforms[1:, 10000:] = 1
    pool = [Stems("a", 3, 20000, lambda a, b: waveforms[:, a : a + b])]
    playing = [int(draw_stems(pool, seeded(n), 3, 100).any(1).sum()) for n in range(100)]
    assert playing.count(3) > 95
    assert not draw_stems([Stems("b", 3, 100, lambda a, b: torch.zeros(3, b))], seeded(), 3, 10).any()


def test_a_song_that_is_too_short_is_followed_by_silence():
    drawn = draw_stems(noise_pool(samples=60), seeded(), 2, 100)
    assert (drawn[:, :60] > 0).all() and not drawn[:, 60:].any()


def test_more_microphones_than_any_song_has_stems():
    with pytest.raises(ValueError, match=r"n_mics: expected at most 4.*got 5"):
        draw_stems(noise_pool(), seeded(), 5, 10)


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """Forty songs of twenty artists, two stems of a second each."""
    root = tmp_path_factory.mktemp("songs")
    for number in range(40):
        tone = torch.sin(2 * math.pi * 440 * torch.arange(RATE) / RATE)
        stems = ir.Multitrack(("bass", "voice"), torch.stack([tone, 0.5 * tone]), RATE)
        ir.write_multitrack(root / f"Artist {number // 2} - {number}", stems)
    return root


def test_songs_on_disk_are_read_at_the_rate_of_the_network(songs):
    song = folder_pool(songs, "train", 22050)[0]
    assert (song.n_stems, song.samples) == (2, 22050)
    start, found = 5001, song.read(5001, 2000)
    expected = torch.sin(2 * math.pi * 440 * (start + torch.arange(2000)) / 22050)
    inside = slice(100, -100)
    # The start falls between two samples of the file: half a sample of delay at most.
    assert found.shape == (2, 2000) and (found[0] - expected)[inside].abs().max() < 2 * math.pi * 440 / RATE / 2 + 0.01
    assert torch.allclose(found[1], found[0] / 2, atol=1e-6)
    assert song.read(22000, 100).shape[1] >= 50


def test_a_folder_without_songs_for_a_part_says_so(tmp_path):
    ir.write_multitrack(tmp_path / "A - 1", ir.Multitrack(("a", "b"), torch.ones(2, 100), RATE))
    with pytest.raises(ValueError, match=r"has no song for (train|test|validation)"):
        for part in ("train", "validation", "test"):
            folder_pool(tmp_path, part, RATE)
    with pytest.raises(ValueError, match="no such folder"):
        folder_pool(tmp_path / "none", "train", RATE)


# What no two parts share


def rendered(monkeypatch, level):
    """Line-up and seed of the songs that are rendered from now on, each of them at ``level(part)`` and above."""
    songs = []

    def render_song(seed, *, lineup, seconds, sample_rate, cache_dir):
        songs.append((lineup, seed))
        waveforms = level(split_of(seed, lineup)) * (1 + torch.rand(2, round(seconds * sample_rate)))
        return ir.Multitrack(("bass", "voice"), waveforms, sample_rate)

    monkeypatch.setattr(stems, "render_song", render_song)
    return songs


def test_a_song_of_the_band_reaches_no_part_but_its_own(monkeypatch):
    songs, touched = rendered(monkeypatch, lambda part: 1.0), {}
    for part in PARTS:
        gather(Settings("tunet-pairs", songs=30, song_seconds=0.01, lineups=("pop", "carnatic")), part, RATE)
        touched[part] = set(songs)
        assert {split_of(seed, lineup) for lineup, seed in songs} == {part}
        songs.clear()
    assert [len(touched[part]) for part in ("train", "validation", "test")] == [30, 3, 3]
    assert len(set.union(*touched.values())) == 36


def test_an_artist_of_a_folder_reaches_no_part_but_their_own(songs, monkeypatch):
    read, touched, load = [], {}, Song.load
    monkeypatch.setattr(Song, "load", lambda song, *where: read.append(song.group) or load(song, *where))
    wanted = Settings("tunet-pairs", data=str(songs), seconds=0.01, batch=20, n_mics=(2, 2))
    for part in PARTS:
        material = gather(wanted, part, RATE)
        draw_batch(material, wanted, 0)
        drawn = set(read)
        for song in material.pool:
            song.read(0, 10)
        touched[part] = set(read)
        assert drawn and len(material.pool) == 2 * len(touched[part])  # all songs of an artist
        read.clear()
    assert sum(len(found) for found in touched.values()) == 20 == len(set.union(*touched.values()))


def test_a_run_trains_on_its_own_part_and_validates_on_its_own(tmp_path, monkeypatch):
    songs = rendered(monkeypatch, {"train": 1.0, "validation": -1.0}.__getitem__)
    cls, heard = NETS["tunet-pairs"], {"loss": set(), "reduce": set()}

    def listen(name, ask):
        def asked(net, mics, *rest, **kind):
            heard[name].update(mics.sign().unique().tolist())
            return ask(net, mics, *rest, **kind)

        monkeypatch.setattr(cls, name, asked)

    listen("loss", cls.loss)
    listen("reduce", cls.reduce)
    quick(tmp_path)
    assert {split_of(seed, lineup) for lineup, seed in songs} == {"train", "validation"}
    assert heard == {"loss": {1.0}, "reduce": {-1.0}}


# Rooms


@pytest.fixture
def bank(tmp_path, monkeypatch):
    """Rooms of a part, in a cache of their own."""
    monkeypatch.setenv("IRTOOLS_CACHE", str(tmp_path))
    return lambda part, count: room_bank(part, RATE, count, 2, (0.2, 0.3), (0.4, 0.6))


@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 60), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_a_stage_is_the_sum_of_convolutions(n, taps, samples, seed):
    draws = seeded(seed)
    stems = torch.randn(n, samples + taps - 1, generator=draws)
    responses = torch.randn(n, n, taps, generator=draws)
    mics, references = stage_images(stems, responses)
    for k in range(n):
        images = [np.convolve(stems[m], responses[k, m])[taps - 1 : taps - 1 + samples] for m in range(n)]
        assert np.allclose(mics[k], sum(images), atol=1e-4) and np.allclose(references[k], images[k], atol=1e-4)


def test_rooms_are_computed_once_until_their_version_changes(bank, tmp_path, monkeypatch):
    calls = []
    compute = rooms.room_impulse_responses
    monkeypatch.setattr(rooms, "room_impulse_responses", lambda *a, **b: calls.append(b["rt60_s"]) or compute(*a, **b))
    first = bank("train", 2)
    assert torch.equal(bank("train", 1), first[:1]) and len(calls) == 2
    assert all(0.2 <= time <= 0.3 for time in calls)
    damaged = next((tmp_path / "rooms").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert torch.equal(bank("train", 2), first) and len(calls) == 3
    monkeypatch.setattr(rooms, "_VERSION", rooms._VERSION + 1)
    assert not torch.equal(bank("train", 1), first[:1]) and len(calls) == 4
    # The direct path: half a metre, and the loudest of all.
    peaks = first[:, 0, 0].abs().argmax(-1) / RATE * 343
    assert ((peaks > 0.3) & (peaks < 0.7)).all()


def test_parts_have_no_room_in_common(bank, monkeypatch):
    drawn = []
    compute = rooms.room_impulse_responses
    monkeypatch.setattr(
        rooms,
        "room_impulse_responses",
        lambda stage, rate, *, rt60_s: drawn.append((stage, rt60_s)) or compute(stage, rate, rt60_s=rt60_s),
    )
    for part in ("train", "validation", "test"):
        bank(part, 2)
    stages, times = zip(*drawn, strict=True)
    assert len(set(times)) == 6 == len({stage.room_m for stage in stages})
    distances = [stage.distances()[0, 0].item() for stage in stages]
    assert len(set(distances)) == 6 and all(0.4 <= distance <= 0.6 for distance in distances)
    assert torch.pdist(torch.stack([stage.sources.flatten() for stage in stages])).min() > 0.05
    with pytest.raises(ValueError, match="part: expected one of train"):
        bank("practice", 1)


# Examples


def made_of(pool, bank=None, part="train"):
    return Material(part, RATE, pool, bank)


def noise(n_stems=4):
    waveforms = torch.randn(n_stems, 20000, generator=seeded(5))
    return [Stems("noise", n_stems, 20000, lambda a, b: waveforms[:, a : a + b])]


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_linear_examples_are_what_they_say(seed):
    wanted = Settings("tunet-pairs", seconds=0.05, batch=2, n_mics=(2, 4), law={"law": "attenuated"})
    mics, references, gains = draw_batch(made_of(noise()), wanted, seed)
    own = gains.diagonal(dim1=1, dim2=2)
    assert mics.shape == references.shape == (2, gains.shape[1], 400) and 2 <= gains.shape[1] <= 4
    assert torch.allclose(mics, gains @ (references / own[..., None]), atol=1e-5)
    bleed = gains - torch.diag_embed(own)
    assert own.min() >= 0.6 and own.max() <= 1 and bleed.min() >= 0 and bleed.max() <= 0.4


def test_examples_in_a_room_have_the_images_of_their_own_sources():
    bank = torch.zeros(1, 4, 4, 3)
    bank[0, :, :, 0] = 0.25
    bank[0].diagonal(dim1=0, dim2=1)[2] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    wanted = Settings("dfunet", scene="stage", seconds=0.05, batch=8, n_mics=(2, 3), gain_db=0.0, shuffle=False)
    seen = set()
    for seed in range(10):
        mics, references, gains = draw_batch(made_of(noise_pool(songs=1), bank), wanted, seed)
        n = mics.shape[1]
        assert gains is None and mics.shape == references.shape == (8, n, 400)
        # Stem n has the level n + 1, and each place of the room the gain of its own direct path, after two samples.
        levels = torch.arange(1.0, n + 1)[:, None]
        assert torch.allclose(mics - references, (0.25 * (levels.sum() - levels)).expand_as(mics), atol=1e-4)
        places = references[..., 0] / levels[:, 0]
        assert torch.allclose(references, places[..., None] * levels, atol=1e-4)
        seen |= {tuple(row) for row in places.round().int().tolist()}
    assert len(seen) > 20 and all(len(set(row)) == len(row) for row in seen)


def test_a_batch_depends_on_the_seed_the_rank_and_the_step_alone():
    wanted = Settings("tunet-pairs", seconds=0.05, batch=1, n_mics=(2, 2), seed=4)

    def batch(step, rank=0, seed=4, part="train"):
        return step_batch(made_of(noise(), part=part), replace(wanted, seed=seed), rank, step).mics

    torch.manual_seed(0)
    assert torch.equal(batch(7), batch(7))
    others = [batch(8), batch(7, rank=1), batch(7, seed=5), batch(7, part="validation")]
    assert not any(torch.equal(batch(7), other) for other in others)


def test_scenes_to_validate_on_are_the_same_for_every_seed():
    def scenes(seed):
        wanted = Settings("tunet-pairs", seconds=0.05, seed=seed)
        return torch.cat([scene.mics for scene in fixed_scenes(made_of(noise(), part="validation"), wanted, 3)])

    assert scenes(0).shape == (3, 4, 400) and torch.equal(scenes(0), scenes(1))


def test_one_stem_alone_for_a_network_per_stem():
    wanted = Settings("cae", seconds=0.05, batch=2, stem=1, shuffle=False, gain_db=0.0)
    mics, references, gains = draw_batch(made_of(noise_pool(songs=1)), wanted, 0)
    assert gains is None and mics.shape == (2, 1, 400) and (references == 2).all() and (mics > 2).all()


def test_material_of_the_band_in_rooms(tmp_path, monkeypatch):
    monkeypatch.setenv("IRTOOLS_CACHE", str(tmp_path))
    wanted = preset_settings("dfunet", "smoke", **SMALL, n_mics=(2, 2))
    told = []
    found = gather(wanted, "validation", RATE, on_item=lambda *item: told.append(item))
    assert told == [("songs", 1, 2), ("songs", 2, 2), ("rooms", 1, 2), ("rooms", 2, 2)]
    assert found.rooms.shape[:3] == (2, 2, 2) and len(found.pool) == 2 and (tmp_path / "rooms").is_dir()
    batch = draw_batch(found, wanted, 0)
    assert batch.mics.shape == (2, 2, 2000) and torch.isfinite(batch.mics).all()


# Settings


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("net", NETS)
def test_every_network_has_every_preset(net, preset):
    found = preset_settings(net, preset, seed=3)
    assert found.net == net and found.seed == 3
    assert Settings.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_published_sizes_steps_and_batches():
    papers = {net: preset_settings(net, "paper") for net in ("cae", "tunet", "dfunet-paper")}
    assert all(not paper.config and paper.loss == "published" for paper in papers.values())
    assert {net: (paper.batch, paper.learning_rate) for net, paper in papers.items()} == {
        "cae": (1, 1e-3),
        "tunet": (64, 1e-2),
        "dfunet-paper": (2, 1e-3),
    }
    # 600 epochs of 2450 segments.
    assert papers["tunet"].steps == 600 * math.ceil(2450 / 64) and papers["tunet"].seconds == 10


BAD_SETTINGS = {
    "net": ({"net": "unet"}, ValueError, "net: expected one of"),
    "preset": ({"preset": "huge"}, ValueError, "preset: expected one of smoke"),
    "name": ({"epochs": 3}, TypeError, "epochs: not a setting"),
    "scene": ({"scene": "hall"}, ValueError, "scene: expected one of linear, stage"),
    "loss": ({"loss": "l1"}, ValueError, "loss: expected one of published, si-sdr"),
    "law": ({"law": {"law": "uniform", "top": 1}}, TypeError, "law 'uniform' has the parameters"),
    "batch": ({"batch": 0}, ValueError, "batch: expected at least 1, got 0"),
    "seconds": ({"seconds": math.inf}, ValueError, "seconds: expected a positive number"),
    "range": ({"n_mics": (3, 2)}, ValueError, "n_mics: expected 0 < low <= high"),
    "share": ({"remix": 1.5}, ValueError, "remix: expected 0 to 1"),
    "seed": ({"seed": -1}, ValueError, "seed: expected at least 0"),
    "stem": ({"stem": 4}, ValueError, "stem: expected 0 to 3"),
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_bad_settings_are_refused_by_name(case, tmp_path):
    changes, error, words = BAD_SETTINGS[case]
    with pytest.raises(error, match=words):
        train(**{"net": "tunet", "preset": "smoke", "out_dir": tmp_path / "run", **changes})
    assert not (tmp_path / "run").exists()


# Runs


QUICK = {"n_mics": (2, 2), "seed": 1, "validation_scenes": 1, **SMALL}


def quick(folder, **options):
    return train("tunet-pairs", "smoke", folder, device="cpu", **{**QUICK, **options})


def curve(folder):
    """The log, but for the time that it took."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in read_log(folder)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Six steps in one go."""
    return quick(tmp_path_factory.mktemp("whole"))


def test_a_run_leaves_a_log_a_checkpoint_and_weights_with_a_card(whole):
    folder = whole.path.parent
    assert {path.name for path in folder.iterdir()} == {
        "settings.json",
        "log.csv",
        "last.ckpt",
        "tunet-pairs.safetensors",
        "tunet-pairs.json",
    }
    assert [row["step"] for row in whole.log] == [1, 2, 3, 4, 5, 6]
    assert list(whole.log[0]) == list(COLUMNS)
    assert [row["improvement_db"] is not None for row in whole.log] == [False, False, True] * 2
    best = max(row["improvement_db"] for row in whole.log if row["improvement_db"] is not None)
    assert whole.card["scores"]["validation_si_sdr_improvement_db"] == pytest.approx(best, abs=1e-3)
    needed = {"net", "config", "sha256", "data", "seed", "steps", "seconds", "command", "scores", "date", "commit"}
    assert needed <= set(whole.card) and whole.card["seed"] == 1 and whole.card["data"] == "band"
    assert not whole.net.training and whole.net.config["hidden"] == 8


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_the_score_is_the_improvement_of_the_shipped_weights(whole, scale):
    material = gather(whole.settings, "validation", whole.net.sample_rate)
    (scene,) = fixed_scenes(material, whole.settings, 1)
    expected = whole.card["scores"]["validation_si_sdr_improvement_db"]
    scaled = Batch(*(each * scale for each in scene))
    assert improvement_db(whole.net, scaled).item() == pytest.approx(expected, abs=0.01)


def test_a_killed_run_goes_on_as_if_nothing_had_happened(whole, tmp_path):
    def run_until_killed():
        torch.set_num_threads(1)  # threads of the parent are not there in a fork
        quick(tmp_path, on_step=lambda done, total, row: os.kill(os.getpid(), signal.SIGKILL) if done == 5 else None)

    process = multiprocessing.get_context("fork").Process(target=run_until_killed)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    before = curve(tmp_path)
    assert len(before) == 4 and before == curve(whole.path.parent)[:4]
    # Killed in the middle of a row and of a checkpoint.
    with (tmp_path / "log.csv").open("a") as file:
        file.write("5,0.12")
    (tmp_path / "last.ckpt.part").write_bytes(b"half")
    resumed = quick(tmp_path, resume=True)
    assert curve(tmp_path) == curve(whole.path.parent)
    assert resumed.card["sha256"] == whole.card["sha256"]
    # There is nothing left to do.
    assert quick(tmp_path, resume=True).log == resumed.log


class Planted:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("write", [torch.save, lambda state, path: path.write_bytes(pickle.dumps(state, 2))])
@pytest.mark.parametrize("kind", ["network", "separator"])
def test_a_checkpoint_with_code_in_it_is_refused_and_nothing_is_executed(kind, write, whole, tmp_path):
    separating = SeparationSettings(config={"channels": (8, 8), "samples": 20}, steps=1, batch=1)
    if kind == "network":
        shutil.copytree(whole.path.parent, tmp_path, dirs_exist_ok=True)
        path = tmp_path / "last.ckpt"
    else:
        path = tmp_path / "run.pt"
        train_separator([torch.ones(2, 90)], separating, checkpoint=path)
    executed = tmp_path / "executed"
    write(torch.load(path, weights_only=True) | {"planted": Planted(executed)}, path)
    with pytest.raises(ValueError, match=rf"{path.name}: expected a checkpoint of this training, got a file that"):
        if kind == "network":
            quick(tmp_path, resume=True)
        else:
            train_separator([torch.ones(2, 90)], separating, checkpoint=path)
    assert not executed.exists()
    # It would have been.
    torch.load(path, weights_only=False) if write is torch.save else pickle.loads(path.read_bytes())
    assert executed.is_dir()


def test_a_checkpoint_of_something_else_is_refused(whole, tmp_path):
    shutil.copytree(whole.path.parent, tmp_path, dirs_exist_ok=True)
    torch.save({"steps": 3}, tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"last\.ckpt: expected a checkpoint .*, got a file without state_dict"):
        quick(tmp_path, resume=True)


def test_a_run_that_had_no_time_for_a_checkpoint_starts_anew(whole, tmp_path):
    for name in ("settings.json", "log.csv"):
        (tmp_path / name).write_bytes((whole.path.parent / name).read_bytes())
    quick(tmp_path, resume=True)
    assert curve(tmp_path) == curve(whole.path.parent)


def test_when_it_is_validated_changes_no_step(whole, tmp_path):
    quick(tmp_path, validation_every=4)
    assert [row["loss"] for row in curve(tmp_path)] == [row["loss"] for row in curve(whole.path.parent)]


def test_the_seed_decides_the_initial_weights(tmp_path):
    def start(name, seed):
        return quick(tmp_path / name, seed=seed, steps=1, learning_rate=1e-30).net.first[0].weight

    torch.manual_seed(8)
    first = start("a", 1)
    assert torch.equal(first, start("b", 1)) and not torch.allclose(first, start("c", 2))


def test_processes_that_make_examples_change_nothing(whole, tmp_path):
    quick(tmp_path, workers=2)
    assert curve(tmp_path) == curve(whole.path.parent)


def test_another_run_in_the_folder_is_left_alone(whole):
    folder = whole.path.parent
    with pytest.raises(ValueError, match="has a run; expected a new folder"):
        quick(folder)
    with pytest.raises(ValueError, match=r"seed: the run in .* has 1; expected the same, got 2"):
        quick(folder, resume=True, seed=2)
    with pytest.raises(ValueError, match=r"steps: the run in .* has 6"):
        quick(folder, resume=True, steps=7)
    assert len(read_log(folder)) == 6


def test_time_that_is_over_ends_a_run_which_can_go_on(whole, tmp_path):
    stopped = quick(tmp_path, minutes=1e-9, steps=6)
    assert len(stopped.log) == 1 and stopped.log[0]["improvement_db"] is not None
    quick(tmp_path, minutes=60, steps=6, resume=True)
    ours = [{**row, "improvement_db": None} for row in curve(tmp_path)]
    assert ours == [{**row, "improvement_db": None} for row in curve(whole.path.parent)]


def test_steps_are_planned_for_the_time_there_is(whole):
    material = gather(whole.settings, "train", whole.net.sample_rate)
    net = NETS["tunet-pairs"](**whole.net.config)
    before = [parameter.clone() for parameter in net.parameters()]
    few, many = (run._affordable_steps(net, material, whole.settings, minutes, "cpu") for minutes in (0.01, 1.0))
    assert 1 <= few < many
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, net.parameters(), strict=True))


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_numbers_that_are_not_finite_stop_a_run(what, tmp_path, monkeypatch):
    cls, calls = NETS["tunet-pairs"], []
    sound = cls.loss

    def loss(self, *batch, kind):
        calls.append(kind)
        found = sound(self, *batch, kind=kind)
        if len(calls) < 5:
            return found
        return found * math.nan if what == "loss" else found + (0 * self.first[0].weight.sum()).sqrt()

    monkeypatch.setattr(cls, "loss", loss)
    with pytest.raises(FloatingPointError, match=f"{what}: .*nan at step 4"):
        quick(tmp_path)
    assert len(read_log(tmp_path)) >= 3 and (tmp_path / "last.ckpt").exists()
    monkeypatch.setattr(cls, "loss", sound)
    assert len(quick(tmp_path, resume=True).log) == 6


def test_without_lightning_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'irtools\[train\]'"):
        quick(tmp_path)


def test_the_command_line_trains(tmp_path, monkeypatch, capfd):
    def irtools(*arguments):
        monkeypatch.setattr(sys, "argv", ["irtools", "train", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            cli.main()
        return done.value.code or 0, *capfd.readouterr()

    small = {**SMALL, "validation_scenes": 1}.items()
    words = [word for name, value in small for word in ("--set", f"{name}={json.dumps(value)}")]
    call = ("tunet-pairs", "--preset", "smoke", "--steps", 2, "--out", tmp_path / "run", "--device", "cpu", *words)
    code, out, err = irtools(*call)
    assert code == 0 and err == "" and out.startswith("tunet-pairs: 2 steps in ") and out.count("\n") == 1
    card = json.loads((tmp_path / "run/tunet-pairs.json").read_text())
    assert card["command"].startswith("irtools train tunet-pairs --preset smoke --steps 2 --seed 0 --set songs=2")
    assert irtools(*call)[0] == 2
    assert irtools(*call, "--resume")[0] == 0
    code, _, err = irtools("unet", "--preset", "smoke")
    assert code == 2 and "net: expected one of" in err and err.count("\n") == 1


# Scores and rates


class Toy(nn.Module):
    """Estimates that are a function of the microphones."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def reduce(self, mics):
        return Estimate(self.function(mics))


def test_the_improvement_is_that_of_si_sdr():
    draws = seeded(3)
    references = torch.randn(1, 3, 4000, generator=draws)
    bleed = torch.randn(1, 3, 4000, generator=draws)
    references[0, 2] *= 1e-4  # 80 dB below the others: does not count
    mics = references + bleed
    batch = Batch(mics, references)
    assert improvement_db(Toy(lambda x: 3 * x), batch).item() == pytest.approx(0, abs=1e-4)
    assert improvement_db(Toy(lambda x: references + 0.1 * bleed), batch).item() == pytest.approx(20, abs=0.5)
    expected = torch.stack([_si_sdr(references[0, n] + 0.1 * bleed[0, n], references[0, n]) for n in range(2)])
    before = torch.stack([_si_sdr(mics[0, n], references[0, n]) for n in range(2)])
    found = improvement_db(Toy(lambda x: references + 0.1 * bleed), batch)
    assert found.item() == pytest.approx((expected - before).mean().item(), abs=1e-3)
    # A silent estimate is as bad as it gets, and silence cannot be improved.
    assert improvement_db(Toy(lambda x: 0 * x), batch).item() == pytest.approx(-60 - before.mean().item(), abs=1e-3)
    assert improvement_db(Toy(lambda x: x), Batch(0 * mics, 0 * references)) == 0


def _si_sdr(estimate, reference):
    target = (estimate @ reference) / (reference @ reference) * reference
    return 10 * torch.log10((target @ target) / ((estimate - target) @ (estimate - target)))


def test_the_learning_rate_rises_and_falls():
    cosine = Settings("tunet", steps=200, schedule="cosine")
    rates = [relative_rate(cosine, step) for step in range(200)]
    top = rates.index(max(rates))
    assert rates[:top] == sorted(rates[:top]) and rates[top:] == sorted(rates[top:], reverse=True)
    assert max(rates) == 1 and top < 10 and 0.01 <= rates[-1] < 0.011
    assert {relative_rate(Settings("tunet", schedule="constant"), step) for step in (0, 5, 999)} == {1.0}


def test_a_step_draws_the_same_numbers_whatever_was_drawn_before():
    from irtools.training.module import Training

    class Dropping(nn.Module):
        def loss(self, mics, references, gains=None, kind="published"):
            return torch.rand(())

    module = Training(Dropping(), Settings("tunet"))
    first = module.training_step(Batch(None, None), 0)
    torch.rand(10)
    assert module.training_step(Batch(None, None), 0) == first
