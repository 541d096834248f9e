"""Rendered songs: the scores, the sound, their reproducibility, the cache, the splits."""

import hashlib
import importlib.util
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, replace
from itertools import islice, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from irtools.band import cache as song_cache
from irtools.band import songs as songs_module
from irtools.band import synthesis
from irtools.band.composition import LINEUPS, compose
from irtools.band.composition.dice import Dice
from irtools.band.composition.drums import GROOVES
from irtools.band.composition.harmony import PROGRESSIONS, parse_chord, voice_chord
from irtools.band.composition.instruments import Instrument
from irtools.band.composition.metres import METRES, Clock
from irtools.band.composition.notation import Bend, Note, Part, Score, Stem
from irtools.band.composition.sketch import Gesture, Sketch, perform
from irtools.band.songs import render_song, songs, split_of

SEEDS = range(30)
ALL_LINEUPS = pytest.mark.parametrize("lineup", list(LINEUPS))
# Those with notes that have a pitch; a kit is a drummer alone.
BANDS = [lineup for lineup in LINEUPS if lineup != "kit"]


@pytest.fixture(scope="module")
def scores():
    return [compose(seed, "pop", 20.0) for seed in SEEDS]


@pytest.fixture(scope="module")
def rendered():
    return {seed: render_song(seed, sample_rate=22050, cache_dir=False) for seed in range(6)}


def parts_of(score):
    return [(stem.name, part) for stem in score.stems for part in stem.parts]


def digest(song):
    return hashlib.sha256(song.waveforms.numpy().tobytes()).hexdigest()


def bar_s(score):
    return score.plan.metre.beats * 60 / score.plan.clock.tempo_bpm


# Scores


def test_seeds_vary_in_key_tempo_metre_and_instruments(scores):
    plans = [score.plan for score in scores]
    assert len({plan.tonic for plan in plans}) >= 8
    assert len({plan.mode for plan in plans}) >= 4
    metres = {plan.metre.name for plan in plans}
    assert metres >= {"4/4", "3/4", "6/8"} and len(metres) >= 4
    tempi = [plan.clock.tempo_bpm for plan in plans]
    assert min(tempi) >= 70 and max(tempi) <= 170 and np.ptp(tempi) > 50
    programs = {name: set() for name in LINEUPS["pop"]}
    for score in scores:
        for name, part in parts_of(score):
            programs[name].add(part.instrument.program)
    assert all(len(used) >= 4 for used in programs.values()), programs


@ALL_LINEUPS
@pytest.mark.parametrize("seed", range(12))
def test_every_note_is_one_its_instrument_plays(lineup, seed):
    score = compose(seed, lineup, 15.0)
    assert score.names == LINEUPS[lineup]
    for _, part in parts_of(score):
        for note in part.notes:
            assert part.instrument.low <= note.pitch <= part.instrument.high, part.instrument.name
            assert 0 <= note.start_s < 15.0 and note.duration_s > 0 and 1 <= note.velocity <= 127
        assert list(part.notes) == sorted(part.notes, key=lambda note: (note.start_s, note.pitch))
        for pitch in {note.pitch for note in part.notes}:
            same = [note for note in part.notes if note.pitch == pitch]
            assert all(a.start_s + a.duration_s < b.start_s for a, b in pairwise(same))


@pytest.mark.parametrize("lineup", BANDS)
def test_most_notes_belong_to_the_key(lineup):
    outside = []
    for seed in SEEDS:
        score = compose(seed, lineup, 15.0)
        notes = [note for _, part in parts_of(score) if not part.is_drums for note in part.notes]
        outside.append(np.mean([note.pitch % 12 not in score.plan.scale for note in notes]))
    assert max(outside) < 0.2 and np.mean(outside) < 0.05


