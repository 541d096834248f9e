"""The ledger of published claims: what a file of it must be, and that the one of the project is true."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from irtools.comparison.ledger import VERDICTS, Claim, read_ledger
from irtools.comparison.listening.published import SARAGA, SARAGA_LISTENERS
from irtools.comparison.recount import decide, recount

ROOT = Path(__file__).resolve().parents[2]
PLACES, CLAIMS = read_ledger(ROOT / "benchmarks/ledger.yml")
MEASURED = [pytest.param(claim, id=claim.id) for claim in CLAIMS if claim.ours is not None]
BY_ID = {claim.id: claim for claim in CLAIMS}


# The ledger of the project


@pytest.mark.parametrize("claim", MEASURED)
def test_the_verdict_follows_from_what_was_measured(claim):
    value = recount(claim, ROOT)
    assert decide(claim, value) == claim.verdict, f"measured {value:.6g}, published {claim.published}"


def test_every_source_is_in_the_references():
    known = set(re.findall(r"^@\w+\{([^,]+),", (ROOT / "book/references.bib").read_text(), flags=re.MULTILINE))
    assert {claim.source for claim in CLAIMS} <= known


def test_every_number_of_every_place_has_its_claim():
    found = Counter(claim.place for claim in CLAIMS if claim.doubtful or isinstance(claim.published, int | float))
    assert {place.place: found[place.place] for place in PLACES} == {place.place: place.numbers for place in PLACES}


def test_there_is_every_verdict_and_ids_are_unique():
    assert {claim.verdict for claim in CLAIMS} == set(VERDICTS)
    assert len(BY_ID) == len(CLAIMS) > 500


def test_what_the_sources_print_twice_is_the_same_in_both_places():
    for name in ("clean", "bled", "cae", "tunet"):
        assert BY_ID[f"mss-{name}"].published == BY_ID[f"slides-mss-{name}"].published
    for name in ("clean", "bled", "cae"):
        assert BY_ID[f"repository-mss-{name}"].published == pytest.approx(BY_ID[f"mss-{name}"].published, abs=0.02)
    assert BY_ID["slides-time-tunet"].published == BY_ID["time-tunet"].published
    for name in ("kamir", "cae"):
        assert BY_ID[f"slides-time-{name}"].published == pytest.approx(2 * BY_ID[f"time-{name}"].published)


def test_the_listening_test_is_that_of_the_library():
    assert BY_ID["listeners"].published == SARAGA_LISTENERS
    for (stem, scale), row in SARAGA.items():
        columns = ("kamir-mean", "dfunet-mean", "kamir-median", "dfunet-median")
        found = [BY_ID[f"slides-listening.{scale.lower()}-{stem}.{column}"].published for column in columns]
        assert tuple(found) == row


def test_what_is_said_of_the_rows_of_the_readme_is_so():
    def row(model):
        stems = [BY_ID[f"abr-readme.{model}.{stem}"].published for stem in ("vocals", "bass", "drums", "other")]
        overall = {"reference": "input", "kamir": "kamir", "di-cae": "cae", "optimisation": "am", "t-unet": "tunet"}
        overall |= {"f-unet": "funet", "df-unet": "dfunet", "df-unet-gat": "gat"}
        return stems, BY_ID[f"abr-{overall[model]}"].published

    models = ("reference", "kamir", "di-cae", "optimisation", "t-unet", "f-unet", "df-unet", "df-unet-gat")
    above = [model for model in models if row(model)[1] > max(row(model)[0])]
    assert above == ["di-cae", "df-unet", "df-unet-gat"]
    assert row("f-unet")[0] == row("df-unet")[0]
    (stems, overall), (graph_stems, graph_overall) = row("df-unet"), row("df-unet-gat")
    differences = [b - a for a, b in zip([*stems, overall], [*graph_stems, graph_overall], strict=True)]
    assert differences == pytest.approx([10.0] * 5)


# Any ledger


ROW = {
    "id": "gain",
    "what": "SDR of t-UNet",
    "published": 5.0,
    "unit": "dB",
    "conditions": "MUSDB18",
    "ours": {"table": "scores", "where": {"method": "tunet"}, "column": "sdr_db"},
    "ours_conditions": "two songs",
    "tolerance": {"abs": 0.5},
    "verdict": "reproduced",
    "reason": "the same songs",
}
PLACE = {"place": "table-1", "source": "rajesh2023", "where": "Table 1", "topic": "scores", "numbers": 1}


@pytest.fixture
def root(tmp_path):
    """A repository with one table and one chapter."""
    tables = tmp_path / "benchmarks/results"
    tables.mkdir(parents=True)
    rows = ["method,stem,sdr_db", "tunet,bass,4.0", "tunet,drums,5.0", "tunet,vocals,", "kamir,bass,1.5"]
    (tables / "scores.csv").write_text("\n".join(rows) + "\n")
    (tables / "empty.csv").write_text("method,sdr_db\n")
    chapters = tmp_path / "tests/book/expected"
    chapters.mkdir(parents=True)
    (chapters / "kamir.json").write_text(json.dumps({"results": {"out_db": 3.5, "said": "text", "fine": True}}))
    return tmp_path


def read(folder, claims=None, **place):
    path = folder / "ledger.yml"
    entry = {**PLACE, "claims": [ROW] if claims is None else claims, **place}
    path.write_text(yaml.safe_dump({"places": [entry]}, allow_unicode=True))
    return read_ledger(path)[1]


def test_a_row_becomes_a_claim_with_its_place(tmp_path):
    (claim,) = read(tmp_path)
    assert (claim.source, claim.where, claim.topic, claim.place) == ("rajesh2023", "Table 1", "scores", "table-1")
    assert claim.published == 5.0 and claim.missing is None and not claim.doubtful


def test_a_row_goes_before_the_defaults_of_its_place(tmp_path):
    short = {name: ROW[name] for name in ("id", "what", "published")}
    rest = {name: value for name, value in ROW.items() if name not in short}
    first, second = read(tmp_path, [short, {**short, "id": "other", "unit": "s"}], defaults=rest)
    assert (first.unit, second.unit, second.verdict) == ("dB", "s", "reproduced")


def test_a_table_of_cells_becomes_a_claim_a_cell(tmp_path):
    defaults = {"unit": "dB", "conditions": "c", "verdict": "not re-measured", "reason": "r", "missing": "m"}
    cells = {"columns": ["SDR", "SIR+"], "rows": {"1 stack": [0.35, "3.9?"], "none": ["?", "n/a"]}}
    claims = read(tmp_path, [], cells=cells, defaults=defaults)
    assert [claim.id for claim in claims[:2]] == ["table-1.1-stack.sdr", "table-1.1-stack.sir-plus"]
    assert [(claim.published, claim.doubtful, claim.printed) for claim in claims] == [
        (0.35, False, None),
        (3.9, True, None),
        (None, True, "not legible"),
        (None, False, "n/a"),
    ]


def test_cells_look_for_their_own_rows_of_a_table(tmp_path, root):
    cells = {"columns": ["bass", "drums"], "columns_are": "stem", "rows_are": "method", "rows": {"tunet": [4.0, 7.0]}}
    defaults = {name: value for name, value in ROW.items() if name not in ("id", "what", "published")}
    claims = read(tmp_path, [], cells=cells, defaults=defaults | {"ours": {"table": "scores", "column": "sdr_db"}})
    assert [recount(claim, root) for claim in claims] == [4.0, 5.0]
    assert [decide(claim, recount(claim, root)) for claim in claims] == ["reproduced", "differs"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict": "confirmed"}, "gain: verdict: expected one of reproduced, differs"),
        ({"verdict": "not re-measured"}, "gain: ours: expected none with the verdict 'not re-measured'"),
        ({"ours": None}, "gain: ours: expected a reference with the verdict 'reproduced'"),
        ({"ours": 5.1}, "gain: ours: expected a reference to what was measured, got 5.1: no number is typed"),
        ({"ours_conditions": None}, "gain: ours_conditions: missing"),
        ({"tolerance": None}, "gain: tolerance: missing"),
        ({"tolerance": {"absolute": 1}}, "gain: tolerance: expected"),
        ({"tolerance": {}}, "gain: tolerance: expected"),
        ({"tolerance": {"abs": -1}}, "gain: tolerance: expected"),
        ({"published": "2.3 dB"}, "gain: published: expected a number"),
        ({"published": float("nan")}, "gain: published: expected a number"),
        ({"published": {"about": 2}}, "gain: published: expected a number"),
        ({"published": {"above": 1, "below": 2}}, "gain: published: expected a number"),
        ({"published": None}, "gain: printed: missing"),
        ({"published": None, "printed": "NA"}, "gain: published: expected a number or an order"),
        ({"verdict": "not comparable"}, "gain: missing: expected what it would take"),
        ({"reason": ""}, "gain: reason: expected text"),
        ({"unit": 3}, "gain: unit: expected text"),
        ({"doubtful": "yes"}, "gain: doubtful: expected true or false"),
        ({"tolerence": {"abs": 1}}, "gain: tolerence: no such field"),
        ({"id": None}, "None: id: expected text"),
    ],
)
def test_a_row_that_is_wrong_is_named_with_its_field(tmp_path, change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read(tmp_path, [{**ROW, **change}])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"numbers": "four"}, "table-1: numbers: expected how many"),
        ({"numbers": True}, "table-1: numbers: expected how many"),
        ({"source": None}, "table-1: source: expected text"),
        ({"tables": 1}, "table-1: tables: no such field"),
        ({"claims": {"a": 1}}, "table-1: defaults, claims: expected a mapping and a list"),
        ({"claims": ["a"]}, "table-1: claims: expected mappings"),
        ({"cells": {"columns": ["a"], "rows": {"b": [1, 2]}}}, "table-1: cells: row 'b': expected 1 values"),
        ({"cells": {"rows": {"b": [1]}}}, "table-1: cells: expected a mapping"),
        ({"cells": {"columns": ["a"], "rows": {}, "colums": 1}}, "table-1: cells: colums: no such field"),
        ({"claims": [ROW, ROW]}, "gain: id: expected a name that no other entry has"),
        ({"claims": [{name: ROW[name] for name in ROW if name != "published"}]}, "gain: published: missing"),
    ],
)
def test_a_place_that_is_wrong_is_named_with_its_field(tmp_path, change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read(tmp_path, **change)


def test_a_file_that_is_no_ledger_is_named(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        read_ledger(tmp_path / "none.yml")
    for text, message in (("places: [", "no YAML"), ("- 1", "expected a list under 'places'"), ("", "expected a list")):
        (tmp_path / "ledger.yml").write_text(text)
        with pytest.raises(ValueError, match=message):
            read_ledger(tmp_path / "ledger.yml")
    (tmp_path / "ledger.yml").write_text("places: [1]")
    with pytest.raises(ValueError, match="place 1: expected a mapping, got int"):
        read_ledger(tmp_path / "ledger.yml")


def test_without_pyyaml_the_message_says_what_to_install(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "ledger.yml").write_text("places: []")
    with pytest.raises(ModuleNotFoundError, match="pip install pyyaml"):
        read_ledger(tmp_path / "ledger.yml")


# What was measured


def claim_of(ours, **changes):
    return Claim(**{**PLACE_OF_CLAIM, **ROW, "ours": ours, **changes})


PLACE_OF_CLAIM = {name: PLACE[name] for name in ("place", "source", "where", "topic")}


@pytest.mark.parametrize(
    ("ours", "value"),
    [
        ({"table": "scores", "where": {"method": "tunet"}, "column": "sdr_db"}, 4.5),
        ({"table": "scores", "where": {"method": ["tunet", "kamir"]}, "column": "sdr_db", "statistic": "median"}, 4.0),
        ({"table": "scores", "column": "sdr_db", "statistic": "max", "scale": 2}, 10.0),
        ({"table": "scores", "column": "sdr_db", "statistic": "min"}, 1.5),
        ({"chapter": "kamir", "result": "out_db"}, 3.5),
        ({"chapter": "kamir", "result": "out_db", "minus": {"table": "scores", "column": "sdr_db"}}, 0.0),
        ({"net": "dfunet-paper", "config": {"graph": "similarity"}}, 3_855_793),
        (None, None),
    ],
)
def test_a_reference_is_computed(root, ours, value):
    assert recount(claim_of(ours), root) == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    ("ours", "message"),
    [
        ({"file": "scores"}, "expected one of table, chapter, net"),
        ({"table": "scores", "colum": "sdr_db"}, "colum: expected only"),
        ({"table": "none", "column": "sdr_db"}, "table: no file none.csv"),
        ({"table": "empty", "column": "sdr_db"}, "empty.csv has no rows"),
        ({"table": "scores"}, "scores.csv has no column None"),
        ({"table": "scores", "where": {"song": "a"}, "column": "sdr_db"}, "has no column 'song'"),
        (
            {"table": "scores", "where": {"method": "am"}, "column": "sdr_db"},
            "no row of scores.csv has {'method': 'am'}",
        ),
        ({"table": "scores", "where": {"stem": "vocals"}, "column": "sdr_db"}, "no row of scores.csv"),
        ({"table": "scores", "column": "sdr_db", "statistic": "mode"}, "statistic: expected one of mean"),
        (
            {"table": "scores", "column": "sdr_db", "minus": {"chapter": "none", "result": "a"}},
            "minus: chapter: no file",
        ),
        ({"chapter": "kamir", "result": "none"}, "result: kamir.json has no number 'none'"),
        ({"chapter": "kamir", "result": "said"}, "has no number 'said'"),
        ({"chapter": "kamir", "result": "fine"}, "has no number 'fine'"),
        ({"net": "unet"}, "net: name: expected one of cae"),
        ({"net": "tunet", "config": {"depth": 3}}, "net: "),
    ],
)
def test_a_reference_to_nothing_is_named(root, ours, message):
    with pytest.raises(ValueError, match=r"table-1: gain: ours: .*" + re.escape(message)):
        recount(claim_of(ours), root)


def test_a_table_that_changes_is_read_again(root):
    claim = claim_of({"table": "scores", "where": {"method": "kamir"}, "column": "sdr_db"})
    assert recount(claim, root) == 1.5
    path = root / "benchmarks/results/scores.csv"
    path.write_text(path.read_text().replace("1.5", "2.75"))
    import os

    os.utime(path, ns=(1, 1))
    assert recount(claim, root) == 2.75


@pytest.mark.parametrize(
    ("published", "tolerance", "value", "verdict"),
    [
        (5.0, {"abs": 0.5}, 5.5, "reproduced"),
        (5.0, {"abs": 0.5}, 4.4, "differs"),
        (-5.0, {"rel": 0.1}, -5.4, "reproduced"),
        (-5.0, {"rel": 0.1}, -5.6, "differs"),
        (5.0, {"abs": 0.1, "rel": 0.2}, 5.9, "reproduced"),
        (5.0, {"abs": 0}, 5.0, "reproduced"),
        ({"above": 0}, None, 0.1, "reproduced"),
        ({"above": 0}, None, 0.0, "differs"),
        ({"below": 0}, None, -0.1, "reproduced"),
        ({"below": 0}, None, 0.1, "differs"),
    ],
)
def test_the_rule_of_the_verdict(published, tolerance, value, verdict):
    for written in ("reproduced", "differs"):
        claim = claim_of({}, published=published, tolerance=tolerance, verdict=written)
        assert decide(claim, value) == verdict
    claim = claim_of({}, published=published, tolerance=tolerance, verdict="not comparable")
    assert decide(claim, value) == "not comparable"


def test_a_verdict_changes_with_the_tolerance():
    claim = claim_of({})
    assert decide(claim, 5.4) == "reproduced" and decide(claim, 5.4, {"abs": 0.1}) == "differs"
    assert decide(replace(claim, verdict="differs"), 5.4) == "reproduced"
    assert decide(claim, None) == "reproduced"
