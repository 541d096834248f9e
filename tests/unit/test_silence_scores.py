"""PES, EPS and activity against closed forms."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from irtools.metrics.silence import activity_scores, silence_scores

RATE = 1000


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def resting(playing=(1, 0, 1, 0), n=RATE):
    """A source that plays in some seconds and is silent in the others."""
    return noise(1, len(playing) * n) * torch.tensor(playing, dtype=torch.float64).repeat_interleave(n)


def test_a_constant_in_the_rests_in_closed_form():
    s = resting()
    found = silence_scores(s + 0.01 * (s == 0).double(), s, frame=RATE)
    assert found.pes.item() == pytest.approx(10 * math.log10(RATE * 0.01**2 + 1e-12), abs=1e-9)
    assert found.silent_frames.tolist() == [2] and math.isnan(found.eps)


def test_the_mean_is_over_decibels():
    s = resting()
    leak = torch.tensor([0, 1.0, 0, 0.001]).repeat_interleave(RATE)
    expected = (10 * math.log10(RATE) + 10 * math.log10(RATE * 1e-6)) / 2
    assert silence_scores(s + leak, s, frame=RATE).pes.item() == pytest.approx(expected, abs=1e-6)


def test_a_silent_estimate_has_the_best_pes_and_a_bad_eps():
    s = resting()
    found = silence_scores(torch.zeros_like(s), s, frame=RATE)
    assert found.pes.item() == pytest.approx(-120) and found.predicted_frames.tolist() == [4]
    playing = 10 * torch.log10(s.unflatten(1, (4, RATE)).square().sum(-1)[0] + 1e-12)
    assert found.eps.item() == pytest.approx(playing.mean().item())


def test_pes_and_eps_change_places_with_their_signals():
    s, h = resting((1, 0, 1, 1)), resting((0, 1, 1, 0))
    one, other = silence_scores(h, s, frame=RATE), silence_scores(s, h, frame=RATE)
    assert torch.equal(one.pes, other.eps) and torch.equal(one.silent_frames, other.predicted_frames)


def test_a_source_without_rests_has_no_pes():
    s = noise(2, 5 * RATE)
    s[1, :RATE] = 0
    found = silence_scores(s, s, frame=RATE)
    assert found.pes.isnan().tolist() == [True, False] and found.silent_frames.tolist() == [0, 1]
    assert found.pes[1].item() == pytest.approx(-120)


def test_one_sample_makes_a_frame_count_as_playing():
    s = resting((1, 0))
    s[0, -1] = 1e-9
    assert silence_scores(s, s, frame=RATE).silent_frames.tolist() == [0]


@settings(max_examples=20, deadline=None)
@given(gain=st.floats(1e-3, 1e3), length=st.integers(1, 5))
def test_energy_grows_with_gain_and_length(gain, length):
    s = torch.zeros(1, 4 * length * 10, dtype=torch.float64)
    found = silence_scores(torch.full_like(s, gain), s, frame=10 * length)
    assert found.pes.item() == pytest.approx(20 * math.log10(gain) + 10 * math.log10(10 * length), abs=1e-4)


def test_the_two_definitions_differ_by_the_length_of_the_frame():
    s = torch.zeros(1, 4 * RATE, dtype=torch.float64)
    leak = torch.full_like(s, 0.01)
    energy = silence_scores(leak, s, frame=RATE).pes
    power = activity_scores(leak, s, RATE, segment_s=1.0).pes_mean
    assert (energy - power).item() == pytest.approx(10 * math.log10(RATE), abs=1e-6)


def test_segments_rest_where_at_most_half_of_the_frames_are_active():
    """Segments of ten frames: four, five and six of them play."""
    s = torch.zeros(1, 600, dtype=torch.float64)
    for segment, playing in enumerate((4, 5, 6)):
        s[0, 200 * segment : 200 * segment + 20 * playing] = 1
    found = activity_scores(s, s, RATE, segment_s=0.2)
    assert found.resting_segments.tolist() == [2]
    assert found.pes_mean.item() == pytest.approx((10 * math.log10(0.4) + 10 * math.log10(0.5)) / 2)
    assert found.agreement.item() == 1


def test_agreement_counts_frames():
    s, h = resting((1, 1, 0, 0)), resting((1, 0, 1, 0))
    assert activity_scores(h, s, RATE).agreement.item() == pytest.approx(0.5, abs=0.02)
    assert activity_scores(torch.zeros_like(s), s, RATE).agreement.item() == pytest.approx(0.5, abs=0.02)


def test_the_floor_and_what_never_rests():
    s = torch.stack([torch.ones(4000), torch.zeros(4000)]).double()
    found = activity_scores(torch.zeros_like(s), s, RATE)
    assert found.pes_median.isnan().tolist() == [True, False]
    assert found.pes_median[1].item() == found.pes_mean[1].item() == pytest.approx(-120)


def test_the_threshold_follows_the_reference():
    s = resting()
    leak = s + 10 ** (-50 / 20) * noise(1, s.shape[1], seed=2)
    for gain in (1e-4, 1.0, 100.0):
        assert activity_scores(gain * leak, gain * s, RATE).agreement.item() == 1
    assert activity_scores(leak, s, RATE, threshold_db=-60.0).agreement.item() < 0.6


def test_batches_and_inputs():
    s, h = noise(2, 3, 4000), noise(2, 3, 4000, seed=1)
    s[:, :, 1000:2000] = 0
    kept = s.clone(), h.clone()
    for score in (lambda a, b: silence_scores(a, b, frame=RATE), lambda a, b: activity_scores(a, b, RATE)):
        together = score(h, s)
        for n in range(2):
            for all_of_them, alone in zip(together, score(h[n], s[n]), strict=True):
                torch.testing.assert_close(all_of_them[n], alone, equal_nan=True)
    assert torch.equal(s, kept[0]) and torch.equal(h, kept[1])


def test_what_cannot_be_scored():
    s = noise(1, 100)
    for frame in (0, 101):
        with pytest.raises(ValueError, match="frame: expected 1 to 100 samples"):
            silence_scores(s, s, frame=frame)
    for frame in (1.5, True):
        with pytest.raises(TypeError, match="frame: expected an int in samples"):
            silence_scores(s, s, frame=frame)
    with pytest.raises(ValueError, match="estimates: expected the shape"):
        silence_scores(s, noise(2, 100), frame=10)
    with pytest.raises(ValueError, match="segment_s: expected 1 to 100 samples"):
        activity_scores(s, s, RATE)
    with pytest.raises(ValueError, match="frame_s: expected at least one sample"):
        activity_scores(s, s, RATE, frame_s=1e-6)
    with pytest.raises(ValueError, match="sample_rate: expected"):
        activity_scores(s, s, 0)
    with pytest.raises(ValueError, match="threshold_db: expected a finite number in dB, got nan"):
        activity_scores(s, s, RATE, segment_s=0.05, threshold_db=math.nan)
