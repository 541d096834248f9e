"""Data sets: trees in the published layouts, the songs they give, and splits that never share an artist."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from irtools.recording.datasets import (
    DATASETS,
    Song,
    falcon,
    falcon69,
    folder_songs,
    list_songs,
    musdb18hq_songs,
    saraga_songs,
    split_songs,
)

RATE = 44100
STEMS = ("vocals", "bass", "drums", "other")


def stereo(samples=2000, seed=0, level=0.1):
    return level * np.random.default_rng(seed).standard_normal((samples, 2))


def tone(samples, frequency, channels=1):
    wave = 0.3 * np.sin(2 * np.pi * frequency * np.arange(samples) / RATE)
    return np.repeat(wave[:, None], channels, axis=1)


def put(path, frames, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, frames, rate)
    return path


# Falcon 69


def test_falcon_is_what_stempeg_decodes():
    import stempeg

    stems = falcon69()
    published, rate = stempeg.read_stems(stempeg.example_stem_path())  # (streams, samples, channels): mix, d, b, o, v
    assert (stems.names, stems.sample_rate) == (STEMS, int(rate))
    assert stems.waveforms.dtype == torch.float32
    expected = torch.from_numpy(published[[4, 2, 1, 3]].mean(axis=2)).float()
    torch.testing.assert_close(stems.waveforms, expected, rtol=0, atol=1e-6)
    assert round(stems.seconds, 2) == 6.08
    # The trap that the docstring names: the published mix is another signal than the sum of the stems.
    mix = torch.from_numpy(published[0].mean(axis=1)).float()
    assert (mix - stems.waveforms.sum(0)).square().mean() > 0.01 * mix.square().mean()


def test_falcon_imports_neither_stempeg_nor_musdb(monkeypatch):
    for name in ("stempeg", "musdb"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    falcon69()
    assert not {"stempeg", "musdb"} & set(sys.modules)


def test_falcon_without_stempeg_or_ffmpeg(monkeypatch):
    with monkeypatch.context() as without:
        without.setattr(falcon, "find_spec", lambda name: None)
        with pytest.raises(ModuleNotFoundError, match="pip install stempeg"):
            falcon69()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="install ffmpeg"):
        falcon69()


def test_falcon_cut_short_by_the_decoder_is_refused(monkeypatch):
    """Some samples came, then the decoder failed: these are no song."""
    failed = subprocess.CompletedProcess([], 1, stdout=bytes(80), stderr=b"broken pipe")
    monkeypatch.setattr(falcon.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(RuntimeError, match=r"cannot decode stream \d: broken pipe"):
        falcon69()


def test_falcon_damaged(monkeypatch, tmp_path):
    broken = tmp_path / "broken.stem.mp4"
    broken.write_bytes(b"no music")
    monkeypatch.setattr(falcon, "_locate", lambda: broken)
    with pytest.raises(RuntimeError, match=r"broken\.stem\.mp4: ffmpeg cannot decode stream 4"):
        falcon69()


# MUSDB18-HQ: the real `musdb` package on a small tree of the published layout

TRAIN = ("Actions - Devil's Words", "Actions - One Minute Smile", "Music Delta - 80s Rock")  # the second: validation
TEST = ("AM Contra - Heart Peripheral",)


def musdb_tree(root, samples=2000):
    for part, titles in (("train", TRAIN), ("test", TEST)):
        for title in titles:
            stems = {stem: stereo(samples, seed) for seed, stem in enumerate(STEMS)}
            for stem, frames in stems.items():
                put(root / part / title / f"{stem}.wav", frames)
            put(root / part / title / "mixture.wav", sum(stems.values()))
    return root


def test_musdb_songs_and_the_official_split(tmp_path):
    songs = musdb18hq_songs(musdb_tree(tmp_path))
    assert {song.title: (song.group, song.part, song.clean) for song in songs} == {
        "Actions - Devil's Words": ("Actions", "train", True),
        "Actions - One Minute Smile": ("Actions", "validation", True),
        "Music Delta - 80s Rock": ("Music Delta", "train", True),
        "AM Contra - Heart Peripheral": ("AM Contra", "test", True),
    }
    split = split_songs(songs, validation=0, test=1)
    assert {part: len(chosen) for part, chosen in split.items()} == {"train": 2, "validation": 1, "test": 1}


def test_musdb_validation_songs_are_those_of_musdb(tmp_path):
    import musdb

    songs = musdb18hq_songs(musdb_tree(tmp_path))
    for part, subset in (("train", "train"), ("validation", "valid")):
        official = musdb.DB(root=str(tmp_path), is_wav=True, subsets="train", split=subset)
        assert [song.title for song in songs if song.part == part] == [track.name for track in official]


def test_musdb_samples_are_those_of_musdb(tmp_path):
    import musdb

    song = musdb18hq_songs(musdb_tree(tmp_path))[0]
    read = song.load(mixdown=True)
    track = musdb.DB(root=str(tmp_path), is_wav=True, subsets="train")[0]
    expected = [track.sources[stem].audio.mean(axis=1) for stem in STEMS] + [track.audio.mean(axis=1)]
    assert read.names == (*STEMS, "mixdown")
    torch.testing.assert_close(read.waveforms.double(), torch.from_numpy(np.stack(expected)), rtol=0, atol=1e-6)
    left = musdb18hq_songs(tmp_path, channels="left")[0].load()
    assert torch.equal(left.waveforms[1], torch.from_numpy(soundfile.read(song.files[1][1], dtype="float32")[0][:, 0]))


def test_a_piece_is_a_slice_and_nothing_else_is_decoded(tmp_path, monkeypatch):
    song = musdb18hq_songs(musdb_tree(tmp_path, samples=RATE))[0]
    whole = song.load().waveforms
    asked, read = [], soundfile.SoundFile.read

    def noted(self, frames, **options):
        asked.append(frames)
        return read(self, frames, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", noted)
    assert torch.equal(song.load(0.25, 0.125).waveforms, whole[:, 11025 : 11025 + 5512])
    assert asked == [5512] * 4
    assert torch.equal(song.load(0.9, 5).waveforms, whole[:, 39690:])
    assert torch.equal(song.load(0.9).waveforms, whole[:, 39690:])


@pytest.mark.parametrize(
    ("piece", "message"),
    [((-0.1,), "lasts 1.000 s; expected 0 <= start_s"), ((1.0,), "start_s: song"), ((0, 0), "duration_s: expected")],
)
def test_pieces_outside_the_song(tmp_path, piece, message):
    path = put(tmp_path / "bass.wav", stereo(RATE))
    with pytest.raises(ValueError, match=message):
        Song("Blue", "Ann", (("bass", path),)).load(*piece)


def test_musdb_ignores_what_is_no_song(tmp_path):
    musdb_tree(tmp_path)
    (tmp_path / "train" / ".cache").mkdir()
    (tmp_path / "train" / TRAIN[0] / "notes").mkdir()
    assert len(musdb18hq_songs(tmp_path)) == 4


def test_musdb_song_without_a_mixture(tmp_path):
    musdb_tree(tmp_path)
    (tmp_path / "test" / TEST[0] / "mixture.wav").unlink()
    song = next(song for song in musdb18hq_songs(tmp_path) if song.part == "test")
    assert song.load().names == STEMS
    with pytest.raises(ValueError, match=r"mixdown: song 'AM Contra - Heart Peripheral' has no mixdown file"):
        song.load(mixdown=True)


def musdb_missing(root):
    return root / "nowhere", ["nowhere", "neither train/ nor test/"]


def musdb_flat(root):
    put(root / "Ann - Blue" / "vocals.wav", stereo())
    return root, [str(root), "neither train/ nor test/"]


def musdb_empty(root):
    (root / "train").mkdir()
    return root, [str(root), "holds no songs", "Artist - Title"]


def musdb_without_a_stem(root):
    (musdb_tree(root) / "test" / TEST[0] / "bass.wav").unlink()
    return root, [TEST[0], "bass.wav: no such file"]


def musdb_damaged(root):
    (musdb_tree(root) / "test" / TEST[0] / "mixture.wav").write_bytes(b"no music")
    return root, [str(root), "cannot list it"]


@pytest.mark.parametrize("make", [musdb_missing, musdb_flat, musdb_empty, musdb_without_a_stem, musdb_damaged])
def test_musdb_of_another_layout(tmp_path, make):
    root, fragments = make(tmp_path)
    with pytest.raises(ValueError) as error:
        musdb18hq_songs(root)
    for fragment in fragments:
        assert fragment in str(error.value)


@pytest.mark.parametrize("program", ["ffmpeg", "ffprobe"])
def test_musdb_without_its_programs(tmp_path, monkeypatch, program):
    (tmp_path / "train").mkdir()
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == program else which(name))
    with pytest.raises(RuntimeError, match=f"needs {program}: install ffmpeg"):
        musdb18hq_songs(tmp_path)


def test_musdb_without_musdb(tmp_path, monkeypatch):
    (tmp_path / "train").mkdir()
    monkeypatch.setitem(sys.modules, "musdb", None)  # what a missing package looks like to `import`
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'irtools\[datasets\]'"):
        musdb18hq_songs(tmp_path)


# Saraga 1.5 Carnatic

CONCERT, RECORDING = "Songs by Tyagaraja by Cherthala Ranganatha Sharma", "Bhuvini Dasudane"
ALL_MICS = {"vocal": 400, "violin": 600, "mridangam-left": 100, "mridangam-right": 150, "ghatam": 900, "vocal-s": 500}


def saraga_recording(root, mics, concert=CONCERT, recording=RECORDING, samples=RATE, mix=True):
    folder = root / concert / recording
    for mic, frequency in mics.items():
        put(folder / f"{recording}.multitrack-{mic}.mp3", tone(samples, frequency))
    if mix:
        put(folder / f"{recording}.mp3.mp3", tone(samples, 300, channels=2))
    (folder / f"{recording}.json").write_text("{}")
    return folder


def frequency_of(waveform):
    spectrum = torch.fft.rfft(waveform.double())
    return spectrum.abs().argmax().item() * RATE / len(waveform)


def test_saraga_mics_in_their_order(tmp_path):
    root = tmp_path / "saraga1.5_carnatic"
    saraga_recording(root, ALL_MICS)
    saraga_recording(root, {"vocal": 400, "violin": 600}, recording="Vanajaksha [Varnam]", mix=False)
    saraga_recording(root, {}, recording="Mix Only")  # 81 of the 249 recordings are
    for songs in (saraga_songs(root), saraga_songs(tmp_path)):
        assert [(song.title, song.group, song.clean) for song in songs] == [
            (f"{CONCERT}/{RECORDING}", "Cherthala Ranganatha Sharma", False),
            (f"{CONCERT}/Vanajaksha [Varnam]", "Cherthala Ranganatha Sharma", False),
        ]
    full, duo = songs
    stage = full.load(mixdown=True)
    mics = ("vocal", "vocal-s", "violin", "mridangam-left", "mridangam-right", "ghatam")
    assert stage.names == (*mics, "mixdown")
    for name, waveform in zip(mics, stage.waveforms, strict=False):
        assert frequency_of(waveform) == pytest.approx(ALL_MICS[name], abs=2)
    assert frequency_of(stage.waveforms[-1]) == pytest.approx(300, abs=2)
    assert duo.load().names == ("vocal", "violin") and duo.mixdown is None


def test_saraga_mridangam_is_merged_when_asked(tmp_path):
    saraga_recording(tmp_path, ALL_MICS)
    saraga_recording(tmp_path, {"vocal": 400, "mridangam-right": 150}, recording="One Side")
    saraga_recording(tmp_path, {"vocal": 400}, recording="Vocal Only")
    both, merged = (
        saraga_songs(tmp_path)[0].load(),
        [song.load() for song in saraga_songs(tmp_path, merge_mridangam=True)],
    )
    assert merged[0].names == ("vocal", "vocal-s", "violin", "mridangam", "ghatam")
    assert torch.equal(merged[0].waveforms[3], both.waveforms[3:5].mean(dim=0))
    assert torch.equal(merged[0].waveforms[[0, 1, 2, 4]], both.waveforms[[0, 1, 2, 5]])
    assert merged[1].names == ("vocal", "mridangam")
    assert frequency_of(merged[1].waveforms[1]) == pytest.approx(150, abs=2)
    assert merged[2].names == ("vocal",)


def test_saraga_lengths_may_differ(tmp_path):
    folder = saraga_recording(tmp_path, {"vocal": 400, "violin": 600})
    put(folder / f"{RECORDING}.multitrack-ghatam.mp3", tone(RATE // 2, 900))
    padded = saraga_songs(tmp_path)[0].load()
    assert padded.samples == RATE and not padded.waveforms[2, RATE // 2 :].any() and padded.waveforms[2].any()
    assert saraga_songs(tmp_path, lengths="trim")[0].load().samples == RATE // 2
    with pytest.raises(ValueError, match=r"multitrack-ghatam\.mp3: 22050 samples"):
        saraga_songs(tmp_path, lengths="error")[0].load()


@pytest.mark.parametrize("header", [0, 1])
@pytest.mark.parametrize("rate", ["32k", "128k"])
def test_a_piece_of_an_mp3_is_a_slice(tmp_path, header, rate):
    # Small frames borrow bits from many before them; without a Xing header the length is an estimate.
    wav = put(tmp_path / "tone.wav", tone(2 * RATE, 400))
    mp3 = tmp_path / CONCERT / RECORDING / f"{RECORDING}.multitrack-vocal.mp3"
    mp3.parent.mkdir(parents=True)
    codec = ["-c:a", "libmp3lame", "-b:a", rate, "-write_xing", str(header)]
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(wav), *codec, str(mp3)], check=True)
    (song,) = saraga_songs(tmp_path)
    whole = song.load().waveforms
    expected, _ = soundfile.read(mp3, dtype="float32")
    # Where a decoder starts decides the last bit of its float32 sums.
    torch.testing.assert_close(whole[0], torch.from_numpy(expected), rtol=0, atol=1e-6)
    torch.testing.assert_close(song.load(1.0, 0.5).waveforms, whole[:, RATE : RATE + RATE // 2], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "make", [lambda root: root / "nowhere", lambda root: root, lambda root: put(root / "x.wav", [0.0])]
)
def test_saraga_of_another_layout(tmp_path, make):
    root = make(tmp_path)
    with pytest.raises(ValueError, match=r"expected folders '<Concert> by <Lead artist>/<Recording>'") as error:
        saraga_songs(root)
    assert str(root) in str(error.value)


# Any folder


def test_folder_songs(tmp_path):
    for song in ("Ann - Song 10", "Ann - Song 2", "Solo"):
        put(tmp_path / song / "bass.wav", stereo(seed=1)), put(tmp_path / song / "Vocals.flac", stereo(seed=2))
    put(tmp_path / "Solo" / "mixture.wav", stereo(seed=3))
    (tmp_path / "artwork").mkdir()
    (tmp_path / ".cache").mkdir()
    put(tmp_path / ".cache" / "bass.wav", stereo())
    songs = list_songs(tmp_path)
    assert [(song.title, song.group) for song in songs] == [
        ("Ann - Song 2", "Ann"),
        ("Ann - Song 10", "Ann"),
        ("Solo", "Solo"),
    ]
    assert songs[0].load().names == ("bass", "Vocals")
    assert songs[2].load(mixdown=True).names == ("bass", "Vocals", "mixdown")
    with pytest.raises(ValueError, match=r"bass\.wav: 2 channels"):
        folder_songs(tmp_path, channels="error")[0].load()


def test_folder_songs_of_different_lengths(tmp_path):
    put(tmp_path / "Blue" / "bass.wav", stereo(10)), put(tmp_path / "Blue" / "vocals.wav", stereo(20))
    with pytest.raises(ValueError, match=r"vocals\.wav: 20 samples"):
        folder_songs(tmp_path)[0].load()
    assert folder_songs(tmp_path, lengths="pad")[0].load().samples == 20


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "holds no songs"),
        (["loose.wav"], "holds no songs"),
        (["Blue/mixture.wav"], "Blue: holds a mix but no stems"),
        (["Blue/kick.wav", "Blue/kick.flac"], r"kick\.wav: same microphone name 'kick' as .*kick\.flac"),
    ],
)
def test_folder_songs_of_another_layout(tmp_path, files, message):
    for file in files:
        put(tmp_path / file, stereo())
    with pytest.raises(ValueError, match=message):
        folder_songs(tmp_path)


def test_list_songs_reaches_each_data_set(tmp_path):
    musdb_tree(tmp_path / "musdb")
    saraga_recording(tmp_path / "saraga", ALL_MICS)
    put(tmp_path / "folder" / "Blue" / "bass.wav", stereo())
    found = {name: len(list_songs(tmp_path / name.removesuffix("18hq"), name)) for name in DATASETS}
    assert found == {"musdb18hq": 4, "saraga": 1, "folder": 1}
    with pytest.raises(ValueError, match="dataset: expected one of musdb18hq, saraga, folder, got 'medleydb'"):
        list_songs(tmp_path, "medleydb")


# Splits

GROUPS = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=40)
SHARES = st.floats(0, 0.5)


def as_songs(groups):
    return [Song(f"{group}: song {number}", group, ()) for number, group in enumerate(groups)]


def parts(songs, **options):
    return {song.title: part for part, chosen in split_songs(songs, **options).items() for song in chosen}


@given(groups=GROUPS, validation=SHARES, test=SHARES, seed=st.integers(0, 5))
@settings(deadline=None)
def test_a_split_loses_no_song_and_parts_no_group(groups, validation, test, seed):
    songs = as_songs(groups + groups[:3])
    split = split_songs(songs, validation=validation, test=test, seed=seed)
    assert sorted(song.title for chosen in split.values() for song in chosen) == sorted(song.title for song in songs)
    sides = [{song.group for song in chosen} for chosen in split.values()]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


@given(groups=GROUPS, more=GROUPS, seed=st.integers(0, 5))
@settings(deadline=None)
def test_adding_songs_moves_none(groups, more, seed):
    songs = as_songs(groups)
    before = parts(songs, seed=seed)
    added = [Song(f"new {number}", group, ()) for number, group in enumerate(more)]
    after = parts([*reversed(songs), *added], seed=seed)
    assert all(after[title] == part for title, part in before.items())


@given(groups=GROUPS, test=SHARES)
@settings(deadline=None)
def test_a_larger_share_takes_nothing_out_of_the_test_part(groups, test):
    assume(test < 0.5)
    small = split_songs(as_songs(groups), test=test, validation=0)["test"]
    large = split_songs(as_songs(groups), test=0.5, validation=0)["test"]
    assert set(small) <= set(large)


def test_shares_hold_on_average_and_seeds_differ():
    songs = as_songs([f"artist {number}" for number in range(4000)])
    first, second = split_songs(songs), split_songs(songs, seed=1)
    # 4000 draws: the standard deviation of a share of 0.2 is 0.0063, of 0.1 it is 0.0047.
    assert len(first["test"]) / 4000 == pytest.approx(0.2, abs=0.025)
    assert len(first["validation"]) / 4000 == pytest.approx(0.1, abs=0.02)
    common = len(set(first["test"]) & set(second["test"])) / 4000
    assert common == pytest.approx(0.04, abs=0.013)  # independent: 0.2 x 0.2


def test_a_split_is_the_same_on_every_machine():
    # SHA-256 of "3:Ann" and so on, read as a number in [0, 1): Cem 0.010, Ann 0.129, Dee 0.224, Ida 0.362, ...
    split = split_songs(as_songs(["Ann", "Bob", "Cem", "Dee", "Eve", "Fay", "Gus", "Hal", "Ida", "Jon"]), seed=3)
    assert [song.group for song in split["test"]] == ["Ann", "Cem"]
    assert [song.group for song in split["validation"]] == ["Dee"]
    assert [song.group for song in split["train"]] == ["Bob", "Eve", "Fay", "Gus", "Hal", "Ida", "Jon"]


@pytest.mark.parametrize("shares", [(-0.1, 0.2), (0.1, 1.2), (0.6, 0.6), (float("nan"), 0.1)])
def test_shares_outside_their_range(shares):
    with pytest.raises(ValueError, match="validation, test: expected shares of 0 to 1"):
        split_songs([], validation=shares[0], test=shares[1])


@pytest.mark.skipif(not Path("../shared/audio").is_dir(), reason="the shared recordings are not beside the project")
def test_shared_recordings_are_a_folder_of_songs():
    songs = {song.title: song for song in folder_songs("../shared/audio", lengths="pad")}
    copy = songs["easton_falcon69"].load().waveforms
    stems = falcon69().select([name for name, _ in songs["easton_falcon69"].files]).waveforms[:, : copy.shape[1]]
    # A 16-bit copy of the first 6 s, under one common gain.
    gain = (copy * stems).sum() / stems.square().sum()
    assert (copy - gain * stems).abs().max() < 2 / 2**15