def test_strong_beats_of_the_melody_are_notes_of_the_chord_below(scores):
    # Independently of how it was written: a melody note on the beat is in the chords sounding with it.
    agree = []
    for score in scores:
        beat_s = 60 / score.plan.clock.tempo_bpm
        vocals, other = score.stems[0].parts[0], [part for part in score.stems[3].parts if part.notes]
        for note in vocals.notes:
            bar, in_bar = divmod(note.start_s + 0.05 * beat_s, bar_s(score))
            if in_bar > 0.1 * beat_s:
                continue
            chord = {
                other_note.pitch % 12
                for part in other[:1]
                for other_note in part.notes
                if bar * bar_s(score) - 0.05 <= other_note.start_s < (bar + 1) * bar_s(score) - 0.05
            }
            if len(chord) >= 3:
                agree.append(note.pitch % 12 in chord)
    assert len(agree) > 80 and np.mean(agree) > 0.9


def test_notes_are_near_the_beat_grid_but_not_on_it(scores):
    for score in scores:
        clock = score.plan.clock
        offsets = []
        for _, part in parts_of(score):
            beats = np.array([note.start_s for note in part.notes]) * clock.tempo_bpm / 60
            if clock.swing != 0.5:  # undo the swing: the off-beat back to one half
                whole, rest = np.floor(beats + 0.1), (beats + 0.1) % 1 - 0.1
                late = 0.5 + (rest - clock.swing) / (2 - 2 * clock.swing)
                beats = whole + np.where(rest > clock.swing, late, rest / (2 * clock.swing))
            offsets += list(np.abs(beats * 4 - np.round(beats * 4)) * 15 / clock.tempo_bpm)
        assert np.median(offsets) < 0.02
        assert 0.001 < np.mean(offsets)


def test_every_stem_of_a_band_rests_now_and_then_and_plays_in_every_excerpt(scores):
    bars, alone, excerpts = Counter(), 0, 0
    for score in scores:
        count = int(20.0 / bar_s(score))
        sounding = np.zeros((4, count), bool)
        for row, stem in enumerate(score.stems):
            for part in stem.parts:
                for note in part.notes:
                    begin = int((note.start_s + 0.05) / bar_s(score))
                    end = int((note.start_s + note.duration_s - 0.05) / bar_s(score))
                    sounding[row, begin : end + 1] = True
            assert any(note.start_s < 9.0 for part in stem.parts for note in part.notes), (score.plan.seed, stem.name)
        bars.update({name: int((~sounding[row]).sum()) for row, name in enumerate(score.names)})
        alone += int((sounding.sum(0) == 1).sum())
        excerpts += count
    assert all(0.04 < bars[name] / excerpts < 0.5 for name in LINEUPS["pop"]), bars
    assert 0.01 < alone / excerpts < 0.25


@ALL_LINEUPS
@pytest.mark.parametrize("seed", range(8))
def test_a_longer_score_begins_with_the_shorter_one(lineup, seed):
    short, long = compose(seed, lineup, 7.0), compose(seed, lineup, 31.0)
    for (_, part), (_, whole) in zip(parts_of(short), parts_of(long), strict=True):
        assert part.notes == tuple(note for note in whole.notes if note.start_s < 7.0)
        assert part.bends == tuple(bend for bend in whole.bends if bend.time_s < 7.0)
    assert short.sections == long.sections[: len(short.sections)]


def test_a_chorus_comes_back_with_the_same_chords_and_other_details():
    score = compose(2, "pop", 120.0)
    starts = [start for start, kind in score.sections if kind == "chorus"][:2]

    def first_bars(stem, start):
        notes = [note for part in score.stems[stem].parts for note in part.notes]
        return [note for note in notes if start - 0.05 <= note.start_s < start + 2 * bar_s(score) - 0.05]

    chords, strokes = ([first_bars(stem, start) for start in starts] for stem in (3, 2))
    assert chords[0] and {note.pitch for note in chords[0]} == {note.pitch for note in chords[1]}
    assert strokes[0] and Counter(note.pitch for note in strokes[0]) != Counter(note.pitch for note in strokes[1])


