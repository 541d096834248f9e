"""Run jobs one after another, in several processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager

from irtools import __version__
from irtools.checks import check_int
from irtools.comparison.jobs import Job, failed_rows, run_job
from irtools.comparison.table import Table, read_rows
from irtools.provenance import usable_cores


def run_benchmark(
    jobs: Iterable[Job],
    path,
    *,
    n_jobs: int = 1,
    scheduler: str | None = None,
    threads: int | None = None,
    timeout_s: float | None = None,
    retry_failed: bool = False,
    on_job: Callable[[int, int], None] | None = None,
) -> list[dict]:
    """Run the jobs whose rows are not in the table yet, append them as they come, and return the rows of all jobs.

    A failed job is a row, not the end of the run; an interrupt is the end, and loses only the jobs under way.

    Parameters
    ----------
    jobs : iterable of Job
    path : path
        The CSV file of the table; see :class:`irtools.comparison.table.Table`.
    n_jobs : int
        Jobs at a time on this machine; without effect where a scheduler is given.
    scheduler : str, optional
        Address of a Dask scheduler, such as ``tcp://host:8786``: its workers, which need this version of irtools, take
        one job per worker thread. A folder of stems must lie at the same path there.
    threads : int, optional
        Of each job; by default the cores of a machine are shared out among the jobs it runs at a time.
    timeout_s : float, optional
        Wall-clock limit of a method, in seconds; one that takes longer is a row with an error.
    retry_failed : bool
        Run jobs again that failed in an earlier run.
    on_job : callable, optional
        ``on_job(done, total)``, first with 0 done, then after each job of those that were left to run.
    """
    check_int("n_jobs", n_jobs, 1)
    if threads is not None:
        check_int("threads", threads, 1)
    jobs = {job.key: job for job in jobs}
    with Table(path) as table:
        done = {key for key, rows in table.jobs.items() if not (retry_failed and rows[0]["error"])}
        left = [job for key, job in jobs.items() if key not in done]
        if on_job is not None:
            on_job(0, len(left))
        if left:
            options = {"threads": threads, "timeout_s": timeout_s}
            run = _run_here(left, n_jobs, **options) if scheduler is None else _run_on(scheduler, left, **options)
            with closing(run):
                for count, rows in enumerate(run, start=1):
                    table.append(rows)
                    if on_job is not None:
                        on_job(count, len(left))
    place = {key: number for number, key in enumerate(jobs)}
    return sorted((row for row in read_rows(path) if row["key"] in place), key=lambda row: place[row["key"]])


def threads_per_job(cores: int, jobs: int) -> int:
    """Threads of each of so many jobs at a time, so that jobs x threads is no more than the cores."""
    return max(1, cores // jobs)


def _run_here(jobs: list[Job], n_jobs: int, *, threads: int | None, timeout_s: float | None) -> Iterator[list[dict]]:
    from joblib import Parallel, delayed

    threads = threads or threads_per_job(usable_cores(), n_jobs)
    parallel = Parallel(n_jobs=min(n_jobs, len(jobs)), return_as="generator_unordered")
    with _safe_path():
        yield from parallel(delayed(run_job)(job, threads=threads, timeout_s=timeout_s) for job in jobs)


@contextmanager
def _safe_path() -> Iterator[None]:
    """Workers of joblib start with `python -m`: with this they import nothing from the current folder."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def _run_on(scheduler: str, jobs: list[Job], *, threads: int | None, timeout_s: float | None) -> Iterator[list[dict]]:
    try:
        from distributed import Client, as_completed
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"scheduler: needs Dask ({error}): pip install 'irtools[cluster]'") from error
    try:
        client = Client(scheduler, timeout=10)
    except (OSError, TimeoutError, ValueError) as error:
        raise RuntimeError(f"scheduler: no Dask scheduler answers at {scheduler!r} ({error})") from error
    with client:
        shared = _threads_of_workers(client, scheduler)
        # Not pure: the same job in two runs is measured twice. No retries: a failure is a row.
        futures = client.map(run_job, jobs, threads=threads or shared, timeout_s=timeout_s, pure=False, retries=0)
        job_of = dict(zip(futures, jobs, strict=True))
        try:
            for future in as_completed(futures):
                error = future.exception()  # of Dask: run_job raises none
                yield future.result() if error is None else failed_rows(job_of[future], error)
        finally:
            client.cancel(futures)


def _threads_of_workers(client, scheduler: str) -> int:
    """Threads of a job so that no machine has more than its cores, after checking that the workers can run jobs."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    if not workers:
        raise RuntimeError(f"scheduler: {scheduler!r} has no workers")
    try:
        found = client.run(_version_and_cores)
    except Exception as error:
        raise RuntimeError(f"scheduler: the workers at {scheduler!r} cannot run irtools ({error})") from error
    others = {version for version, _ in found.values()} - {__version__}
    if others:
        raise RuntimeError(f"scheduler: workers have irtools {', '.join(sorted(others))}; expected {__version__}")
    jobs = Counter()
    for worker in workers.values():
        jobs[worker["host"]] += worker["nthreads"]
    return min(threads_per_job(found[address][1], jobs[worker["host"]]) for address, worker in workers.items())


def _version_and_cores() -> tuple[str, int]:
    return __version__, usable_cores()
