"""What the project measured, for a claim of the ledger: read from committed tables, results and networks."""

from __future__ import annotations

import csv
import json
import math
from functools import cache
from pathlib import Path
from statistics import fmean, median

from irtools.checks import check_choice
from irtools.comparison.ledger import Claim

STATISTICS = {"mean": fmean, "median": median, "min": min, "max": max}

_TABLES, _CHAPTERS = "benchmarks/results", "tests/book/expected"
_KINDS = {
    "table": {"table", "where", "column", "statistic", "scale", "minus"},
    "chapter": {"chapter", "result", "minus"},
    "net": {"net", "config"},
}


def recount(claim: Claim, root) -> float | None:
    """The number that was measured for a claim, in a checkout at ``root``; None where it was not measured again.

    ``claim.ours`` is one of

    * ``{table: NAME, where: {COLUMN: VALUE}, column: COLUMN, statistic: mean}`` over ``benchmarks/results/NAME.csv``,
      with "mean", "median", "min" or "max" of the rows that agree with ``where`` in every column (a list: with one of
      its values), empty cells left out, times ``scale`` if there is one;
    * ``{chapter: NAME, result: KEY}``, what a chapter publishes in its small profile (``tests/book/expected``);
    * ``{net: NAME, config: {...}}``, the number of parameters of a network of :data:`irtools.nets.NETS`.

    ``minus`` is another reference, which is subtracted.
    """
    if claim.ours is None:
        return None
    return _value(claim.ours, Path(root), f"{claim.place}: {claim.id}: ours")


def decide(claim: Claim, value: float | None, tolerance: dict | None = None) -> str:
    """The verdict that follows from a number and ``tolerance``, by default that of the claim.

    A claim whose conditions are not those here keeps its own verdict: no number makes two questions the same.
    """
    if value is None or claim.verdict not in ("reproduced", "differs"):
        return claim.verdict
    if isinstance(claim.published, dict):
        (order, bound), *_ = claim.published.items()
        holds = value > bound if order == "above" else value < bound
    else:
        allowed = claim.tolerance if tolerance is None else tolerance
        limit = max(allowed.get("abs", 0.0), allowed.get("rel", 0.0) * abs(claim.published))
        holds = abs(value - claim.published) <= limit
    return "reproduced" if holds else "differs"


def _value(reference: dict, root: Path, label: str) -> float:
    kind = next((name for name in _KINDS if name in reference), None)
    if kind is None:
        raise ValueError(f"{label}: expected one of {', '.join(_KINDS)}, got {reference!r}")
    if unknown := sorted(set(reference) - _KINDS[kind]):
        raise ValueError(f"{label}: {unknown[0]}: expected only {', '.join(sorted(_KINDS[kind]))} of a {kind}")
    value = {"table": _of_table, "chapter": _of_chapter, "net": _of_net}[kind](reference, root, label)
    if "minus" in reference:
        value -= _value(reference["minus"], root, f"{label}: minus")
    return value


def _of_table(reference: dict, root: Path, label: str) -> float:
    path = root / _TABLES / f"{reference['table']}.csv"
    if not path.is_file():
        raise ValueError(f"{label}: table: no file {path.name} in {_TABLES}")
    rows = _rows(path, path.stat().st_mtime_ns)
    if not rows:
        raise ValueError(f"{label}: table: {path.name} has no rows")
    where, column = reference.get("where", {}), reference.get("column")
    for name in (*where, column):
        if name not in rows[0]:
            raise ValueError(f"{label}: {reference['table']}.csv has no column {name!r}")
    statistic = reference.get("statistic", "mean")
    check_choice(f"{label}: statistic", statistic, STATISTICS)
    wanted = {name: {str(v) for v in (value if isinstance(value, list) else [value])} for name, value in where.items()}
    chosen = [row[column] for row in rows if all(row[name] in values for name, values in wanted.items())]
    numbers = [float(text) for text in chosen if text]
    if not numbers:
        raise ValueError(f"{label}: no row of {reference['table']}.csv has {where} and a number under {column!r}")
    return STATISTICS[statistic](numbers) * reference.get("scale", 1)


@cache
def _rows(path: Path, changed: int) -> list[dict]:
    """Every row, read once as long as the file is not changed."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _of_chapter(reference: dict, root: Path, label: str) -> float:
    path = root / _CHAPTERS / f"{reference['chapter']}.json"
    if not path.is_file():
        raise ValueError(f"{label}: chapter: no file {path.name} in {_CHAPTERS}")
    value = json.loads(path.read_text(encoding="utf-8"))["results"].get(reference.get("result"))
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{label}: result: {path.name} has no number {reference.get('result')!r}")
    return float(value)


def _of_net(reference: dict, root: Path, label: str) -> float:
    import torch

    from irtools.nets import build
    from irtools.nets.parameters import keras_parameters

    try:
        with torch.device("meta"):  # sizes alone
            return float(keras_parameters(build(reference["net"], **reference.get("config", {}))))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{label}: net: {error}") from None
