"""A multitrack recording in memory: named, equally long microphone signals at one sample rate."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from irtools.checks import check_mics


@dataclass(frozen=True, eq=False)
class Multitrack:
    """Named microphone signals of one length and one sample rate.

    Parameters
    ----------
    names : sequence of str
        One name a microphone, each once; kept as a tuple.
    waveforms : Tensor, shape (mics, samples), float32 or float64
        Finite samples; full scale is ±1, and values beyond it are kept.
    sample_rate : int
        In Hz.

    Raises
    ------
    TypeError
        Names that are not strings, waveforms that are no real floating-point tensor, or a rate that is no int.
    ValueError
        No microphone, no sample, a name that is empty or comes twice, a number of names other than the number of
        microphones, NaN or infinite samples, or a rate that is not positive.

    Notes
    -----
    Two recordings compare by identity: equality of samples is ``torch.equal(a.waveforms, b.waveforms)``.

    Examples
    --------
    >>> import torch
    >>> stage = Multitrack(("vocals", "bass"), torch.zeros(2, 22050), 44100)
    >>> stage.n_mics, stage.samples, stage.seconds
    (2, 22050, 0.5)
    """

    names: tuple[str, ...]
    waveforms: Tensor
    sample_rate: int

    def __post_init__(self):
        object.__setattr__(self, "names", check_names(self.names))
        check_mics(self.waveforms, self.sample_rate, min_mics=1, name="waveforms")
        if len(self.names) != self.waveforms.shape[0]:
            raise ValueError(
                f"names: expected one name for each of the {self.waveforms.shape[0]} microphones, "
                f"got {len(self.names)}: {', '.join(self.names)}"
            )

    @property
    def n_mics(self) -> int:
        """Number of microphones K."""
        return self.waveforms.shape[0]

    @property
    def samples(self) -> int:
        """Length L of every signal, in samples."""
        return self.waveforms.shape[1]

    @property
    def seconds(self) -> float:
        """Length of every signal, in seconds."""
        return self.samples / self.sample_rate

    def select(self, names) -> Multitrack:
        """The microphones called ``names``, in that order.

        Parameters
        ----------
        names : sequence of str

        Returns
        -------
        Multitrack
            With waveforms of its own.

        Raises
        ------
        ValueError
            A name that this recording does not have, or the same name twice.

        Examples
        --------
        >>> import torch
        >>> stage = Multitrack(("vocals", "bass"), torch.eye(2), 44100)
        >>> stage.select(["bass"]).waveforms
        tensor([[0., 1.]])
        """
        chosen = check_names(names)
        unknown = [name for name in chosen if name not in self.names]
        if unknown:
            raise ValueError(f"names: no microphone called {unknown[0]!r}; expected some of {', '.join(self.names)}")
        rows = [self.names.index(name) for name in chosen]
        return Multitrack(chosen, self.waveforms[rows], self.sample_rate)


def check_names(names) -> tuple[str, ...]:
    """``names`` as a tuple, after checking that they are non-empty strings, each there once.

    Parameters
    ----------
    names : sequence of str

    Returns
    -------
    tuple of str

    Raises
    ------
    TypeError
        One string instead of a sequence, or something in it that is no string.
    ValueError
        No name, an empty name, or the same name twice.

    Examples
    --------
    >>> check_names(["vocals", "bass"])
    ('vocals', 'bass')
    """
    if isinstance(names, str):
        raise TypeError(f"names: expected a sequence of str, got the single str {names!r}")
    names = tuple(names)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"names: expected a sequence of str, got {name!r} in it")
        if not name:
            raise ValueError(f"names: expected non-empty names, got {names}")
        if names.count(name) > 1:
            raise ValueError(f"names: expected each name once, got {name!r} {names.count(name)} times")
    if not names:
        raise ValueError("names: expected at least one name, got none")
    return names
