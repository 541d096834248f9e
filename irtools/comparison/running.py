"""Run jobs one after another, in several processes of this machine, or on a Dask cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from irtools import __version__
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
    """Run the jobs whose rows are not in the table yet, and append them as they come.

    Parameters
    ----------
    jobs : iterable of Job
    path : path
        The CSV file of the table; see :class:`irtools.comparison.table.Table`.
    n_jobs : int
        Jobs at a time on this machine; without effect where a scheduler is given.
    scheduler : str, optional
        Address of a Dask scheduler, such as ``tcp://host:8786``: its workers, which need this version of irtools, take
        the jobs, one a worker thread. A folder of stems must lie at the same path there.
    threads : int, optional
        Of each job; by default the cores of a machine are shared out among the jobs it runs at a time.
    timeout_s : float, optional
        Wall-clock limit of a method, in seconds; one that takes longer is a row with an error.
    retry_failed : bool
        Run jobs again that failed in an earlier run.
    on_job : callable, optional
        ``on_job(done, total)``, first with 0 done, then after each job of those that were left to run.

    Returns
    -------
    list of dict
        The rows of all ``jobs``, of this run and of earlier ones, in the order of ``jobs``.

    Raises
    ------
    ValueError
        ``n_jobs`` or ``threads`` below 1, or a file that is no such table.
    ModuleNotFoundError
        A scheduler, but no Dask.
    RuntimeError
        A scheduler that does not answer, has no workers, or whose workers have another version of irtools.

    Notes
    -----
    A failed job is a row, not the end of the run; an interrupt is the end, and loses the jobs under way only.

    Examples
    --------
    >>> import tempfile
    >>> from irtools.comparison.jobs import plan
    >>> folder = tempfile.TemporaryDirectory()
    >>> jobs = plan([{"kind": "linear", "song": "band:3", "seconds": 0.5}], [])
    >>> rows = run_benchmark(jobs, f"{folder.name}/table.csv")
    >>> len(jobs), len(rows)
    (4, 16)
    >>> folder.cleanup()
    """
    for name, value in (("n_jobs", n_jobs), ("threads", threads)):
        if value is not None and value < 1:
            raise ValueError(f"{name}: expected 1 or more, got {value}")
    jobs = list({job.key: job for job in jobs}.values())
    with Table(path) as table:
        skipped = table.keys - table.failed if retry_failed else table.keys
        left = [job for job in jobs if job.key not in skipped]
        if on_job is not None:
            on_job(0, len(left))
        if left:
            options = {"threads": threads, "timeout_s": timeout_s}
            run = _run_here(left, n_jobs, **options) if scheduler is None else _run_on(scheduler, left, **options)
            with closing(run):
                for done, rows in enumerate(run, start=1):
                    table.append(rows)
                    if on_job is not None:
                        on_job(done, len(left))
    order = {job.key: place for place, job in enumerate(jobs)}
    return sorted((row for row in read_rows(path) if row["key"] in order), key=lambda row: order[row["key"]])


def threads_per_job(cores: int, jobs: int) -> int:
    """Threads of each of so many jobs at a time, so that jobs x threads is no more than the cores.

    Examples
    --------
    >>> threads_per_job(8, 3), threads_per_job(2, 4)
    (2, 1)
    """
    return max(1, cores // jobs)


def _run_here(jobs: list[Job], n_jobs: int, *, threads: int | None, timeout_s: float | None) -> Iterator[list[dict]]:
    from joblib import Parallel, delayed

    threads = threads or threads_per_job(usable_cores(), n_jobs)
    parallel = Parallel(n_jobs=min(n_jobs, len(jobs)), return_as="generator_unordered")
    yield from parallel(delayed(run_job)(job, threads=threads, timeout_s=timeout_s) for job in jobs)


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
