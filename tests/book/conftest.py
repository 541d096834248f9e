import sys
from pathlib import Path

import pytest

# The script update_expected.py and the tests share one module.
sys.path.insert(0, str(Path(__file__).parent))


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.book)
