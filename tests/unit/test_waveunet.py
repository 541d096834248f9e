"""Wave-U-Net and its training on clean, bled and cleaned stems."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from irtools.metrics.distortion import si_sdr
from irtools.nets.waveunet import PAPER, WaveUNet, low_pass, pass_sizes
from irtools.training import separation
from irtools.training.conditions import CONDITIONS, stage_scene, training_stems
from irtools.training.separation import (
    SeparationSettings,
    draw_excerpts,
    separation_loss,
    starting_network,
    train_separator,
)

TINY = {"channels": (8, 16, 16), "samples": 60}
QUICK = SeparationSettings(config=TINY, steps=6, batch=2)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network(**config):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return WaveUNet(**(TINY | config)).eval()


def without_normalisation(net):
    """Group normalisation sees a whole pass."""
    for layer in net.modules():
        if isinstance(layer, nn.Sequential):
            layer[1] = nn.Identity()
    return net


def tones():
    """Songs of two stems that a short filter tells apart."""
    time = torch.arange(2000)
    return [torch.stack([torch.sin(0.02 * time + n), torch.sin(2.6 * time + n)]) for n in range(3)]


# The network


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("difference", [False, True])
@pytest.mark.parametrize("n_stems", [2, 3, 5])
def test_one_waveform_per_stem(separate, difference, n_stems):
    net = network(separate=separate, difference=difference, n_stems=n_stems)
    stems = net(noise(2, net.input_samples))
    assert stems.shape == (2, n_stems, net.output_samples)
    assert len(net.networks) == (n_stems - difference if separate else 1)


@pytest.mark.parametrize("samples", [1, 59, 60, 61, 1234])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_mixture_of_any_length(samples, dtype):
    found = network().separate(noise(samples).to(dtype))
    assert found.shape == (4, samples) and found.dtype == dtype and found.isfinite().all()


def test_sizes_as_published_without_their_memory():
    with torch.device("meta"):
        net = WaveUNet(**PAPER)
        stems = net(torch.empty(1, net.input_samples))
    assert stems.shape == (1, 4, net.output_samples)
    assert net.output_samples >= 2 * 44100 and net.input_samples == net.output_samples + 2 * net.context


def test_parameters_as_published_are_those_of_the_layers():
    """Weights, biases, and scale and offset of the normalisation, layer by layer as the published code stacks them."""

    def layer(inputs, width):
        return 5 * inputs * width + 3 * width

    widths = PAPER["channels"]
    one = layer(1, 32) + sum(layer(width, width) for width in (64, 128, 256, 512))
    one += sum(layer(fine, coarse) for fine, coarse in itertools.pairwise(widths)) + layer(1024, 1024)
    one += sum(layer(coarse, fine) + layer(2 * fine, fine) for fine, coarse in itertools.pairwise(widths))
    one += 32 + 1
    with torch.device("meta"):
        counted = sum(each.numel() for each in WaveUNet(**PAPER).parameters())
    assert counted == 4 * one == 69_909_380


@settings(max_examples=30, deadline=None)
@given(
    samples=st.integers(1, 3000),
    levels=st.integers(2, 5),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.integers(2, 4),
    taps=st.sampled_from([3, 15]),
)
def test_sizes_of_a_pass_fit_at_every_level(samples, levels, kernel, stride, taps):
    read, given_samples = pass_sizes(samples, levels, kernel, stride, taps)
    assert given_samples >= samples and (read - given_samples) % 2 == 0
    size = read
    for _ in range(levels - 1):
        size -= 2 * (kernel - 1) + taps - 1
        assert size > 0 and (size - 1) % stride == 0
        size = (size - 1) // stride + 1
    assert size >= kernel


def test_the_context_suffices():
    """Without normalisation, which sees a whole pass, a short pass inside a long one gives the same samples."""
    short, long = (without_normalisation(network(samples=samples)) for samples in (60, 700))
    long.load_state_dict(short.state_dict())
    assert short.context == long.context and short.output_samples < long.output_samples
    mixture = noise(1, 1, long.input_samples)
    with torch.no_grad():
        whole = long.networks[0](mixture)
        for first in range(0, long.output_samples - short.output_samples, 4 * 4):
            part = short.networks[0](mixture[..., first : first + short.input_samples])
            torch.testing.assert_close(part, whole[..., first : first + short.output_samples], rtol=0, atol=1e-6)


def test_nothing_beyond_the_context_is_read():
    net = without_normalisation(network())
    mixture = noise(1, 1, net.input_samples).requires_grad_()
    net.networks[0](mixture)[..., 0].sum().backward()
    assert not mixture.grad[0, 0, 2 * net.context + 1 :].any() and mixture.grad.any()


@pytest.mark.parametrize("gain", [1e-6, 30.0])
def test_stems_scale_with_the_mixture_and_silence_stays(gain):
    net, mixture = network(), noise(500)
    torch.testing.assert_close(net.separate(gain * mixture) / gain, net.separate(mixture), rtol=1e-4, atol=1e-5)
    assert not net.separate(torch.zeros(500)).any()


def test_with_the_difference_stems_add_up_to_the_mixture():
    mixture = noise(333)
    torch.testing.assert_close(network(difference=True).separate(mixture).sum(0), mixture, rtol=0, atol=1e-5)
    assert (network().separate(mixture).sum(0) - mixture).abs().max() > 0.1


def test_every_parameter_has_a_gradient():
    net = network(separate=True, n_stems=2)
    separation_loss(net, noise(3, net.input_samples), noise(3, 2, net.output_samples)).backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in net.parameters())
    assert all(each.grad.any() for name, each in net.named_parameters() if name.endswith("0.weight"))


def test_the_low_pass_keeps_what_the_lower_rate_holds():
    net = network().networks[0]
    time = torch.arange(801)
    slow, fast = (torch.sin(2 * math.pi * f * time)[None, None] for f in (0.01, 0.3))
    assert net._decimate(fast).square().mean() < 1e-4 * fast.square().mean()
    back = net._interpolate(net._decimate(slow))
    border = (slow.shape[-1] - back.shape[-1]) // 2
    assert (back - slow[..., border:-border]).square().mean() < 0.02 * slow.square().mean()
    response = torch.fft.rfft(low_pass(15, 4)[0, 0], 1024).abs()
    assert response[0] == pytest.approx(1, abs=1e-6) and response[400:].max() < 0.02


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"kernel": 4}, "kernel: expected an odd"),
        ({"taps": 0}, "taps: expected an odd"),
        ({"channels": (8,)}, "channels: expected two levels"),
        ({"channels": (8, 12)}, "channels: expected two levels"),
        ({"n_stems": 1, "difference": True}, "n_stems: expected at least 2"),
        ({"stride": 1}, "stride: expected at least 2"),
        ({"samples": 0}, "samples: expected at least 1"),
    ],
)
def test_what_no_network_can_have(config, message):
    with pytest.raises(ValueError, match=message):
        WaveUNet(**(TINY | config))


@pytest.mark.parametrize("mixture", [torch.zeros(0), torch.zeros(2, 9), torch.tensor([0.0, math.nan])])
def test_what_is_no_mixture(mixture):
    with pytest.raises(ValueError, match="mixture: expected"):
        network().separate(mixture)


# Its training


def test_training_learns_and_leaves_the_songs():
    songs = tones()
    kept = [song.clone() for song in songs]
    settings = SeparationSettings(config=TINY, steps=60, batch=4)
    trained = train_separator(songs, settings)
    mixture = songs[0].sum(0)
    after = si_sdr(trained.net.separate(mixture), songs[0]).mean()
    before = si_sdr(starting_network(settings, 2).eval().separate(mixture), songs[0]).mean()
    assert after > max(before, 0) + 6 and trained.losses[-1] < 0.5 * trained.losses[0]
    assert all(torch.equal(*pair) for pair in zip(songs, kept, strict=True))


def test_a_seed_gives_the_same_bits_and_another_others():
    first, again, other = (train_separator(tones(), replace(QUICK, seed=seed)) for seed in (1, 1, 2))
    assert first.losses == again.losses != other.losses
    assert all(torch.equal(value, again.net.state_dict()[name]) for name, value in first.net.state_dict().items())


def test_conditions_share_the_start_and_the_excerpts():
    """Twice as loud stems: twice the excerpts, from the same places with the same gains."""
    songs, net = tones(), starting_network(QUICK, 2)
    mixtures, stems = draw_excerpts(songs, net, QUICK, 3)
    louder, _ = draw_excerpts([2 * song for song in songs], net, QUICK, 3)
    torch.testing.assert_close(louder, 2 * mixtures)
    assert (draw_excerpts(songs, net, QUICK, 4)[0] - mixtures).abs().max() > 0.1
    middle = mixtures[:, net.context : net.context + net.output_samples]
    torch.testing.assert_close(stems.sum(1), middle)


def test_an_interrupted_run_goes_on_as_if_it_were_not(tmp_path, monkeypatch):
    whole, steps, draw = train_separator(tones(), QUICK), [], separation.draw_excerpts

    def drawing(songs, net, settings, step):
        steps.append(step)
        if len(steps) == 5:
            raise KeyboardInterrupt
        return draw(songs, net, settings, step)

    monkeypatch.setattr(separation, "draw_excerpts", drawing)
    monkeypatch.setattr(separation, "_CHECKPOINT_EVERY", 2)
    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        train_separator(tones(), QUICK, checkpoint=path)
    steps.clear()
    resumed = train_separator(tones(), QUICK, checkpoint=path)
    assert resumed.losses == whole.losses and steps == [4, 5]
    assert all(torch.equal(value, whole.net.state_dict()[name]) for name, value in resumed.net.state_dict().items())
    with pytest.raises(ValueError, match="run of other settings"):
        train_separator(tones(), replace(QUICK, seed=5), checkpoint=path)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="cannot be read"):
        train_separator(tones(), QUICK, checkpoint=path)


def test_songs_that_are_silent_or_shorter_than_a_pass():
    trained = train_separator([torch.zeros(3, 500), noise(3, 7)], QUICK)
    assert all(math.isfinite(loss) for loss in trained.losses)


def test_the_loss_is_a_mean_over_excerpts_at_equal_levels():
    net = starting_network(QUICK, 2)
    mixtures, stems = noise(2, net.input_samples), noise(2, 2, net.output_samples, seed=1)
    gains = torch.tensor([1.0, 1e-3])
    even = separation_loss(net, mixtures, stems)
    torch.testing.assert_close(separation_loss(net, gains[:, None] * mixtures, gains[:, None, None] * stems), even)


def test_songs_and_settings_that_cannot_be():
    with pytest.raises(ValueError, match="songs: expected"):
        train_separator([], QUICK)
    with pytest.raises(ValueError, match="songs: expected"):
        train_separator([noise(2, 900), noise(3, 900)], QUICK)
    with pytest.raises(ValueError, match="steps: expected at least 1"):
        replace(QUICK, steps=0)
    with pytest.raises(ValueError, match="learning_rate: expected a positive number, got nan"):
        replace(QUICK, learning_rate=math.nan)
    with pytest.raises(FloatingPointError, match="step 1: expected a finite loss"):
        train_separator([torch.full((2, 900), 1e30)], QUICK)


# The stems it is trained on


@pytest.mark.parametrize("stage", ["linear", "room"])
def test_a_song_has_one_stage(stage):
    stems = noise(4, 4000)
    first, again, other = (stage_scene(stems, 8000, song, stage) for song in (3, 3, 4))
    assert torch.equal(first.mics, again.mics) and not torch.equal(first.mics, other.mics)
    assert torch.equal(training_stems(first, "clean"), first.references)
    assert torch.equal(training_stems(first, "bled"), first.mics)


def test_bleed_is_as_high_as_published():
    for song in range(6):
        scene = stage_scene(noise(4, 4000, seed=song), 8000, song)
        assert 0 <= scene.details["interference"]["target_db"] <= 10
        assert torch.equal(scene.references, scene.sources)


@pytest.mark.parametrize("condition", CONDITIONS[2:])
def test_cleaned_stems_are_what_the_method_makes_of_the_microphones(condition):
    stems = noise(4, 8000) * torch.rand(4, 8, generator=torch.Generator().manual_seed(1)).repeat_interleave(1000, 1)
    scene = stage_scene(stems, 8000, 1)
    found = training_stems(scene, condition)
    assert found.shape == stems.shape and found.isfinite().all()
    assert not torch.equal(found, scene.mics) and not torch.equal(found, scene.references)


def test_unknown_conditions_and_stages():
    scene = stage_scene(noise(2, 800), 8000, 1)
    with pytest.raises(ValueError, match="condition: expected one of clean, bled, kamir"):
        training_stems(scene, "dirty")
    with pytest.raises(ValueError, match="stage: expected one of linear, room"):
        stage_scene(noise(2, 800), 8000, 1, "hall")
