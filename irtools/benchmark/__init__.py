"""Methods x scenes -> one tidy table: a row a scene, method, set of options and stem.

A *scene* is a plain dictionary (:mod:`irtools.benchmark.scenes`), a *job* is one method on one scene
(:mod:`irtools.benchmark.jobs`), measured in a process of its own (:mod:`irtools.benchmark.measured`). Jobs run here, in
several processes or on a Dask cluster (:mod:`irtools.benchmark.running`), their rows go to a CSV file that a later run
goes on with (:mod:`irtools.benchmark.table`), and :mod:`irtools.benchmark.summary` sums it up. Separators of other
packages (:mod:`irtools.benchmark.rivals`) run beside the methods; :mod:`irtools.benchmark.scoreboard` is all of them.
"""

from irtools.benchmark.jobs import BASELINES, Job, plan, run_job
from irtools.benchmark.rivals import RIVALS
from irtools.benchmark.running import run_benchmark
from irtools.benchmark.scenes import STAGES, make_scene, scenes_of
from irtools.benchmark.scoreboard import scoreboard_plan
from irtools.benchmark.summary import summarise
from irtools.benchmark.table import COLUMNS, Table, read_rows

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
