"""Every method by name, and :func:`reduce`, which runs one of them on a recording in memory."""

from __future__ import annotations

import inspect
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from importlib.metadata import entry_points

import torch
from torch import Tensor

from irtools.checks import check_mics
from irtools.methods.alternating.minimisation import alternating_minimisation
from irtools.methods.alternating.updates import AMSettings
from irtools.methods.closemic.demixing import close_mic_demixing
from irtools.methods.closemic.room import RoomSettings
from irtools.methods.ica import independent_components
from irtools.methods.networks.methods import autoencoder, dilated_unet, graph_unet, truncated_unet
from irtools.methods.powers.fastmira import fastmira
from irtools.methods.powers.kamir import kamir
from irtools.methods.powers.mira import mira
from irtools.methods.powers.settings import PowerSettings
from irtools.methods.separator import Recording, Reduction, Separator


@dataclass(frozen=True)
class Method:
    """A way to reduce interference.

    Attributes
    ----------
    learn : callable
        ``learn(recording, **options)`` maps a :class:`irtools.methods.separator.Recording` to a
        :class:`irtools.methods.separator.Separator`.
    settings : type, optional
        Dataclass whose fields ``learn`` takes as further options.
    takes_mixdown : bool
        Whether a mixdown of the concert can be given.
    """

    learn: Callable[..., Separator]
    settings: type | None = None
    takes_mixdown: bool = False

    @property
    def summary(self) -> str:
        """One line that says what the method does."""
        return (inspect.getdoc(self.learn) or "").partition("\n")[0]

    @property
    def options(self) -> dict:
        """Name and default of every option; of fields of the settings, the default before any preset."""
        parameters = list(inspect.signature(self.learn).parameters.values())[1:]
        named = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        more = fields(self.settings) if self.settings else ()
        return named | {field.name: field.default for field in more if field.name not in named}


METHODS = {
    "am": Method(alternating_minimisation, AMSettings, takes_mixdown=True),
    "kamir": Method(kamir, PowerSettings),
    "mira": Method(mira, PowerSettings),
    "fastmira": Method(fastmira, PowerSettings),
    "ica": Method(independent_components),
    "closemic": Method(close_mic_demixing, RoomSettings),
    "cae": Method(autoencoder),
    "tunet": Method(truncated_unet),
    "dfunet": Method(dilated_unet),
    "dfunet-gat": Method(graph_unet),
}


def register(
    name: str, learn: Callable[..., Separator], *, settings: type | None = None, takes_mixdown: bool = False
) -> None:
    """Add a method of your own, under a name that :func:`irtools.reduce` and all of this library then know.

    Parameters
    ----------
    name : str
    learn : callable
        ``learn(recording, **options)`` maps a :class:`irtools.Recording` to a :class:`irtools.Separator`; the first
        line of its docstring says what it does.
    settings : type, optional
        Dataclass whose fields ``learn`` takes as further options.
    takes_mixdown : bool
        Whether a mixdown of the concert can be given.

    Raises
    ------
    ValueError
        The name is that of another method.
    TypeError
        ``learn`` cannot be called.

    Notes
    -----
    This holds for the running Python. The command line and the processes of ``irtools bench`` know a method that an
    installed package names as an entry point of the group ``irtools.methods``: ``mine = "package.module:learn"``.

    Examples
    --------
    >>> def half(recording, *, amount=0.5):
    ...     "Every microphone at half its level, which is no method at all."
    ...     return Separator(lambda mics, mixdown: amount * mics, recording.close_mics())
    >>> register("half", half)
    >>> reduce(torch.ones(2, 4), 8000, method="half", amount=0.25).sources[0]
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    >>> del METHODS["half"]
    """
    if not callable(learn):
        raise TypeError(f"learn: expected a function of a recording, got {type(learn).__name__} {learn!r}")
    if name in METHODS and METHODS[name].learn is not learn:
        raise ValueError(f"name: {name!r} is a method already; expected another name")
    METHODS[name] = Method(learn, settings, takes_mixdown)


def reduce(
    mics: Tensor,
    sample_rate: int,
    method: str = "closemic",
    *,
    device: str = "auto",
    mixdown: Tensor | None = None,
    **options,
) -> Reduction:
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
    mixdown : Tensor, shape (samples,), optional
        A mixdown of the concert, for a method that takes one.
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
    FloatingPointError
        A value of an iterative method that is not finite; the message names the iteration.

    Warns
    -----
    ConvergenceWarning
        An iterative method used all its iterations before its stopping rule was met.

    Examples
    --------
    >>> import torch
    >>> mics = torch.randn(3, 2000, generator=torch.Generator().manual_seed(0))
    >>> reduce(mics, 44100, method="am", variant="notebook").sources.shape
    torch.Size([3, 2000])
    """
    check_mics(mics, sample_rate)
    chosen = find_method(method, mixdown is not None)
    target = choose_device(device, mics.device)
    start = time.perf_counter()
    there, mixdown = mics.to(target), _checked_mixdown(mixdown, mics, target)
    found = chosen.learn(Recording.in_memory(there, sample_rate, mixdown), **options).reduce(there, mixdown)
    return replace(
        found,
        sources=found.sources.to(mics),
        gains=None if found.gains is None else found.gains.to(mics),
        seconds=time.perf_counter() - start,
        method=method,
    )


def _checked_mixdown(mixdown, mics: Tensor, device: torch.device) -> Tensor | None:
    if mixdown is None:
        return None
    if not isinstance(mixdown, Tensor) or mixdown.shape != mics.shape[1:]:
        came = tuple(mixdown.shape) if isinstance(mixdown, Tensor) else type(mixdown).__name__
        raise ValueError(f"mixdown: expected a Tensor of shape ({mics.shape[1]},), got {came}")
    return check_mics(mixdown.to(mics)[None], name="mixdown")[0].to(device)


def find_method(name: str, with_mixdown: bool = False) -> Method:
    """The method of that name, or a ``ValueError`` that lists the names there are."""
    if name not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(sorted(METHODS))}, got {name!r}")
    if with_mixdown and not METHODS[name].takes_mixdown:
        raise ValueError(f"mixdown: given, but the method {name!r} does not use one")
    return METHODS[name]


def choose_device(device: str, otherwise: torch.device | str = "cpu") -> torch.device:
    """The torch device that ``device`` names: "auto" is a CUDA GPU if there is one, ``otherwise`` if not."""
    if device == "auto":
        return torch.device("cuda") if torch.cuda.is_available() else torch.device(otherwise)
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device: expected 'auto', 'cpu', 'cuda' or 'cuda:N', got {device!r}") from error
    if wanted.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device: {device!r} was asked for, but no CUDA device is available")
    return wanted


def _add_installed_methods() -> None:
    """Methods that other installed packages bring; one that cannot be loaded is left out with a warning."""
    for entry in entry_points(group="irtools.methods"):
        try:
            register(entry.name, entry.load())
        except Exception as error:
            warnings.warn(f"method {entry.name!r} ({entry.value}) left out: {error}", RuntimeWarning, stacklevel=2)


_add_installed_methods()
