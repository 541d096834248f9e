"""A trained network on a recording of any length and sample rate, window by window."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from irtools.checks import check_number
from irtools.methods.separator import Recording, Reduction, Separator
from irtools.methods.streaming.pieces import CrossFade, cut
from irtools.nets.estimate import Estimate
from irtools.nets.inverse import own_mic_images, projected_gains
from irtools.nets.pretrained import load, read_card
from irtools.recording.resampling import resample
from irtools.stft import stft

# Frame of the levels that the band above a network follows, in s.
_FRAME_SECONDS = 0.05


def learn_network(
    recording: Recording,
    nets: tuple[str, ...],
    graph: bool | None,
    *,
    assignment,
    n_sources: int | None,
    weights,
    window_seconds: float = 30.0,
    overlap_seconds: float = 1.0,
) -> Separator:
    """The weights of one of ``nets``, with a ``graph`` or without, ready for recordings of this layout.

    The network sees ``window_seconds`` at a time; windows share ``overlap_seconds``, where they are cross-faded.
    """
    close_mics = recording.close_mics(assignment, n_sources)
    check_number("window_seconds", window_seconds, above=0, unit="seconds")
    check_number("overlap_seconds", overlap_seconds, 0, window_seconds / 2, unit="seconds (half of window_seconds)")
    card = read_card(weights)
    if card["net"] not in nets:
        raise ValueError(f"weights: expected those of {' or '.join(nets)}, got those of {card['net']}")
    if graph is not None and bool(card["config"].get("graph")) != graph:
        raise ValueError(f"weights: expected a {card['net']} with{'' if graph else 'out'} a graph, got {weights}")
    net = load(weights)
    _check_mics(net, weights, len(close_mics))
    rate = recording.sample_rate or net.sample_rate
    overlap = round(overlap_seconds * rate)
    window = max(round(window_seconds * rate), 2 * overlap, 1)
    details = {
        "weights": str(weights),
        "net": card["net"],
        "sha256": card["sha256"],
        "window_seconds": float(window_seconds),
        "overlap_seconds": float(overlap_seconds),
        "net_sample_rate": net.sample_rate,
        "resampling": _resampling(net, rate),
    }

    def separate(mics, mixdown):
        sources, gains = _in_windows(net.to(mics.device), mics[close_mics], rate, window, overlap)
        if gains is not None:
            gains = _rows_of_all(gains, sources, mics, close_mics)
        return Reduction(sources, gains, details=details)

    return Separator(separate, close_mics, overlap=overlap, details=details)


def _in_windows(net: nn.Module, mics: Tensor, rate: int, window: int, overlap: int) -> tuple[Tensor, Tensor | None]:
    """Estimates (sources, samples) of the close microphones, and the mean Λ over the windows if the net has one."""
    if len(mics) == 1:
        # Nothing is known of any other source.
        return mics.clone(), torch.ones(1, 1) if _has_gains(net) else None
    cuts = cut(mics.shape[1], window, overlap)
    faded, parts, gains = CrossFade(overlap if len(cuts) > 1 else 0), [], 0
    for start, end in cuts:
        found = _at_rate(net, mics[:, start:end], rate)
        parts.append(faded.add(found.sources))
        if found.gains is not None:
            gains = gains + (end - start) * found.gains.double()
    gains = gains / sum(end - start for start, end in cuts) if torch.is_tensor(gains) else None
    return torch.cat([*parts, faded.rest()], dim=1), gains


def _has_gains(net: nn.Module) -> bool:
    return "floor" in net.config


def _check_mics(net: nn.Module, weights, n_mics: int) -> None:
    wanted, most = net.config.get("n_mics"), net.config.get("n_conditions") or math.inf
    if wanted is not None and wanted != n_mics:
        raise ValueError(f"mics: the weights {str(weights)!r} take {wanted} close microphones, got {n_mics}")
    if n_mics > most:
        raise ValueError(f"mics: the weights {str(weights)!r} take at most {most} close microphones, got {n_mics}")


def _resampling(net: nn.Module, ours: int) -> str:
    its = net.sample_rate
    if ours == its:
        return "none"
    above = ""
    if ours > its:
        how = "demixed by the same Λ" if _has_gains(net) else f"attenuated as {its // 4} to {its // 2} Hz are"
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
    """How far the top octave was attenuated, 0 to 1, at each of ``samples`` samples at ``new_rate``."""
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
        everyone[others] = projected_gains(mics[others], sources) * everyone[close_mics].diagonal()
    return everyone.to(mics)
