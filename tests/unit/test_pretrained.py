"""Weights in files: what was saved comes back, and nothing else is taken for it."""

import hashlib
import json
import pickle

import pytest
import torch

from irtools.nets import build, pretrained
from irtools.nets.pretrained import load, read_card, save, shipped

LIMIT_BYTES = 25_000_000


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(3)
    net = build("tunet-pairs", hidden=4, tiles=16)
    return net, save(net, tmp_path / "runs" / "mine.safetensors", {"net": "tunet-pairs", "seed": 3})


@pytest.mark.parametrize("net", ["tunet-pairs", "cae"])
def test_a_network_comes_back_as_it_was(net, tmp_path):
    config = {"cae": {"window_size": 64, "hop": 16, "channels": (4, 8)}, "tunet-pairs": {"hidden": 4, "tiles": 16}}[net]
    before = build(net, **config)
    # Batch normalisation has buffers of its own, which training changes.
    before.loss(torch.randn(2, 2, 2000), torch.randn(2, 2, 2000)).backward()
    found = load(save(before, tmp_path / "a.safetensors", {"net": net}))
    assert found.config == before.config and not found.training
    assert not any(parameter.requires_grad for parameter in found.parameters())
    ours, its = before.state_dict(), found.state_dict()
    assert list(ours) == list(its) and all(torch.equal(ours[name], its[name]) for name in ours)
    mics = torch.randn(1, 2, 3000)
    assert torch.equal(found.reduce(mics).sources, before.eval().reduce(mics).sources)


def test_the_card_says_what_it_was_given_and_what_is_in_the_file(saved):
    net, path = saved
    card = read_card(path)
    assert card == {
        "net": "tunet-pairs",
        "seed": 3,
        "config": net.config,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    assert sorted(file.name for file in path.parent.iterdir()) == ["mine.json", "mine.safetensors"]
    assert read_card(str(path)) == card and load(str(path)).config == net.config


def test_random_numbers_of_the_caller_are_left_alone(saved):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    load(saved[1])
    assert torch.equal(torch.rand(3), expected)


def test_saving_again_replaces_weights_and_card(saved):
    _, path = saved
    other = build("tunet-pairs", hidden=5)
    save(other, path, {"net": "tunet-pairs", "seed": 4})
    assert load(path).config["hidden"] == 5 and read_card(path)["seed"] == 4


def test_bad_cards_and_names_are_not_saved(tmp_path):
    net = build("tunet-pairs")
    with pytest.raises(ValueError, match=r"path: expected a name that ends in \.safetensors, got .*mine\.pt"):
        save(net, tmp_path / "mine.pt", {"net": "tunet-pairs"})
    with pytest.raises(ValueError, match="card: expected the field 'net', got seed"):
        save(net, tmp_path / "mine.safetensors", {"seed": 0})
    assert not list(tmp_path.iterdir())


# What must not be loaded


def rewrite(path, content: bytes, **changes):
    """Other weights under a card that agrees with them."""
    path.write_bytes(content)
    card = read_card(path) | {"sha256": hashlib.sha256(content).hexdigest()} | changes
    path.with_suffix(".json").write_text(json.dumps(card))


@pytest.mark.parametrize("place", [0, 100, -1])
def test_one_changed_byte_is_noticed(saved, place):
    _, path = saved
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"mine\.safetensors: is not the file that was saved; expected SHA-256"):
        load(path)


def test_a_file_that_was_cut_short_is_noticed_even_if_the_card_agrees(saved):
    _, path = saved
    rewrite(path, path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"mine\.safetensors: does not hold weights of tunet-pairs"):
        load(path)


class Exploding:
    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


@pytest.mark.parametrize("write", [pickle.dump, torch.save])
def test_a_pickle_is_never_loaded(saved, write, tmp_path):
    _, path = saved
    with (tmp_path / "pickle").open("wb") as file:
        write(Exploding(), file)
    rewrite(path, (tmp_path / "pickle").read_bytes())
    with pytest.raises(ValueError, match="does not hold weights"):
        load(path)


def test_weights_that_are_not_finite_are_refused(saved):
    net, path = saved
    net.first[0].bias.data[1] = torch.nan
    save(net, path, {"net": "tunet-pairs"})
    with pytest.raises(ValueError, match=r"mine\.safetensors: has weights that are not finite"):
        load(path)


def test_weights_of_another_size_do_not_fit(saved):
    net, path = saved
    rewrite(path, path.read_bytes(), config={**net.config, "hidden": 6})
    with pytest.raises(ValueError, match=r"(?s)does not hold weights of tunet-pairs .*size mismatch"):
        load(path)


def test_a_missing_file_is_named(saved, tmp_path):
    _, path = saved
    with pytest.raises(ValueError, match=r"none\.safetensors: no such file; expected weights"):
        load(tmp_path / "none.safetensors")
    path.with_suffix(".json").unlink()
    with pytest.raises(ValueError, match=r"mine\.json: no such file; expected the card"):
        load(path)


@pytest.mark.parametrize(
    "text", ["", "{", "[1, 2]", "3", 10**5 * "[", '{"net": "tunet-pairs"}', '{"net": 1, "config": 2, "sha256": 3}']
)
def test_a_damaged_card_is_named(saved, text):
    _, path = saved
    path.with_suffix(".json").write_text(text)
    with pytest.raises(ValueError, match=r"mine\.json: is no card"):
        load(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"net": "unet"}, "expected one of cae"),
        ({"config": {"depth": 3}}, "depth"),
        ({"config": {"stages": 0}}, "stages"),
    ],
)
def test_a_card_of_a_network_that_there_is_not(saved, changes, words):
    _, path = saved
    rewrite(path, path.read_bytes(), **changes)
    with pytest.raises(ValueError, match=rf"mine\.json: describes no network .*{words}"):
        load(path)


# What comes with the library


def test_a_name_that_is_not_shipped_lists_those_that_are(saved, monkeypatch):
    with pytest.raises(ValueError, match=r"weights: expected a path that ends in .* or one of .*, got 'mine'"):
        load("mine")
    monkeypatch.setattr(pretrained, "FOLDER", saved[1].parent)
    assert shipped() == ["mine"] and load("mine").config == saved[0].config and read_card("mine")["seed"] == 3
    with pytest.raises(ValueError, match="one of mine, got 'yours'"):
        read_card("yours")


@pytest.mark.parametrize("name", shipped())
def test_shipped_weights_load_and_have_a_full_card(name):
    card = read_card(name)
    assert load(name).config == card["config"]
    assert {"data", "seed", "steps", "seconds", "command", "scores", "date", "commit"} <= set(card)


def test_shipped_weights_are_small_and_no_file_is_left_over():
    files = [path for path in pretrained.FOLDER.glob("*") if not path.name.startswith((".", "__"))]
    assert {path.suffix for path in files} <= {".safetensors", ".json"}
    assert sorted(path.stem for path in files if path.suffix == ".json") == shipped()
    assert sum(path.stat().st_size for path in files) <= LIMIT_BYTES