def test_every_groove_and_progression_is_well_formed():
    assert {metre.name for metre in METRES} == set(GROOVES)
    for metre in METRES:
        for name, patterns in GROOVES[metre.name].items():
            lengths = {len(pattern.replace(" ", "")) for pattern in patterns}
            assert lengths == {round(metre.beats * 4)}, (metre.name, name)
    for progressions in PROGRESSIONS.values():
        for progression in progressions:
            for name in progression.split():
                assert len(set(parse_chord(name, 5))) in (3, 4)
    with pytest.raises(ValueError, match="Roman numeral"):
        parse_chord("H7", 0)


@given(st.lists(st.sampled_from("I ii iii IV V7 vi Imaj7 bVII V/vi".split()), min_size=2, max_size=6))
def test_voices_move_little_and_stay_in_range(names):
    previous = ()
    for name in names:
        voicing = voice_chord(parse_chord(name, 3), 48, 76, previous)
        assert 48 <= min(voicing) and max(voicing) <= 76
        assert {pitch % 12 for pitch in voicing} == set(parse_chord(name, 3))
        if previous:
            assert max(min(abs(pitch - other) for other in previous) for pitch in voicing) <= 6
        previous = voicing


def test_a_slide_ends_on_the_pitch_and_vibrato_stays_within_its_depth():
    sketch = Sketch()
    sketch.add(0.0, 4.0, 60, 90, Gesture(slide=-2.0, slide_s=0.1, depth=0.3, rate_hz=5.0, after_s=0.3))
    _, bends = perform(sketch, Clock(120.0), 10.0, 0.0, Dice("test"))
    assert bends[0].semitones == -2.0
    assert all(bend.semitones == 0.0 for bend in bends if 0.11 < bend.time_s < 0.29)
    late = [bend.semitones for bend in bends if bend.time_s > 0.6]
    assert max(map(abs, late)) == pytest.approx(0.3, abs=0.02)


def test_a_seed_plays_the_same_music_as_long_as_the_version_stays():
    # Where this fails because the music was meant to change, change VERSION too: kept songs would be the old ones.
    found = []
    for lineups in (BANDS, ["kit"]):
        stems = [astuple(stem) for lineup in lineups for seed in range(10) for stem in compose(seed, lineup).stems]
        found.append(hashlib.sha256(repr(stems).encode()).hexdigest()[:16])
    assert (songs_module.VERSION, *found) == ("2", "b51c07d45d76854f", "e65d83b857099b21")


# A drum kit


@pytest.fixture(scope="module")
def kits():
    return [compose(seed, "kit", 20.0) for seed in SEEDS]


def strokes(score, drum):
    (part,) = score.stems[LINEUPS["kit"].index(drum)].parts
    return part.notes


def test_the_drums_of_a_kit_are_its_stems_and_all_are_in_every_excerpt(kits):
    keys = {"kick": {36}, "snare": {38}, "hihat": {42, 46}, "tom_high": {50}, "tom_low": {43}}
    for score in kits:
        assert len({part.instrument for _, part in parts_of(score)}) == 1
        for name, part in parts_of(score):
            assert part.is_drums and {note.pitch for note in part.notes} <= keys[name]
            assert any(note.start_s < 9.0 for note in part.notes), (score.plan.seed, name)
    assert len({score.plan.band["kick"] for score in kits}) >= 4
    assert len({score.plan.metre.name for score in kits}) >= 4


def test_the_hihat_is_struck_with_most_strokes_of_the_snare_but_not_exactly(kits):
    together, apart_s = [], []
    for score in kits:
        hihat = np.array([note.start_s for note in strokes(score, "hihat")])
        nearest = [np.abs(hihat - note.start_s).min() for note in strokes(score, "snare")]
        together.append(np.mean([away < 0.02 for away in nearest]))
        apart_s += [away for away in nearest if away < 0.02]
    assert min(together) > 0.5 and np.mean(together) > 0.7
    assert 0.001 < np.median(apart_s) < 0.01


