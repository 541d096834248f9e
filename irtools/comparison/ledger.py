"""The ledger of published claims: one entry per number of the sources, beside what it was measured to be here.

The file is YAML: ``places`` (a table, a figure, a slide) with the claims found in each. What was measured is not typed
in it, but referred to; :mod:`irtools.comparison.recount` computes it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

from irtools.checks import check_choice

VERDICTS = ("reproduced", "differs", "not comparable", "not re-measured")

_PLACE = {"place", "source", "where", "topic", "numbers", "defaults", "claims", "cells"}
_CELLS = {"columns", "rows", "rows_are", "columns_are"}


@dataclass(frozen=True)
class Place:
    """A table, figure or slide: its key, ``source``, ``where``, ``topic`` and how many ``numbers`` it prints."""

    place: str
    source: str
    where: str
    topic: str
    numbers: int


@dataclass(frozen=True)
class Claim:
    """What a source says, and what became of it here; ``id`` is unique, the next four fields are those of its place."""

    id: str
    place: str
    source: str  # key of book/references.bib
    where: str
    topic: str
    what: str  # quantity, method and metric
    published: float | dict | None  # a number, {above: x} or {below: x} for an order in words, None where none stands
    unit: str
    conditions: str  # data, mixing and protocol, as far as the source states them
    verdict: str  # one of VERDICTS; the first two say that conditions agree in what decides the number
    reason: str  # why it differs, or what makes the two the same question
    privileged: str | None = None  # what the method or the score was given that a live stage does not have
    doubtful: bool = False  # a digit that the text extracted from the source does not show clearly
    printed: str | None = None  # what stands there, where that is not the number itself
    ours: dict | None = None  # reference to what was measured, see irtools.comparison.recount
    ours_conditions: str | None = None
    tolerance: dict | None = None  # {abs: x} in the unit, {rel: x}, or both, of which the larger holds
    missing: str | None = None  # what it would take to decide


_SHARED = ("place", "source", "where", "topic")
_OWN = [field for field in fields(Claim) if field.name not in _SHARED]


def read_ledger(path) -> tuple[list[Place], list[Claim]]:
    """Read and check a ledger: its places, and its claims with the defaults of their place filled in.

    A cell of a table is a claim of its own. A ``ValueError`` names the entry and the field that are wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected a ledger in YAML")
    try:
        import yaml
    except ModuleNotFoundError:
        raise ModuleNotFoundError("the ledger is YAML: pip install pyyaml") from None
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not isinstance(content.get("places"), list):
        raise ValueError(f"{path}: expected a list under 'places'")
    found = [_place(entry, number) for number, entry in enumerate(content["places"], start=1)]
    places, claims = [place for place, _ in found], [claim for _, claims in found for claim in claims]
    names = [place.place for place in places] + [claim.id for claim in claims]
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise ValueError(f"{twice[0]}: id: expected a name that no other entry has")
    return places, claims


def _place(entry, number: int) -> tuple[Place, list[Claim]]:
    label = f"place {number}"
    if not isinstance(entry, dict):
        raise ValueError(f"{label}: expected a mapping, got {type(entry).__name__}")
    label = str(entry.get("place", label))
    _known_keys(entry, _PLACE, label)
    for field in _SHARED:
        _check_text(entry, field, label, required=True)
    numbers = entry.get("numbers")
    if isinstance(numbers, bool) or not isinstance(numbers, int) or numbers < 0:
        raise ValueError(f"{label}: numbers: expected how many it prints, got {numbers!r}")
    place = Place(*(entry[field] for field in _SHARED), numbers)
    defaults = entry.get("defaults") or {}
    claims = entry.get("claims") or []
    if not isinstance(defaults, dict) or not isinstance(claims, list):
        raise ValueError(f"{label}: defaults, claims: expected a mapping and a list")
    cells = _cells(entry["cells"], label) if "cells" in entry else ()
    return place, [_claim(place, defaults, row) for row in (*cells, *claims)]


def _cells(cells, label: str) -> Iterator[dict]:
    """An entry for each cell of a table."""
    if not isinstance(cells, dict) or not isinstance(cells.get("rows"), dict) or "columns" not in cells:
        raise ValueError(f"{label}: cells: expected a mapping with 'columns' and 'rows'")
    _known_keys(cells, _CELLS, f"{label}: cells")
    columns = cells["columns"]
    for row, values in cells["rows"].items():
        if not isinstance(values, list) or len(values) != len(columns):
            raise ValueError(f"{label}: cells: row {row!r}: expected {len(columns)} values, got {values!r}")
        for column, value in zip(columns, values, strict=True):
            claim = {"id": f"{label}.{_slug(row)}.{_slug(column)}", "what": f"{row}, {column}"}
            picked = {cells[key]: part for key, part in (("rows_are", row), ("columns_are", column)) if key in cells}
            yield claim | _cell(value) | ({"_where": picked} if picked else {})


