"""Files: what is written is what is read, whole or not at all, and what cannot be read says which file and why."""

import json
import math
import shutil
import struct
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from irtools.recording import writing
from irtools.recording.audit import Auditor
from irtools.recording.multitrack import Multitrack, read_multitrack, write_multitrack
from irtools.recording.reading import MultitrackReader
from irtools.recording.writing import MultitrackWriter, check_output_folder, replacing, write_json

RATE = 8000
# Any finite float32, beyond ±1, subnormal and -0.0 too.
SAMPLES = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=40)
NAMES = st.lists(
    st.text(st.characters(categories=["L", "N"], include_characters=" -_."), min_size=1, max_size=12)
    .map(lambda name: "m" + name.casefold())
    .filter(lambda name: len(name.encode()) < 200),
    min_size=1,
    max_size=4,
    unique=True,
)


def noise(n_mics=2, samples=1000, seed=0):
    return torch.randn(n_mics, samples, generator=torch.Generator().manual_seed(seed))


def put(path, frames, rate=RATE, subtype="FLOAT"):
    soundfile.write(
        path, np.asarray(frames, dtype=float), rate, subtype="PCM_16" if path.suffix.lower() == ".flac" else subtype
    )
    return path


def cut(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    return path


def bits(waveforms):
    return waveforms.view(torch.int32)


def blocks(reader, samples):
    return (reader.read(start, samples) for start in range(0, reader.samples, samples))


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What is written is what is read


@pytest.mark.filterwarnings("ignore:Chunk .non-data. not understood:scipy.io.wavfile.WavFileWarning")  # PEAK
@given(rows=st.lists(SAMPLES, min_size=1, max_size=4), names=NAMES, rate=st.sampled_from([8000, 22050, 44100, 192000]))
@settings(max_examples=40, deadline=None)
def test_round_trip_keeps_every_bit(rows, names, rate):
    n_mics, samples = min(len(rows), len(names)), min(map(len, rows))
    waveforms = torch.tensor([row[:samples] for row in rows[:n_mics]], dtype=torch.float32)
    written = Multitrack(names[:n_mics], waveforms.clone(), rate)
    with tempfile.TemporaryDirectory() as folder:
        write_multitrack(folder, written)
        read = read_multitrack(folder, names=written.names)
        for name, row in zip(written.names, waveforms, strict=True):
            other_rate, other = scipy.io.wavfile.read(Path(folder, f"{name}.wav"))  # an independent decoder
            assert other_rate == rate
            assert torch.equal(bits(torch.from_numpy(other.copy())), bits(row))
    assert (read.names, read.sample_rate) == (written.names, rate)
    assert torch.equal(bits(read.waveforms), bits(waveforms))
    assert torch.equal(bits(written.waveforms), bits(waveforms))


@pytest.mark.filterwarnings("ignore:Chunk .non-data. not understood:scipy.io.wavfile.WavFileWarning")  # PEAK
@pytest.mark.parametrize("written", [997, 44101, 132300])
def test_a_file_longer_than_a_second_reads_back_bit_for_bit_in_one_block_and_in_many(tmp_path, written):
    waveforms = noise(2, 3 * 44100)
    with MultitrackWriter(tmp_path, ["a", "b"], 44100) as writer:
        for block in waveforms.split(written, dim=1):
            writer.write(block)
    for name, row in zip("ab", waveforms, strict=True):
        _, decoded = scipy.io.wavfile.read(tmp_path / f"{name}.wav")  # an independent decoder
        assert torch.equal(bits(torch.from_numpy(decoded.copy())), bits(row))
    assert torch.equal(bits(read_multitrack(tmp_path).waveforms), bits(waveforms))
    with MultitrackReader(tmp_path) as reader:
        for samples in (1013, 44101, 100003, 132301):
            assert torch.equal(bits(torch.cat(list(blocks(reader, samples)), dim=1)), bits(waveforms))


def test_same_samples_make_the_same_bytes(tmp_path):
    stage = Multitrack(("a", "b"), noise(), RATE)
    write_multitrack(tmp_path / "first", stage)
    time.sleep(1.1)  # libsndfile's time stamp counts seconds
    write_multitrack(tmp_path / "second", stage)
    assert tree(tmp_path / "first") == tree(tmp_path / "second")


def test_blocks_of_any_layout_and_dtype_make_one_file(tmp_path):
    waveforms = noise(3, 100).double()
    with MultitrackWriter(tmp_path, ["a", "b", "c"], RATE) as writer:
        writer.write(waveforms[:, :40])
        writer.write(waveforms[:, :0])
        writer.write(waveforms[:, 40:].T.contiguous().T)
    assert writer.samples == 100
    assert torch.equal(read_multitrack(tmp_path).waveforms, waveforms.float())


@pytest.mark.parametrize(
    ("suffix", "subtype", "scale"), [("wav", "PCM_16", 2**15), ("wav", "PCM_24", 2**23), ("flac", None, 2**15)]
)
def test_integer_samples_are_divided_by_full_scale(tmp_path, suffix, subtype, scale):
    integers = np.array([0, 1, -1, 12345, scale - 1, -scale])
    shift = 2**31 // scale
    soundfile.write(tmp_path / f"mic.{suffix}", (integers * shift).astype(np.int32), RATE, subtype=subtype)
    expected = torch.tensor(integers / scale, dtype=torch.float32)[None]
    assert torch.equal(read_multitrack(tmp_path).waveforms, expected)


# Which files, in which order


def test_folder_is_read_in_natural_order_and_other_things_are_ignored(tmp_path):
    for value, name in enumerate(["mic2.WAV", "mic10.wav", "Mic1.flac"]):
        put(tmp_path / name, np.full(4, value / 4), subtype="PCM_16")
    for name in (".hidden.wav", "._mic2.wav", "notes.txt", "song.mp3"):
        (tmp_path / name).write_bytes(b"no audio")
    (tmp_path / "takes.wav").mkdir()
    stage = read_multitrack(tmp_path)
    assert stage.names == ("Mic1", "mic2", "mic10")
    assert stage.waveforms[:, 0].tolist() == [0.5, 0.0, 0.25]


def test_list_keeps_its_order_and_names_select(tmp_path):
    paths = [put(tmp_path / f"{name}.wav", [value] * 3) for value, name in enumerate("cab")]
    assert read_multitrack(paths).names == ("c", "a", "b")
    assert read_multitrack(map(str, paths)).names == ("c", "a", "b")
    chosen = read_multitrack(tmp_path, names=["b", "c"])
    assert chosen.names == ("b", "c") and chosen.waveforms[:, 0].tolist() == [2, 0]


def test_files_that_are_not_selected_need_not_agree(tmp_path):
    put(tmp_path / "a.wav", np.zeros(4)), put(tmp_path / "b.wav", np.zeros(5), rate=2 * RATE)
    assert read_multitrack(tmp_path, names=["a"]).samples == 4


@pytest.mark.parametrize(("lengths", "expected"), [("pad", [[1, 1, 1], [2, 0, 0]]), ("trim", [[1], [2]])])
@pytest.mark.parametrize("block", [1, 2, 5])
def test_lengths(tmp_path, lengths, expected, block):
    put(tmp_path / "a.wav", np.full(3, 1.0)), put(tmp_path / "b.wav", np.full(1, 2.0))
    assert read_multitrack(tmp_path, lengths=lengths).waveforms.tolist() == expected
    with MultitrackReader(tmp_path, lengths=lengths) as reader:
        assert torch.cat(list(blocks(reader, block)), 1).tolist() == expected


@pytest.mark.parametrize(("channels", "expected"), [("mean", 0.75), ("left", 0.5), ("right", 1.0)])
def test_channels(tmp_path, channels, expected):
    put(tmp_path / "stereo.wav", [[0.5, 1.0]] * 4), put(tmp_path / "mono.wav", [0.25] * 4)
    stage = read_multitrack(tmp_path, channels=channels)
    assert stage.names == ("mono", "stereo")
    assert torch.equal(stage.waveforms, torch.tensor([[0.25], [expected]]).expand(2, 4))


# What cannot be read: which file, and what was expected


def missing_folder(folder):
    return folder / "nowhere", ["nowhere", "no such folder"]


def file_for_folder(folder):
    return put(folder / "one.wav", np.zeros(4)), ["one.wav", "is a file", "list of files"]


def folder_without_audio(folder):
    (folder / "notes.txt").touch()
    return folder, [str(folder), "holds no audio", ".wav or .flac"]


def empty_list(folder):
    return [], ["source", "at least one file"]


def missing_file(folder):
    return [put(folder / "here.wav", np.zeros(4)), folder / "gone.wav"], ["gone.wav", "no such file"]


def broken_link(folder):
    (folder / "linked.wav").symlink_to(folder / "gone.wav")
    return folder, ["linked.wav", "no such file"]


def no_audio_inside(folder):
    (folder / "text.wav").write_text("these are words")
    return folder, ["text.wav", "not a readable audio file"]


def empty_file(folder):
    (folder / "nothing.wav").touch()
    return folder, ["nothing.wav", "not a readable audio file"]


def no_samples(folder):
    put(folder / "short.wav", np.zeros(0))
    return folder, ["short.wav", "holds no samples", "at least one"]


def truncated_wav(folder):
    cut(put(folder / "cut.wav", np.zeros(1000)), 2000)
    return folder, [
        "cut.wav",
        "truncated",
        "2080 bytes more than it holds",
    ]  # 4000 bytes of samples after a header of 80


def truncated_rf64(folder):
    soundfile.write(folder / "cut.wav", np.zeros(1000), RATE, format="RF64", subtype="FLOAT")
    cut(folder / "cut.wav", 2000)
    return folder, ["cut.wav", "truncated", "2104 bytes more than it holds"]


def truncated_behind_long_notes(folder):
    raw = put(folder / "cut.wav", np.zeros(1000)).read_bytes()
    notes = b"bext" + struct.pack("<I", 4001) + b"n" * 4001 + b"\0"  # of odd length, hence one byte to fill
    at = raw.find(b"data")
    (folder / "cut.wav").write_bytes((raw[:at] + notes + raw[at:])[:-1])
    return folder, ["cut.wav", "truncated", " 1 bytes more than it holds"]


def truncated_flac(folder):
    path = put(folder / "cut.flac", noise(1, 20000)[0] / 10)
    cut(path, path.stat().st_size // 2)
    return folder, ["cut.flac", "truncated"]


def truncated_mp3(folder):
    path = folder / "cut.mp3"
    soundfile.write(path, noise(1, 20000)[0].numpy() / 10, 44100)
    cut(path, path.stat().st_size // 2)
    return [path], ["cut.mp3", "truncated"]


def other_rate(folder):
    put(folder / "a.wav", np.zeros(4)), put(folder / "b.wav", np.zeros(4), rate=44100)
    return folder, ["a.wav", "8000 Hz", "b.wav", "44100 Hz"]


def other_length(folder):
    put(folder / "a.wav", np.zeros(4)), put(folder / "b.wav", np.zeros(5))
    return folder, ["a.wav", "4;", "b.wav", "5 samples", 'lengths="pad"', '"trim"']


def stereo(folder):
    put(folder / "a.wav", np.zeros((4, 2)))
    return folder, ["a.wav", "2 channels", 'channels="mean"', '"left"', '"right"']


def same_name(folder):
    put(folder / "kick.wav", np.zeros(4)), put(folder / "kick.flac", np.zeros(4))
    return folder, ["kick.wav", "kick.flac", "each once"]


def not_a_number(folder):
    put(folder / "a.wav", [0, 0, math.nan, math.inf])
    return folder, ["a.wav", "(nan)", "sample 2"]


def infinite(folder):
    put(folder / "a.wav", [0, 0, 0, -math.inf])
    return folder, ["a.wav", "(-inf)", "sample 3"]


def too_large_for_float32(folder):
    put(folder / "a.wav", [0, 1e300], subtype="DOUBLE")
    return folder, ["a.wav", "(inf)", "sample 1"]


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize(
    "make",
    [
        missing_folder,
        file_for_folder,
        folder_without_audio,
        empty_list,
        missing_file,
        broken_link,
        no_audio_inside,
        empty_file,
        no_samples,
        truncated_wav,
        truncated_rf64,
        truncated_behind_long_notes,
        truncated_flac,
        truncated_mp3,
        other_rate,
        other_length,
        stereo,
        same_name,
        not_a_number,
        infinite,
        too_large_for_float32,
    ],
)
def test_unreadable_input_names_the_file_and_what_was_expected(tmp_path, make, capfd):
    source, fragments = make(tmp_path)
    with pytest.raises(ValueError) as error:
        read_multitrack(source)
    for fragment in fragments:
        assert fragment in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("source", [None, 3, 2.5])
def test_source_of_another_type(source):
    with pytest.raises(TypeError, match="source: expected a folder or a sequence of paths"):
        read_multitrack(source)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": "both"}, "channels: expected one of error, mean, left, right, got 'both'"),
        ({"lengths": "longest"}, "lengths: expected one of error, pad, trim, got 'longest'"),
        ({"names": ["a", "z"]}, "no file for microphone 'z'; it holds a"),
        ({"names": []}, "names: expected at least one name"),
        ({"names": ["a", "a"]}, "names: expected each name once"),
    ],
)
def test_wrong_options(tmp_path, options, message):
    put(tmp_path / "a.wav", np.zeros(4))
    with pytest.raises(ValueError, match=message):
        read_multitrack(tmp_path, **options)


def test_wav_that_was_streamed_with_an_unknown_length_is_read(tmp_path):
    written = put(tmp_path / "mic.wav", noise(1, 500)[0])
    raw = bytearray(written.read_bytes())
    at = raw.find(b"data") + 4
    raw[4:8] = raw[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    written.write_bytes(raw)
    assert torch.equal(read_multitrack(tmp_path).waveforms, noise(1, 500))


def test_wav_with_notes_before_its_samples_is_read(tmp_path):
    raw = put(tmp_path / "mic.wav", noise(1, 500)[0]).read_bytes()
    at = raw.find(b"data")
    notes = b"bext" + struct.pack("<I", 4001) + b"n" * 4001 + b"\0"
    (tmp_path / "mic.wav").write_bytes(raw[:at] + notes + raw[at:])
    assert torch.equal(read_multitrack(tmp_path).waveforms, noise(1, 500))


def test_wav_that_ffmpeg_streamed_is_read(tmp_path):
    put(tmp_path / "mic.wav", noise(1, 500)[0])
    command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "mic.wav"), "-c:a", "pcm_f32le", "-f", "wav", "-"]
    (tmp_path / "piped.wav").write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    assert torch.equal(read_multitrack([tmp_path / "piped.wav"]).waveforms, noise(1, 500))