def test_toms_are_struck_in_the_fill_at_the_end_of_every_second_bar(kits):
    for score in kits:
        beats, clock = score.plan.metre.beats, score.plan.clock
        ends = [(clock.seconds(end - 2.0), clock.seconds(end)) for end in np.arange(2 * beats, 100, 2 * beats)]
        for drum in ("tom_high", "tom_low"):
            for note in strokes(score, drum):
                assert any(start - 0.02 < note.start_s < end + 0.02 for start, end in ends)


# Sound

FLUTE = Instrument("flute", 73, 60, 84, -17.5)


def play(*notes, program=73, part_db=0.0, stem_db=0.0, shelf=(1000.0, 0.0), bends=(), drums=False):
    """One second of a stem of one part at 16 kHz, float64."""
    part = Part(replace(FLUTE, program=program), drums, part_db, notes, bends)
    score = Score(None, 1.0, (), (Stem("stem", stem_db, *shelf, (part,)),))
    return synthesis.render(score, 16000)[0].astype(np.float64)


def spectrum_of(sound):
    return np.abs(np.fft.rfft(sound * np.hanning(len(sound))))


NOTE = Note(0.1, 0.8, 72, 60)


@pytest.mark.parametrize("level", ["part_db", "stem_db"])
def test_a_level_in_decibels_is_the_gain_of_the_sound(level):
    np.testing.assert_allclose(play(NOTE, **{level: -12.0}), 10 ** (-12 / 20) * play(NOTE), rtol=0, atol=1e-7)


def test_a_note_has_its_pitch_and_a_bend_raises_it_by_semitones():
    assert spectrum_of(play(NOTE)).argmax() == pytest.approx(523.25, abs=3)
    assert spectrum_of(play(NOTE, bends=(Bend(0.0, 5.0),))).argmax() == pytest.approx(523.25 * 2 ** (5 / 12), abs=4)


def test_programs_and_drums_are_other_sounds():
    sounds = [
        play(NOTE),
        play(NOTE, program=0),
        play(replace(NOTE, pitch=38)),
        play(replace(NOTE, pitch=38), drums=True),
    ]
    assert max(np.corrcoef(sounds)[~np.eye(4, dtype=bool)]) < 0.9 and all(sound.any() for sound in sounds)


def test_a_shelf_lifts_what_is_above_its_corner():
    plain, lifted = (spectrum_of(play(NOTE, program=48, part_db=-12.0, shelf=(1500.0, db))) for db in (0.0, 6.0))
    # First order, |H|² = (1 + high² w²) / (1 + w²), with w = 1 at the corner after the bilinear transform.
    w = np.tan(np.pi * np.arange(8001) / 16000) / np.tan(np.pi * 1500 / 16000)
    response = (1 + 10**0.6 * w**2) / (1 + w**2)
    for low, high in ((450, 600), (1000, 2000), (5000, 7500)):
        band = slice(low, high)
        expected = (response[band] * plain[band] ** 2).sum() / (plain[band] ** 2).sum()
        assert (lifted[band] ** 2).sum() / (plain[band] ** 2).sum() == pytest.approx(expected, rel=0.01)


def test_a_song_that_would_clip_is_turned_down_as_a_whole(monkeypatch):
    score = compose(2, "pop", 2.0)
    plain = synthesis.render(score, 8000)
    peak = max(np.abs(plain).max(), np.abs(plain.sum(0)).max())
    assert peak < synthesis.CEILING
    monkeypatch.setattr(synthesis, "CEILING", peak / 4)
    np.testing.assert_allclose(synthesis.render(score, 8000), plain / 4, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("seconds", "rate"), [(1.0, 44100), (0.37, 22050), (1.3337, 48000)])
def test_length_type_and_names(seconds, rate):
    song = render_song(1, seconds=seconds, sample_rate=rate, cache_dir=False)
    assert song.waveforms.shape == (4, round(seconds * rate)) and song.waveforms.dtype == torch.float32
    assert song.names == ("vocals", "bass", "drums", "other") and song.sample_rate == rate


