"""Both dfUNets: as published, with its graph attention, and ours, which any number of microphones share."""

import math
from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import leaky_relu

from irtools.nets import build
from irtools.nets.dfunet import DFUNet
from irtools.nets.graph import MicAttention
from irtools.nets.mic_unet import MicUNet
from irtools.nets.other_mics import PooledOthers, max_of_others, mean_of_others
from irtools.nets.parameters import keras_parameters
from irtools.nets.published_dfunet import PublishedDFUNet
from irtools.nets.published_gat import PublishedGAT, all_pairs_attention, tied_attention

SMALL = {"channels": (8, 8, 12), "stride": 4, "window_size": 256, "hop": 64}
CASES = [(None, "stft"), ("frames", "stft"), (None, "waveform"), ("frames", "waveform")]
PUBLISHED = [None, "all-ones", "similarity"]


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@torch.enable_grad()
def started(net, steps=3):
    """A network after a few steps, so that nothing is at its initial value."""
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for step in range(steps):
        mics, references = noise(2, 4, 1600, seed=step), noise(2, 4, 1600, seed=step + 9)
        optimizer.zero_grad()
        net.loss(mics + references, references, kind="si-sdr").backward()
        optimizer.step()
    return net.eval()


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(map(str, case)))
def ours(request):
    torch.manual_seed(1)
    graph, front = request.param
    return started(DFUNet(graph=graph, front=front, **SMALL))


@pytest.fixture(scope="module", params=PUBLISHED, ids=str)
def published(request):
    torch.manual_seed(1)
    return PublishedDFUNet(graph=request.param, samples=320, dilate_mics=False).eval()


# Ours


@torch.no_grad()
@pytest.mark.parametrize("n_mics", [1, 2, 5])
@pytest.mark.parametrize("samples", [1, 63, 1000])
def test_any_length_and_any_number_of_microphones(ours, n_mics, samples):
    found = ours.reduce(noise(2, n_mics, samples))
    assert found.sources.shape == (2, n_mics, samples) and found.gains is None
    assert found.sources.isfinite().all()


@torch.no_grad()
@settings(max_examples=5, deadline=None)
@given(order=st.permutations(range(5)))
def test_permuting_the_microphones_permutes_the_sources(ours, order):
    mics = noise(1, 5, 1200)
    permuted = ours.reduce(mics[:, order]).sources
    torch.testing.assert_close(permuted, ours.reduce(mics).sources[:, order], rtol=0, atol=2e-5)


@torch.no_grad()
def test_each_microphone_hears_the_others(ours):
    mics = noise(1, 3, 1200)
    louder = mics * torch.tensor([1.0, 1.0, 3.0])[:, None]
    before, after = (ours.reduce(each).sources[:, :2] for each in (mics, louder))
    assert (before - after).abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("gain", [1e-9, 0.3, 7e8])
def test_estimates_scale_with_the_recording(ours, gain):
    mics = noise(1, 3, 1500)
    torch.testing.assert_close(ours.reduce(gain * mics).sources / gain, ours.reduce(mics).sources, rtol=0, atol=2e-5)


@torch.no_grad()
def test_silence_stays_silence(ours):
    mics = noise(2, 3, 1000)
    mics[0], mics[1, 2] = 0, 0
    found = ours.reduce(mics).sources
    assert not found[0].any() and not found[1, 2].any() and found[1, :2].any()