# Reading in blocks


@given(samples=st.integers(1, 300), block=st.integers(1, 320), suffix=st.sampled_from(["wav", "flac"]))
@settings(max_examples=30, deadline=None)
def test_blocks_join_to_the_whole(samples, block, suffix):
    with tempfile.TemporaryDirectory() as folder:
        for mic, row in enumerate(noise(2, samples) / 8):
            put(Path(folder, f"{mic}.{suffix}"), row)
        whole = read_multitrack(folder)
        with MultitrackReader(folder) as reader:
            assert (reader.names, reader.sample_rate, reader.samples) == (("0", "1"), RATE, samples)
            pieces = list(blocks(reader, block))
            again = list(blocks(reader, block))
    assert [piece.shape[1] for piece in pieces[:-1]] == [block] * (len(pieces) - 1)
    assert 1 <= pieces[-1].shape[1] <= block
    assert torch.equal(torch.cat(pieces, 1), whole.waveforms)
    assert torch.equal(torch.cat(again, 1), whole.waveforms)


def test_pieces_may_be_read_in_any_order(tmp_path):
    put(tmp_path / "a.flac", noise(1, 30000)[0] / 10)
    whole = read_multitrack(tmp_path).waveforms
    with MultitrackReader(tmp_path) as reader:
        for start, samples in [(29000, 5000), (17, 4096), (0, 1), (12345, None)]:
            expected = whole[:, start:] if samples is None else whole[:, start : start + samples]
            assert torch.equal(reader.read(start, samples), expected)
        for first, second in zip(blocks(reader, 7000), blocks(reader, 7000), strict=True):  # two walks at once
            assert torch.equal(first, second)


