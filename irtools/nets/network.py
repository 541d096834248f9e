"""What every network is to training and to the methods: a configuration, a sample rate, a reduction and a loss."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import mse_loss

from irtools.checks import check_choice
from irtools.nets.estimate import Estimate
from irtools.nets.losses import KINDS, negative_si_sdr


class Network(nn.Module):
    """From microphones to the sources as heard at their own microphones.

    Parameters
    ----------
    arguments : dict
        ``locals()`` of the constructor: all its keyword arguments.

    Attributes
    ----------
    config : dict
        The arguments in plain types, from which :func:`irtools.nets.build` makes the same network.
    sample_rate : int
        In Hz, of the recordings it is made for.
    """

    def __init__(self, arguments: dict):
        super().__init__()
        given = {name: value for name, value in arguments.items() if name not in ("self", "__class__")}
        self.config = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
        self.sample_rate = self.config["sample_rate"]

    def reduce(self, mics: Tensor) -> Estimate:
        """Sources of recordings (batch, mics, samples) of any length, float32 or float64, at ``sample_rate``."""
        raise NotImplementedError

    def loss(self, mics: Tensor, references: Tensor, gains: Tensor | None = None, kind: str = "published") -> Tensor:
        """What training makes small.

        Parameters
        ----------
        mics : Tensor, shape (batch, mics, samples)
        references : Tensor, shape (batch, sources, samples)
            Each source as heard at its own microphone.
        gains : Tensor, shape (batch, mics, sources), optional
            The true Λ, where there is one; only networks that estimate Λ use it.
        kind : {"published", "si-sdr"}
            What the network was published with, or :func:`irtools.nets.losses.negative_si_sdr` in dB.

        Returns
        -------
        Tensor, scalar
        """
        if check_choice("kind", kind, KINDS) == "published":
            return self._published_loss(mics, references, gains)
        return negative_si_sdr(self.reduce(mics).sources[:, : references.shape[1]], references)

    def _published_loss(self, mics: Tensor, references: Tensor, gains: Tensor | None) -> Tensor:
        """Mean square error of the waveforms, unless a network has its own."""
        return mse_loss(self.reduce(mics).sources[:, : references.shape[1]], references)
