"""Trained networks as methods: any length and rate, the band above the network, which microphones it hears."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import irtools as ir
from irtools.methods.networks import reduction as network_reduction
from irtools.methods.separator import Recording
from irtools.nets import build, pretrained
from irtools.nets.estimate import Estimate
from irtools.nets.inverse import own_mic_images

METHODS = ("cae", "tunet", "dfunet", "dfunet-gat")
cae, tunet, dfunet = (partial(ir.reduce, method=name) for name in ("cae", "tunet", "dfunet"))
SMALL = {
    "cae": ("cae", {"window_size": 64, "hop": 16, "channels": [2, 2], "bottleneck": 4}),
    "tunet": ("tunet-pairs", {"hidden": 4, "tiles": 64}),
    "dfunet": ("dfunet", {"channels": [4, 4], "window_size": 256, "hop": 64}),
    "dfunet-gat": ("dfunet", {"channels": [4, 4], "window_size": 256, "hop": 64, "graph": "frames"}),
}
CARD = {"net": "dfunet", "config": {}, "sha256": "0"}


class Toy(nn.Module):
    """Estimates that are a function of the microphones at 22050 Hz."""

    sample_rate = 22050

    def __init__(self, function, gains=None, **config):
        super().__init__()
        self.function, self.gains, self.config = function, gains, config
        self.seen = []

    def reduce(self, mics):
        self.seen.append(mics.clone())
        return Estimate(self.function(mics), None if self.gains is None else self.gains[None])


def demixing(gains):
    """The network that knows Λ."""
    return Toy(lambda mics: own_mic_images(gains, mics, 0.01), gains, floor=0.01)


@pytest.fixture
def use(monkeypatch):
    """``use(net)`` makes it the weights of every method."""

    def use(net):
        monkeypatch.setattr(network_reduction, "load", lambda weights: net)
        monkeypatch.setattr(network_reduction, "read_card", lambda weights: CARD)
        return net

    return use


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Untrained weights of each method."""
    folder, paths = tmp_path_factory.mktemp("weights"), {}
    for method, (net, config) in SMALL.items():
        torch.manual_seed(1)
        paths[method] = pretrained.save(build(net, **config), folder / f"{method}.safetensors", {"net": net})
    return paths


def music(n=3, samples=30000, seed=0, dtype=torch.float32):
    draws = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(n, samples, generator=draws, dtype=torch.float64).to(dtype)


# Rates and lengths


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 96000, None])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_network_that_does_nothing_changes_nothing_at_any_rate(use, rate, dtype):
    use(Toy(lambda mics: mics))
    mics = music(dtype=dtype) + 0.05
    found = dfunet(mics, rate, window_seconds=0.3, overlap_seconds=0.1)
    assert found.sources.dtype == dtype and torch.allclose(found.sources, mics, atol=1e-6)
    assert found.gains is None and found.method == "dfunet"


@given(st.integers(1, 6000), st.floats(0.01, 0.2), st.floats(0, 0.5), st.sampled_from([8000, 22050, 44100]))
@settings(max_examples=40, deadline=None)
def test_any_length_in_any_windows(samples, window_seconds, share, rate):
    net = Toy(lambda mics: 0.5 * mics)
    mics = music(2, samples)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network_reduction, "load", lambda weights: net)
        patch.setattr(network_reduction, "read_card", lambda weights: CARD)
        found = dfunet(mics, rate, window_seconds=window_seconds, overlap_seconds=share * window_seconds)
    assert torch.allclose(found.sources, 0.5 * mics, atol=1e-6)
    longest = max(seen.shape[-1] for seen in net.seen) / 22050
    # The last window has up to one and a half of the length.
    assert longest <= 1.5 * window_seconds + 2 / rate + 2 / 22050