def test_no_more_than_a_block_is_read_at_once(tmp_path, monkeypatch):
    write_multitrack(tmp_path, Multitrack(("a", "b"), noise(2, 10000), RATE))
    asked, read = [], soundfile.SoundFile.read
    monkeypatch.setattr(
        soundfile.SoundFile, "read", lambda self, frames, **k: asked.append(frames) or read(self, frames, **k)
    )
    with MultitrackReader(tmp_path) as reader:
        assert asked == []  # opening looks at headers only
        assert sum(block.shape[1] for block in blocks(reader, 128)) == 10000
    assert max(asked) == 128 and sum(asked) == 2 * 10000


def test_non_finite_sample_is_named_by_its_place_in_the_file(tmp_path):
    samples = np.zeros(100)
    samples[73] = math.nan
    put(tmp_path / "a.wav", np.zeros(100)), put(tmp_path / "b.wav", samples)
    with MultitrackReader(tmp_path) as reader:
        pieces = blocks(reader, 25)
        assert next(pieces).shape == next(pieces).shape == (2, 25)
        with pytest.raises(ValueError, match=r"b\.wav: non-finite value \(nan\) at sample 73"):
            next(pieces)


def test_reader_refuses_what_lies_outside(tmp_path):
    put(tmp_path / "a.wav", np.zeros(10))
    with MultitrackReader(tmp_path) as reader:
        for start in (-1, 10):
            with pytest.raises(ValueError, match="start: expected a sample from 0 to 9"):
                reader.read(start)
        with pytest.raises(ValueError, match="samples: expected at least 1, got 0"):
            reader.read(0, 0)
    with pytest.raises(ValueError, match="closed"):
        reader.read()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files in /proc, which only Linux has")
