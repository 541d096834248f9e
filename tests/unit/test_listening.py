"""The listening test: what is on the page, in which order, and what is made of the marks."""

import base64
import io
import itertools
import json
import math
import re
import sys
from collections import Counter
from datetime import UTC, datetime
from importlib.resources import files

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import irtools as ir
from irtools.commands import main as cli
from irtools.comparison.listening.analysis import analyse, compare, holm, mean_interval, screened_out
from irtools.comparison.listening.orders import listener_order
from irtools.comparison.listening.page import listening_page
from irtools.comparison.listening.published import SARAGA, SARAGA_LISTENERS, is_attainable, paired_bounds
from irtools.comparison.listening.ratings import COLUMNS, SCALES, Rating, read_ratings
from irtools.comparison.listening.trials import Trial, low_pass, make_trials

RATE, NAMES = 8000, ("bass", "vocals")
NOW = datetime(2030, 1, 1, tzinfo=UTC)

# Orders


@given(st.text(), st.integers(1, 12), st.integers(1, 7), st.integers(0, 10))
@settings(max_examples=50, deadline=None)
def test_every_condition_comes_once_in_every_trial_and_evenly_in_every_position(name, n_trials, n_conditions, seed):
    name = name.encode("utf-8", "replace").decode()
    trials, conditions = listener_order(name, n_trials, n_conditions, seed)
    assert sorted(trials) == list(range(n_trials)) and len(conditions) == n_trials
    assert all(sorted(row) == list(range(n_conditions)) for row in conditions)
    for position in zip(*conditions, strict=True):
        counts = Counter(position)
        assert max(counts.values()) <= math.ceil(n_trials / n_conditions)
        assert min(counts[one] for one in range(n_conditions)) >= n_trials // n_conditions
    assert (trials, conditions) == listener_order(name, n_trials, n_conditions, seed)


def test_orders_are_balanced_over_listeners_and_over_seeds():
    for orders in (
        [listener_order(f"listener{one}", 4, 4) for one in range(2000)],
        [listener_order("ada", 4, 4, seed) for seed in range(2000)],
    ):
        first_trial = Counter(trials[0] for trials, _ in orders)
        # One trial of each listener: the others of the same listener are not independent of it.
        places = Counter((row[0][0], row[0].index(1)) for _, row in orders)
        assert stats.chisquare([first_trial[one] for one in range(4)]).pvalue > 1e-4
        # Condition 1 in place 0 is condition 1 first; the other pairs are (first, place of 1).
        pairs = [places[1, 0] / 3] * 3 + [places[one, place] for one in (0, 2, 3) for place in (1, 2, 3)]
        assert stats.chisquare(pairs[3:], np.full(9, sum(pairs[3:]) / 9)).pvalue > 1e-4
        assert abs(places[1, 0] / 2000 - 0.25) < 0.05
        assert len({json.dumps(order) for order in orders}) > 1000


def test_what_is_heard_before_a_condition_changes_from_trial_to_trial():
    """Rows that are turns of one row would confound a condition with the one before it."""
    n, turns = 5, 0
    for listener in range(100):
        first, *others = listener_order(f"listener{listener}", n, n)[1]
        turned = [(first * 2)[start : start + n] for start in range(n)]
        turns += all(row in turned for row in others)
    # By chance a shuffled row is an arithmetic progression in one of six cases.
    assert turns < 30


def test_the_order_of_a_listener_is_the_same_for_ever():
    """Marks that were saved are read with the order that the page had."""
    trials, conditions = listener_order("ada", 5, 4)
    assert trials == [3, 4, 2, 0, 1]
    assert conditions == [[2, 0, 1, 3], [0, 3, 2, 1], [3, 1, 0, 2], [1, 2, 3, 0], [3, 0, 1, 2]]
    assert listener_order("Łucja", 3, 5, seed=7) == ([2, 1, 0], [[1, 2, 0, 4, 3], [3, 4, 2, 1, 0], [4, 0, 3, 2, 1]])


@pytest.mark.parametrize(("trials", "conditions"), [(0, 3), (3, 0)])
def test_an_order_of_nothing_is_refused(trials, conditions):
    with pytest.raises(ValueError, match="expected at least 1, got 0"):
        listener_order("ada", trials, conditions)


