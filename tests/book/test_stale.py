"""The execution cache survives what cannot change an output, and nothing else."""

import importlib.util

import pytest
from chapters import ROOT


@pytest.fixture(scope="module")
def stale():
    spec = importlib.util.spec_from_file_location("stale", ROOT / "binder/stale.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path, stale):
    """A project that has just been built."""
    for name in (
        "irtools/methods/am.py",
        "irtools/nets/weights/cae.safetensors",
        "book/_ext/offline.py",
        "pyproject.toml",
        "binder/constraints.txt",
        "book/x.md",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    stale.drop_stale_build(tmp_path)
    (tmp_path / "_build/page.html").touch()
    return tmp_path


def test_an_unchanged_library_keeps_the_build(stale, tree):
    (tree / "book/x.md").write_text("2")
    assert "unchanged" in stale.drop_stale_build(tree)
    assert (tree / "_build/page.html").exists()


@pytest.mark.parametrize(
    "name",
    [
        "irtools/methods/am.py",
        "irtools/nets/weights/cae.safetensors",
        "book/_ext/offline.py",
        "binder/constraints.txt",
        "irtools/new.py",
    ],
)
def test_a_changed_library_drops_the_build_once(stale, tree, name):
    (tree / name).write_text("2")
    assert "removed" in stale.drop_stale_build(tree)
    assert not (tree / "_build/page.html").exists()
    assert "unchanged" in stale.drop_stale_build(tree)


def test_a_renamed_module_and_a_build_of_unknown_origin_count_as_changed(stale, tree):
    (tree / "irtools/methods/am.py").rename(tree / "irtools/methods/ma.py")
    assert "removed" in stale.drop_stale_build(tree)
    (tree / "_build/.lib_hash").unlink()
    assert "removed" in stale.drop_stale_build(tree)
