"""Which small changes of the code would no test notice? Random mutants, each against the tests of its module.

    python -m pip install -c binder/constraints.txt -e '.[mutation]'
    python tests/mutation.py --mutants 200 --out mutants.csv

Cosmic Ray makes the mutants, in copies of the checkout, of what is committed. Mutants of annotations and docstrings,
which cannot change a result, are not drawn.
"""

from __future__ import annotations

import argparse
import ast
import csv
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parents[1]
# The first pattern that fits a module says which tests must notice; quick and likely ones come first.
TESTS = {
    "irtools/methods/alternating/*.py": "unit/test_alternating unit/test_frozen_scores parity/test_alternating",
    "irtools/methods/closemic/*.py": "parity/test_close_mic_loops unit/test_closemic unit/test_frozen_scores",
    "irtools/methods/ica.py": "unit/test_ica unit/test_frozen_scores",
    "irtools/methods/networks/*.py": "unit/test_neural unit/test_frozen_scores",
    "irtools/methods/powers/*.py": "unit/test_kamir unit/test_mira unit/test_frozen_scores",
    "irtools/methods/*.py": "unit/test_streaming unit/test_registry",
    "irtools/methods/streaming/*.py": "unit/test_streaming unit/test_cli",
    "irtools/metrics/blind/*.py": "unit/test_live_measures",
    "irtools/metrics/oracles.py": "unit/test_oracles",
    "irtools/metrics/silence.py": "unit/test_silence_scores",
    "irtools/metrics/*.py": "unit/test_metrics parity/test_metrics_museval",
    "irtools/recording/datasets/*.py": "unit/test_datasets",
    "irtools/recording/*.py": "unit/test_files unit/test_streaming unit/test_cli",
}
TIMEOUT_S = 900


def tests_of(module: Path) -> list[str]:
    """Test files of a module."""
    names = next(names for pattern, names in TESTS.items() if module.match(pattern))
    return [f"tests/{name}.py" for name in names.split()]


def meaning(code: str) -> str:
    """What runs: the syntax tree without annotations and docstrings."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0].value = ast.Constant(None)
    return ast.dump(tree)


def candidates(modules: list[Path]) -> list[tuple[Path, str, int, int]]:
    """Every possible mutant: module, operator, occurrence and line."""
    kinds = {name: get_operator(name) for name in operator_names()}
    operators = {name: kind() for name, kind in kinds.items() if not kind.arguments()}
    found = []
    for module in modules:
        nodes = list(ast_nodes(get_ast_from_path(ROOT / module)))
        for name, operator in operators.items():
            places = (start for node in nodes for start, _ in operator.mutation_positions(node))
            found += [(module, name, occurrence, line) for occurrence, (line, _) in enumerate(places)]
    return found


def sample(modules: list[Path], mutants: int, seed: int) -> list[tuple[Path, str, int, str, str]]:
    """As many mutants as asked for that change what runs: module, operator, line, change there, and their code."""
    everything, chosen = candidates(modules), []
    random.Random(seed).shuffle(everything)
    for module, name, occurrence, line in everything:
        code = (ROOT / module).read_text()
        mutated = mutate_code(code, get_operator(name)(), occurrence)
        try:
            if mutated is None or meaning(mutated) == meaning(code):
                continue
        except SyntaxError:
            continue
        chosen.append((module, name, line, difference(code, mutated), mutated))
        if len(chosen) == mutants:
            break
    return chosen


def outcome(tree: Path, module: Path, mutated: str) -> str:
    """Killed by which test, survived, or out of time."""
    path = tree / module
    original = path.read_text()
    path.write_text(mutated)
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", *tests_of(module)]
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return "killed: out of time"
    finally:
        path.write_text(original)
    if not done.returncode:
        return "survived"
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return "killed: " + (failed[0].partition("::")[2].partition(" - ")[0] if failed else "at import")


def difference(code: str, mutated: str) -> str:
    """The first line that changed, before and after."""
    pairs = zip(code.splitlines(), mutated.splitlines(), strict=False)
    changed = [(a.strip(), b.strip()) for a, b in pairs if a != b]
    return " -> ".join(changed[0]) if changed else "lines removed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rooms", nargs="*", default=["methods", "metrics", "recording"])
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("mutants.csv"))
    arguments = parser.parse_args()
    modules = sorted(
        path.relative_to(ROOT) for room in arguments.rooms for path in (ROOT / "irtools" / room).rglob("*.py")
    )
    chosen = sample([module for module in modules if module.name != "__init__.py"], arguments.mutants, arguments.seed)
    counts, trees = Counter(), Queue()
    with tempfile.TemporaryDirectory() as folder, arguments.out.open("w", newline="") as file:
        for job in range(arguments.jobs):
            subprocess.run(["git", "clone", "-q", ROOT, f"{folder}/{job}"], check=True)
            trees.put(Path(folder, str(job)))
        table = csv.writer(file)
        table.writerow(["module", "line", "operator", "change", "outcome"])

        def run(mutant):
            tree = trees.get()
            try:
                return mutant, outcome(tree, mutant[0], mutant[4])
            finally:
                trees.put(tree)

        with ThreadPoolExecutor(arguments.jobs) as pool:
            for (module, name, line, change, _), told in pool.map(run, chosen):
                counts[told.partition(":")[0]] += 1
                table.writerow([module, line, name.removeprefix("core/"), change, told])
                file.flush()
    print(f"{counts['killed']} of {sum(counts.values())} mutants killed -> {arguments.out}")


if __name__ == "__main__":
    main()
