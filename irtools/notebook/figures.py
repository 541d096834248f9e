"""The figures that several chapters draw; each function returns the figure, :func:`show` shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from irtools.notebook.images import MARKERS, PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_gains(matrices: Mapping[str, Tensor], *, mics: Sequence[str] = (), sources: Sequence[str] = ()) -> Figure:
    """Heat maps of interference matrices Λ (mics, sources), title to matrix, with their values."""
    figure = _figure(0.6 + 2.4 * len(matrices), 2.7)
    axes = figure.subplots(1, len(matrices), squeeze=False)[0]
    top = max(1.0, *(matrix.abs().max().item() for matrix in matrices.values()))
    for axis, (title, matrix) in zip(axes, matrices.items(), strict=True):
        values = matrix.detach().cpu().numpy()
        image = axis.imshow(values, vmin=0, vmax=top, cmap="Blues")
        for (mic, source), gain in np.ndenumerate(values):
            color = "white" if gain > 0.55 * top else "black"
            axis.text(source, mic, f"{gain:.2f}", ha="center", va="center", color=color, fontsize=8)
        axis.set(title=title, xlabel="source")
        axis.set_xticks(range(matrix.shape[1]), sources or range(matrix.shape[1]), rotation=30)
        axis.set_yticks(range(matrix.shape[0]), mics or range(matrix.shape[0]))
        axis.spines[:].set_visible(False)
    axes[0].set_ylabel("microphone")
    figure.colorbar(image, ax=list(axes), label="amplitude gain", shrink=0.8)
    return figure


def plot_spectrograms(clips: Mapping[str, Tensor], sample_rate: int, *, max_hz: float | None = None) -> Figure:
    """Spectrograms of clips, title to waveform of shape (samples,), up to ``max_hz``, on one colour scale."""
    import librosa

    power = {
        title: np.abs(librosa.stft(clip.detach().cpu().numpy(), n_fft=2048, hop_length=1024)) ** 2
        for title, clip in clips.items()
    }
    top = max(spectrum.max() for spectrum in power.values()) or 1.0
    figure = _figure(7.2, 0.6 + 1.5 * len(clips))
    axes = figure.subplots(len(clips), 1, squeeze=False, sharex=True)[:, 0]
    for axis, (title, spectrum) in zip(axes, power.items(), strict=True):
        level = librosa.power_to_db(spectrum, ref=top, amin=1e-20, top_db=None)
        image = librosa.display.specshow(
            level, sr=sample_rate, hop_length=1024, x_axis="time", y_axis="linear", ax=axis,
            vmin=-80, vmax=0, cmap="magma", rasterized=True,
        )  # fmt: skip
        axis.set(title=title, ylabel="Hz", xlabel="", ylim=(0, max_hz or sample_rate / 2))
    axes[-1].set_xlabel("time (s)")
    figure.colorbar(image, ax=list(axes), label="dB below the loudest bin", aspect=40)
    return figure


def plot_stage(details: Mapping) -> Figure:
    """Top view of a simulated stage, from ``Scene.details`` of :func:`irtools.simulate_room`."""
    if missing := [key for key in ("room_m", "source_positions_m", "mic_positions_m") if key not in details]:
        raise ValueError(f"details: expected those of a simulated room, got none of its {', '.join(missing)}")
    width, depth = details["room_m"][:2]
    figure = _figure(5.0, 0.8 + 4.2 * depth / width)
    axis = figure.subplots()
    for label, key, color, marker, shift in (
        ("source", "source_positions_m", PALETTE[0], "o", (5, 4)),
        ("microphone", "mic_positions_m", PALETTE[1], "^", (5, -10)),
    ):
        across, along, _ = zip(*details[key], strict=True)
        axis.plot(across, along, linestyle="", marker=marker, color=color, label=label)
        for number, at in enumerate(zip(across, along, strict=True)):
            axis.annotate(str(number), at, xytext=shift, textcoords="offset points", color=color, fontsize=8)
    axis.set(xlim=(0, width), ylim=(0, depth), aspect="equal", xlabel="m", ylabel="m")
    axis.spines[:].set_visible(True)
    axis.grid()
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def plot_scores(scores: Mapping[str, Mapping[str, float]], *, label: str = "SI-SDR (dB)") -> Figure:
    """One score of several methods as grouped dots: method ("input", a method, "oracle") to stem to score."""
    stems = list(dict.fromkeys(stem for by_stem in scores.values() for stem in by_stem))
    figure = _figure(7.2, 1.0 + 0.5 * len(stems))
    axis = figure.subplots()
    offsets = np.linspace(-0.24, 0.24, len(scores)) if len(scores) > 1 else [0.0]
    for row in range(len(stems)):
        axis.axhspan(row - 0.4, row + 0.4, color="0.95", zorder=0)
    for index, (method, by_stem) in enumerate(scores.items()):
        rows = [(by_stem[stem], row + offsets[index]) for row, stem in enumerate(stems) if stem in by_stem]
        axis.plot(
            *zip(*rows, strict=True), linestyle="", marker=MARKERS[index % len(MARKERS)], label=method,
            color=PALETTE[index % len(PALETTE)],
        )  # fmt: skip
    axis.set_yticks(range(len(stems)), stems)
    axis.invert_yaxis()
    axis.set_xlabel(label)
    axis.grid(axis="x")
    figure.legend(loc="outside upper center", ncols=min(len(scores), 5))
    return figure


def plot_convergence(costs: Mapping[str, Tensor], *, label: str) -> Figure:
    """Objective before the first and after each iteration (``Reduction.cost``), of one or several runs."""
    figure = _figure(7.2, 3.0)
    axis = figure.subplots()
    for index, (name, cost) in enumerate(costs.items()):
        axis.plot(cost.detach().cpu().numpy(), label=name, color=PALETTE[index % len(PALETTE)])
    axis.set(xlabel="iteration", ylabel=label, yscale="log")
    axis.grid()
    if len(costs) > 1:
        axis.legend()
    return figure


def _figure(width: float, height: float) -> Figure:
    # Not made by pyplot: a notebook would show a pyplot figure once more, without alt text.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