@pytest.mark.parametrize("rate", [22050, 44100])
def test_windows_fade_into_each_other(use, rate):
    """Each window is told apart by its sign: in the middle of an overlap both count the same."""
    net = use(Toy(lambda mics: mics * (-1) ** len(net.seen)))
    mics = torch.ones(2, 3 * rate)
    found = dfunet(mics, rate, window_seconds=1.0, overlap_seconds=0.25).sources[0]
    centres = [round((0.75 * n + 0.125) * rate) for n in (1, 2)]
    assert all(abs(found[centre]) < 0.01 for centre in centres)
    assert torch.allclose(found[rate // 10 : rate // 2].abs(), torch.ones(()), atol=0.01)
    # No click; the filter of the resampling leaves a ripple of 0.001.
    assert found[rate // 10 : -rate // 10].diff().abs().max() < 0.005


def test_the_network_sees_its_own_rate_without_aliases(use):
    net = use(Toy(lambda mics: mics))
    times = torch.arange(44100) / 44100
    mics = torch.stack([torch.sin(2 * torch.pi * 1000 * times), torch.sin(2 * torch.pi * 15000 * times)])
    found = dfunet(mics, 44100)
    low, high = net.seen[0][0, :, 1000:-1000]
    expected = torch.sin(2 * torch.pi * 1000 * torch.arange(22050) / 22050)[1000:-1000]
    assert (low - expected).abs().max() < 0.01 and high.abs().max() < 0.01
    assert torch.allclose(found.sources, mics, atol=1e-6)
    said = found.details["resampling"]
    assert "44100 Hz to 22050 Hz and back" in said and "above 11025 Hz" in said


def test_a_recording_at_the_rate_of_the_network_is_not_resampled(use):
    net, mics = use(Toy(lambda mics: 2 * mics)), music()
    found = dfunet(mics, 22050)
    assert torch.allclose(net.seen[0][0], mics / mics.abs().max()) and torch.allclose(found.sources, 2 * mics)
    assert found.details["resampling"] == "none"


# Above the band of the network


@pytest.mark.parametrize("rate", [44100, 48000])
def test_the_band_above_is_attenuated_as_the_octave_below(use, rate):
    def closing(mics):
        return mics * (torch.arange(mics.shape[-1]) < mics.shape[-1] // 2)

    use(Toy(closing))
    mics = music(2, 2 * rate)
    found = dfunet(mics, rate).sources
    assert torch.allclose(found[:, : rate - rate // 10], mics[:, : rate - rate // 10], atol=1e-3)
    assert found[:, rate + rate // 10 :].abs().max() < 0.01 * mics.abs().max()
    # A network is not made to amplify what it does not see.
    use(Toy(lambda mics: 3 * mics))
    spectrum = torch.fft.rfft(dfunet(mics, rate).sources) / torch.fft.rfft(mics)
    hertz = torch.arange(spectrum.shape[1]) / 2
    gain = spectrum[0].abs()
    assert (gain[(hertz > 100) & (hertz < 9000)].median() - 3).abs() < 0.01
    assert (gain[hertz > 13000].median() - 1).abs() < 0.01


def test_the_octave_below_counts_and_not_the_bass(use):
    """A network that takes out everything above 5 kHz leaves nothing above 11 kHz either, however loud the bass."""

    def low_pass(mics):
        spectra = torch.fft.rfft(mics)
        spectra[..., round(5000 / 11025 * (spectra.shape[-1] - 1)) :] = 0
        return torch.fft.irfft(spectra, mics.shape[-1])

    use(Toy(low_pass))
    times = torch.arange(44100) / 44100
    mics = music(2, 44100) + torch.sin(2 * torch.pi * 100 * times)
    spectra = torch.fft.rfft(dfunet(mics, 44100).sources)
    before = torch.fft.rfft(mics)
    assert spectra[:, 13000:].norm() < 0.1 * before[:, 13000:].norm()
    assert (spectra[:, 100] / before[:, 100] - 1).abs().max() < 0.02


def test_nothing_in_the_octave_below_is_no_reason_to_let_through_what_is_above(use):
    use(Toy(lambda mics: 0.25 * mics))
    times = torch.arange(44100) / 44100
    tones = [torch.sin(2 * torch.pi * hertz * times) for hertz in (200, 15000)]
    found = dfunet(torch.stack([sum(tones), tones[0]]), 44100)
    assert (found.sources[0] - 0.25 * sum(tones))[2000:-2000].abs().max() < 0.01


@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_known_matrix_demixes_all_frequencies(use, rate):
    gains = torch.tensor([[1.0, 0.4, 0.1], [0.2, 0.8, 0.3], [0.1, 0.2, 1.0]])
    sources = music(3, rate)
    use(demixing(gains))
    found = dfunet(gains @ sources, rate, window_seconds=0.5, overlap_seconds=0.1)
    assert torch.allclose(found.sources, gains.diagonal()[:, None] * sources, atol=1e-5)
    assert torch.allclose(found.gains, gains)


def test_the_gains_of_windows_are_averaged_by_their_length(use):
    net = use(Toy(lambda mics: mics, floor=0.01))
    net.reduce = lambda mics: Estimate(mics, torch.full((1, 2, 2), float(mics.shape[-1])))
    found = dfunet(music(2, 2900), 22050, window_seconds=1000 / 22050, overlap_seconds=0)
    lengths = torch.tensor([1000.0, 1000.0, 900.0])
    assert found.gains[0, 0].item() == pytest.approx((lengths.square().sum() / lengths.sum()).item())


# Which microphones


def test_only_close_microphones_are_heard_in_the_order_of_the_sources(use):
    net, mics = use(Toy(lambda mics: mics)), music(4)
    found = dfunet(mics, 22050, assignment=[2, 0])
    assert torch.allclose(found.sources, mics[[2, 0]]) and net.seen[0].shape[1] == 2
    assert dfunet(mics, 22050, n_sources=3).sources.shape[0] == 3


def test_gains_of_a_microphone_that_is_nobodys_close_one(use):
    gains = torch.tensor([[0.3, 0.8], [0.5, 0.6], [1.0, 0.25]])
    sources = music(2, 80000)
    use(demixing(gains[[2, 0]]))
    found = dfunet(gains @ sources, 22050, assignment=[2, 0])
    assert torch.allclose(found.gains, gains, atol=1e-4)
    assert torch.allclose(found.sources, gains[[2, 0]].diagonal()[:, None] * sources, atol=1e-5)


@pytest.mark.parametrize("rate", [22050, 44100])
def test_a_single_source_is_its_microphone(use, rate):
    net, mics = use(demixing(torch.eye(1))), music(3)
    found = dfunet(mics, rate, assignment=[1])
    assert torch.equal(found.sources, mics[1:2]) and not net.seen
    assert found.gains.shape == (3, 1) and found.gains[1] == 1 and found.gains[[0, 2]].abs().max() < 0.05


def test_the_band_above_follows_the_level_below_within_about_fifty_milliseconds():
    """Noise that is let through, and from the middle on removed: the ratio falls from 1 to 0 around there."""
    before = torch.randn(1, 22050, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    after = before.clone()
    after[:, 11025:] = 0
    ratio = network_reduction._level_ratio(after, before, 22050, 44100, 44100)[0]
    falling = ((ratio < 0.9) & (ratio > 0.1)).nonzero().flatten()
    assert ratio[:20000].min() > 0.99 and ratio[24000:].max() < 0.01
    assert 0.02 < (falling[-1] - falling[0]) / 44100 < 0.06 and abs(falling.double().mean() / 44100 - 0.5) < 0.015


# The four methods


@pytest.mark.parametrize("method", METHODS)
def test_any_level_and_silence(method, weights):
    reduce = partial(ir.reduce, method=method)
    mics = music(samples=12000)
    found = reduce(mics, 44100, weights=weights[method]).sources
    scale = found.abs().max()
    for factor in (1e-6, 1e6):
        scaled = reduce(factor * mics, 44100, weights=weights[method]).sources
        assert (scaled / factor - found).abs().max() < 1e-4 * scale
    assert not reduce(0 * mics, 44100, weights=weights[method]).sources.any()
    tiny = reduce(1e-300 * mics.double(), 44100, weights=weights[method]).sources
    assert (tiny * 1e300 - found).abs().max() < 1e-4 * scale


@pytest.mark.parametrize("method", METHODS)
def test_microphones_in_another_order_give_sources_in_that_order(method, weights):
    reduce = partial(ir.reduce, method=method)
    mics, order = music(samples=8000), [2, 0, 1]
    found = reduce(mics, 44100, weights=weights[method])
    permuted = reduce(mics[order], 44100, weights=weights[method])
    assert torch.allclose(permuted.sources, found.sources[order], atol=1e-5)
    if found.gains is not None:
        assert torch.allclose(permuted.gains, found.gains[order][:, order], atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_recording_in_pieces_is_reduced_with_one_network(method, weights, monkeypatch):
    loads, load = [], pretrained.load
    monkeypatch.setattr(network_reduction, "load", lambda name: loads.append(name) or load(name))
    mics = torch.cat([music(seed=seed, samples=3000) for seed in range(3)], dim=1)

    def read(start, end):
        raise AssertionError("nothing of the recording is needed to load a network")

    cuts = [(0, 3000), (3000, 6000), (6000, 9000)]
    recording = Recording(len(mics), 9000, 8000, read, cuts)
    options = {"weights": weights[method], "overlap_seconds": 0.05, "window_seconds": 0.2, "assignment": [2, 0]}
    separator = ir.METHODS[method].learn(recording, **options)
    assert separator.close_mics == [2, 0] and separator.overlap == 400
    found = [separator.reduce(mics[:, a:b]) for a, b in cuts]
    assert len(loads) == 1
    for (a, b), ours in zip(cuts, found, strict=True):
        assert torch.equal(ours.sources, ir.reduce(mics[:, a:b], 8000, method, **options).sources)
    assert separator.details["weights"] == str(weights[method]) and len(separator.details["sha256"]) == 64


BAD_OPTIONS = {
    "another network": ("cae", {"weights": "dfunet"}, "weights: expected those of cae or cae-compact, got .*dfunet"),
    "no graph": ("dfunet-gat", {"weights": "dfunet"}, "weights: expected a dfunet with a graph"),
    "a graph": ("dfunet", {"weights": "dfunet-gat"}, "weights: expected a dfunet without a graph"),
    "not shipped": ("dfunet", {"weights": "none"}, "weights: expected a path that ends in"),
    "no window": ("dfunet", {"window_seconds": 0}, "window_seconds: expected a positive number"),
    "no number": ("dfunet", {"window_seconds": "long"}, "window_seconds: expected a number"),
    "more than half": ("dfunet", {"overlap_seconds": 20}, "overlap_seconds: expected 0 to 15 .*half"),
    "negative": ("dfunet", {"overlap_seconds": -1}, "overlap_seconds: expected 0 to 15 .*half"),
    "sources": ("dfunet", {"n_sources": 3}, "n_sources: expected 1 to 2"),
    "unknown": ("dfunet", {"chunks": 3}, "chunks"),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_options_are_refused_by_name(case, weights):
    method, options, words = BAD_OPTIONS[case]
    name = options.get("weights", "dfunet")
    error = TypeError if case in ("unknown", "no number") else ValueError
    with pytest.raises(error, match=words):
        ir.reduce(music(2, 100), 8000, method, **options | {"weights": weights.get(name, name)})


def test_weights_for_another_number_of_microphones(tmp_path):
    four = build("tunet", samples=800, channels=(2, 2), dense=(4,))
    path = pretrained.save(four, tmp_path / "four.safetensors", {"net": "tunet"})
    assert tunet(music(4, 900), 22050, weights=path).gains.shape == (4, 4)
    with pytest.raises(ValueError, match=r"mics: the weights .*four.* take 4 close microphones, got 3"):
        tunet(music(3, 900), 22050, weights=path)
    two = build("cae", n_conditions=2, **SMALL["cae"][1])
    path = pretrained.save(two, tmp_path / "two.safetensors", {"net": "cae"})
    assert cae(music(2, 900), 22050, weights=path).sources.shape == (2, 900)
    with pytest.raises(ValueError, match=r"mics: the weights .*two.* take at most 2 close microphones, got 3"):
        cae(music(3, 900), 22050, weights=path)


def test_nothing_is_learned_and_nothing_is_changed(weights):
    mics = music(2, 2000)
    before = mics.clone().requires_grad_()
    found = dfunet(before, 44100, weights=weights["dfunet"]).sources
    assert not found.requires_grad and torch.equal(before, mics)