def _cell(value) -> dict:
    """A number; "3.04?" where a digit is in doubt, "?" where none is legible, other text where no number stands."""
    if not isinstance(value, str):
        return {"published": value}
    text = value.rstrip("?")
    try:
        return {"published": float(text), "doubtful": True}
    except ValueError:
        return {"published": None, "printed": text or "not legible", "doubtful": not text}


def _claim(place: Place, defaults: dict, row) -> Claim:
    if not isinstance(row, dict):
        raise ValueError(f"{place.place}: claims: expected mappings, got {row!r}")
    label = f"{place.place}: {row.get('id', 'a claim without id')}"
    merged = {**defaults, **row}
    picked = merged.pop("_where", {})
    _known_keys(merged, {field.name for field in _OWN}, label)
    for field in _OWN:
        if field.type in ("str", "str | None") and field.name != "verdict":
            _check_text(merged, field.name, label, required=field.default is MISSING)
    if picked and merged.get("ours"):
        merged["ours"] = merged["ours"] | {"where": {**merged["ours"].get("where", {}), **picked}}
    if "published" not in merged:
        raise ValueError(f"{label}: published: missing; expected a number, an order or null")
    _check_published(merged, label)
    _check_verdict(merged, label)
    return Claim(**merged, **{field: getattr(place, field) for field in _SHARED})


def _check_published(claim: dict, label: str) -> None:
    value = claim["published"]
    if value is None and not claim.get("printed"):
        raise ValueError(f"{label}: printed: missing; expected what stands there, as 'published' is null")
    ordered = isinstance(value, dict) and len(value) == 1 and set(value) <= {"above", "below"}
    if value is not None and not _is_number(next(iter(value.values())) if ordered else value):
        raise ValueError(f"{label}: published: expected a number, {{above: x}}, {{below: x}} or null, got {value!r}")
    if not isinstance(claim.get("doubtful", False), bool):
        raise ValueError(f"{label}: doubtful: expected true or false, got {claim['doubtful']!r}")


def _check_verdict(claim: dict, label: str) -> None:
    verdict, ours, tolerance = (claim.get(field) for field in ("verdict", "ours", "tolerance"))
    check_choice(f"{label}: verdict", verdict, VERDICTS)
    if ours is not None and not isinstance(ours, dict):
        raise ValueError(f"{label}: ours: expected a reference to what was measured, got {ours!r}: no number is typed")
    if (ours is None) != (verdict == "not re-measured"):
        expected = "none" if ours is not None else "a reference"
        raise ValueError(f"{label}: ours: expected {expected} with the verdict {verdict!r}")
    if ours is not None and not claim.get("ours_conditions"):
        raise ValueError(f"{label}: ours_conditions: missing; expected under what it was measured")
    if verdict in VERDICTS[2:] and not claim.get("missing"):
        raise ValueError(f"{label}: missing: expected what it would take to decide, with the verdict {verdict!r}")
    if tolerance is not None:
        parts = tolerance.values() if isinstance(tolerance, dict) and set(tolerance) <= {"abs", "rel"} else [None]
        if not parts or not all(_is_number(part) and part >= 0 for part in parts):
            raise ValueError(f"{label}: tolerance: expected {{abs: x}} or {{rel: x}} of at least 0, got {tolerance!r}")
    decided = verdict in VERDICTS[:2]
    if decided and claim["published"] is None:
        raise ValueError(f"{label}: published: expected a number or an order with the verdict {verdict!r}")
    if decided and _is_number(claim["published"]) and tolerance is None:
        raise ValueError(f"{label}: tolerance: missing; the verdict {verdict!r} follows from it")


def _check_text(entry: dict, field: str, label: str, required: bool) -> None:
    value = entry.get(field)
    if (value is None and required) or (value is not None and not (isinstance(value, str) and value.strip())):
        raise ValueError(f"{label}: {field}: expected text, got {value!r}")


def _known_keys(entry: dict, known: set[str], label: str) -> None:
    if unknown := sorted(map(str, set(entry) - known)):
        raise ValueError(f"{label}: {unknown[0]}: no such field; expected some of {', '.join(sorted(known))}")


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _slug(text) -> str:
    return re.sub(r"[^a-z0-9]+", "-", str(text).lower().replace("+", "-plus")).strip("-")
