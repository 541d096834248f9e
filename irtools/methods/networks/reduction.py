"""A trained network on a recording of any length and sample rate, window by window."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn

from irtools.methods.separator import Reduction, Separator, check_assignment
from irtools.methods.streaming.pieces import cut, join
from irtools.nets.estimate import Estimate
from irtools.nets.inverse import own_mic_images
from irtools.nets.pretrained import load, read_card
from irtools.recording.resampling import resample
from irtools.stft import stft

# Frame of the levels that the band above a network follows, in s.
_FRAME_SECONDS = 0.05


class NetworkReduction:
    """A network ready to reduce recordings of one layout.

    Parameters
    ----------
    method : str
        What :class:`Reduction` calls it.
    n_mics : int
    sample_rate : int or None
        In Hz, of the recordings; None is that of the network.
    assignment, n_sources
        See :func:`irtools.checks.check_assignment`.
    weights : str or path
        See :func:`irtools.nets.pretrained.load`.
    nets : sequence of str
        Names of the networks that the method stands for.
    graph : bool, optional
        Whether these must have a graph.
    window_seconds, overlap_seconds : float
        Length of the windows that the network sees at a time, and what they share, at most half of it.

    Raises
    ------
    ValueError
        Weights of another network, of another number of microphones, or that cannot be loaded; window lengths that are
        not as described.
    """

    def __init__(
        self,
        method: str,
        n_mics: int,
        sample_rate: int | None,
        *,
        assignment,
        n_sources: int | None,
        weights,
        nets: Iterable[str],
        graph: bool | None = None,
        window_seconds: float = 30.0,
        overlap_seconds: float = 1.0,
    ):
        self.close_mics = check_assignment(assignment, n_mics, n_sources)
        if isinstance(window_seconds, str) or not 0 < window_seconds < math.inf:
            raise ValueError(f"window_seconds: expected a positive number of seconds, got {window_seconds!r}")
        if isinstance(overlap_seconds, str) or not 0 <= 2 * overlap_seconds <= window_seconds:
            raise ValueError(
                f"overlap_seconds: expected 0 s to half of window_seconds = {window_seconds} s, got {overlap_seconds!r}"
            )
        card = read_card(weights)
        if card["net"] not in nets:
            raise ValueError(f"weights: expected those of {' or '.join(nets)}, got those of {card['net']}")
        if graph is not None and bool(card["config"].get("graph")) != graph:
            raise ValueError(f"weights: expected a {card['net']} with{'' if graph else 'out'} a graph, got {weights}")
        self._method, self._net, self._card = method, load(weights), card
        self._check_mics(weights)
        self.sample_rate = sample_rate or self._net.sample_rate
        self.overlap = round(overlap_seconds * self.sample_rate)
        self._window = max(round(window_seconds * self.sample_rate), 2 * self.overlap, 1)
        self.details = {
            "weights": str(weights),
            "net": card["net"],
            "sha256": card["sha256"],
            "window_seconds": float(window_seconds),
            "overlap_seconds": float(overlap_seconds),
            "net_sample_rate": self._net.sample_rate,
            "resampling": self._resampling(),
        }

    def reduce(self, mics: Tensor) -> Reduction:
        """Reduce a recording, or a piece of one.

        Parameters
        ----------
        mics : Tensor, shape (mics, samples)

        Returns
        -------
        Reduction
        """
        net = self._net.to(mics.device)
        samples = mics.shape[1]
        close = mics[self.close_mics]
        if len(close) == 1:
            # Nothing is known of any other source.
            return self._result(close.clone(), torch.ones(1, 1) if self._has_gains else None, mics)
        cuts = cut(samples, self._window, self.overlap)
        sources, gains, done = mics.new_empty(len(close), samples), 0, 0

        def estimates():
            nonlocal gains
            for start, end in cuts:
                found = _at_rate(net, close[:, start:end], self.sample_rate)
                if found.gains is not None:
                    gains = gains + (end - start) * found.gains.double()
                yield found.sources

        for stretch in join(estimates(), self.overlap if len(cuts) > 1 else 0):
            sources[:, done : done + stretch.shape[1]] = stretch
            done += stretch.shape[1]
        weight = sum(end - start for start, end in cuts)
        return self._result(sources, gains / weight if torch.is_tensor(gains) else None, mics)

    def separator(self) -> Separator:
        """For a recording in pieces, each of which is reduced on its own."""
        return Separator(
            separate=lambda mics, mixdown=None: self.reduce(mics),
            close_mics=self.close_mics,
            overlap=self.overlap,
            details=self.details,
        )

    @property
    def _has_gains(self) -> bool:
        return "floor" in self._net.config

    def _result(self, sources: Tensor, gains: Tensor | None, mics: Tensor) -> Reduction:
        if gains is not None:
            gains = _rows_of_all(gains, sources, mics, self.close_mics)
        return Reduction(sources=sources, gains=gains, method=self._method, details=self.details)

    def _check_mics(self, weights) -> None:
        wanted = self._net.config.get("n_mics")
        if wanted is not None and wanted != len(self.close_mics):
            raise ValueError(
                f"mics: the weights {str(weights)!r} take {wanted} close microphones, got {len(self.close_mics)}"
            )
        most = self._net.config.get("n_conditions") or math.inf
        if len(self.close_mics) > most:
            raise ValueError(
                f"mics: the weights {str(weights)!r} take at most {most} close microphones, got {len(self.close_mics)}"
            )

    def _resampling(self) -> str:
        ours, its = self.sample_rate, self._net.sample_rate
        if ours == its:
            return "none"
        above = ""
        if ours > its:
            how = "demixed by the same Λ" if self._has_gains else f"attenuated as {its // 4} to {its // 2} Hz are"
            above = f"; above {its // 2} Hz the recording, {how}"
        return f"{ours} Hz to {its} Hz and back by a polyphase filter{above}"


@torch.no_grad()
def _at_rate(net: nn.Module, mics: Tensor, sample_rate: int) -> Estimate:
    """Estimate of a window, computed at the rate of the network and brought back to that of the recording."""
    # The network computes in float32, which holds any level once the peak is taken out.
    peak = mics.abs().amax()
    scaled = (mics / torch.where(peak > 0, peak, 1)).float()
    low = resample(scaled, sample_rate, net.sample_rate)
    found = net.reduce(low[None])
    sources, gains = found.sources[0], None if found.gains is None else found.gains[0]
    if sample_rate != net.sample_rate:
        samples = mics.shape[1]
        back, rest = (resample(each, net.sample_rate, sample_rate)[:, :samples] for each in (sources, low))
        # What the two resamplings lose, nearly all of it above the network's band.
        high = scaled - rest
        if gains is None:
            high = high * _level_ratio(sources, low, net.sample_rate, samples, sample_rate)
        else:
            high = own_mic_images(gains, high, net.config["floor"])
        sources = back + high
    return Estimate(sources.to(mics.dtype) * peak, gains)


def _level_ratio(after: Tensor, before: Tensor, sample_rate: int, samples: int, new_rate: int) -> Tensor:
    """How far the top octave was attenuated, 0 to 1.

    Parameters
    ----------
    after, before : Tensor, shape (sources, anything)
    sample_rate : int
        Of these, in Hz.
    samples, new_rate : int
        Where the ratio is wanted: frames are interpolated.

    Returns
    -------
    Tensor, shape (sources, samples)
    """
    size = 4 * max(round(_FRAME_SECONDS * sample_rate / 4), 4)
    energies = []
    for waveforms in (after, before):
        power = stft(waveforms, size, size // 2).abs().square()
        energies.append(power[:, size // 4 :].sum(1))
    tiny = torch.finfo(after.dtype).tiny
    levels = (energies[0] / energies[1].clamp(min=tiny)).sqrt().clamp(max=1)
    times = torch.arange(samples, device=after.device, dtype=torch.float64) * (sample_rate / new_rate / (size // 2))
    frames = times.floor().long().clamp(max=levels.shape[1] - 1)
    return torch.lerp(levels[:, frames], levels[:, (frames + 1).clamp(max=levels.shape[1] - 1)], (times % 1).to(levels))


def _rows_of_all(gains: Tensor, sources: Tensor, mics: Tensor, close_mics: list[int]) -> Tensor:
    """Λ of all microphones: of those that are nobody's close one, by least squares on the estimates."""
    everyone = mics.new_zeros(len(mics), len(close_mics), dtype=torch.float64)
    everyone[close_mics] = gains.to(everyone)
    others = [mic for mic in range(len(mics)) if mic not in close_mics]
    if others:
        blocks = [slice(*ends) for ends in pairwise([*range(0, mics.shape[1], 1 << 16), mics.shape[1]])]
        gram = sum(sources[:, block].double() @ sources[:, block].double().T for block in blocks)
        cross = sum(mics[others, block].double() @ sources[:, block].double().T for block in blocks)
        everyone[others] = cross @ torch.linalg.pinv(gram, hermitian=True) * everyone[close_mics].diagonal()
    return everyone.to(mics)
