"""Every method by name, and :func:`reduce`, which runs one of them."""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from torch import Tensor

from irtools.methods import ica
from irtools.methods.alternating import minimisation as alternating
from irtools.methods.closemic import demixing as closemic
from irtools.methods.networks import methods as neural
from irtools.methods.powers import fastmira, kamir, mira
from irtools.methods.separator import Reduction, check_mics

METHODS = {
    "am": alternating.alternating_minimisation,
    "kamir": kamir.kamir,
    "mira": mira.mira,
    "fastmira": fastmira.fastmira,
    "ica": ica.independent_components,
    "closemic": closemic.close_mic_demixing,
    "cae": neural.autoencoder,
    "tunet": neural.truncated_unet,
    "dfunet": neural.dilated_unet,
    "dfunet-gat": neural.graph_unet,
}

# Methods that learn from a recording in pieces and then separate it piece by piece.
LEARNERS = {
    "am": alternating.learn,
    "kamir": kamir.learn,
    "mira": mira.learn,
    "fastmira": fastmira.learn,
    "ica": ica.learn,
    "closemic": closemic.learn,
    "cae": neural.learn_autoencoder,
    "tunet": neural.learn_truncated_unet,
    "dfunet": neural.learn_dilated_unet,
    "dfunet-gat": neural.learn_graph_unet,
}


def reduce(mics: Tensor, sample_rate: int, method: str = "closemic", *, device: str = "auto", **options) -> Reduction:
    """Reduce the bleed in a multitrack recording.

    Parameters
    ----------
    mics : Tensor, shape (mics, samples), float32 or float64
    sample_rate : int
        In Hz.
    method : str
        A key of :data:`METHODS`.
    device : str
        Where to compute: "auto" is a CUDA GPU if there is one, otherwise the input's device.
    **options
        Parameters of the method.

    Returns
    -------
    Reduction
        ``sources`` has the dtype, device and number of samples of ``mics``.

    Raises
    ------
    TypeError, ValueError
        Invalid input, an unknown method, device or option; nothing was computed.

    Examples
    --------
    >>> import torch
    >>> mics = torch.randn(3, 2000, generator=torch.Generator().manual_seed(0))
    >>> reduce(mics, 44100, method="am", variant="notebook").sources.shape
    torch.Size([3, 2000])
    """
    check_mics(mics, sample_rate)
    function = find_method(method)
    target = choose_device(device, mics.device)
    start = time.perf_counter()
    found = function(mics.to(target), sample_rate, **options)
    return replace(
        found,
        sources=found.sources.to(mics),
        gains=None if found.gains is None else found.gains.to(mics),
        seconds=time.perf_counter() - start,
    )


def find_method(name: str):
    """The method of that name, or a ``ValueError`` that lists the names there are.

    Examples
    --------
    >>> find_method("am").__name__
    'alternating_minimisation'
    """
    if name not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(sorted(METHODS))}, got {name!r}")
    return METHODS[name]


def choose_device(device: str, otherwise: torch.device | str = "cpu") -> torch.device:
    """The torch device that ``device`` names: "auto" is a CUDA GPU if there is one, ``otherwise`` if not.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        return torch.device("cuda") if torch.cuda.is_available() else torch.device(otherwise)
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device: expected 'auto', 'cpu', 'cuda' or 'cuda:N', got {device!r}") from error
    if wanted.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device: {device!r} was asked for, but no CUDA device is available")
    return wanted
