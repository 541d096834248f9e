"""Networks that estimate Λ: the published table and plain loops; exact for sources that take turns; symmetries."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from irtools.metrics import gains_error, si_sdr
from irtools.nets import build
from irtools.nets.inverse import conditioned_inverse, own_mic_images, projected_gains
from irtools.nets.parameters import keras_parameters
from irtools.nets.tiles import telling_tiles, tile_covariances
from irtools.nets.tunet import TUNet
from irtools.nets.windows import join_windows, split_windows

RATE = 22050


def draw(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def linear_gains(n_mics, n_sources, seed=0):
    gains = 0.01 + 0.49 * torch.rand(n_mics, n_sources, generator=torch.Generator().manual_seed(seed))
    gains.diagonal().fill_(1)
    return gains


def taking_turns(n_sources, samples, seed=0, together=False):
    """Sources that play one after another, for 4096 samples each, and then perhaps all together."""
    turn = torch.arange(samples) // 4096 % (n_sources + together)
    return draw(n_sources, samples, seed=seed) * ((turn == torch.arange(n_sources)[:, None]) | (turn == n_sources))


def small_tunet(**config):
    """With biases that keep every ReLU alive."""
    torch.manual_seed(0)
    net = TUNet(**{"samples": 700, "channels": (3, 4), "dense": (12, 10)} | config)
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            parameter.data.fill_(0.5)
    return net


def pairs(**config):
    torch.manual_seed(0)
    return build("tunet-pairs", **config).eval()


# From Λ to sources and back


@given(n_sources=st.integers(1, 4), more=st.integers(0, 2), seed=st.integers(0, 99))
def test_the_inverse_is_that_of_numpy_where_the_floor_is_not_reached(n_sources, more, seed):
    gains = linear_gains(n_sources + more, n_sources, seed).double()
    assert np.allclose(conditioned_inverse(gains, 0.01).numpy(), np.linalg.pinv(gains.numpy()))


@given(rank=st.integers(0, 3), floor=st.sampled_from([0.01, 0.1, 0.5]), seed=st.integers(0, 99))
def test_the_inverse_amplifies_no_more_than_its_floor_allows(rank, floor, seed):
    gains = draw(4, rank, seed=seed) @ draw(rank, 4, seed=seed + 1)
    assert torch.linalg.matrix_norm(conditioned_inverse(gains, floor), 2) <= 1.0001 / floor


def test_the_gradient_of_the_inverse_is_finite_where_singular_values_are_equal():
    gains = torch.eye(3, dtype=torch.float64).requires_grad_()
    conditioned_inverse(gains, 0.1)[0, 1].backward()
    expected = torch.zeros(3, 3, dtype=torch.float64)
    expected[0, 1] = -1
    assert torch.allclose(gains.grad, expected)


def test_images_are_what_the_own_microphone_hears():
    gains, sources = linear_gains(5, 3) * torch.tensor([0.5, 2.0, 1.0]), draw(3, 100)
    found = own_mic_images(gains, gains @ sources, 0.01)
    assert torch.allclose(found, torch.tensor([0.5, 2.0, 1.0])[:, None] * sources, atol=1e-5)


def test_projection_finds_the_gains_and_gives_a_silent_source_none():
    gains, sources = linear_gains(4, 3), draw(3, 500)
    sources[1] = 0
    found = projected_gains(gains @ sources, sources)
    assert torch.allclose(found[:, [0, 2]].float(), gains[:, [0, 2]], atol=1e-4) and found[:, 1].abs().max() == 0


@given(samples=st.integers(1, 50), size=st.integers(1, 20))
def test_windows_hold_every_sample_once(samples, size):
    mics = draw(2, 3, samples)
    windows = split_windows(mics, size)
    assert windows.shape == (2, -(-samples // size), 3, size)
    assert torch.equal(join_windows(windows, samples), mics)
    assert torch.isclose(windows.square().sum(), mics.square().sum())


# The published t-UNet


def test_the_published_size_and_its_table():
    with torch.device("meta"):
        net = build("tunet")
        assert keras_parameters(net) == 3_528_736
        assert sum(p.numel() for p in net.encoder.parameters()) == 305_968
        values, pooled = torch.empty(1, 1, 4, 220500), []
        for layer in net.encoder:
            values = layer(values)
            if isinstance(layer, torch.nn.MaxPool2d):
                pooled.append(tuple(values.shape[1:]))
        assert pooled == [(16, 4, 24499), (32, 4, 2721), (64, 4, 302), (128, 4, 33), (512, 4, 3)]
        assert [layer.out_features for layer in net.dense if hasattr(layer, "out_features")] == [512, 128, 64, 32, 16]
        assert net(torch.empty(2, 4, 220500)).shape == (2, 4, 4)
    assert net.sample_rate == RATE


def test_its_ancestor_for_three_microphones_has_its_size_too():
    sizes = {"channels": (16, 32, 64, 128, 256), "dense": (256, 128, 64, 32), "kernel": 3}
    with torch.device("meta"):
        assert keras_parameters(build("tunet", n_mics=3, n_sources=3, **sizes)) == 764_713


def test_forward_is_the_layers_in_plain_loops():
    net = small_tunet(n_mics=2, n_sources=2, samples=120, channels=(2, 3), dense=(5,)).double()
    mics = draw(2, 120, dtype=torch.float64)
    values = mics.numpy()[..., None]
    weights = {name: value.detach().numpy() for name, value in net.named_parameters()}
    for layer in (0, 3):
        kernel, bias = weights[f"encoder.{layer}.weight"], weights[f"encoder.{layer}.bias"]
        length = values.shape[1] - 3
        convolved = np.zeros((2, length, len(bias)))
        for mic, time, out in itertools.product(range(2), range(length), range(len(bias))):
            heard = values[mic, time : time + 4]
            convolved[mic, time, out] = max((heard * kernel[out, :, 0].T).sum() + bias[out], 0)
        values = np.stack([convolved[:, 9 * t : 9 * t + 9].max(1) for t in range(length // 9)], 1)
    flat = values.reshape(-1)
    for layer in (0, 2):
        flat = np.maximum(weights[f"dense.{layer}.weight"] @ flat + weights[f"dense.{layer}.bias"], 0)
    assert np.allclose(net(mics[None]).detach().numpy(), flat.reshape(1, 2, 2))


@pytest.mark.parametrize("shape", [(1, 3, 700), (1, 4, 699), (1, 4, 701)])
def test_forward_takes_only_what_it_was_made_for(shape):
    with pytest.raises(ValueError, match=r"mics: expected \(4, 700\) microphones and samples"):
        small_tunet()(torch.zeros(shape))


@pytest.mark.parametrize("change", [{"n_sources": 5}, {"samples": 100}, {"n_sources": 0}])
def test_a_tunet_that_cannot_be_is_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        small_tunet(**change)


@pytest.mark.parametrize(("n_mics", "n_sources"), [(4, 4), (5, 3), (1, 1)])
@pytest.mark.parametrize("samples", [1, 699, 700, 1500])
def test_the_true_gains_are_inverted_exactly(n_mics, n_sources, samples, monkeypatch):
    net = small_tunet(n_mics=n_mics, n_sources=n_sources)
    gains = linear_gains(n_mics, n_sources) * torch.tensor([0.7, 1.0, 0.9, 0.8])[:n_sources]
    monkeypatch.setattr(net, "forward", lambda windows: gains.expand(len(windows), -1, -1))
    sources = draw(2, n_sources, samples)
    found = net.reduce(gains @ sources)
    assert torch.allclose(found.sources, gains.diagonal()[:, None] * sources, atol=1e-5)
    assert torch.allclose(found.gains, gains.expand(2, -1, -1))


def test_every_window_has_its_gains_and_loud_ones_count_more(monkeypatch):
    net = small_tunet(n_mics=2, n_sources=2)
    each = torch.stack([linear_gains(2, 2, seed) for seed in (1, 2)])
    monkeypatch.setattr(net, "forward", lambda windows: each)
    sources = draw(2, 1400) * torch.tensor([1.0, 3.0]).repeat_interleave(700)
    mics = torch.cat([each[0] @ sources[:, :700], each[1] @ sources[:, 700:]], 1)
    found = net.reduce(mics[None])
    assert torch.allclose(found.sources[0], sources, atol=1e-5)
    energy = torch.stack([mics[:, :700].square().sum(), mics[:, 700:].square().sum()])
    assert torch.allclose(found.gains[0], (each * energy[:, None, None]).sum(0) / energy.sum(), atol=1e-5)


def test_gains_of_nothing_give_silence_and_no_infinity(monkeypatch):
    net = small_tunet()
    monkeypatch.setattr(net, "forward", lambda windows: torch.zeros(len(windows), 4, 4))
    assert net.reduce(draw(1, 4, 900)).sources.abs().max() == 0


@pytest.mark.parametrize("truth", [True, False])
def test_the_published_loss_is_the_mean_square_error_of_the_gains(truth, monkeypatch):
    net, gains, wrong = small_tunet(), linear_gains(4, 4), linear_gains(4, 4, seed=9)
    monkeypatch.setattr(net, "forward", lambda windows: wrong.expand(len(windows), -1, -1))
    sources = draw(1, 4, 700)
    loss = net.loss(gains @ sources, sources, gains[None] if truth else None)
    assert torch.allclose(loss, (wrong - gains).square().mean(), atol=1e-6)


# Both


BOTH = {"tunet": small_tunet, "tunet-pairs": pairs}


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("kind", ["published", "si-sdr"])
def test_every_parameter_learns(name, kind):
    net = BOTH[name]().train()
    gains = linear_gains(4, 4)
    sources = draw(2, 4, 4000)
    sources[1, 2] = 0
    loss = net.loss(gains @ sources, sources, gains.expand(2, -1, -1), kind)
    assert loss.ndim == 0 and torch.isfinite(loss)
    loss.backward()
    for parameter_name, parameter in net.named_parameters():
        assert torch.isfinite(parameter.grad).all() and parameter.grad.abs().max() > 0, parameter_name


@pytest.mark.parametrize("name", BOTH)
def test_a_loss_of_another_name_is_refused(name):
    with pytest.raises(ValueError, match="kind: expected one of published, si-sdr, got 'l1'"):
        BOTH[name]().loss(torch.zeros(1, 4, 700), torch.zeros(1, 4, 700), kind="l1")


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("samples", [1, 2, 700, 5000])
def test_any_length_scale_and_silence(name, dtype, samples):
    net = BOTH[name]()
    mics = draw(2, 4, samples, dtype=dtype)
    with torch.no_grad():
        found, again = net.reduce(mics), net.reduce(mics)
        assert found.sources.shape == mics.shape and found.sources.dtype == dtype
        assert found.gains.shape == (2, 4, 4) and found.gains.dtype == dtype
        assert torch.isfinite(found.sources).all() and torch.equal(found.sources, again.sources)
        for scale in (3e-9, 7e6):
            scaled = net.reduce(mics * scale)
            assert torch.allclose(scaled.sources / scale, found.sources, atol=1e-4 * float(mics.abs().max()))
            assert torch.allclose(scaled.gains, found.gains, atol=1e-4)
        quiet = net.reduce(torch.zeros_like(mics))
        assert quiet.sources.abs().max() == 0 and torch.isfinite(quiet.gains).all()


@pytest.mark.parametrize("name", BOTH)
def test_recordings_of_a_batch_do_not_see_each_other(name):
    net = BOTH[name]()
    mics = draw(3, 4, 3000) * torch.tensor([1.0, 100.0, 0.0])[:, None, None]
    with torch.no_grad():
        together = net.reduce(mics)
        for i in range(3):
            assert torch.allclose(together.sources[i], net.reduce(mics[i : i + 1]).sources[0], rtol=1e-3, atol=1e-3)


def test_the_configuration_builds_the_same_net():
    for name, make in BOTH.items():
        net = make()
        again = build(name, **net.config)
        assert again.config == net.config
        again.load_state_dict(net.state_dict())


# Pairs of microphones: by design, before any training


@settings(deadline=None, max_examples=15)
@given(n_mics=st.integers(1, 6), samples=st.integers(500, 30000), seed=st.integers(0, 99))
def test_the_order_level_and_polarity_of_microphones_change_nothing_else(n_mics, samples, seed):
    net = pairs(tiles=64)
    gains = linear_gains(n_mics, n_mics, seed)
    mics = gains @ (draw(n_mics, samples, seed=seed) * torch.rand(n_mics, samples) ** 3)
    order = torch.randperm(n_mics)
    change = 10 ** (2 * torch.rand(n_mics) - 1) * (2.0 * torch.randint(2, (n_mics,)) - 1)
    with torch.no_grad():
        found, other = net.reduce(mics[None]), net.reduce((change[:, None] * mics)[None, order])
    assert torch.allclose(other.sources[0], (change[:, None] * found.sources[0])[order], atol=2e-3 * 10)
    expected = (change[:, None] * found.gains[0] / change)[order][:, order]
    assert torch.allclose(other.gains[0], expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("n_mics", [2, 3, 5])
def test_sources_that_play_alone_somewhere_are_told_apart_exactly(n_mics):
    """Whatever the attention: tiles in which another plays do not get in."""
    net = pairs(tiles=4)
    sources = taking_turns(n_mics, 22050)
    gains = linear_gains(n_mics, n_mics) * (1 - 2 * torch.rand(n_mics, n_mics).round())
    gains.diagonal().fill_(1)
    with torch.no_grad():
        found = net.reduce((gains @ sources)[None])
    assert gains_error(found.gains[0], gains) < 1e-3
    assert (si_sdr(found.sources[0], sources) > 60).all()


def test_digital_silence_has_no_vote():
    net, gains = pairs(tiles=16), linear_gains(3, 3)
    sources = torch.cat([taking_turns(3, 22050), torch.zeros(3, 4 * 22050)], 1)
    with torch.no_grad():
        found = net.reduce((gains @ sources)[None])
    assert gains_error(found.gains[0], gains) < 1e-3


def test_gains_of_a_silent_source_are_not_asked_for():
    net, sources = pairs(tiles=16), draw(1, 3, 9000)
    sources[:, 1] *= 1e-5
    right, wrong = linear_gains(3, 3), linear_gains(3, 3)
    wrong[:, 1] += 0.3
    mics = right @ sources
    assert torch.isclose(net.loss(mics, sources, right[None]), net.loss(mics, sources, wrong[None]))
    wrong[:, 0] += 0.3
    assert not torch.isclose(net.loss(mics, sources, right[None]), net.loss(mics, sources, wrong[None]))


def test_a_few_steps_of_training_beat_the_start():
    net = pairs(tiles=64, hidden=8).train()
    optimizer = torch.optim.Adam(net.parameters(), 0.01)

    def batch(seed):
        gains = torch.stack([linear_gains(3, 3, 10 * seed + i) for i in range(4)])
        sources = torch.stack([taking_turns(3, 22050, 10 * seed + i, together=True) for i in range(4)])
        return gains @ sources, sources, gains

    with torch.no_grad():
        before = net.loss(*batch(99))
    for seed in range(25):
        optimizer.zero_grad()
        net.loss(*batch(seed)).backward()
        optimizer.step()
    with torch.no_grad():
        assert net.loss(*batch(99)) < 0.3 * before


def test_one_microphone_comes_back():
    for samples in (1, 300, 9000):
        mics = draw(1, 1, samples)
        found = pairs().reduce(mics)
        assert torch.allclose(found.sources, mics, atol=1e-6) and found.gains.tolist() == [[[1.0]]]


@pytest.mark.parametrize("mic", [0, 2])
def test_a_silent_microphone_stays_silent_and_takes_nothing(mic):
    mics = draw(1, 3, 20000)
    mics[:, mic] = 0
    with torch.no_grad():
        found = pairs().reduce(mics)
        others = [i for i in range(3) if i != mic]
        without = pairs().reduce(mics[:, others])
    assert found.sources[0, mic].abs().max() < 1e-6
    assert found.gains[0, mic, others].abs().max() == 0 and found.gains[0, others, mic].abs().max() == 0
    assert found.gains.shape == (1, 3, 3) and torch.isfinite(without.sources).all()


def test_one_signal_three_times_is_shared_out():
    mics = draw(1, 1, 20000).repeat(1, 3, 1)
    found = pairs().reduce(mics)
    assert torch.allclose(found.gains, torch.ones(1, 3, 3), atol=1e-4)
    assert torch.allclose(found.sources, mics / 3, atol=1e-3)


def test_segments_follow_a_stage_that_is_rearranged_and_fade():
    before, after = linear_gains(2, 2, 1), linear_gains(2, 2, 2)
    seconds = 2
    half = seconds * RATE
    sources = taking_turns(2, 2 * half)
    mics = torch.cat([before @ sources[:, :half], after @ sources[:, half:]], 1)[None]
    with torch.no_grad():
        whole = pairs(tiles=8, segment_seconds=2 * seconds).reduce(mics)
        found = pairs(tiles=8, segment_seconds=seconds).reduce(mics)
        one = pairs(tiles=8).reduce(mics)
    assert torch.equal(whole.sources, one.sources)
    assert torch.allclose(found.gains[0], (before + after) / 2, atol=1e-3)
    for part in (slice(0, half // 2), slice(-half // 2, None)):
        heard = found.sources[0, :, part]
        assert torch.allclose(heard, sources[:, part], atol=1e-3)
    # In the middle of the fade, the mean of the two demixings.
    middle = half
    expected = (torch.linalg.inv(before) + torch.linalg.inv(after)) / 2 @ mics[0, :, middle]
    assert torch.allclose(found.sources[0, :, middle], expected, atol=1e-2)


def test_a_source_that_rests_for_a_segment_keeps_its_gains():
    net, gains, sources = pairs(segment_seconds=1.0), linear_gains(3, 3), draw(3, 2 * RATE)
    sources[1, RATE:] = 0
    mics = gains @ sources
    level = mics.square().mean(1, keepdim=True).sqrt()
    scaled, wrong = gains * level.mT / level, torch.eye(3)
    # Of the whole, of the first segment, and of the second, where nothing can be known of the source that rests.
    wrong[:, [0, 2]] = scaled[:, [0, 2]]
    answers = iter([scaled, scaled, wrong])
    net.forward = lambda part: next(answers)[None, None]
    found = net.reduce(mics[None])
    assert torch.allclose(found.gains[0], gains, atol=1e-5)
    assert torch.allclose(found.sources[0], sources, atol=1e-5)


@pytest.mark.parametrize("name", ["stages", "hidden", "tiles", "window_size", "segment_seconds", "floor"])
def test_a_pairwise_net_that_cannot_be_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}: expected a positive number, got 0"):
        pairs(**{name: 0})


def test_as_many_references_as_microphones():
    with pytest.raises(ValueError, match=r"references: expected the shape of mics, \(1, 3, 500\), got \(1, 2, 500\)"):
        pairs().loss(torch.zeros(1, 3, 500), torch.zeros(1, 2, 500))


# Tiles


def test_tiles_are_covariances_in_plain_loops():
    mics = draw(1, 2, 900, dtype=torch.float64)
    sizes = {"window_size": 64, "tile_freqs": 5, "tile_frames": 3, "sample_rate": 1000}
    (found,) = tile_covariances(mics, **sizes, group_seconds=10)
    padded = np.zeros((2, 2000))
    padded[:, :900] = mics[0]
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 64)
    frames = [np.fft.rfft(padded[:, 32 * t : 32 * t + 64] * taper) for t in range(30)]
    expected = []
    for t, f in itertools.product(range(0, 30, 3), range(1, 31, 5)):
        bins = np.concatenate([frames[t + i][:, f : f + 5] for i in range(3)], 1)
        expected.append((bins @ bins.conj().T).real)
    # 900 samples are reached by 28 frames, which 2 frames of silence fill up to whole tiles.
    assert found.shape[1] == len(expected)
    assert np.allclose(found[0].numpy(), expected)


@given(samples=st.integers(1, 3000), seconds=st.sampled_from([0.05, 0.2, 1.0]))
def test_groups_do_not_change_the_tiles(samples, seconds):
    mics = draw(2, 3, samples)
    sizes = {"window_size": 64, "tile_freqs": 5, "tile_frames": 3, "sample_rate": 1000}
    (whole,) = tile_covariances(mics, **sizes, group_seconds=100)
    groups = list(tile_covariances(mics, **sizes, group_seconds=seconds))
    assert torch.allclose(torch.cat(groups, 1), whole, atol=1e-3)
    assert all(torch.isfinite(group).all() for group in groups)


def test_telling_tiles_are_the_loud_ones_of_each_microphone():
    power = torch.rand(2, 50, 3, generator=torch.Generator().manual_seed(0))
    found = telling_tiles(power.diag_embed(), 4).diagonal(dim1=-2, dim2=-1)
    for batch, mic in itertools.product(range(2), range(3)):
        score = [(p[mic] ** 3 / p.sum() ** 2).item() for p in power[batch]]
        best = sorted(range(50), key=score.__getitem__)[-4:]
        assert sorted(found[batch, mic, :, mic].tolist()) == sorted(power[batch, best, mic].tolist())
