"""What a reduction scored: :class:`Scores`, its averages, its table and its plain types."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

import torch
from torch import Tensor

from irtools.metrics.signals import decibels

LABELS = {
    "si_sdr": "SI-SDR",
    "sdr": "SDR",
    "sir": "SIR",
    "sar": "SAR",
    "isr": "ISR",
    "gain_aligned_sdr": "SDR, gain aligned",
    "delay_aligned_sdr": "SDR, gain and delay aligned",
    "bleed": "residual bleed",
    "si_sdr_improvement": "SI-SDR improvement",
    "sdr_improvement": "SDR improvement",
}


@dataclass(frozen=True)
class Scores:
    """The scores of N estimates against their references, in dB, float64.

    The four ratios of BSS Eval are of shape (sources, windows), NaN where a window does not count; all else is on the
    whole signal, (sources,), NaN for a silent source, but ``residual_bleed_db[n, j]``: source j in estimate n.
    Improvements are over the inputs, None where there were none; so is ``gains_error`` without both matrices.
    """

    names: tuple[str, ...]
    sample_rate: int
    window_s: float
    hop_s: float
    filter_length: int
    max_delay_s: float
    sdr: Tensor
    isr: Tensor
    sir: Tensor
    sar: Tensor
    si_sdr: Tensor
    gain_aligned_sdr: Tensor
    delay_aligned_sdr: Tensor
    delay_samples: Tensor
    residual_bleed_db: Tensor
    si_sdr_improvement: Tensor | None = None
    sdr_improvement: Tensor | None = None
    gains_error: float | None = None

    @property
    def bleed(self) -> Tensor:
        """All other sources together in each estimate, relative to its own, in dB: (sources,)."""
        share = 10 ** (self.residual_bleed_db / 10)
        share.fill_diagonal_(torch.nan)
        return decibels(share.nansum(1), torch.ones_like(share[0])).masked_fill(share.isnan().all(1), torch.nan)

    @property
    def definitions(self) -> dict[str, str]:
        """What each figure is, in one line."""
        windows = f"{self.window_s:g} s windows, hop {self.hop_s:g} s"
        ratio = f"BSS Eval v4 images, {windows}"
        filters = f"{ratio}, {self.filter_length}-tap filters fitted on the whole signal"
        return {
            "SI-SDR": "whole signal, reference scaled, means kept",
            "SDR": f"{ratio} (plain SNR: level and delay count)",
            "SIR, SAR, ISR": filters,
            "SDR, gain aligned": "whole signal, best gain on the estimate",
            "SDR, gain and delay aligned": f"the same, best whole-sample delay within {self.max_delay_s:g} s",
            "residual bleed": "the others in an estimate relative to its own source, joint zero-delay gains",
        }

    def mean(self, metric: str) -> Tensor:
        """Mean of ``metric`` over the windows that count, for each source: (sources,)."""
        return _over_windows(getattr(self, metric), Tensor.nanmean)

    def median(self, metric: str) -> Tensor:
        """Median of ``metric`` over the windows that count, for each source: (sources,)."""
        return _over_windows(getattr(self, metric), _median)

    def n_windows(self, metric: str = "sdr") -> list[int]:
        """How many windows of each source count for ``metric`` (one of sdr, isr, sir, sar)."""
        return (~getattr(self, metric).isnan()).sum(-1).tolist()

    def overall(self, metric: str) -> tuple[float, float]:
        """Mean of the sources' means, and median of the sources' medians; NaN sources are left out."""
        return self.mean(metric).nanmean().item(), _median(self.median(metric)).item()

    @property
    def metrics(self) -> list[str]:
        """The names that :meth:`mean`, :meth:`median` and :meth:`overall` take, those without data left out."""
        return [name for name in LABELS if getattr(self, name) is not None]

    def to_dict(self) -> dict:
        """Everything in plain types for JSON: NaN becomes None, an infinity the string "inf" or "-inf"."""
        stems = {}
        for n, name in enumerate(self.names):
            stem = {m: _plain(getattr(self, m)[n]) for m in self.metrics if getattr(self, m).ndim == 1}
            for m in (m for m in self.metrics if getattr(self, m).ndim == 2):
                values = getattr(self, m)[n]
                stem[m] = {
                    "mean": _plain(values.nanmean()),
                    "median": _plain(_median(values)),
                    "n_windows": int((~values.isnan()).sum()),
                    "windows": [_plain(value) for value in values],
                }
            stem["delay_samples"] = int(self.delay_samples[n])
            bleed = zip(self.names, self.residual_bleed_db[n], strict=True)
            stem["residual_bleed_db"] = {other: _plain(v) for other, v in bleed if other != name}
            stems[name] = stem
        return {
            "sample_rate": self.sample_rate,
            "window_s": self.window_s,
            "hop_s": self.hop_s,
            "filter_length": self.filter_length,
            "definitions": self.definitions,
            "stems": stems,
            "overall": {
                m: dict(zip(("mean", "median"), map(_plain, self.overall(m)), strict=True)) for m in self.metrics
            },
            "gains_error": None if self.gains_error is None else _plain(self.gains_error),
        }

    def rows(self) -> list[list[str]]:
        """Header and body of the table as cells: metric, statistic, one column per source, overall."""
        body = [["dB", "over windows", *self.names, "overall"]]
        for metric in self.metrics:
            statistics = {"mean": self.mean, "median": self.median}
            if getattr(self, metric).ndim == 1:
                statistics = {"": self.mean}
            for i, (statistic, over) in enumerate(statistics.items()):
                cells = [_cell(value) for value in over(metric).tolist()]
                body.append([LABELS[metric], statistic, *cells, _cell(self.overall(metric)[i])])
        counts = [f"{n}/{self.sdr.shape[1]}" for n in self.n_windows()]
        return [*body, ["active windows", "", *counts, ""]]

    def table(self) -> str:
        """Aligned text: the definitions, then one row per metric and statistic."""
        head = [f"{name} = {text}" for name, text in self.definitions.items()]
        rows = self.rows()
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            "  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
            for row in rows
        ]
        if self.gains_error is not None:
            lines.append(f"error of the gains (Frobenius, own microphone scaled to 1): {self.gains_error:.4g}")
        return "\n".join([*head, "", *(line.rstrip() for line in lines)])


def _over_windows(values: Tensor, statistic) -> Tensor:
    return values if values.ndim == 1 else torch.stack([statistic(row) for row in values])


def _median(values: Tensor) -> Tensor:
    """Median of what is not NaN, the mean of the middle two for an even count."""
    kept = values[~values.isnan()].tolist()
    return values.new_tensor(statistics.median(kept) if kept else math.nan)


def _plain(value) -> float | str | None:
    value = float(value)
    return None if math.isnan(value) else value if math.isfinite(value) else str(value)


def _cell(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
