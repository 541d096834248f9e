"""Record on purpose what the chapters publish now: python tests/book/update_expected.py [CHAPTER ...]

Prints every result that moved beside its old value. Tolerances that a file states are kept.
"""

import json
import sys
import tempfile
from pathlib import Path

from chapters import EXPECTED, chapters, compare, execute, expected_record


def update(notebook: Path) -> None:
    record = expected_record(notebook.stem)
    with tempfile.TemporaryDirectory() as folder:
        new = execute(notebook, Path(folder))
    table, outside = compare(record, new)
    print(f"{notebook.stem}: {len(outside)} outside tolerance", *table, sep="\n")
    EXPECTED.mkdir(exist_ok=True)
    text = json.dumps({"results": new, "tolerances": record["tolerances"]}, indent=2, sort_keys=True)
    (EXPECTED / f"{notebook.stem}.json").write_text(text + "\n")


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for path in chapters():
        if not wanted or path.stem in wanted:
            update(path)
