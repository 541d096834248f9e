"""Record on purpose what the chapters publish now: python tests/book/update_expected.py [CHAPTER ...]

Prints every result that moved beside its old value. Tolerances that a file states are kept. A chapter that publishes
rounding as a figure is not recorded, and the exit code is 1.
"""

import json
import sys
import tempfile
from pathlib import Path

from chapters import EXPECTED, chapters, compare, execute, expected_record, not_portable


def update(notebook: Path, expected: Path = EXPECTED) -> bool:
    """Execute the chapter and record what it publishes in ``expected``; whether that may be recorded."""
    record = expected_record(notebook.stem)
    with tempfile.TemporaryDirectory() as folder:
        new = execute(notebook, Path(folder))
    table, outside = compare(record, new)
    print(f"{notebook.stem}: {len(outside)} outside tolerance", *table, sep="\n")
    if wrong := not_portable(new):
        print(f"{notebook.stem} is not recorded:", *wrong, sep="\n")
        return False
    text = json.dumps({"results": new, "tolerances": record["tolerances"]}, indent=2, sort_keys=True)
    (expected / f"{notebook.stem}.json").write_text(text + "\n")
    return True


if __name__ == "__main__":
    wanted = sys.argv[1:]
    recorded = [update(path) for path in chapters() if not wanted or path.stem in wanted]
    sys.exit(not all(recorded))
