"""Close-mic demixing: what it recovers in linear mixtures and in rooms, and what must not change it."""

import math
from functools import partial

import pytest
import torch

import irtools as ir
from irtools.methods.closemic.bins import channel_levels, phase_spread, sample_bins
from irtools.methods.closemic.demixing import _LINEAR_PHASES, close_mic_demixing
from irtools.methods.closemic.linear import SPARSITY_STEPS, demix_linear
from irtools.methods.separator import Recording
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


def test_a_later_piece_of_a_room_knows_what_an_earlier_one_taught():
    sources = notes(seconds=8)
    mics = in_a_room(sources)
    half = mics.shape[1] // 2
    recording = Recording.in_memory(mics, RATE, cuts=[(0, half), (half, mics.shape[1])])
    separator = close_mic_demixing(recording, **ROOM)
    separator.reduce(mics[:, :half])
    later = separator.reduce(mics[:, half:]).sources
    alone = closemic(mics[:, half:], **ROOM).sources
    assert scores(later, sources[:, half:]).mean() > scores(alone, sources[:, half:]).mean()


def test_the_mask_lowers_rests():
    sources = notes()
    sources[0, 20000:30000] = 0
    mics = in_a_room(sources)
    found = [closemic(mics, **ROOM, residual_db=db).sources for db in (None, -30.0, -20.0)]
    rest = [sources[0, 22000:28000].norm() for sources in found]
    assert rest[0] > rest[1] > rest[2]


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


def test_the_pieces_of_a_room_overlap_by_a_window():
    mics = in_a_room(notes(seconds=2.0))
    recording = Recording.in_memory(mics, RATE, cuts=[(0, 8000), (8000, 16000)])
    assert close_mic_demixing(recording, **ROOM).overlap == ROOM["window_size"]


def test_players_who_move_between_two_pieces_are_followed():
    """The filters change at half time: what was learned before is no more than a guess."""
    sources = notes()
    half = sources.shape[1] // 2
    mics = torch.cat([in_a_room(sources)[:, :half], in_a_room(sources, seed=7)[:, half:]], dim=1)
    recording = Recording.in_memory(mics, RATE, cuts=[(0, half), (half, sources.shape[1])])
    separator = close_mic_demixing(recording, **ROOM)
    separator.reduce(mics[:, :half])
    later = separator.reduce(mics[:, half:]).sources
    assert (scores(later, sources[:, half:]) - scores(mics[:, half:], sources[:, half:])).min() > 2


def test_iterations_that_end_early_are_told():
    with pytest.warns(ir.ConvergenceWarning, match="closemic: not converged after 3 iterations"):
        found = closemic(in_a_room(notes(seconds=2.0)), **ROOM, first_iter=0, n_iter=(3,))
    assert not found.converged and found.n_iter == 3


def test_every_iteration_is_heard_of():
    heard = []
    told = closemic(in_a_room(notes(seconds=2.0)), **ROOM, callback=lambda *said, **state: heard.append((*said, state)))
    assert [n for n, _, _ in heard] == list(range(1, told.n_iter + 1))
    assert all(state["demixing"].shape == (257, 3, 3) for _, _, state in heard)
    costs = torch.stack([cost for _, cost, _ in heard if cost is not None])
    assert torch.allclose(told.cost, costs / 257, rtol=1e-9)


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
        ({"residual_db": 3.0}, ValueError, "residual_db: expected at most 0 dB, got 3.0"),
        ({"window_size": 100}, ValueError, "window_size: expected a multiple of 8 .*got 100"),
        ({"bleed": 0.0}, ValueError, "bleed: expected at least 1e-06, got 0.0"),
        ({"n_iter": (0,)}, ValueError, "n_iter: expected at least 1, got 0"),
        ({"n_iter": 5}, ValueError, "n_iter: expected a tuple of iterations"),
        ({"first_iter": -1}, ValueError, "first_iter: expected at least 0, got -1"),
        ({"floor": float("nan")}, ValueError, "floor: expected at least 0, got nan"),
        ({"prior": 1.0}, TypeError, "prior: not a setting of this method; expected one of bleed"),
    ],
)
def test_bad_settings_are_refused_by_name(options, error, words):
    with pytest.raises(error, match=words):
        ir.reduce(torch.zeros(2, 100), RATE, method="closemic", **options)
