"""Close-mic demixing: what it recovers in linear mixtures and in rooms, and what must not change it."""

import math
from functools import partial

import pytest
import torch

import irtools as ir
from irtools.methods.closemic import learning
from irtools.methods.closemic.bins import channel_levels, phase_spread, sample_bins
from irtools.methods.closemic.demixing import _LINEAR_PHASES, close_mic_demixing
from irtools.methods.closemic.filters import filtered, separate
from irtools.methods.closemic.gain_prior import GainPrior, prior_from_gains
from irtools.methods.closemic.learning import excerpts, read_excerpts
from irtools.methods.closemic.linear import SPARSITY_STEPS, demix_linear
from irtools.methods.closemic.room import RoomSettings
from irtools.methods.separator import Recording
from irtools.methods.streaming.pieces import CrossFade, cut
from irtools.metrics import si_sdr

RATE = 8000
GAINS = torch.tensor([[1.0, 0.3, 0.1], [0.4, 1.0, 0.2], [0.05, 0.5, 1.0]], dtype=torch.float64)
closemic = partial(ir.reduce, sample_rate=RATE, method="closemic")
ROOM = {"mode": "room", "window_size": 512}
LAWS = [
    {"law": "uniform"},
    {"law": "attenuated"},
    *({"law": "uniform", "interference": level} for level in ((-1.0, 1.0), (0.0, 10.0), (10.0, 20.0))),
]


def notes(n=3, seconds=6.0, seed=0):
    """Sources that start and stop in bands of their own, sparse as music is."""
    generator = torch.Generator().manual_seed(seed)
    samples = round(seconds * RATE)
    time = torch.arange(samples, dtype=torch.float64) / RATE
    out = torch.zeros(n, samples, dtype=torch.float64)
    for source in range(n):
        for onset in torch.rand(round(4 * seconds), generator=generator) * seconds:
            f0, decay = 80 + 600 * torch.rand(2, generator=generator).double()
            age = (time - onset).clamp_min(0)
            envelope = (age > 0) * torch.exp(-age * (3 + decay / 100))
            for harmonic in range(1, 8):
                out[source] += 0.1 / harmonic * envelope * torch.sin(2 * torch.pi * f0 * harmonic * age)
    return out


def images_in_a_room(sources, levels=0.3, length=200, seed=1):
    """Each source (second axis) at each microphone (first axis), others through short decaying filters."""
    generator = torch.Generator().manual_seed(seed)
    n, samples = sources.shape
    levels = torch.as_tensor(levels).expand(n, n)
    fade = torch.exp(-torch.arange(length, dtype=torch.float64) / 40)
    images = sources.expand(n, n, samples).clone()
    for k in range(n):
        for j in set(range(n)) - {k}:
            h = fade * torch.randn(length, generator=generator, dtype=torch.float64)
            h = levels[k, j] * h / h.norm()
            size = samples + length
            heard = torch.fft.irfft(torch.fft.rfft(sources[j], size) * torch.fft.rfft(h, size), size)
            images[k, j] = heard[:samples]
    return images


def in_a_room(sources, levels=0.3, seed=1):
    return images_in_a_room(sources, levels, seed=seed).sum(1)


def scores(estimates, references):
    return si_sdr(estimates, references)


def test_a_linear_mixture_is_inverted():
    sources = notes()
    found = closemic(GAINS @ sources)
    assert found.details["mode"] == "linear" and found.converged
    assert min(scores(found.sources, sources)) > 50
    assert torch.allclose(found.gains, GAINS, atol=1e-3)


def test_gains_on_the_diagonal_are_left_in():
    """A source is estimated as heard at its own microphone: Λ with a diagonal below one."""
    sources = notes()
    own = torch.tensor([0.6, 1.0, 0.8], dtype=torch.float64)
    found = closemic((GAINS * own) @ sources)
    error = found.sources - own[:, None] * sources
    assert error.norm() < 1e-2 * sources.norm()
    assert torch.allclose(found.gains, GAINS, atol=1e-3)


def test_sources_louder_in_another_microphone_find_their_own():
    sources = notes()
    gains = torch.tensor([[1.0, 0.2, 0.3], [0.4, 1.0, 0.2], [0.9, 1.3, 1.0]], dtype=torch.float64)
    found = closemic(gains @ sources, mode="linear")
    assert min(scores(found.sources, sources)) > 40