@torch.no_grad()
def test_recordings_of_a_batch_do_not_mix(ours):
    mics = noise(3, 2, 900) * torch.tensor([1.0, 30.0, 0.01])[:, None, None]
    together = ours.reduce(mics).sources
    for alone, found in zip(mics, together, strict=True):
        torch.testing.assert_close(ours.reduce(alone[None]).sources[0], found, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_two_calls_give_the_same_bits_and_leave_the_input(ours):
    mics = noise(1, 3, 1000)
    kept = mics.clone()
    assert torch.equal(ours.reduce(mics).sources, ours.reduce(mics).sources) and torch.equal(mics, kept)


@torch.no_grad()
def test_dtype_follows_the_input(ours):
    mics = noise(1, 2, 700)
    found = ours.reduce(mics.double()).sources
    assert found.dtype == torch.float64
    torch.testing.assert_close(found.float(), ours.reduce(mics).sources, rtol=0, atol=1e-5)
    assert deepcopy(ours).double().reduce(mics).sources.dtype == torch.float32


@pytest.mark.parametrize("kind", ["published", "si-sdr"])
@pytest.mark.parametrize(("graph", "front"), CASES)
def test_every_parameter_gets_a_gradient(graph, front, kind):
    torch.manual_seed(0)
    net = DFUNet(graph=graph, front=front, **SMALL)
    net.loss(noise(2, 3, 1600), noise(2, 3, 1600, seed=1), kind=kind).backward()
    assert [name for name, each in net.named_parameters() if each.grad is None or not each.grad.any()] == []


@torch.no_grad()
def test_an_untrained_mask_is_one_of_the_ratio_to_the_others():
    """Where training starts, a lone microphone comes through and one of two equal microphones does not quite."""
    net = DFUNet(**SMALL).eval()
    net.front.out.weight.zero_()
    mics = noise(1, 1, 2000)
    torch.testing.assert_close(net.reduce(mics).sources, mics, rtol=0, atol=1e-4)
    twice = mics.repeat(1, 2, 1)
    torch.testing.assert_close(net.reduce(twice).sources, twice * torch.tensor(1.6).sigmoid(), rtol=0, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("front", ["stft", "waveform"])
def test_nothing_follows_the_last_layer(front):
    """Flipping the sign of the input flips that of masked spectra; a changed waveform reaches both signs in full."""
    net = started(DFUNet(front=front, **SMALL))
    mics = noise(1, 2, 1500)
    found = net.reduce(mics).sources
    if front == "stft":
        torch.testing.assert_close(net.reduce(-mics).sources, -found, rtol=0, atol=1e-5)
    carrier, features = net.front.analyse(mics)
    features = net.body(features)
    if front == "waveform":
        change = [net.front.synthesise(carrier, sign * features) - mics for sign in (1, -1)]
        torch.testing.assert_close(change[0], -change[1], rtol=0, atol=1e-6)


def test_sources_of_fewer_than_all_microphones_are_the_first():
    net = DFUNet(**SMALL).eval()
    mics, references = noise(1, 3, 900), noise(1, 2, 900, seed=1)
    expected = (net.reduce(mics).sources[:, :2] - references).square().mean()
    torch.testing.assert_close(net.loss(mics, references, kind="published"), expected)


@pytest.mark.parametrize(
    ("argument", "config"), [("graph", {"graph": "all"}), ("front", {"front": "mel"}), ("kind", {})]
)
def test_values_that_do_not_exist_are_named(argument, config):
    with pytest.raises(ValueError, match=f"^{argument}: expected"):
        DFUNet(**config).loss(noise(1, 2, 100), noise(1, 2, 100), kind="l1")


def test_the_configuration_makes_the_same_network():
    for name in ("dfunet", "dfunet-paper"):
        net = build(name, graph=None)
        again = build(name, **net.config)
        shapes = [{key: value.shape for key, value in each.state_dict().items()} for each in (net, again)]
        assert again.config == net.config and shapes[0] == shapes[1] and net.sample_rate == 22050


@torch.no_grad()
@pytest.mark.parametrize("path", ["skip", "depth"])
def test_either_path_of_the_u_net_alone_carries_the_recording(path):
    net = MicUNet(3, (4, 6), (3, 3), (2, 1), PooledOthers).eval()
    if path == "skip":
        net.narrow[0].weight.zero_()
    else:
        net.up[0].register_forward_pre_hook(lambda module, args: (args[0] - skips[-1],))
    skips = []
    net.exchange[0].register_forward_hook(lambda module, args, output: skips.append(output.flatten(0, 1)))
    first, second = (net(noise(1, 2, 3, 9, 5, seed=seed)) for seed in range(2))
    assert (first - second).abs().max() > 1e-4


# What microphones tell each other


@given(st.integers(1, 6), st.integers(0, 99))
def test_mean_and_maximum_over_the_others(n_mics, seed):
    values = noise(2, n_mics, 3, seed=seed)
    for k in range(n_mics):
        others = values[:, [j for j in range(n_mics) if j != k]]
        mean = others.mean(1) if n_mics > 1 else torch.zeros(2, 3)
        largest = others.amax(1) if n_mics > 1 else torch.zeros(2, 3)
        torch.testing.assert_close(mean_of_others(values)[:, k], mean, rtol=0, atol=1e-5)
        assert torch.equal(max_of_others(values)[:, k], largest)


@torch.no_grad()
@pytest.mark.parametrize("n_mics", [1, 4])
def test_rows_of_attention_sum_to_one(n_mics):
    net = started(DFUNet(graph="frames", **SMALL))
    edges = net.attention(noise(2, n_mics, 1500))
    assert edges.shape == (2, n_mics, n_mics) and (edges >= 0).all()
    torch.testing.assert_close(edges.sum(-1), torch.ones(2, n_mics))
    torch.testing.assert_close(net.attention(5 * noise(2, n_mics, 1500)), edges)


@torch.no_grad()
def test_attention_is_a_weighted_sum_over_microphones():
    """Against loops over nodes, from the equations."""
    torch.manual_seed(0)
    layer = MicAttention(8)
    features = noise(1, 3, 8, 5, 4)
    told = {
        name: torch.einsum("oi,kirt->kort", getattr(layer, name).weight[:, :, 0, 0], features[0])
        for name in ("query", "key", "value")
    }
    expected = features[0].clone()
    for t in range(4):
        for k in range(3):
            query, keys = told["query"][k, ..., t], told["key"][..., t]
            alike = torch.stack([(query * key).sum() for key in keys])
            weights = (alike / math.sqrt(query.numel())).exp()
            heard = torch.einsum("j,jcr->cr", weights / weights.sum(), told["value"][..., t])
            expected[k, ..., t] += layer.hear.weight[:, :, 0, 0] @ heard
    torch.testing.assert_close(layer(features)[0], expected)


def test_a_network_without_a_graph_has_no_attention():
    with pytest.raises(ValueError, match=r"^graph: expected a network with"):
        DFUNet(**SMALL).attention(noise(1, 2, 100))


# As published


@pytest.mark.parametrize(("graph", "count"), [(None, 3_859_793), ("all-ones", 3_876_561), ("similarity", 3_855_793)])
def test_as_many_parameters_as_published(graph, count):
    with torch.device("meta"):
        assert keras_parameters(PublishedDFUNet(graph=graph)) == count


def same_by_loops(values, weight, bias, dilation):
    """Keras' "same", a tap at a time: of an odd number of rows of padding, the smaller half comes first."""
    rows, columns = values.shape[1:]
    out = bias[:, None, None].expand(-1, rows, columns).clone()
    before = [3 * step // 2 for step in dilation]
    for i in range(4):
        for j in range(4):
            for row in range(rows):
                for column in range(columns):
                    y, x = row + i * dilation[0] - before[0], column + j * dilation[1] - before[1]
                    if 0 <= y < rows and 0 <= x < columns:
                        out[:, row, column] += weight[:, :, i, j] @ values[:, y, x]
    return out


@torch.no_grad()
@pytest.mark.parametrize("level", range(4))
def test_convolutions_are_padded_as_in_keras(level):
    net = PublishedDFUNet(samples=32)
    layer = net.down[level][0]
    values = noise(layer.in_channels, 4, 21)
    expected = same_by_loops(values, layer.weight, noise(layer.out_channels), layer.dilation)
    layer.bias.copy_(noise(layer.out_channels))
    torch.testing.assert_close(layer(values[None])[0], expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("stride", [1, 2])
def test_a_transposed_convolution_is_the_adjoint_of_a_convolution_of_that_stride(stride):
    """Keras crops it by what its convolution of a signal of the longer length pads."""
    net = PublishedDFUNet(samples=32)
    layer = net.up[0 if stride == 1 else 1].rise[0]
    layer.bias.zero_()
    values, other = noise(1, layer.in_channels, 4, 9), noise(1, layer.out_channels, 4, 9 * stride, seed=1)
    raised = layer(values)
    before = (1, 2, 1, 2) if stride == 1 else (1, 1, 1, 2)
    lowered = torch.nn.functional.conv2d(torch.nn.functional.pad(other, before), layer.weight, stride=(1, stride))
    assert raised.shape == other.shape
    torch.testing.assert_close((raised * other).sum(), (lowered * values).sum(), rtol=1e-4, atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("graph", PUBLISHED)
def test_the_published_depth_hears_nothing(graph):
    """On level 4 kernels are dilated past all four microphones; the graph and the bottleneck get constants."""
    torch.manual_seed(0)
    net = PublishedDFUNet(graph=graph, samples=320).eval()
    first, second = net.encode(noise(1, 4, 320)), net.encode(noise(1, 4, 320, seed=1))
    assert torch.equal(first[3], second[3]) and not torch.equal(first[2], second[2])


@torch.no_grad()
def test_the_depth_hears_when_only_time_is_dilated(published):
    first, second = published.encode(noise(1, 4, 320)), published.encode(noise(1, 4, 320, seed=1))
    assert not torch.equal(first[3], second[3])


@torch.no_grad()
@pytest.mark.parametrize("samples", [1, 320, 500])
def test_published_network_takes_any_length(published, samples):
    mics = noise(2, 4, samples)
    found = published.reduce(mics).sources
    assert found.shape == mics.shape and found.isfinite().all()
    assert torch.equal(found, published.reduce(mics).sources)


@torch.no_grad()
def test_published_network_keeps_the_level_and_silence(published):
    mics = noise(2, 4, 400)
    mics[0], mics[1, 3] = 0, 0
    found = published.reduce(mics).sources
    assert not found[0].any() and not found[1, 3].any() and found[1, :3].any()
    torch.testing.assert_close(published.reduce(3e-7 * mics).sources / 3e-7, found, rtol=0, atol=1e-5)


@torch.no_grad()
def test_published_network_ends_in_a_leaky_relu():
    net = PublishedDFUNet(samples=320).eval()
    mics = noise(1, 4, 320)
    before = []
    with net.out.register_forward_hook(lambda module, args, output: before.append(output)):
        found = net(mics)
    assert (found < 0).any() and torch.equal(found, leaky_relu(before[0], 0.3)[:, 0])


@pytest.mark.parametrize("graph", PUBLISHED)
def test_every_parameter_of_the_published_network_gets_a_gradient(graph):
    torch.manual_seed(1)
    net = PublishedDFUNet(graph=graph, samples=320, dilate_mics=False)
    net.loss(noise(2, 4, 320), noise(2, 4, 320, seed=1)).backward()
    assert [name for name, each in net.named_parameters() if each.grad is None or not each.grad.any()] == []


@pytest.mark.parametrize(
    ("message", "config", "n_mics"),
    [("graph", {"graph": "mics"}, 4), ("samples", {"samples": 100}, 4), ("mics", {"samples": 160}, 3)],
)
def test_what_the_published_network_does_not_take_is_named(message, config, n_mics):
    with pytest.raises(ValueError, match=f"^{message}: expected"):
        PublishedDFUNet(**config).reduce(noise(1, n_mics, 160))


# Its attention


def dense_attention(own, neighbours, values, tied=None):
    scores = leaky_relu(own[..., None] + neighbours[:, None], 0.2)
    return (scores if tied is None else scores.masked_fill(~tied, -math.inf)).softmax(-1) @ values


@settings(deadline=None)
@given(st.integers(1, 40), st.sampled_from([0.0, 0.1, 1.0, 30.0, 300.0]), st.integers(0, 99))
def test_sorted_attention_is_the_dense_one(n_nodes, spread, seed):
    own, neighbours = spread * noise(2, 2, n_nodes, seed=seed).double()
    values = noise(2, n_nodes, 3, seed=seed + 100).double()
    expected = dense_attention(own, neighbours, values)
    torch.testing.assert_close(all_pairs_attention(own, neighbours, values), expected, rtol=1e-9, atol=1e-9)


def test_sorted_attention_has_the_gradient_of_the_dense_one():
    inputs = [noise(2, 50, seed=1), noise(2, 50, seed=2), noise(2, 50, 3, seed=3)]
    found, expected = ([each.double().requires_grad_() for each in inputs] for _ in range(2))
    for attend, leaves in ((all_pairs_attention, found), (dense_attention, expected)):
        (attend(*leaves) * noise(2, 50, 3, seed=4)).sum().backward()
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rows", [1, 7, 40])
def test_attention_to_similar_nodes_in_rows_is_the_dense_one(rows):
    nodes, values = noise(2, 30, 4), noise(2, 30, 3, seed=1)
    own, neighbours = noise(2, 2, 30, seed=2)
    tied = (nodes @ nodes.mT >= 0.6) | torch.eye(30, dtype=torch.bool)
    assert tied.float().mean() < 0.9
    found = tied_attention(nodes, own, neighbours, values, rows)
    torch.testing.assert_close(found, dense_attention(own, neighbours, values, tied), rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("graph", PUBLISHED[1:])
def test_graph_layer_is_what_its_equation_says(graph):
    torch.manual_seed(0)
    layer = PublishedGAT(6, graph)
    layer.bias.copy_(noise(6, seed=5))
    features = noise(2, 6, 4, 5)
    cells = features.permute(0, 2, 3, 1).flatten(1, 2)
    values = cells @ layer.weight
    tied = None if graph == "all-ones" else (cells @ cells.mT >= 0.6) | torch.eye(20, dtype=torch.bool)
    expected = dense_attention(values @ layer.own, values @ layer.neighbours, values, tied)
    found = layer(features).permute(0, 2, 3, 1).flatten(1, 2)
    torch.testing.assert_close(found, expected + layer.bias, rtol=1e-5, atol=1e-5)
