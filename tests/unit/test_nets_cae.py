"""Autoencoders of one microphone, and what networks share: the published table, plain loops, exact reconstruction."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from irtools.metrics import si_sdr
from irtools.nets import NETS, build, cae
from irtools.nets.compact_cae import band_membership
from irtools.nets.keras_defaults import start_like_keras
from irtools.nets.level import without_level
from irtools.nets.losses import negative_si_sdr
from irtools.nets.parameters import keras_parameters
from irtools.stft import stft


def draw(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def small_cae(**config):
    torch.manual_seed(0)
    return build("cae", **{"window_size": 64, "hop": 16, "channels": (3, 4), "bottleneck": 20} | config).eval()


def compact(**config):
    torch.manual_seed(0)
    return build("cae-compact", **{"window_size": 128, "hop": 32, "bands": 24, "hidden": 32, "bottleneck": 8} | config)


# By name


def test_a_net_of_another_name_is_refused():
    with pytest.raises(ValueError, match=r"name: expected one of cae, cae-compact, .*got 'wave-u-net'"):
        build("wave-u-net")
    with pytest.raises(TypeError, match="windowsize"):
        build("cae", windowsize=64)
    assert len(NETS) == len(list(NETS)) and "cae" in NETS


def test_parameters_are_counted_as_keras_counts():
    net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5))
    assert keras_parameters(net) == 3 * 5 + 5 + 4 * 5


def test_weights_start_within_the_bounds_of_glorot():
    layer = start_like_keras(torch.nn.Conv2d(8, 16, (1, 4)))
    bound = (6 / (8 * 4 + 16 * 4)) ** 0.5
    assert 0.9 * bound < layer.weight.abs().max() <= bound and layer.bias.abs().max() == 0


# The published autoencoder


def test_the_published_size_and_its_table():
    with torch.device("meta"):
        net = build("cae")
        assert keras_parameters(net) == 39_540_137
        assert keras_parameters(build("cae", n_conditions=4)) == 39_540_137 + 4 * 100
        values, shapes = torch.empty(2, 1, 3075), []
        for layer in net.encoder:
            values = layer(values)
            shapes.append(tuple(values.shape[1:]))
        assert shapes == 3 * [(32, 3074)] + 3 * [(64, 3073)]
        assert (net.narrow.in_features, net.narrow.out_features) == (196_672, 100)
        assert (net.widen.in_features, net.widen.out_features) == (100, 196_672)
        shapes = []
        for layer in net.decoder:
            values = layer(values)
            shapes.append(tuple(values.shape[1:]))
        assert shapes == 3 * [(32, 3074)] + 3 * [(1, 3075)]
        assert [type(layer).__name__ for layer in net.decoder] == 2 * ["ConvTranspose1d", "ReLU", "BatchNorm1d"]
        assert net(torch.empty(2, 3075)).shape == (2, 3075)


def test_forward_is_the_layers_in_plain_loops():
    net = small_cae(window_size=8, hop=2, channels=(2, 3), bottleneck=5).double()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            for values in (module.weight, module.bias, module.running_mean, module.running_var):
                values.data = torch.rand(values.shape, dtype=torch.float64) + 0.5
    weights = {name: value.detach().numpy() for name, value in net.state_dict().items()}

    def convolved(rows, layer):
        """(rows, channels in) to (rows - 1, channels out)."""
        out = np.zeros((len(rows) - 1, len(weights[f"{layer}.bias"])))
        for row, channel in itertools.product(range(len(out)), range(out.shape[1])):
            taps = weights[f"{layer}.weight"][channel]
            out[row, channel] = (taps.T * rows[row : row + 2]).sum() + weights[f"{layer}.bias"][channel]
        return out

    def spread(rows, layer):
        """(rows, channels in) to (rows + 1, channels out)."""
        out = np.zeros((len(rows) + 1, len(weights[f"{layer}.bias"]))) + weights[f"{layer}.bias"]
        for row, tap in itertools.product(range(len(rows)), range(2)):
            out[row + tap] += rows[row] @ weights[f"{layer}.weight"][:, :, tap]
        return out

    def normal(rows, layer):
        scale = weights[f"{layer}.weight"] / np.sqrt(weights[f"{layer}.running_var"] + 1e-3)
        return (np.maximum(rows, 0) - weights[f"{layer}.running_mean"]) * scale + weights[f"{layer}.bias"]

    frames = draw(15, dtype=torch.float64).abs()
    values = normal(convolved(frames.numpy()[:, None], "encoder.0"), "encoder.2")
    values = normal(convolved(values, "encoder.3"), "encoder.5")
    code = np.maximum(weights["narrow.weight"] @ values.reshape(-1) + weights["narrow.bias"], 0)
    values = np.maximum(weights["widen.weight"] @ code + weights["widen.bias"], 0).reshape(13, 3)
    values = normal(spread(values, "decoder.0"), "decoder.2")
    values = normal(spread(values, "decoder.3"), "decoder.5")
    assert np.allclose(net(frames[None]).detach().numpy()[0], values[:, 0])


@given(samples=st.integers(1, 600), context=st.sampled_from([1, 3, 5]))
def test_a_network_that_changes_nothing_gives_the_microphones_back(samples, context):
    net = small_cae(context=context)
    net.forward = lambda frames, stem=None: frames
    mics = draw(2, 3, samples, dtype=torch.float64)
    assert torch.allclose(net.reduce(mics).sources, mics, atol=1e-5)


def test_a_frame_is_the_mean_of_its_estimates_and_no_magnitude_is_negative():
    net = small_cae()
    mics = draw(1, 1, 16 * 40)
    spectra = stft(mics, 64, 16)
    by_place = torch.tensor([1.0, 2.0, 6.0]).repeat_interleave(33)
    net.forward = lambda frames, stem=None: frames * by_place
    found = stft(net.reduce(mics).sources, 64, 16)
    # The first frame is never the last of three, the last never the first.
    for frames, expected in ((slice(2, -2), 3.0), (slice(0, 1), 1.5), (slice(-1, None), 4.0)):
        kept = net._averaged(net._stacked(spectra.abs()) * by_place)[..., frames]
        assert torch.allclose(kept, expected * spectra.abs()[..., frames], atol=1e-5)
    assert torch.allclose(found[..., 8:-8], 3 * spectra[..., 8:-8], atol=1e-3)
    net.forward = lambda frames, stem=None: -frames
    assert net.reduce(mics).sources.abs().max() == 0


def test_every_stem_has_its_condition():
    net = small_cae(n_conditions=3)
    mics = draw(2, 3, 500)
    heard = []
    net.forward = lambda frames, stem: heard.append(stem) or frames
    net.reduce(mics)
    frames = 1 + 500 // 16
    assert torch.cat(heard).tolist() == 2 * [mic for mic in range(3) for _ in range(frames)]
    with pytest.raises(ValueError, match=r"mics: expected at most 3 \(one per stem\), got 4"):
        net.reduce(draw(1, 4, 500))
    fresh = small_cae(n_conditions=2).train()
    one = fresh(draw(1, 99).abs().repeat(2, 1), torch.tensor([0, 1]))
    assert not torch.allclose(one[0], one[1])


def test_how_many_frames_go_at_a_time_changes_nothing(monkeypatch):
    net, mics = small_cae(), draw(1, 2, 700)
    with torch.no_grad():
        expected = net.reduce(mics).sources
        monkeypatch.setattr(cae, "_ROWS_AT_ONCE", 7)
        assert torch.allclose(net.reduce(mics).sources, expected, atol=1e-6)


def test_the_published_loss_is_the_mean_square_error_of_magnitudes():
    net = small_cae()
    net.forward = lambda frames, stem=None: frames
    mics, references = draw(2, 2, 400), draw(2, 2, 400, seed=1)
    expected = 0
    for mic, reference in zip(mics, references, strict=True):
        rms = mic.square().mean().sqrt()
        errors = (stft(mic / rms, 64, 16).abs() - stft(reference / rms, 64, 16).abs()).square() / (0.375 * 64)
        # A frame is in three stacks, the first and the last in two, where zeros stand for the missing one.
        expected += (3 * errors.sum() - errors[..., [0, -1]].sum()) / (2 * 3 * errors[0].numel())
    assert torch.allclose(net.loss(mics, references), expected / 2, rtol=1e-4)


@pytest.mark.parametrize("change", [{"n_conditions": -1}, {"context": 2}, {"context": 0}])
def test_a_cae_that_cannot_be_is_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        small_cae(**change)


# The compact one


def test_the_compact_size():
    net = build("cae-compact")
    assert 500_000 < keras_parameters(net) < 1_500_000
    assert net.config["window_size"] == 2048 and net.sample_rate == 22050


@given(n_freqs=st.integers(3, 1025), n_bands=st.integers(1, 300))
def test_bands_share_out_the_frequencies(n_freqs, n_bands):
    bands = band_membership(n_freqs, n_bands)
    assert torch.equal(bands.sum(0), torch.ones(n_freqs)) and 1 <= len(bands) <= n_bands
    assert (bands.sum(1) > 0).all()
    # In order, without gaps.
    assert torch.equal(bands.argmax(0), bands.argmax(0).sort().values)


def test_the_usual_bands_are_narrow_first_and_rise():
    width = band_membership(1025, 256).sum(1)
    assert width[:128].max() == 1 and (width.diff() >= -1).all() and width[-1] > 10


@given(samples=st.integers(1, 600), context=st.sampled_from([1, 3]))
def test_an_open_mask_gives_the_microphones_back(samples, context):
    net = compact(context=context)
    net.forward = lambda rows: rows.new_ones(len(rows), len(net.membership))
    mics = draw(2, 3, samples, dtype=torch.float64)
    assert torch.allclose(net.reduce(mics).sources, mics, atol=1e-5)


def test_a_mask_is_on_the_middle_frame_and_knows_the_average():
    """The mask is what the rows hold in one place: the middle frame, compressed, band by band."""
    net = compact(bands=60)
    n_bands = len(net.membership)
    mics = draw(1, 2, 900) * torch.tensor([[1.0], [20.0]])
    spectra = stft(mics[0] / mics[0].square().mean(1, keepdim=True).sqrt(), 128, 32) * (0.375 * 128) ** -0.5
    amplitude = (net.membership @ spectra.abs().square() / net.membership.sum(1)[:, None]).sqrt()
    seen = {}
    for place, expected in ((1, amplitude), (3, amplitude.square().mean(2, keepdim=True).sqrt())):
        net.forward = lambda rows, place=place: seen.update(rows=rows[:, place * n_bands : (place + 1) * n_bands])
        with pytest.raises(AttributeError):
            net.reduce(mics)
        rows = seen["rows"].view(2, -1, n_bands).mT
        assert torch.allclose(rows, (1 + 10 * expected).log().expand_as(rows), atol=1e-4)


def test_microphones_do_not_see_each_other():
    net, mics = compact().eval(), draw(1, 3, 900)
    with torch.no_grad():
        together = net.reduce(mics * torch.tensor([1.0, 1e4, 0.0])[:, None]).sources
        assert torch.allclose(together[:, :1], net.reduce(mics[:, :1]).sources, atol=1e-5)
    assert together[:, 2].abs().max() == 0


def test_the_compact_published_loss_is_the_mean_square_error_of_magnitudes():
    net = compact(loss_stride=4)
    net.forward = lambda rows: rows.new_ones(len(rows), len(net.membership)) / 2
    mics, references = draw(2, 2, 700), draw(2, 2, 700, seed=1)
    rms = mics.square().mean(-1, keepdim=True).sqrt()
    errors = 0.5 * stft(mics / rms, 128, 32).abs() - stft(references / rms, 128, 32).abs()
    assert torch.allclose(net.loss(mics, references), errors[..., ::4].square().mean() / (0.375 * 128), rtol=1e-4)


def test_the_masks_of_the_loss_are_those_of_its_frames():
    net, spectra = compact().eval(), stft(draw(2, 700), 128, 32)
    with torch.no_grad():
        assert torch.allclose(net._masks(spectra, 4), net._masks(spectra)[..., ::4], atol=1e-6)


def test_a_few_steps_of_training_beat_the_start():
    """Low sources with high bleed, and the other way round: the average spectrum tells which."""
    net = compact().train()
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    time = torch.arange(2000) / 2000

    def batch(seed):
        generator = torch.Generator().manual_seed(seed)
        low, high = (
            torch.sin(2 * torch.pi * (f * (1 + 0.5 * torch.rand(4, 1, generator=generator)) * 2000) * time)
            * (torch.rand(4, 20, generator=generator) > 0.5).repeat_interleave(100, 1)
            for f in (0.05, 0.3)
        )
        sources = torch.stack([low, high], 1)
        return torch.tensor([[1.0, 0.4], [0.4, 1.0]]) @ sources, sources

    for seed in range(40):
        optimizer.zero_grad()
        net.loss(*batch(seed)).backward()
        optimizer.step()
    net.eval()
    mics, sources = batch(99)
    with torch.no_grad():
        assert (si_sdr(net.reduce(mics).sources, sources) - si_sdr(mics, sources)).mean() > 6


@pytest.mark.parametrize("change", [{"context": 2}, {"hidden": 0}, {"loss_stride": 0}])
def test_a_compact_cae_that_cannot_be_is_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        compact(**change)


# Both

BOTH = {"cae": small_cae, "cae-compact": compact}


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("samples", [1, 31, 1000])
def test_any_length_order_scale_and_silence(name, dtype, samples):
    net = BOTH[name]().eval()
    mics = draw(2, 3, samples, dtype=dtype)
    with torch.no_grad():
        found, again = net.reduce(mics), net.reduce(mics)
        assert found.gains is None and torch.equal(found.sources, again.sources)
        assert found.sources.shape == mics.shape and found.sources.dtype == dtype
        assert torch.isfinite(found.sources).all()
        assert torch.allclose(net.reduce(mics[:, [2, 0, 1]]).sources, found.sources[:, [2, 0, 1]], atol=1e-5)
        for scale in (3e-9, 7e6):
            assert torch.allclose(net.reduce(mics * scale).sources / scale, found.sources, atol=1e-5)
        assert net.reduce(torch.zeros_like(mics)).sources.abs().max() == 0


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("kind", ["published", "si-sdr"])
def test_every_parameter_learns(name, kind):
    net = BOTH[name]().train()
    references = draw(2, 3, 2000)
    references[1, 2] = 0
    loss = net.loss(references + 0.3 * draw(2, 3, 2000, seed=1), references, None, kind)
    assert loss.ndim == 0 and torch.isfinite(loss)
    loss.backward()
    for parameter_name, parameter in net.named_parameters():
        assert torch.isfinite(parameter.grad).all() and parameter.grad.abs().max() > 0, parameter_name


@pytest.mark.parametrize("name", BOTH)
def test_a_loss_of_another_name_is_refused(name):
    with pytest.raises(ValueError, match="kind: expected one of published, si-sdr, got 'l1'"):
        BOTH[name]().loss(torch.zeros(1, 2, 700), torch.zeros(1, 2, 700), kind="l1")


@pytest.mark.parametrize("name", BOTH)
def test_the_configuration_builds_the_same_net(name):
    net = BOTH[name]()
    again = build(name, **net.config)
    assert again.config == net.config
    again.load_state_dict(net.state_dict())


# What networks share


@given(scale=st.floats(-30, 12), samples=st.integers(1, 50))
def test_the_level_goes_out_and_comes_back(scale, samples):
    mics = draw(2, 3, samples) * 10**scale
    mics[1] = 0
    scaled, level = without_level(mics)
    assert torch.allclose(scaled * level, mics, rtol=1e-5, atol=0)
    assert torch.isclose(scaled[0].square().mean(), torch.tensor(1.0), rtol=1e-4)
    assert level[1] == 0 and scaled[1].abs().max() == 0


@given(noise=st.floats(0.2, 5), seed=st.integers(0, 99))
def test_the_loss_is_minus_the_si_sdr_between_its_limits(noise, seed):
    references = draw(2, 3, 400, seed=seed, dtype=torch.float64)
    estimates = 3 * references + noise * draw(2, 3, 400, seed=seed + 1, dtype=torch.float64)
    exact = -si_sdr(estimates, references).mean()
    assert torch.allclose(negative_si_sdr(estimates, references, limit_db=100), exact, atol=1e-4)
    assert abs(negative_si_sdr(estimates, references) - exact) < 0.5


def test_silent_references_do_not_count_and_nothing_is_infinite():
    references = draw(1, 3, 400)
    references[0, 1] *= 0.9e-3
    estimates = draw(1, 3, 400, seed=1).requires_grad_()
    two = [0, 2]
    assert torch.isclose(negative_si_sdr(estimates, references), negative_si_sdr(estimates[:, two], references[:, two]))
    for heard, truth in (
        (references, references),
        (0 * references, references),
        (references, 0 * references),
        (references * 1e-20, references * 1e-20),
    ):
        estimates = heard.clone().requires_grad_()
        loss = negative_si_sdr(estimates, truth)
        loss.backward()
        assert torch.isfinite(loss) and loss.abs() <= 40.01 and torch.isfinite(estimates.grad).all()