def test_no_file_stays_open(tmp_path):
    def still_open():
        targets = []
        for link in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                targets.append(link.readlink())
        return [target for target in targets if tmp_path in target.parents]

    for make in (other_rate, other_length, truncated_wav):
        folder = tmp_path / make.__name__
        folder.mkdir()
        with pytest.raises(ValueError):
            read_multitrack(make(folder)[0])
    put(tmp_path / "a.wav", np.zeros(10))
    with MultitrackReader(tmp_path) as reader:
        assert len(still_open()) == 1
        next(blocks(reader, 3))
    assert still_open() == []


# Writing whole or not at all


def test_files_are_replaced_only_at_the_end(tmp_path):
    write_multitrack(tmp_path, Multitrack(("a",), noise(1, 10), RATE))
    old = (tmp_path / "a.wav").read_bytes()
    with MultitrackWriter(tmp_path, ["a", "b"], RATE) as writer:
        writer.write(noise(2, 10, seed=1))
        assert (tmp_path / "a.wav").read_bytes() == old
        assert read_multitrack(tmp_path).names == ("a",)  # what is half-written is not taken for audio
    assert torch.equal(read_multitrack(tmp_path).waveforms, noise(2, 10, seed=1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "b.wav"]


def interrupted(writer):
    writer.write(noise(2, 10))
    raise KeyboardInterrupt("by the user")


def with_nan(writer):
    block = noise(2, 10)
    writer.write(block)
    block[1, 4] = math.nan
    writer.write(block)


def too_large(writer):
    writer.write(torch.tensor([[0.0], [1e300]], dtype=torch.float64))


def wrong_mics(writer):
    writer.write(noise(3, 10))


def wrong_axes(writer):
    writer.write(torch.zeros(10))


def integers(writer):
    writer.write(torch.zeros(2, 10, dtype=torch.int16))


def an_array(writer):
    writer.write(np.zeros((2, 10)))


def nothing(writer):
    pass


def target_in_the_way(writer):
    writer.write(noise(2, 10))
    (writer.folder / "b.wav").mkdir(parents=True)


@pytest.mark.parametrize(
    ("work", "error", "message"),
    [
        (interrupted, KeyboardInterrupt, "by the user"),
        (with_nan, ValueError, r"b\.wav: non-finite value \(nan\) at sample 14"),
        (too_large, ValueError, r"b\.wav: non-finite value \(inf\) at sample 0"),
        (wrong_mics, ValueError, r"block: expected shape \(2, samples\), got \(3, 10\)"),
        (wrong_axes, ValueError, r"block: expected shape \(2, samples\), got \(10,\)"),
        (integers, TypeError, "block: expected a float32 or float64 tensor, got torch.int16"),
        (an_array, TypeError, "block: expected a float32 or float64 tensor"),
        (nothing, ValueError, "no samples were written"),
        (target_in_the_way, ValueError, r"b\.wav: is a folder"),
    ],
)
def test_a_failure_leaves_what_was_there(tmp_path, work, error, message):
    write_multitrack(tmp_path / "old", Multitrack(("a",), noise(1, 10), RATE))
    before = tree(tmp_path)
    for folder in ("old", "new/and/deeper"):
        with pytest.raises(error, match=message), MultitrackWriter(tmp_path / folder, ["a", "b"], RATE) as writer:
            work(writer)
    assert tree(tmp_path) == before
    assert work is target_in_the_way or not (tmp_path / "new").exists()


def test_a_rename_that_fails_leaves_no_temporary_file(tmp_path, monkeypatch):
    def no_rename(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", no_rename)
    with pytest.raises(OSError, match="No space left"):
        write_multitrack(tmp_path / "out", Multitrack(("a",), noise(1), RATE))
    with pytest.raises(OSError, match="No space left"):
        write_json(tmp_path / "out" / "report.json", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failing", [0, 1])
def test_a_writer_that_cannot_open_its_files_leaves_no_file_and_no_folder(tmp_path, monkeypatch, failing):
    write_multitrack(tmp_path / "old", Multitrack(("a",), noise(1, 10), RATE))
    before, opened = tree(tmp_path), []

    class Refusing(soundfile.SoundFile):
        def __init__(self, path, mode, *arguments, **options):
            opened.append(path)
            super().__init__(path, mode, *arguments, **options)
            if len(opened) == failing + 1:
                self.close()
                raise OSError(24, "Too many open files")

    monkeypatch.setattr(soundfile, "SoundFile", Refusing)
    for folder in ("old", "new/and/deeper"):
        opened.clear()
        with pytest.raises(OSError, match="Too many open"), MultitrackWriter(tmp_path / folder, ["a", "b"], RATE):
            pytest.fail("the block is not entered")
    assert tree(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("name", ["a/b", "a\\b", ".hidden", "a:b", "a\0b"])
def test_names_that_make_no_file(tmp_path, name):
    with pytest.raises(ValueError, match="makes no file name"):
        write_multitrack(tmp_path, Multitrack((name,), noise(1), RATE))


def test_names_that_differ_by_case_only(tmp_path):
    with pytest.raises(ValueError, match="'Kick' and 'kick' are one file"):
        write_multitrack(tmp_path, Multitrack(("kick", "Kick"), noise(2), RATE))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("rate", "error"), [(0, ValueError), (-1, ValueError), (44100.0, TypeError), (True, TypeError)]
)
def test_writer_refuses_other_rates(tmp_path, rate, error):
    with pytest.raises(error, match="sample_rate: expected"):
        MultitrackWriter(tmp_path, ["a"], rate)


def test_folder_that_is_a_file(tmp_path):
    put(tmp_path / "file.wav", np.zeros(3))
    with pytest.raises(ValueError, match=r"file\.wav: is a file; expected a folder"):
        write_multitrack(tmp_path / "file.wav" / "inside", Multitrack(("a",), noise(1), RATE))


def test_length_other_than_announced(tmp_path):
    with (
        pytest.raises(ValueError, match="9 samples were written; expected 10"),
        MultitrackWriter(tmp_path / "out", ["a"], RATE, samples=10) as writer,
    ):
        writer.write(noise(1, 9))
    assert list(tmp_path.iterdir()) == []


def test_writing_outside_the_with_block(tmp_path):
    with pytest.raises(ValueError, match="inside its `with` block"):
        MultitrackWriter(tmp_path, ["a"], RATE).write(noise(1))


def test_recording_too_long_for_wav_becomes_rf64(tmp_path, monkeypatch):
    assert 4 * writing.WAV_MAX_SAMPLES + 128 < 2**32  # samples and header, counted in 32 bits
    monkeypatch.setattr(writing, "WAV_MAX_SAMPLES", 999)
    write_multitrack(tmp_path / "long", Multitrack(("a",), noise(1, 1000), RATE))
    write_multitrack(tmp_path / "short", Multitrack(("a",), noise(1, 999), RATE))
    assert soundfile.info(tmp_path / "long" / "a.wav").format == "RF64"
    assert soundfile.info(tmp_path / "short" / "a.wav").format == "WAV"
    assert torch.equal(read_multitrack(tmp_path / "long").waveforms, noise(1, 1000))


def test_recording_too_long_for_wav_unannounced(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "WAV_MAX_SAMPLES", 999)
    with (
        pytest.raises(ValueError, match=r"a\.wav: more than 999 samples do not fit a WAV file"),
        MultitrackWriter(tmp_path / "out", ["a"], RATE) as writer,
    ):
        writer.write(noise(1, 999))
        writer.write(noise(1, 1))
    assert list(tmp_path.iterdir()) == []


def test_only_a_multitrack_is_written(tmp_path):
    with pytest.raises(TypeError, match="multitrack: expected a Multitrack, got Tensor"):
        write_multitrack(tmp_path, noise())


@pytest.mark.parametrize("link", [False, True])
def test_output_over_the_input_is_refused(tmp_path, link):
    stage, out = tmp_path / "stage", tmp_path / "out"
    stage.mkdir()
    path = put(stage / "a.wav", np.zeros(3))
    if link:
        out.symlink_to(stage)
    folder = out if link else stage
    for source in (stage, [path]):
        with pytest.raises(ValueError, match=r"holds the input .*a\.wav; expected another folder"):
            check_output_folder(folder, source)
        check_output_folder(stage / "reduced", source)
    with pytest.raises(ValueError, match="is a file; expected a folder for the output"):
        check_output_folder(path, stage)


def test_output_over_the_file_that_an_input_links_to_is_refused(tmp_path):
    (tmp_path / "recorded").mkdir()
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage/a.wav").symlink_to(put(tmp_path / "recorded/a.wav", np.zeros(3)))
    with pytest.raises(ValueError, match=r"recorded: holds the input .*stage/a\.wav; expected another folder"):
        check_output_folder(tmp_path / "recorded", tmp_path / "stage")


# Reports


def test_json_report(tmp_path):
    report = {"λ": [1, 0.1, True, None], "sdr": {"mean": math.inf, "worst": -math.inf, "silent": math.nan}, "t": (2,)}
    path = write_json(tmp_path / "deep" / "report.json", report)
    assert json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail) == {
        "λ": [1, 0.1, True, None],
        "sdr": {"mean": "inf", "worst": "-inf", "silent": None},
        "t": [2],
    }
    assert math.isnan(report["sdr"]["silent"])
    with pytest.raises(TypeError):
        write_json(path, {"gains": torch.zeros(2)})
    assert "λ" in path.read_text(encoding="utf-8")
    assert [child.name for child in path.parent.iterdir()] == ["report.json"]


def test_replacing_leaves_the_old_file_when_its_block_fails(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="half-way"), replacing(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
        raise RuntimeError("half-way")
    assert tree(tmp_path) == {"table.csv": b"old"}
    with pytest.raises(ValueError, match="is a folder; expected a file"), replacing(tmp_path):
        pass


# The recording itself


@pytest.mark.parametrize(
    ("names", "waveforms", "rate", "error", "message"),
    [
        ("vocals", torch.zeros(1, 4), RATE, TypeError, "names: expected a sequence of str, got the single str"),
        ((1,), torch.zeros(1, 4), RATE, TypeError, "names: expected a sequence of str, got 1"),
        ((), torch.zeros(1, 4), RATE, ValueError, "names: expected at least one name"),
        (("",), torch.zeros(1, 4), RATE, ValueError, "names: expected non-empty names"),
        (("a", "a"), torch.zeros(2, 4), RATE, ValueError, "names: expected each name once, got 'a' 2 times"),
        (("a",), torch.zeros(2, 4), RATE, ValueError, "names: expected one name for each of the 2 microphones"),
        (("a",), np.zeros((1, 4)), RATE, TypeError, "waveforms: expected a torch.Tensor"),
        (("a",), torch.zeros(1, 4, dtype=torch.int16), RATE, TypeError, "waveforms: expected dtype"),
        (("a",), torch.zeros(4), RATE, ValueError, r"waveforms: expected shape \(mics, samples\), got \(4,\)"),
        (("a",), torch.zeros(1, 0), RATE, ValueError, "waveforms: expected at least one sample"),
        (("a",), torch.tensor([[0, math.nan]]), RATE, ValueError, "waveforms: .* at sample 1"),
        (("a",), torch.zeros(1, 4), 44100.0, TypeError, "sample_rate: expected an int"),
        (("a",), torch.zeros(1, 4), 0, ValueError, "sample_rate: expected a positive"),
    ],
)
def test_a_recording_is_checked_when_made(names, waveforms, rate, error, message):
    with pytest.raises(error, match=message):
        Multitrack(names, waveforms, rate)


def test_a_recording_does_not_change():
    stage = Multitrack(["a", "b"], noise(2, 100), RATE)
    assert (stage.names, stage.n_mics, stage.samples, stage.seconds) == (("a", "b"), 2, 100, 100 / RATE)
    with pytest.raises(FrozenInstanceError):
        stage.sample_rate = 1
    chosen = stage.select(["b"])
    assert torch.equal(chosen.waveforms, stage.waveforms[1:])
    chosen.waveforms.zero_()
    assert stage.waveforms[1].any()
    with pytest.raises(ValueError, match="no microphone called 'z'; expected some of a, b"):
        stage.select(["z"])


# The audit


def sine(samples=1000, level=0.5):
    return level * torch.sin(torch.arange(samples) * 0.1)


def audited(*waveforms, pieces=None):
    auditor = Auditor([f"mic{mic}" for mic in range(len(waveforms))])
    for piece in torch.stack(waveforms).split(pieces or len(waveforms[0]), dim=1):
        auditor.add(piece)
    return auditor.findings()


def test_audit_is_silent_about_a_sound_recording():
    square = torch.ones(1000) * 0.7
    square[::2] *= -1
    assert audited(sine(), sine(level=0.25), square, sine(level=1.0)) == []


@pytest.mark.parametrize(
    ("waveform", "finding"),
    [
        (torch.zeros(1000), "mic1: silent"),
        (sine(level=2).clamp(-1, 1), "mic1: clipped"),
        (sine(level=4).clamp(-2, 2), "mic1: clipped"),  # float files clip above full scale too
        # 16-bit samples clip at 32767 / 32768 above and at -1 below.
        (sine(level=2).clamp(-0.9, 1 - 2**-15).index_fill(0, torch.tensor([4]), -1.0), "mic1: clipped"),
        (sine() + 0.2, "mic1: constant offset of +0.2"),
        (torch.full((1000,), -0.3), "mic1: constant offset of -0.3"),
        (sine(level=0.25), "mic1: the same signal as mic0"),
    ],
)
def test_audit_findings(waveform, finding):
    findings = audited(sine(level=0.25), waveform)
    assert len(findings) == 1 and findings[0].startswith(finding)


def test_audit_names_each_copy_once():
    assert audited(sine(), sine(), sine(), torch.zeros(1000), torch.zeros(1000)) == [
        "mic3: silent: every sample is zero",
        "mic4: silent: every sample is zero",
        "mic1: the same signal as mic0",
        "mic2: the same signal as mic0",
    ]


@given(levels=st.lists(st.sampled_from([0.0, 0.5, 0.999, -0.999, 1.0, -1.0]), min_size=1, max_size=30))
def test_clipped_samples_are_counted_in_runs_of_three(levels):
    expected, start = 0, 0
    while start < len(levels):  # runs counted one by one
        stop = start
        while stop < len(levels) and levels[stop] == levels[start]:
            stop += 1
        outermost = levels[start] == (max if levels[start] > 0 else min)(levels)
        if stop - start >= 3 and outermost and abs(levels[start]) >= 0.999:
            expected += stop - start
        start = stop
    told = [line for line in audited(torch.tensor(levels, dtype=torch.float64)) if "clipped" in line]
    assert told == ([f"mic0: clipped: {expected} samples in runs at {max(map(abs, levels)):.3f}"] if expected else [])


@pytest.mark.skipif(not Path("../shared/audio").is_dir(), reason="the shared recordings are not beside the project")
def test_real_recordings_are_read_and_survive(tmp_path):
    for folder in sorted({path.parent for path in Path("../shared/audio").rglob("*.flac")}):
        with MultitrackReader(folder, lengths="pad", channels="mean") as reader:
            piece = Multitrack(reader.names, reader.read(0, min(44100, reader.samples)), reader.sample_rate)
        write_multitrack(tmp_path / folder.name, piece)
        assert torch.equal(read_multitrack(tmp_path / folder.name, names=piece.names).waveforms, piece.waveforms)
        shutil.rmtree(tmp_path / folder.name)


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(3, 996), loud=st.sampled_from([0.5, 1.0, 1.5]))
def test_audit_in_pieces_finds_what_the_whole_shows(cut, loud):
    clipped = torch.cat([sine(), loud * sine(level=3.0).clamp(-1, 1)])[:1000]
    waveforms = [sine(), clipped, torch.zeros(1000), sine(), sine() + 0.2]
    found, whole = audited(*waveforms, pieces=[cut, 1000 - cut]), audited(*waveforms)
    # The cut may take a few samples from the count of a run that it splits.
    assert [line.partition(": ")[0] for line in found] == [line.partition(": ")[0] for line in whole]
    assert len(whole) >= 3
