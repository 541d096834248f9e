"""Every network by name, and :func:`build`, which makes one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from torch import nn

from irtools.checks import check_choice


class Nets(Mapping):
    """Classes of networks by name; the module of a class is imported when the class is first asked for."""

    def __init__(self, places: dict[str, str]):
        self._places = dict(places)

    def __getitem__(self, name: str) -> type[nn.Module]:
        module, _, cls = self._places[name].partition(":")
        return getattr(import_module(module), cls)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


NETS = Nets(
    {
        "cae": "irtools.nets.cae:CAE",
        "cae-compact": "irtools.nets.compact_cae:CompactCAE",
        "tunet": "irtools.nets.tunet:TUNet",
        "tunet-pairs": "irtools.nets.pairwise_tunet:PairwiseTUNet",
        "dfunet-paper": "irtools.nets.published_dfunet:PublishedDFUNet",
        "dfunet": "irtools.nets.dfunet:DFUNet",
    }
)


def build(name: str, **config) -> nn.Module:
    """Make the network of that name, with the weights it starts training from.

    Parameters
    ----------
    name : str
        A key of :data:`NETS`.
    **config
        Keyword arguments of the class; the network's ``config`` attribute holds all of them.

    Returns
    -------
    Network
        See :class:`irtools.nets.network.Network`.

    Examples
    --------
    >>> sorted(NETS)
    ['cae', 'cae-compact', 'dfunet', 'dfunet-paper', 'tunet', 'tunet-pairs']
    """
    return NETS[check_choice("name", name, sorted(NETS))](**config)
