"""Two runs of a chapter publish the same bits."""

import pytest
from chapters import chapters, execute, without_times


@pytest.mark.slow
@pytest.mark.parametrize("notebook", chapters(), ids=lambda path: path.stem)
def test_two_runs_publish_the_same_bits(notebook, tmp_path):
    runs = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        runs.append(without_times(execute(notebook, tmp_path / name)))
    assert runs[0] == runs[1]