def test_samples_are_finite_unclipped_without_subnormals_or_offset(rendered):
    tiny = torch.finfo(torch.float32).tiny
    for song in rendered.values():
        stems = song.waveforms
        assert torch.isfinite(stems).all()
        assert stems.abs().max() < 1 and stems.sum(0).abs().max() < 1
        assert not ((stems != 0) & (stems.abs() < tiny)).any()
        rms = stems.double().square().mean(1).sqrt()
        assert (stems.double().mean(1).abs() < 0.01 * rms).all()


def test_stems_are_nearly_uncorrelated_and_balanced(rendered):
    largest = []
    for song in rendered.values():
        stems = song.waveforms.double().numpy()
        largest.append(np.abs(np.corrcoef(stems) - np.eye(4)).max())
        frames = stems[:, : stems.shape[1] // 1000 * 1000].reshape(4, -1, 1000)
        levels = np.sqrt((frames**2).mean(2))
        active = [20 * np.log10(np.sqrt((row[row > 1e-3] ** 2).mean())) for row in levels]
        assert max(active) - min(active) < 16, active
    assert max(largest) < 0.2 and np.mean(largest) < 0.1


def test_the_bass_is_the_lowest_stem(rendered):
    below = []
    for song in rendered.values():
        power = torch.fft.rfft(song.waveforms.double()).abs().square()
        centroid = (power * torch.arange(power.shape[1])).sum(1) / power.sum(1)
        below.append(bool(centroid[1] < centroid[3]) and bool(centroid[1] < centroid[0]))
    assert np.mean(below) > 0.8


def test_drum_strokes_are_heard_where_the_score_has_them():
    score, rate = compose(2, "pop", 8.0), 22050
    drums = render_song(2, seconds=8.0, sample_rate=rate, cache_dir=False).waveforms[2].double().abs()
    loud = [note for note in score.stems[2].parts[0].notes if note.pitch in (36, 38, 49) and note.velocity > 80]
    rises = []
    for note in loud:
        at = round(note.start_s * rate)
        if at > 400:
            rises.append(drums[at : at + 600].max() > drums[at - 300 : at].max())
    assert len(rises) > 10 and np.mean(rises) > 0.85


def test_another_rate_plays_the_same_music():
    low, high = (render_song(5, seconds=4.0, sample_rate=rate, cache_dir=False) for rate in (22000, 44000))
    envelopes = [song.waveforms.double().unflatten(1, (80, -1)).square().mean(2).sqrt() for song in (low, high)]
    for first, second in zip(*envelopes, strict=True):
        assert np.corrcoef(first, second)[0, 1] > 0.97


def test_a_longer_song_goes_on_where_the_shorter_one_ends():
    short, long = (render_song(3, seconds=s, sample_rate=22050, cache_dir=False).waveforms for s in (3.0, 6.0))
    # Stems below the ceiling have gain 1 in both.
    assert long.sum(0).abs().max() < 0.96
    torch.testing.assert_close(long[:, : short.shape[1]], short, rtol=0, atol=1e-6)


def test_another_process_renders_the_same_bytes_and_imports_what_it_needs_when_it_needs_it():
    code = (
        "import hashlib, sys; from irtools.band.songs import render_song;"
        "assert not {'tinysoundfont', 'scipy.signal'} & set(sys.modules);"
        "stems = lambda name: render_song(11, lineup=name, seconds=2.0, sample_rate=16000, cache_dir=False).waveforms;"
        f"digests = [hashlib.sha256(stems(name).numpy().tobytes()).hexdigest() for name in {[*LINEUPS]}];"
        "assert 'pretty_midi' not in sys.modules; print(*digests)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here, other = (
        [digest(render_song(seed, lineup=name, seconds=2.0, sample_rate=16000, cache_dir=False)) for name in LINEUPS]
        for seed in (11, 12)
    )
    assert run.stdout.split() == here and not set(here) & set(other)


def test_violin_follows_the_voice_late():
    score = compose(1, "carnatic", 30.0)
    voice, violin = (score.stems[row].parts[0].notes for row in (0, 1))
    delays = []
    for note in violin:
        same = [other for other in voice if (other.pitch - note.pitch) % 12 == 0]
        near = [note.start_s - other.start_s for other in same if abs(note.start_s - other.start_s) < 0.3]
        delays += near[:1]
    assert len(delays) > 10 and 0.03 < np.median(delays) < 0.25


# Cache


def test_a_kept_song_is_read_and_equal(tmp_path, monkeypatch):
    first = render_song(8, seconds=1.0, sample_rate=16000, cache_dir=tmp_path)
    monkeypatch.setattr("irtools.band.songs.render", lambda *_: pytest.fail("rendered again"))
    assert digest(render_song(8, seconds=1.0, sample_rate=16000, cache_dir=tmp_path)) == digest(first)
    assert [path.suffix for path in tmp_path.iterdir()] == [".song"]


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_a_damaged_file_is_rendered_again(tmp_path, damage):
    first = render_song(8, seconds=1.0, sample_rate=16000, cache_dir=tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    changed = content[:5000] + bytes([content[5000] ^ 1]) + content[5001:]
    path.write_bytes({"cut": content[:-100], "changed": changed, "empty": b""}[damage])
    assert digest(render_song(8, seconds=1.0, sample_rate=16000, cache_dir=tmp_path)) == digest(first)
    assert path.read_bytes() == content


def test_every_argument_has_its_own_file(tmp_path):
    render_song(8, seconds=0.5, sample_rate=16000, cache_dir=tmp_path)
    render_song(9, seconds=0.5, sample_rate=16000, cache_dir=tmp_path)
    render_song(8, seconds=0.6, sample_rate=16000, cache_dir=tmp_path)
    render_song(8, seconds=0.5, sample_rate=8000, cache_dir=tmp_path)
    render_song(8, seconds=0.5, sample_rate=16000, lineup="carnatic", cache_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize(("name", "other"), [("VERSION", "next"), ("soundfont_checksum", lambda: "another font")])
def test_a_song_kept_by_another_version_or_played_by_another_soundfont_is_never_read(
    tmp_path, monkeypatch, name, other
):
    arguments = dict(seconds=0.2, sample_rate=8000, cache_dir=tmp_path)
    old = render_song(8, **arguments)
    monkeypatch.setattr(songs_module, name, other)
    monkeypatch.setattr(songs_module, "render", lambda score, rate: np.zeros((4, 1600), np.float32))
    assert not render_song(8, **arguments).waveforms.any()
    monkeypatch.undo()
    assert digest(render_song(8, **arguments)) == digest(old)


def test_the_environment_names_the_folder_and_false_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("IRTOOLS_CACHE", str(tmp_path / "here"))
    render_song(8, seconds=0.2, sample_rate=8000, cache_dir=False)
    assert not (tmp_path / "here").exists()
    render_song(8, seconds=0.2, sample_rate=8000)
    assert len(list((tmp_path / "here" / "songs").iterdir())) == 1


def test_an_interrupted_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.warns(RuntimeWarning, match="disk full"):
        song = render_song(8, seconds=0.2, sample_rate=8000, cache_dir=tmp_path)
    assert song.samples == 1600 and list(tmp_path.iterdir()) == []


def test_a_reader_sees_a_whole_song_while_others_write_it(tmp_path):
    songs_kept = [np.full(200_000, value, np.float32) for value in (1.0, 2.0)]
    song_cache.store(tmp_path, "song", songs_kept[0])
    with ThreadPoolExecutor(2) as writers:
        writing = [writers.submit(song_cache.store, tmp_path, "song", songs_kept[i % 2]) for i in range(40)]
        while not all(job.done() for job in writing):
            read = song_cache.load(tmp_path, "song")
            assert read is not None and read.shape == (200_000,) and np.ptp(read) == 0
    assert [job.result() for job in writing] == [None] * 40 and len(list(tmp_path.iterdir())) == 1


def test_the_cache_is_bounded_and_keeps_the_newest(tmp_path):
    for index in range(6):
        song_cache.store(tmp_path, f"song {index}", np.zeros(1000, np.float32), limit_bytes=13000)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 13000
    assert song_cache.load(tmp_path, "song 5") is not None and song_cache.load(tmp_path, "song 0") is None


# Splits


@given(st.integers(0, 10**12), st.sampled_from(list(LINEUPS)))
def test_every_seed_is_in_exactly_one_split(seed, lineup):
    first = {split: next(songs(split, lineup=lineup, start=seed)) for split in ("train", "validation", "test")}
    assert [split for split, least in first.items() if least == seed] == [split_of(seed, lineup)]


def test_a_seed_stays_in_its_split_for_good():
    # Weights were trained on the songs of one split and are compared on those of another.
    first = {lineup: list(islice(songs("test", lineup=lineup), 4)) for lineup in LINEUPS}
    assert first == {
        "pop": [12, 21, 45, 68],
        "carnatic": [45, 49, 53, 58],
        "carnatic-tambura": [40, 45, 50, 53],
        "kit": [0, 10, 15, 26],
    }


def test_splits_are_disjoint_rising_and_of_the_stated_shares():
    taken = {split: list(islice(songs(split), 200)) for split in ("train", "validation", "test")}
    assert len(set().union(*taken.values())) == 600
    assert all(seeds == sorted(seeds) for seeds in taken.values())
    shares = Counter(split_of(seed) for seed in range(4000))
    assert shares["train"] / 4000 == pytest.approx(0.9, abs=0.02)
    assert shares["test"] / 4000 == pytest.approx(0.05, abs=0.015)


# Errors


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"seed": -1}, ValueError, "seed: .*-1"),
        ({"seed": 1.5}, TypeError, "seed: .*float"),
        ({"seed": True}, TypeError, "seed: .*bool"),
        ({"seed": 0, "lineup": "jazz"}, ValueError, "lineup: .*'jazz'"),
        ({"seed": 0, "seconds": 0.0}, ValueError, "seconds: "),
        ({"seed": 0, "seconds": float("nan")}, ValueError, "seconds: .*nan"),
        ({"seed": 0, "seconds": "3"}, TypeError, "seconds: .*str"),
        ({"seed": 0, "seconds": float("inf")}, ValueError, "seconds: .*inf"),
        ({"seed": 0, "seconds": True}, TypeError, "seconds: .*bool"),
        ({"seed": 0, "seconds": 1e-9}, ValueError, "seconds: .*one sample"),
        ({"seed": 0, "sample_rate": 100}, ValueError, "sample_rate: .*100"),
        ({"seed": 0, "sample_rate": 44100.0}, TypeError, "sample_rate: .*float"),
        ({"seed": 0, "cache_dir": True}, ValueError, "cache_dir: .*True"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        render_song(**arguments)


def test_wrong_split_or_lineup_is_named():
    with pytest.raises(ValueError, match=r"split: .*'dev'"):
        songs("dev")
    with pytest.raises(ValueError, match=r"lineup: .*'jazz'"):
        songs("train", lineup="jazz")


def test_a_missing_synthesizer_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tinysoundfont", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install --no-deps tinysoundfont==0\.3\.7"):
        render_song(0, seconds=0.1, sample_rate=8000, cache_dir=False)


def test_a_missing_soundfont_says_how_to_install_it(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        synthesis.importlib.util, "find_spec", lambda name, *rest: None if name == "pretty_midi" else find(name, *rest)
    )
    with pytest.raises(ModuleNotFoundError, match=r'pip install "irtools\[datasets\]"'):
        synthesis.soundfont()
