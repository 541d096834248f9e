"""Two runs of a chapter publish the same bits."""

import pytest
from chapters import chapters, execute, without_times


@pytest.mark.slow
@pytest.mark.parametrize("notebook", chapters(), ids=lambda path: path.stem)
def test_two_runs_publish_the_same_bits(notebook, first_run, tmp_path):
    # A float survives JSON bit by bit: Python writes the shortest text that reads back as the same number.
    assert without_times(execute(notebook, tmp_path)) == without_times(first_run(notebook))
