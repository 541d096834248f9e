"""Methods x scenes -> one table with one row per scene, method, set of options and stem; and listening tests.

A *scene* is a plain dictionary (`scenes`), a *job* is one method on one scene (`jobs`), measured in a process of its
own (`measured`), here or on a Dask cluster (`running`). Rows go to a CSV file that a later run goes on with (`table`);
`summary` sums it up. Separators of other packages (`rivals`) run beside the methods; `scoreboard` is all of them.
"""

from irtools.comparison.jobs import BASELINES, Job, plan, run_job
from irtools.comparison.rivals import RIVALS
from irtools.comparison.running import run_benchmark
from irtools.comparison.scenes import STAGES, make_scene, scenes_of
from irtools.comparison.scoreboard import scoreboard_plan
from irtools.comparison.summary import summarise
from irtools.comparison.table import COLUMNS, Table, read_rows

__all__ = [
    "BASELINES",
    "COLUMNS",
    "RIVALS",
    "STAGES",
    "Job",
    "Table",
    "make_scene",
    "plan",
    "read_rows",
    "run_benchmark",
    "run_job",
    "scenes_of",
    "scoreboard_plan",
    "summarise",
]