# Trials and the page


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Clean stems, microphones with bleed, and two conditions that differ in level by 20 dB."""
    generator = torch.Generator().manual_seed(0)
    clean = 0.1 * torch.randn((2, 3 * RATE), generator=generator)
    mics = (torch.eye(2) + 0.5 * (1 - torch.eye(2))) @ clean
    for name, waveforms in {"clean": clean, "mics": mics, "loud": mics * 2, "soft": mics * 0.2}.items():
        ir.write_multitrack(tmp_path / name, ir.Multitrack(NAMES, waveforms, RATE))
    monkeypatch.chdir(tmp_path)
    return {"clean": clean, "mics": mics, "loud": mics * 2, "soft": mics * 0.2}


FOLDERS = {"loud": "loud", "soft": "soft"}


def test_all_clips_of_a_trial_have_one_gain(folders):
    quiet_first = {"soft": "soft", "loud": "loud"}
    trials, rate = make_trials(quiet_first, reference="clean", mics="mics", anchor="auto", starts=(0, 1.5), seconds=1)
    assert rate == RATE and [(t.stem, t.start_s) for t in trials] == [(s, t) for s in NAMES for t in (0, 1.5)]
    inside = slice(100, RATE - 100)
    for trial in trials:
        assert set(trial.clips) == {"loud", "soft", "reference", "anchor"} and trial.seconds == 1
        assert set(trial.open_clips) == {"microphone", "reference"}
        first, row = round(trial.start_s * RATE), NAMES.index(trial.stem)
        gain = 10 ** (trial.gain_db / 20)
        for name, folder in {"loud": "loud", "soft": "soft", "reference": "clean"}.items():
            expected = folders[folder][row, first : first + RATE].double() * gain
            torch.testing.assert_close(trial.clips[name][inside], expected[inside])
            assert trial.clips[name][0].abs() < 0.01 * expected.abs().max()
        peaks = [clip.abs().max() for clip in (*trial.clips.values(), *trial.open_clips.values())]
        assert 10 ** (-1.3 / 20) < max(peaks) <= 10 ** (-1 / 20)


def test_the_automatic_anchor_has_the_bleed_and_not_the_treble(folders):
    rate = 44100
    time = torch.arange(rate) / rate
    for frequency, lost_db in ((300, (-0.1, 0.1)), (3000, (-1, 0.1)), (8000, (-300, -60))):
        tone = torch.sin(2 * torch.pi * frequency * time).double()
        kept = low_pass(tone, rate)[5000:-5000]
        assert lost_db[0] < 20 * torch.log10(kept.std() / tone.std()) < lost_db[1]
    trials, _ = make_trials(FOLDERS, mics="mics", anchor="auto", seconds=1)
    given, _ = make_trials(FOLDERS, anchor="soft", seconds=1)
    assert torch.equal(given[0].clips["anchor"], given[0].clips["soft"]) and "microphone" not in given[0].open_clips
    mixed = np.corrcoef(trials[0].clips["anchor"], low_pass(trials[0].open_clips["microphone"], RATE))
    assert mixed[0, 1] > 0.99


def embedded(page: str) -> dict:
    return json.loads(re.search(r'id="test">(.*?)</script>', page, flags=re.DOTALL).group(1))


def test_the_page_holds_what_was_made_and_asks_nothing_of_any_host(folders):
    trials, _ = make_trials(FOLDERS, reference="clean", mics="mics", seconds=1)
    title = "</title><script>alert(1)</script> @script@"
    page = listening_page(trials, RATE, seed=7, title=title)
    test = embedded(page)
    assert (test["seed"], test["conditions"]) == (7, ["loud", "soft", "reference"])
    assert [trial["stem"] for trial in test["trials"]] == list(NAMES)
    for trial, made in zip(test["trials"], trials, strict=True):
        for uri, clip in zip(trial["clips"], made.clips.values(), strict=True):
            kind, data = uri.split(",")
            assert kind == "data:audio/flac;base64"
            heard, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
            assert rate == RATE and np.abs(heard - clip.numpy()).max() <= 2**-15
        assert trial["open"]["reference"] == 2
    text = re.sub(r'"data:audio/[^"]*"', '""', page)
    assert not re.search(r"(?i)\b(https?|wss?|ftp):|[\"'(=]\s*//\w|@import|\burl\(|\bfetch\(|XMLHttp|sendBeacon", text)
    assert "default-src 'none'" in page and "alert(1)</script>" not in page and page.count("@script@") == 2


HOSTILE = "</script><script>alert(1)</script><!--<script>"


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.just(HOSTILE))
@settings(max_examples=30, deadline=None)
def test_no_name_of_a_file_or_a_condition_becomes_a_part_of_the_page(name):
    clip = torch.zeros(100)
    harmless, page = (
        listening_page([Trial(text, 0.0, 0.1, 0.0, {text: clip}, {"microphone": clip})], RATE) for text in ("a", name)
    )
    test = embedded(page)
    assert test["trials"][0]["stem"] == name and test["conditions"] == [name]
    # The same markup around the data, and no tag in it.
    data = re.search(r'id="test">(.*?)</script>', page, flags=re.DOTALL).group(1)
    assert "<" not in data
    assert page.replace(data, "") == harmless.replace(json.dumps(embedded(harmless), ensure_ascii=False), "")


def test_the_script_of_the_page_never_reads_text_as_markup():
    script = (files("irtools.comparison.listening") / "template/page.js").read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc", script)


def test_mp3_takes_any_rate_and_the_identity_of_a_page_is_that_of_its_content(folders):
    trials, _ = make_trials(FOLDERS, seconds=1)
    uri = embedded(listening_page(trials, 8100, audio="mp3"))["trials"][0]["clips"][0]
    assert soundfile.info(io.BytesIO(base64.b64decode(uri.split(",")[1]))).samplerate == 11025
    ids = {embedded(listening_page(trials[:n], RATE, seed=seed))["id"] for n, seed in ((1, 0), (2, 0), (2, 1), (2, 1))}
    assert len(ids) == 3
    for bad in ({"audio": "ogg"}, {"trials": []}):
        with pytest.raises(ValueError, match="expected"):
            listening_page(**{"trials": trials, "sample_rate": RATE} | bad)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"conditions": {}}, "at least one NAME=FOLDER"),
        ({"conditions": {"anchor": "soft"}}, "other than reference, anchor and microphone, got 'anchor'"),
        ({"conditions": {"a\nb": "soft"}}, "printable name"),
        ({"conditions": {"a": "nowhere"}}, "nowhere: no such folder"),
        ({"anchor": "auto"}, "auto is made of the microphones"),
        ({"stems": ["oud"]}, "loud: no file for stem 'oud'; it holds bass, vocals"),
        ({"stems": ["bass", "bass"]}, "stems: expected different names"),
        ({"starts": []}, "starts: expected"),
        ({"starts": [1, 1]}, "starts: expected"),
        ({"starts": [3]}, "inside a recording of 3.00 s, got start 3, seconds 8"),
        ({"starts": [-1]}, "inside a recording"),
        ({"seconds": 0.001}, "seconds 0.001"),
        ({"reference": "short"}, "short: samples 100; expected 24000 as in loud"),
        ({"reference": "slow"}, "slow: sample rate 4000; expected 8000 as in loud"),
        ({"reference": "others"}, "loud, soft, others: expected a file name that all have"),
        ({"conditions": {"a": "silent"}}, "expected an excerpt with sound, got silence in 'bass' at 0 s"),
    ],
)
def test_bad_tests_are_refused(folders, change, words):
    for name, names, shape, rate in (
        ("short", NAMES, (2, 100), RATE),
        ("slow", NAMES, (2, 3 * RATE), RATE // 2),
        ("others", ("kick", "oud"), (2, 3 * RATE), RATE),
        ("silent", NAMES, (2, 3 * RATE), RATE),
    ):
        ir.write_multitrack(name, ir.Multitrack(names, torch.zeros(shape), rate))
    with pytest.raises(ValueError, match=re.escape(words)):
        make_trials(**{"conditions": FOLDERS} | change)


def test_an_excerpt_ends_with_the_recording(folders):
    trials, _ = make_trials(FOLDERS, starts=[1])
    assert trials[0].seconds == 2


# Ratings


def rating(listener, condition, irq, aq=3, trial=1, stem="vocals"):
    return Rating(listener, trial, stem, condition, 1, irq, aq, 1.0, NOW, NOW)


def rows(*lines):
    return "\r\n".join((",".join(COLUMNS), *lines, ""))


TIMES = "2030-01-01T12:00:00.000Z,2030-01-01T12:01:00.000Z"
GOOD = f"ada,1,vocals,kamir,1,4,3,9.50,{TIMES}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "ada.csv, line 1: expected the columns listener,trial"),
        (rows(), "ada.csv, line 2: expected a rating, got the end"),
        (rows(GOOD).replace(",", ";"), "line 1: expected the columns"),
        (rows(GOOD, GOOD), "ada.csv, line 3: 'kamir' in trial 1 was rated by 'ada' before, in ada.csv, line 2"),
        (rows(GOOD, "ada,2"), "ada.csv, line 3: expected 10 values, got 2"),
        (rows(GOOD.replace(",4,3,", ",6,3,")), "line 2: IRQ: expected a whole number from 1 to 5, got '6'"),
        (rows(GOOD.replace(",4,3,", ",4,,")), "line 2: AQ: expected a whole number from 1 to 5, got ''"),
        (rows(GOOD.replace("9.50", "nan")), "line 2: seconds_listened: expected a number of seconds, got 'nan'"),
        (rows(GOOD.replace("2030-01-01T12:01", "yesterday")), "line 2: finished: expected a time"),
        (rows(GOOD.replace("ada,1", "ada,0")), "line 2: trial: expected a whole number from 1, got '0'"),
        (rows(GOOD.replace("ada,1", ",1")), "line 2: listener: expected some text, got ''"),
        (rows(GOOD + '"'), "ada.csv, line 2: "),
        (rows(GOOD, f"bela,1,vocals,mira,1,4,3,9,{TIMES}"), "line 2: listener 'ada' ends without a rating of 'mira'"),
        (rows(GOOD, f"bela,1,bass,kamir,1,4,3,9,{TIMES}"), "line 3: trial 1 is 'bass', but 'vocals' before"),
        (b"\xff\xfe\x00", "ada.csv: expected a CSV file in UTF-8"),
        (None, "ada.csv: cannot be read: "),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / "ada.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=re.escape(words)):
        read_ratings(["ada.csv"])


def test_a_good_file_is_read_as_it_is(tmp_path):
    path = tmp_path / "ada.csv"
    path.write_bytes(b"\xef\xbb\xbf" + rows(GOOD, GOOD.replace("kamir", '"says ""x"", loud"')).encode())
    first, second = read_ratings([path])
    assert first == Rating(
        "ada", 1, "vocals", "kamir", 1, 4, 3, 9.5, NOW.replace(hour=12), NOW.replace(hour=12, minute=1)
    )
    assert second.condition == 'says "x", loud'
    with pytest.raises(ValueError, match="at least one CSV file"):
        read_ratings([])


# Analysis


def drawn(n=12, seed=0, trials=2):
    """Ratings of three systems and a reference by ``n`` listeners, and the means of the listeners."""
    generator = np.random.default_rng(seed)
    marks = {name: generator.integers(1, 6, (n, trials, 2)) for name in ("am", "kamir", "mira")}
    marks["reference"] = np.full((n, trials, 2), 5)
    ratings = [
        rating(f"l{one}", name, *map(int, marks[name][one, trial]), trial=trial + 1, stem=("vocals", "bass")[trial % 2])
        for one in range(n)
        for trial in range(trials)
        for name in marks
    ]
    return ratings, {name: marks[name].mean(1) for name in marks}


def test_means_and_intervals_are_those_of_scipy():
    ratings, means = drawn()
    found = analyse(ratings)
    assert len(found["listeners"]) == 12 and len(found["conditions"]) == 2 * 3 * 4
    for row in found["conditions"]:
        if row["stem"] is None:
            values = means[row["condition"]][:, SCALES.index(row["scale"])]
            assert row["mean"] == pytest.approx(values.mean()) and row["ratings"] == 24
            if row["condition"] != "reference":
                expected = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
                assert (row["low"], row["high"]) == pytest.approx(expected)
        marks = [
            getattr(one, row["scale"])
            for one in ratings
            if one.condition == row["condition"] and row["stem"] in (None, one.stem)
        ]
        assert row["median"] == np.median(marks) and row["ratings"] == len(marks)


def test_tests_between_conditions_are_those_of_scipy_and_leave_the_reference_out():
    ratings, means = drawn(n=60)
    pairs = analyse(ratings)["pairs"]
    assert [(p["scale"], p["first"], p["second"]) for p in pairs] == [
        (scale, *pair) for scale in SCALES for pair in itertools.combinations(("am", "kamir", "mira"), 2)
    ]
    for pair in pairs:
        a, b = (means[pair[side]][:, SCALES.index(pair["scale"])] for side in ("first", "second"))
        assert pair["p_t"] == pytest.approx(stats.ttest_rel(a, b).pvalue)
        assert pair["p_wilcoxon"] == pytest.approx(stats.wilcoxon(a, b).pvalue)
        assert pair["difference"] == pytest.approx((a - b).mean())
        # The interval leaves zero out exactly where the test is significant.
        assert (pair["low"] > 0 or pair["high"] < 0) == (pair["p_t"] < 0.05)
        assert pair["p_t_holm"] >= pair["p_t"] and pair["p_wilcoxon_holm"] >= pair["p_wilcoxon"]


def test_exact_p_values_in_closed_form():
    """Five differences of one sign and different sizes: 2 of 2⁵ patterns of signs are as extreme."""
    result = compare([2.0, 3.1, 4.3, 4.6, 5.0], [1.9, 2.9, 4.0, 4.2, 4.5])
    assert result["p_wilcoxon"] == pytest.approx(2 / 32)
    # One degree of freedom: Student's t is Cauchy's distribution.
    two = compare([3.0, 5.0], [2.0, 2.0])
    assert two["p_t"] == pytest.approx(1 - 2 * math.atan(2.0) / math.pi)


def test_what_cannot_be_computed_is_none():
    assert compare([3, 4], [3, 4])["p_t"] == compare([3, 4], [3, 4])["p_wilcoxon"] == 1
    same = compare([4, 5, 3], [3, 4, 2])
    assert same["p_t"] is None and same["p_wilcoxon"] == pytest.approx(0.25) and same["sd"] == 0
    one = compare([4.0], [2.0])
    assert one == dict(difference=2.0, low=None, high=None, sd=None, p_t=None, p_wilcoxon=None)
    assert mean_interval([2.0]) == (2.0, None, None, None)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_holm_is_between_nothing_and_bonferroni(p_values):
    corrected = holm(p_values)
    m = len(p_values)
    for p, after in zip(p_values, corrected, strict=True):
        rank = sum(other < p for other in p_values)
        assert min(1, (m - rank) * p) - 1e-12 <= after <= min(1, m * p) + 1e-12
    ordered = [after for _, after in sorted(zip(p_values, corrected, strict=True))]
    assert ordered == sorted(ordered)
    # The sequential procedure itself, at several levels.
    for alpha in (0.01, 0.05, 0.5):
        rejected, left = set(), sorted(range(m), key=lambda one: p_values[one])
        while left and p_values[left[0]] * (m - len(rejected)) <= alpha:
            rejected.add(left.pop(0))
        assert {one for one in range(m) if corrected[one] <= alpha} == rejected


def test_listeners_who_do_not_hear_the_reference_are_named_and_left_out_only_if_asked():
    ratings, _ = drawn(n=4, trials=7)
    # One low mark in seven is under 15 %, two are over.
    for listener, low in (("l1", 1), ("l2", 2)):
        theirs = [i for i, one in enumerate(ratings) if one.listener == listener and one.condition == "reference"]
        for i in theirs[:low]:
            ratings[i] = rating(listener, "reference", 5, 3, ratings[i].trial, ratings[i].stem)
    assert screened_out(ratings) == ["l2"]
    reported, left = analyse(ratings), analyse(ratings, screen=True)
    assert reported["screening"]["named"] == left["screening"]["named"] == ["l2"]
    assert reported["listeners"] == ["l0", "l1", "l2", "l3"] and left["listeners"] == ["l0", "l1", "l3"]
    assert not reported["screening"]["left_out"] and left["screening"]["left_out"]
    without = [one for one in ratings if one.condition != "reference"]
    assert screened_out(without) is None and analyse(without, screen=True)["screening"]["named"] is None
    with pytest.raises(ValueError, match="left no listener"):
        analyse([rating("ada", "reference", 1), rating("ada", "am", 4)], screen=True)
    with pytest.raises(ValueError, match="at least one"):
        analyse([])


def test_hundred_tests_without_a_difference_find_few():
    """The intervals and tests hold their level: about 5 of 100 differences of nothing are found."""
    found = [analyse(drawn(n=20, seed=seed, trials=1)[0])["pairs"][0] for seed in range(100)]
    assert 0 < sum(pair["p_t"] < 0.05 for pair in found) < 14
    assert sum(pair["p_wilcoxon"] < 0.05 for pair in found) < 14


# A published table


@given(st.floats(1, 5), st.floats(1, 5))
@settings(max_examples=40, deadline=None)
def test_bounds_without_medians_are_the_closed_forms(first, second):
    """On a scale of width 4, with a, b the means as shares of it and f the fractional part of their difference."""
    n, d = 44, first - second
    bounds = paired_bounds(first, second, n)
    a, b = (first - 1) / 4, (second - 1) / 4
    highest, lowest = 16 * (a + b - 2 * max(0, a + b - 1)) - d**2, d % 1 * (1 - d % 1)
    assert bounds.sd_high**2 == pytest.approx(highest * n / (n - 1), abs=1e-5)
    assert bounds.sd_low**2 == pytest.approx(lowest * n / (n - 1), abs=1e-5)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=30))
@settings(max_examples=60, deadline=None)
def test_any_marks_lie_within_the_bounds_of_their_own_summary(marks):
    a, b = np.array(marks, dtype=float).T
    differences, n = a - b, len(a)
    sd = differences.std(ddof=1)
    for medians in (None, (float(np.median(a)), float(np.median(b)))):
        bounds = paired_bounds(a.mean(), b.mean(), n, medians=medians)
        assert bounds.sd_low - 1e-4 <= sd <= bounds.sd_high + 1e-4
        if sd > 0 and abs(sd - bounds.sd_significant) > 1e-6:
            significant = stats.ttest_rel(a, b).pvalue < 0.05
            assert significant == (sd < bounds.sd_significant)
            assert bounds.verdict in ("undecided", "significant" if significant else "not significant")


def test_verdicts_that_hold_whatever_the_marks_were():
    assert paired_bounds(5, 1, 44).verdict == "significant"
    assert paired_bounds(4.9, 1.1, 44).verdict == "significant"
    # Half of the listeners must differ by a mark: the t test of four of them cannot see it.
    assert paired_bounds(3.5, 3.0, 4).verdict == "not significant"
    assert paired_bounds(3, 3, 44).verdict == "not significant" and paired_bounds(3, 3, 44).p_low == 1
    bounds = paired_bounds(3.5, 3.0, 44)
    assert bounds.sd_significant == pytest.approx(0.5 * math.sqrt(44) / stats.t.ppf(0.975, 43))
    assert bounds.p_low < 0.05 < bounds.p_high and bounds.verdict == "undecided"


def test_the_published_table_decides_nothing_and_is_not_of_single_marks():
    for kamir, dfunet, *medians in SARAGA.values():
        assert kamir > dfunet and medians[0] >= medians[1]
        wide = paired_bounds(kamir, dfunet, SARAGA_LISTENERS)
        narrow = paired_bounds(kamir, dfunet, SARAGA_LISTENERS, medians=tuple(medians))
        assert wide.verdict == narrow.verdict == "undecided"
        assert wide.sd_low - 1e-6 <= narrow.sd_low <= narrow.sd_high <= wide.sd_high + 1e-6
    means = [mean for row in SARAGA.values() for mean in row[:2]]
    assert sum(not is_attainable(mean, SARAGA_LISTENERS) for mean in means) == 5
    # The smallest numbers of whole marks a cell that could have been averaged.
    assert next(k for k in range(1, 12) if all(is_attainable(mean, 44 * k) for mean in means)) == 3


@given(st.integers(1, 60), st.data())
def test_the_mean_of_whole_marks_is_attainable(n, data):
    total = data.draw(st.integers(n, 5 * n))
    assert is_attainable(round(total / n, 2), n)
    assert n > 49 or not is_attainable(total / n + 0.5 / n, n)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n": 1}, "n: expected at least 2, got 1"),
        ({"first": 5.1}, "first: expected 1 to 5, got 5.1"),
        ({"medians": (3, 0)}, "medians: expected 1 to 5, got 0"),
        ({"medians": (1, 3)}, "no marks have the means 4, 3 and medians"),
    ],
)
def test_summaries_that_cannot_be_are_refused(change, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        paired_bounds(**{"first": 4, "second": 3, "n": 44} | change)


# The command


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["irtools", "listen-test", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as done:
            cli.main()
        return done.value.code or 0, *capsys.readouterr()

    return run


def test_a_page_is_made_and_its_files_are_summed_up(folders, tmp_path, run):
    made = ("make", "test", "--conditions", "loud=loud", "soft=soft", "--reference", "clean", "--mics", "mics")
    code, out, err = run(
        *made, "--anchor", "auto", "--start", "0,1", "--seconds", "1", "--stems", "vocals", "--seed", 4
    )
    assert (code, err) == (0, "") and out.startswith("2 trials of 4 clips")
    key = json.loads((tmp_path / "test/listening_test.json").read_text())
    page = embedded((tmp_path / "test/listening_test.html").read_text())
    assert page["conditions"] == key["conditions"] == ["loud", "soft", "reference", "anchor"] and page["seed"] == 4
    assert [one["label"] for one in page["trials"]] == ["vocals, 0 s", "vocals, 1 s"]
    assert {path.name for path in (tmp_path / "test").iterdir()} == {"listening_test.html", "listening_test.json"}
    code, out, err = run(*made)
    assert code == 2 and "listening_test.html: exists; expected a new folder, or --overwrite" in err
    assert run(*made, "--overwrite")[0] == 0

    for listener, mark in (("ada", 4), ("bela", 5), ("cleo", 4)):
        lines = [f"{listener},1,vocals,{c},1,{m},{m},9,{TIMES}" for c, m in (("loud", mark), ("soft", 6 - mark))]
        (tmp_path / f"{listener}.csv").write_text(rows(*lines))
    files = [tmp_path / f"{listener}.csv" for listener in ("ada", "bela", "cleo")]
    code, out, err = run("analyse", *files)
    assert (code, err) == (0, "") and "no hidden reference, not applied" in out and "loud - soft" in out
    code, out, err = run("analyse", *files, "--json")
    result = json.loads(out, parse_constant=pytest.fail)
    assert (code, err) == (0, "") and result["pairs"][0]["difference"] == pytest.approx((2 + 4 + 2) / 3)
    (tmp_path / "ada.csv").write_text("x\n")
    code, out, err = run("analyse", *files)
    assert (code, out) == (2, "") and err.count("\n") == 1 and "ada.csv, line 1: expected the columns" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("make", "test", "--conditions", "loud"), "--conditions: expected NAME=FOLDER"),
        (("make", "test", "--conditions", "a=loud", "a=soft"), "with a name of its own, got 'a=soft'"),
        (("make", "test"), "--conditions"),
        (("make", "loud", "--conditions", "a=loud"), "holds the input"),
        (("make", "test", "--conditions", "a=loud", "--start", "x"), "--start: expected numbers"),
        (("analyse",), "CSV"),
    ],
)
def test_bad_arguments_are_one_line(folders, tmp_path, run, arguments, words):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "") and err.count("\n") == 1 and words in err
    assert not (tmp_path / "test").exists()


def test_help(run):
    assert run()[0] == run("--help")[0] == run("make", "--help")[0] == 0
