import os
import sys
from pathlib import Path

from hypothesis import settings

# Plain loops: what the benchmarks time the methods against is what tests compare them with.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

# Tests run in parallel processes: one thread each is faster than many that wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

# A script, with a dependency that tests do not need.
collect_ignore = ["mutation.py"]

# Examples found once are kept nowhere: a checkout that has failed can pass again.
# The same examples in every run; new ones with --hypothesis-profile=random, which the nightly workflow asks for.
settings.register_profile("ci", derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile("random", derandomize=False, deadline=None, database=None, print_blob=True)
settings.load_profile("ci")
