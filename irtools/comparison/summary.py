"""A table of a benchmark in a few lines: mean, median and worst stem of every method, by scene or by song."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from statistics import fmean, median

_SPLITS = {"scene": "stage", "rt60_s": "RT60"}


def summarise(rows: Iterable[dict], by: Sequence[str] = ("scene",)) -> list[dict]:
    """Average the rows of every method within each group, in the order of the rows.

    Parameters
    ----------
    rows : iterable of dict
        As :func:`irtools.comparison.table.read_rows` returns them.
    by : sequence of str
        Columns whose values make a group; () is one group of everything.

    Returns
    -------
    list of dict
        The columns of ``by``, ``method`` (with its options), ``stems`` that have an SI-SDR, ``missing`` that have none
        (a silent source, or a silent estimate), ``failed`` jobs; means over the stems of scores in dB; ``mean``,
        ``median`` and ``worst`` SI-SDR improvement in dB with the ``worst_stem``; median ``times_real_time``, and the
        largest ``peak_mib`` and ``extra_mib`` of a job. NaN where there is nothing to average.
    """
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        absent = [name for name in by if name not in row]
        if absent:
            raise ValueError(f"by: expected columns of the table, got {absent[0]!r}")
        # NaN, where a linear scene has no reverberation time, equals nothing: its text does.
        groups.setdefault((*(str(row[name]) for name in by), method_label(row)), []).append(row)
    return [_summary(members, by, place[-1]) for place, members in groups.items()]


def method_label(row: dict) -> str:
    """Method and options of a row, as they are typed: am:variant=notebook:max_iter=9."""
    options = json.loads(row.get("options") or "{}")
    typed = (f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in options.items())
    return ":".join([row["method"], *typed])


def summary_table(rows: Sequence[dict], by: Sequence[str] = ("scene",)) -> str:
    """The summary as aligned text: one line per group and method."""
    head = [*(_SPLITS.get(name, name) for name in by), "method", "stems", "in dB", "out dB", "mean", "median", "worst"]
    body = [[*head, "", "SDR", "SIR", "SAR", "x real time", "MiB"]]
    texts = {*range(len(by) + 1), len(head)}
    for group in summarise(rows, by):
        counts = f"{group['stems']:d}" + (f"/{group['stems'] + group['missing']:d}" if group["missing"] else "")
        counts += f" ({group['failed']} failed)" if group["failed"] else ""
        shown = ["input_si_sdr_db", "si_sdr_db", "mean", "median", "worst", "worst_stem", "sdr_db", "sir_db", "sar_db"]
        cells = [*(_cell(group[name]) for name in by), group["method"], counts, *(_cell(group[name]) for name in shown)]
        body.append([*cells, _cell(group["times_real_time"], ".1f"), _cell(group["extra_mib"], ".0f")])
    widths = [max(map(len, column)) for column in zip(*body, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i in texts else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in body
    )


def _summary(rows: list[dict], by: Sequence[str], method: str) -> dict:
    scored = [row for row in rows if not row.get("error")]
    gains = _known(scored, "si_sdr_improvement_db")
    worst = min(scored, key=lambda row: _number(row, "si_sdr_improvement_db", math.inf), default=None)
    counted = len(_known(scored, "si_sdr_db"))
    averages = ("input_si_sdr_db", "si_sdr_db", "sdr_db", "sir_db", "sar_db", "bleed_db")
    return {
        **{name: rows[0][name] for name in by},
        "method": method,
        "stems": counted,
        "missing": len(scored) - counted,
        "failed": len(rows) - len(scored),
        **{name: _over(fmean, _known(scored, name)) for name in averages},
        "mean": _over(fmean, gains),
        "median": _over(median, gains),
        "worst": _over(min, gains),
        "worst_stem": f"{worst['song']}: {worst['stem']}" if gains else "",
        "times_real_time": _over(median, _known(scored, "times_real_time")),
        "peak_mib": _over(max, _known(scored, "peak_mib")),
        "extra_mib": _over(max, _known(scored, "extra_mib")),
    }


def _known(rows: list[dict], name: str) -> list[float]:
    return [value for row in rows if not math.isnan(value := _number(row, name))]


def _number(row: dict, name: str, otherwise: float = math.nan) -> float:
    value = row.get(name, math.nan)
    return otherwise if math.isnan(value) else value


def _over(statistic, values: list[float]) -> float:
    return statistic(values) if values else math.nan


def _cell(value, form: str = ".2f") -> str:
    if isinstance(value, str):
        return value
    return "-" if math.isnan(value) else format(value, form)