@pytest.mark.parametrize("noise_db", [-60.0, -40.0, -30.0])
def test_noise_leaves_nearly_what_the_exact_inverse_leaves(noise_db):
    sources = notes()
    noise = torch.randn(sources.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    mics = GAINS @ sources + 10 ** (noise_db / 20) * sources.std() * noise
    ceiling = scores(torch.linalg.inv(GAINS) @ mics, sources)
    found = scores(closemic(mics, mode="linear").sources, sources)
    assert (torch.as_tensor(found) > torch.as_tensor(ceiling) - 3).all()
    assert (torch.as_tensor(found) <= torch.as_tensor(ceiling) + 2).all()


def test_the_bleed_of_a_room_falls_for_every_source():
    sources = notes()
    mics = in_a_room(sources)
    found = closemic(mics, window_size=512)
    assert found.details["mode"] == "room"
    gained = torch.as_tensor(scores(found.sources, sources)) - torch.as_tensor(scores(mics, sources))
    assert (gained > 5).all()


def test_the_prior_keeps_a_band_right_in_which_a_source_is_silent():
    """Two sources of which the second has nothing below 2 kHz: there its microphone holds the first alone."""
    sources = notes(2)
    spectrum = torch.fft.rfft(torch.randn(sources.shape[1], generator=torch.Generator().manual_seed(5)).double())
    spectrum[: len(spectrum) // 2] = 0
    sources[1] = 0.05 * torch.fft.irfft(spectrum, sources.shape[1]) * (sources[1].abs() > 0.05)
    mics = in_a_room(sources)
    close, free = (scores(closemic(mics, **ROOM, bleed=b).sources, sources)[0] for b in (0.2, 10.0))
    assert close > free and close > scores(mics, sources)[0]


@pytest.mark.parametrize("options", [{"mode": "linear"}, ROOM], ids=["linear", "room"])
def test_order_and_scale_of_the_microphones_carry_over(options):
    mics = in_a_room(notes()) if options is ROOM else GAINS @ notes()
    found = closemic(mics, **options).sources
    order = [2, 0, 1]
    moved = closemic(mics[order], **options).sources
    scaled = closemic(1e-3 * mics, **options).sources
    for other, expected in ((moved, found[order]), (1e3 * scaled, found)):
        assert (other - expected).norm() < 1e-2 * expected.norm()
    chosen = closemic(mics, assignment=order, **options).sources
    assert (chosen - found[order]).norm() < 1e-2 * found.norm()


@pytest.mark.parametrize("options", [{"mode": "linear"}, ROOM], ids=["linear", "room"])
def test_without_bleed_the_microphones_come_back(options):
    sources = notes()
    found = closemic(sources, **options).sources
    assert (found - sources).norm() < 0.02 * sources.norm()


@pytest.mark.parametrize("options", [{"mode": "linear"}, ROOM], ids=["linear", "room"])
def test_a_silent_microphone_is_a_silent_source(options):
    mics = GAINS @ notes()
    mics[1] = 0
    found = closemic(mics, **options).sources
    assert found[1].abs().max() < 1e-9 * mics.abs().max() and torch.isfinite(found).all()


@pytest.mark.parametrize("options", [{"mode": "linear"}, ROOM], ids=["linear", "room"])
def test_more_microphones_than_sources(options):
    sources = notes()
    gains = torch.cat([GAINS, torch.full((2, 3), 0.5, dtype=torch.float64)])
    gains[4, 0] = 0.9
    mics = gains @ sources
    found = closemic(mics, n_sources=3, **options)
    assert found.sources.shape == sources.shape and found.gains.shape == gains.shape
    gained = torch.as_tensor(scores(found.sources, sources)) - torch.as_tensor(scores(mics[:3], sources))
    assert (gained > (40 if options is not ROOM else 3)).all()


AMBIENCE_GAINS = [[1.0, 0.3, 0.1], [0.4, 1.0, 0.2], [0.3, 0.5, 0.4], [0.05, 0.5, 1.0], [0.6, 0.2, 0.3]]


@pytest.mark.parametrize(("options", "gained"), [({"mode": "linear"}, 30), (ROOM, 5)], ids=["linear", "room"])
def test_ambient_microphones_give_what_they_hold_besides_the_sources(options, gained):
    """Two of five microphones hear something of their own, which no other does, louder than the sources or softer."""
    ambience = torch.tensor([[2.0], [0.3]]) * notes(2, seed=9)
    mics = torch.tensor(AMBIENCE_GAINS, dtype=torch.float64) @ notes()
    mics[[2, 4]] += ambience
    plain = closemic(mics, assignment=[3, 0, 1], **options)
    found = closemic(mics, assignment=[3, 0, 1], demix_ambient=True, **options)
    assert torch.allclose(found.sources[:3], plain.sources, atol=1e-12) and torch.equal(found.gains, plain.gains)
    assert found.sources.shape == (5, mics.shape[1])
    assert (scores(found.sources[3:], ambience) > scores(mics[[2, 4]], ambience) + gained).all()


def test_what_an_ambient_microphone_alone_holds_stays_out_of_the_sources_of_a_linear_mixture():
    mics = torch.tensor(AMBIENCE_GAINS, dtype=torch.float64) @ notes()
    mics[[2, 4]] += 2 * notes(2, seed=9)
    found = closemic(mics, assignment=[3, 0, 1], mode="linear").sources
    assert torch.allclose(found, closemic(mics[[3, 0, 1]], mode="linear").sources, atol=1e-9)


@pytest.mark.parametrize("options", [{"mode": "linear"}, ROOM], ids=["linear", "room"])
def test_an_ambient_pair_keeps_the_ambience_that_both_hear(options):
    ambience = torch.tensor([[0.5], [0.4]]) * notes(1, seed=9)
    mics = torch.tensor(AMBIENCE_GAINS, dtype=torch.float64)[[0, 1, 3, 2, 4]] @ notes()
    mics[3:] += ambience
    found = closemic(mics, n_sources=3, demix_ambient=True, **options).sources[3:]
    level = (found * ambience).sum(1) / ambience.square().sum(1)
    assert (scores(found, ambience) > scores(mics[3:], ambience) + 3).all() and (20 * level.log10()).abs().max() < 1


def test_channels_of_unequal_levels_are_brought_to_one_level_first():
    sources = notes()
    mics = in_a_room(sources)
    levels = torch.tensor([[30.0], [1.0], [0.05]], dtype=torch.float64)
    found = closemic(levels * mics, **ROOM)
    gained = torch.as_tensor(scores(found.sources / levels, sources)) - torch.as_tensor(scores(mics, sources))
    assert (gained > 3).all()
    told = torch.tensor(found.details["channel_levels"])
    assert told[0] > 5 * told[1] > 25 * told[2]
    assert channel_levels(sample_bins([torch.zeros(2, 500)], window_size=64, max_bins=999)).tolist() == [1, 1]


def test_levels_of_channels_follow_from_the_symmetry_of_their_bleed():
    """Equal bleed both ways at a tenth, channels amplified by 8, 1 and 1/8: right to within a factor of 1.5."""
    generator = torch.Generator().manual_seed(0)
    draw = torch.randn(3, 8000, dtype=torch.cdouble, generator=generator)
    mics = (0.9 * torch.eye(3) + 0.1).to(draw) @ (draw * draw.abs() ** 3)
    gains = torch.tensor([8.0, 1.0, 0.125], dtype=torch.float64)
    found = channel_levels(gains[:, None] * mics)
    assert ((found / gains).log().abs() < math.log(1.5)).all()
    assert channel_levels(mics) == pytest.approx([1.0] * 3, rel=0.1)


def test_pieces_of_a_linear_mixture_get_one_matrix():
    mics = GAINS @ notes()
    recording = Recording.in_memory(mics, RATE, cuts=[(0, 20000), (20000, mics.shape[1])])
    separator = close_mic_demixing(recording, mode="linear")
    parts = [separator.reduce(mics[:, a:b]).sources for a, b in ((0, 20000), (20000, mics.shape[1]))]
    whole = closemic(mics, mode="linear").sources
    assert (torch.cat(parts, 1) - whole).norm() < 1e-3 * whole.norm()


def test_pieces_of_a_room_get_the_filters_of_the_whole():
    """Joined as files are, pieces are what one piece is, but for the fades between them."""
    sources = notes(seconds=8)
    mics = in_a_room(sources)
    cuts = cut(mics.shape[1], 24000, 4096)
    recording = Recording.in_memory(mics, RATE, cuts=cuts)
    separator = close_mic_demixing(recording, **ROOM)
    faded = CrossFade(4096)
    parts = [faded.add(separator.reduce(mics[:, start:end]).sources) for start, end in cuts]
    joined = torch.cat([*parts, faded.rest()], dim=1)
    whole = closemic(mics, **ROOM).sources
    assert 2 * 512 <= separator.overlap <= 4096 and len(cuts) > 2
    assert abs(scores(joined, sources) - scores(whole, sources)).max() < 0.1
    assert (joined - whole).norm() < 1e-2 * whole.norm()


def test_excerpts_of_a_long_recording_are_spread_over_all_of_it(monkeypatch):
    assert excerpts(100_000, 4, 512, 128) == [(0, 100_000)]
    monkeypatch.setattr(learning, "_MOST_BINS", 4 * 257 * 480)
    found = excerpts(1_000_000, 4, 512, 128)
    assert found[0][0] == 0 and found[-1][1] == 1_000_000 and len(found) == 3
    assert all(end - start == 160 * 128 for start, end in found)
    monkeypatch.setattr(learning, "_MOST_BINS", 1)
    assert len(excerpts(1_000_000, 4, 512, 128)) == 1


def test_what_is_learned_from_excerpts_serves_the_whole(monkeypatch):
    """A third of the recording, in three excerpts, leaves little more bleed than all of it."""
    sources = notes(seconds=24)
    mics = in_a_room(sources)
    whole = scores(closemic(mics, **ROOM).sources, sources)
    monkeypatch.setattr(learning, "_MOST_BINS", 3 * 257 * 500)
    part = scores(closemic(mics, **ROOM).sources, sources)
    before = scores(mics, sources)
    assert ((part - before) > 0.6 * (whole - before)).all()


def test_frames_at_the_edge_of_an_excerpt_are_not_learned_from(monkeypatch):
    monkeypatch.setattr(learning, "_MOST_BINS", 2 * 257 * 320)
    recording = Recording.in_memory(torch.randn(2, 200_000, dtype=torch.float64), RATE)
    spectra, heard = read_excerpts(recording, torch.ones(2, dtype=torch.float64), 512, 128, taps=7)
    assert spectra.shape == (257, 2, 322) and heard.shape == (322,)
    # The first excerpt begins with the recording, the second ends with it.
    assert heard[:159].all() and not heard[159:161].any() and not heard[161:169].any() and heard[169:].all()


def test_a_muted_stretch_has_no_ghost_and_spoils_nothing_elsewhere():
    """A microphone that is off for a while: nothing comes out of it there, and elsewhere the others stay clean."""
    sources = notes()
    mics = in_a_room(sources)
    open_scores = scores(closemic(mics, **ROOM).sources[1:, 28000:], sources[1:, 28000:])
    mics[0, 12000:26000] = 0
    found = closemic(mics, **ROOM).sources
    assert found[0, 13000:25000].abs().max() < 1e-9
    assert (scores(found[1:, 28000:], sources[1:, 28000:]) > open_scores - 6).all()


@pytest.mark.parametrize("mics", [1, 2, 6])
def test_any_number_of_microphones(mics):
    found = closemic(in_a_room(notes(mics, 2.0)), **ROOM)
    assert torch.isfinite(found.sources).all() and torch.equal(found.gains.diagonal(), torch.ones(mics).double())


def test_equal_and_inverted_microphones_stay_finite():
    mics = in_a_room(notes(3, 3.0))
    found = closemic(torch.cat([mics, mics[:1], -mics[1:2]]), **ROOM).sources
    assert torch.isfinite(found).all() and found.abs().max() < 2 * mics.abs().max()


def test_a_frequency_at_which_the_recursion_would_grow_is_left_as_it_is():
    x = torch.randn(3, 2, 40, dtype=torch.cdouble, generator=torch.Generator().manual_seed(0))
    gains = torch.zeros(3, 2, 2, 4, dtype=torch.cdouble)
    gains[1, 0, 1, 1] = gains[1, 1, 0, 1] = 1.5
    gains[2, 0, 1, 1] = 0.3
    found = separate(x, gains)
    assert torch.equal(found[:2], x[:2])
    assert torch.allclose(found[2, 0, 1:], x[2, 0, 1:] - 0.3 * x[2, 1, :-1])


def test_sources_come_back_exactly_where_the_filters_are_known():
    """Bleed of several frames, and back: for any filters whose recursion does not grow."""
    draw = partial(torch.randn, dtype=torch.cdouble, generator=torch.Generator().manual_seed(0))
    z, gains = draw(5, 3, 60), 0.08 * draw(5, 3, 3, 4)
    gains.diagonal(dim1=1, dim2=2).zero_()
    x = z + torch.stack([filtered(z, gains[:, k]) for k in range(3)], dim=1)
    assert torch.allclose(separate(x, gains), z, atol=1e-9)


def test_the_mask_lowers_rests_and_no_more_than_asked_for():
    sources = notes()
    sources[0, 20000:30000] = 0
    mics = in_a_room(sources)
    found = [closemic(mics, **ROOM, attenuation_db=db).sources for db in (0.0, 6.0, 20.0)]
    rest = [sources[0, 22000:28000].norm() for sources in found]
    assert rest[0] > rest[1] > rest[2]
    assert rest[1] > 0.45 * rest[0]


# The prior that gains suggest


def filters_of_a_room(delay, decay, noise, freqs=1025, taps=3, seed=0):
    """Gains of one pair at every frequency from a decaying filter of noise, with errors of equal size at all lags."""
    generator = torch.Generator().manual_seed(seed)
    size = 2 * (freqs - 1)
    time = torch.arange(size)
    h = (
        torch.randn(size, generator=generator, dtype=torch.float64)
        * torch.exp(-(time - delay) / decay)
        * (time >= delay)
    )
    h[size // 4 :] = 0
    gains = torch.fft.rfft(0.2 * h / h.norm())[:, None].repeat(1, taps)
    gains[:, 1:] = 0
    errors = torch.randn(freqs, taps, 2, generator=generator, dtype=torch.float64)
    gains = gains + noise * torch.view_as_complex(errors)
    return gains[:, None, None]


@pytest.mark.parametrize("noise", [0.0, 0.03, 0.1])
def test_errors_are_told_from_filters_by_causality(noise):
    """White errors of any size: the size of the filter, and how it goes on over frequency, are found all the same."""
    gains = filters_of_a_room(delay=40, decay=60, noise=noise)
    variance = torch.full_like(gains.real, 2 * noise**2 + 1e-9)
    prior = prior_from_gains(gains, variance, torch.full_like(variance, 1e6))
    assert prior.variance[..., 0].mean() == pytest.approx(0.2**2, rel=0.35)
    assert prior.variance[..., 1:].max() < 0.3 * 0.2**2 + 2 * noise**2
    assert (prior.correlation[..., 0].abs() > 0.8).all()
    expected = -2 * math.pi * 80 / 2048
    assert prior.correlation[..., 0].angle().median() == pytest.approx(expected, abs=0.15)


def test_the_prior_of_a_gain_is_what_an_autoregression_expects_between_its_neighbours():
    variance, correlation = torch.full((5, 1, 1, 1), 2.0), torch.full((5, 1, 1, 1), 0.5j, dtype=torch.cfloat)
    below, above = torch.ones(1, 1, 1, 1, dtype=torch.cfloat), -torch.ones(1, 1, 1, 1, dtype=torch.cfloat)
    mean, spread = GainPrior(variance, correlation).given_neighbours(below, above, slice(2, 3))
    # Of a stationary chain: precision (1 + |ρ|²) / σ²(1 - |ρ|²), mean (ρ below + ρ* above) / (1 + |ρ|²).
    assert mean.item() == pytest.approx(1j / 1.25)
    assert spread.item() == pytest.approx(2.0 * 0.75 / 1.25)


def test_what_neighbours_say_lowers_the_bleed():
    """Short filters are smooth over frequency: with the prior learned from the data less bleed is left."""
    sources = notes(3, 4.0)
    mics = in_a_room(sources)
    floors = RoomSettings().floors
    learned, alone = (closemic(mics, **ROOM, floors=f).sources for f in (floors, floors[::5]))
    assert len(floors[::5]) == 3
    assert scores(learned, sources).mean() > scores(alone, sources).mean() + 1


UNEQUAL_BLEED = [[1.0, 0.4, 0.1], [0.15, 1.0, 0.3], [0.3, 0.1, 1.0]]


@pytest.mark.parametrize("levels", [(1.0, 1.0, 1.0), (30.0, 1.0, 0.05)], ids=["equal", "unequal"])
def test_the_gains_of_a_room_are_levels_relative_to_the_own_microphone(levels):
    """Row k, column n: of source n at microphone k, in the units of the recording."""
    levels = torch.tensor(levels, dtype=torch.float64)
    images = levels[:, None, None] * images_in_a_room(notes(), UNEQUAL_BLEED)
    found = closemic(images.sum(1), **ROOM)
    level = images.norm(dim=2)
    assert torch.allclose(found.gains, level / level.diagonal(), rtol=0.1)
    assert torch.allclose(found.sources.norm(dim=1), level.diagonal(), rtol=0.1)


def test_every_iteration_is_heard_of():
    heard = []
    told = closemic(in_a_room(notes(seconds=2.0)), **ROOM, callback=lambda *said, **state: heard.append((*said, state)))
    assert [n for n, _, _ in heard] == list(range(1, told.n_iter + 1))
    assert all(state["gains"].shape == (257, 3, 3, 7) for _, _, state in heard)
    costs = torch.stack([cost for _, cost, _ in heard if cost is not None])
    assert torch.allclose(told.cost, costs, rtol=1e-9)


# Linear mixtures


def test_annealing_finds_what_the_sparsest_model_alone_misses():
    """Five dense sources in a heavy mixture: from the smallest ε at once, some end in the wrong place."""
    gains, sources = heavy(5, seed=5)
    bins = sample_bins([gains @ sources], window_size=4096, max_bins=400_000)
    annealed, at_once = (
        scores(torch.linalg.inv(found.gains) @ gains @ sources, sources).min()
        for found in (demix_linear(bins), demix_linear(bins, steps=SPARSITY_STEPS[-1:]))
    )
    assert annealed > at_once + 10


def heavy(n, seed):
    """Noise of n players that changes its level sixteen times per second, in a mixture with gains up to 0.9."""
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(n, 16000, generator=generator, dtype=torch.float64)
    sources = draw * torch.rand(n, 32, generator=generator, dtype=torch.float64).pow(3).repeat_interleave(500, 1)
    gains = 0.9 * torch.rand(n, n, generator=generator, dtype=torch.float64)
    return gains.fill_diagonal_(1), sources


def strong(n, seed):
    """Gains up to 1.1: in some microphones another source is the loudest."""
    generator = torch.Generator().manual_seed(seed)
    return (1.1 * torch.rand(n, n, generator=generator, dtype=torch.float64)).fill_diagonal_(1), generator


def test_outputs_that_changed_places_are_put_back():
    sources = notes(4, 4.0)
    gains, _ = strong(4, 100)
    assert scores(closemic(gains @ sources, mode="linear").sources, sources).min() > 30


def test_noise_of_the_microphones_is_not_taken_for_a_mixture():
    sources = notes(3, 4.0)
    gains, generator = strong(3, 100)
    noise = 10 ** (-30 / 20) * sources.std() * torch.randn(sources.shape, generator=generator, dtype=torch.float64)
    mics = gains @ sources + noise
    ceiling = scores(torch.linalg.inv(gains) @ mics, sources)
    assert (scores(closemic(mics, mode="linear").sources, sources) > ceiling - 1).all()


def test_bins_of_all_pieces_count():
    """In the first piece one source plays alone: what the others bleed is in the second."""
    sources = notes()
    half = sources.shape[1] // 2
    sources[1:, :half] = 0
    mics = GAINS @ sources
    recording = Recording.in_memory(mics, RATE, cuts=[(0, half), (half, mics.shape[1])])
    assert torch.allclose(close_mic_demixing(recording, mode="linear").gains, GAINS, atol=1e-2)


def test_phases_of_two_microphones_are_equal_opposite_at_right_angles_or_unrelated():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 50_000, dtype=torch.cdouble, generator=generator)
    for other, spread in ((0.3 * first, 0.0), (-2 * first, 0.0), (1j * first, 1.0), (second, 2 / math.pi)):
        assert phase_spread(torch.stack([first, other])) == pytest.approx(spread, abs=0.01)
    assert phase_spread(first[None]) == phase_spread(torch.stack([first, 0 * first])) == 0


@pytest.mark.parametrize(("most", "stride"), [(10**6, 1), (1300, 2), (700, 4), (350, 8)])
def test_a_bounded_sample_of_bins_is_evenly_spaced_over_all_pieces(most, stride):
    pieces = torch.randn(5, 2, 7 * 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).unbind()
    # Each piece has 33 frequencies x 15 frames and is sampled from its own start.
    whole = [sample_bins([piece], window_size=64, max_bins=10**6) for piece in pieces]
    found = sample_bins(pieces, window_size=64, max_bins=most)
    assert found.shape[1] <= most
    assert torch.equal(found, torch.cat([bins[:, ::stride] for bins in whole], dim=1))


def test_gains_alone_and_a_room_are_told_apart():
    sources = notes()
    scenes = GAINS @ sources, in_a_room(sources)
    gains, room = (phase_spread(sample_bins([mics], window_size=512, max_bins=10**6)) for mics in scenes)
    assert gains < 0.2 and room > 0.5


@pytest.mark.parametrize("n", [2, 4, 8, 16])
@pytest.mark.parametrize("noise_db", [None, -30.0])
def test_many_sources_at_once_are_no_room(n, noise_db):
    _, sources = heavy(n, seed=n)
    scene = ir.simulate_linear(sources, noise_db=noise_db, generator=torch.Generator().manual_seed(n))
    bins = sample_bins([scene.mics], window_size=1024, max_bins=400_000)
    assert phase_spread(bins) < _LINEAR_PHASES


@pytest.mark.parametrize("n", [2, 4, 8, 16])
@pytest.mark.parametrize("make", [notes, lambda n: heavy(n, n)[1]], ids=["notes", "dense"])
def test_delays_alone_are_a_room(n, make):
    generator = torch.Generator().manual_seed(n)
    stage = ir.simulate_room(make(n), RATE, rt60_s=0.0, geometry="random", generator=generator)
    bins = sample_bins([stage.mics], window_size=1024, max_bins=400_000)
    assert phase_spread(bins) > _LINEAR_PHASES


@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_the_worst_stem_of_a_short_excerpt(law, seed):
    sources = notes(4, 3.0, seed)
    scene = ir.simulate_linear(sources, generator=torch.Generator().manual_seed(seed), **law)
    assert scores(closemic(scene.mics, mode="linear").sources, scene.references).min() > 80


@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("song", [3, 4])
def test_the_worst_stem_of_a_song(law, song):
    stems = ir.render_song(song, seconds=6.0, sample_rate=22050)
    scene = ir.simulate_linear(stems.waveforms, generator=torch.Generator().manual_seed(song), **law)
    found = ir.reduce(scene.mics, 22050, "closemic", mode="linear").sources
    assert scores(found, scene.references).min() > 66


@pytest.mark.parametrize("seed", range(4))
def test_dense_sources_in_a_heavy_mixture(seed):
    gains, sources = heavy(8, seed)
    assert scores(closemic(gains @ sources, mode="linear").sources, sources).min() > 20


def test_a_silent_half_changes_nothing():
    sources = notes(seconds=4.0)
    half = torch.full_like(sources, 5e-324)
    whole = closemic(GAINS @ torch.cat([sources, half], 1), mode="linear").gains
    assert torch.allclose(whole, closemic(GAINS @ sources, mode="linear").gains, atol=1e-6)


def test_the_objective_of_the_linear_mode_falls():
    bins = sample_bins([GAINS @ notes()], window_size=512, max_bins=10**6)
    found = demix_linear(bins, steps=(1e-3,))
    assert len(found.cost) > 3 and (found.cost.diff() < 1e-3).all() and found.cost[-1] < found.cost[0] - 1


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"mode": "hall"}, ValueError, "mode: expected one of auto, linear, room, got 'hall'"),
        ({"attenuation_db": -3.0}, ValueError, "attenuation_db: expected at least 0 dB, got -3.0"),
        ({"window_size": 100}, ValueError, "window_size: expected a multiple of 8 .*got 100"),
        ({"demix_ambient": 1}, TypeError, "demix_ambient: expected True or False, got 1"),
        ({"bleed": 0.0}, ValueError, "bleed: expected at least 1e-06, got 0.0"),
        ({"floors": ()}, ValueError, "floors: expected a tuple of numbers, one for each iteration"),
        ({"floors": 0.1}, ValueError, "floors: expected a tuple of numbers"),
        ({"floors": (0.1, float("nan"))}, ValueError, "floors: expected at least 0, got nan"),
        ({"taps": 0}, ValueError, "taps: expected at least 1, got 0"),
        ({"prior": 1.0}, TypeError, "prior: not a setting of this method; expected one of taps"),
    ],
)
def test_bad_settings_are_refused_by_name(options, error, words):
    with pytest.raises(error, match=words):
        ir.reduce(torch.zeros(2, 100), RATE, method="closemic", **options)
