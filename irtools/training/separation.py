"""Train a Wave-U-Net to separate mixtures, on stems as they are: clean, with bleed, or cleaned of it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from irtools.checks import check_int, check_number
from irtools.nets.waveunet import WaveUNet
from irtools.recording.writing import replacing
from irtools.training.checkpoints import read_checkpoint
from irtools.training.examples import derived_seed

# Of Adam at the last step.
_LEAST_RATE = 1e-4
# Each stem of each excerpt is multiplied by a number drawn uniformly between these, as published.
_GAINS = (0.7, 1.0)
# Steps from one checkpoint to the next.
_CHECKPOINT_EVERY = 50


@dataclass(frozen=True)
class SeparationSettings:
    """What a training run depends on beside its songs.

    Attributes
    ----------
    config : dict
        Keyword arguments of :class:`irtools.nets.waveunet.WaveUNet`.
    steps, batch : int
    learning_rate : float
        Of Adam at the first step; it falls along half a cosine.
    seed : int
        Of the weights at the start, the excerpts and the gains.
    """

    config: dict = field(default_factory=dict)
    steps: int = 300
    batch: int = 8
    learning_rate: float = 2e-3
    seed: int = 0

    def __post_init__(self):
        for name in ("steps", "batch"):
            check_int(name, getattr(self, name), 1)
        check_number("learning_rate", self.learning_rate, above=0)


@dataclass(frozen=True)
class TrainedSeparator:
    """A finished run: the network in evaluation mode, the loss before each step, and the time of all steps."""

    net: WaveUNet
    losses: list[float]
    seconds: float


# A loop without Lightning, which the chapter that trains with it does not install.
def train_separator(
    songs: Sequence[Tensor], settings: SeparationSettings, *, checkpoint: Path | None = None
) -> TrainedSeparator:
    """Train a Wave-U-Net on stems.

    Parameters
    ----------
    songs : sequence of Tensor, shape (stems, samples), float32
        At the rate of the network. The stems are the targets, and their sum is the mixture.
    settings : SeparationSettings
    checkpoint : Path, optional
        Where the run is kept, and gone on from if it is there.

    Notes
    -----
    Loss: mean |ŝ - s| over stems and samples, at a mixture of level 1, so that a quiet excerpt counts as much as a loud
    one. The weights at the start depend on the seed alone, and the excerpts and gains of a step on the seed, the step
    and how long the songs are. Runs with one seed on clean, bled and cleaned stems of the same songs thus differ in
    the stems and in nothing else.

    As in the published code [1]_, Adam, L1 loss, one excerpt of a random place per song, and gains of 0.7 to 1. Differs
    from it in that the rate falls along one half cosine, there along two per pass through the songs; the number of
    steps is given, there a validation stops; and songs have equal chances, there longer ones are drawn more often.

    References
    ----------
    .. [1] https://github.com/f90/Wave-U-Net-Pytorch.
    """
    songs = list(songs)
    if not songs or len({len(song) for song in songs}) != 1:
        raise ValueError(f"songs: expected one or more, all with as many stems, got {[len(song) for song in songs]}")
    net = starting_network(settings, len(songs[0]))
    optimizer = torch.optim.Adam(net.parameters(), lr=settings.learning_rate)
    losses, seconds = _resume(checkpoint, settings, net, optimizer)
    net.train()
    for step in range(len(losses), settings.steps):
        start = time.perf_counter()
        mixtures, stems = draw_excerpts(songs, net, settings, step)
        for group in optimizer.param_groups:
            group["lr"] = _rate(settings, step)
        with torch.enable_grad():
            loss = separation_loss(net, mixtures, stems)
            optimizer.zero_grad()
            loss.backward()
        if not loss.isfinite():
            raise FloatingPointError(f"step {step + 1}: expected a finite loss, got {loss.item()}")
        optimizer.step()
        losses.append(loss.item())
        seconds += time.perf_counter() - start
        if checkpoint is not None and (len(losses) % _CHECKPOINT_EVERY == 0 or len(losses) == settings.steps):
            _keep(checkpoint, settings, net, optimizer, losses, seconds)
    return TrainedSeparator(net.eval(), losses, seconds)


def starting_network(settings: SeparationSettings, n_stems: int) -> WaveUNet:
    """The network before its first step, a function of the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed("waveunet", settings.seed))
        return WaveUNet(n_stems=n_stems, **settings.config)


def draw_excerpts(
    songs: Sequence[Tensor], net: WaveUNet, settings: SeparationSettings, step: int
) -> tuple[Tensor, Tensor]:
    """Mixtures (batch, net.input_samples) and stems (batch, stems, net.output_samples) of one step.

    Songs go on as zeros at both ends, as in :meth:`irtools.nets.waveunet.WaveUNet.separate`.
    """
    generator = torch.Generator().manual_seed(derived_seed("separation", settings.seed, step))
    low, high = _GAINS
    drawn = []
    for _ in range(settings.batch):
        song = songs[int(torch.randint(len(songs), (), generator=generator))]
        latest = max(song.shape[1] - net.output_samples, 0)
        first = int(torch.randint(latest + 1, (), generator=generator)) - net.context
        gains = low + (high - low) * torch.rand(len(song), 1, generator=generator, dtype=torch.float64)
        drawn.append(gains.float() * _excerpt(song, first, net.input_samples))
    stems = torch.stack(drawn)
    return stems.sum(1), stems[..., net.context : net.context + net.output_samples]


def separation_loss(net: WaveUNet, mixtures: Tensor, stems: Tensor) -> Tensor:
    """Mean absolute error of the stems, each mixture taken at a level of 1; silent mixtures count as no error."""
    level = mixtures.square().mean(-1).sqrt()[:, None, None]
    return ((net(mixtures) - stems).abs() / torch.where(level > 0, level, torch.inf)).mean()


def _excerpt(song: Tensor, first: int, samples: int) -> Tensor:
    last = first + samples
    return pad(song[:, max(first, 0) : last], (max(-first, 0), max(last - song.shape[1], 0)))


def _rate(settings: SeparationSettings, step: int) -> float:
    done = step / max(settings.steps - 1, 1)
    return _LEAST_RATE + (settings.learning_rate - _LEAST_RATE) * (1 + math.cos(math.pi * done)) / 2


def _keep(path: Path, settings, net, optimizer, losses, seconds) -> None:
    state = {"settings": asdict(settings), "net": net.state_dict(), "optimizer": optimizer.state_dict()}
    with replacing(path) as temporary:
        torch.save(state | {"losses": losses, "seconds": seconds}, temporary)


def _resume(path: Path | None, settings, net, optimizer) -> tuple[list[float], float]:
    if path is None or not path.exists():
        return [], 0.0
    state = read_checkpoint(path, "settings")
    if state["settings"] != asdict(settings):
        raise ValueError(f"{path}: has a run of other settings, {state['settings']}; expected {asdict(settings)}")
    net.load_state_dict(state["net"])
    optimizer.load_state_dict(state["optimizer"])
    return state["losses"], state["seconds"]
