"""A job: one method, with its options, on one scene; its rows in the table."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from irtools import __version__
from irtools.comparison.scenes import make_scene, song_label
from irtools.metrics import Scores, score, si_sdr
from irtools.metrics.oracles import inverse_oracle, linear_oracle, mask_oracle
from irtools.provenance import provenance
from irtools.stage.scene import Scene

#: Names that a table shows beside the methods: the untouched microphone, and the ceilings.
BASELINES = ("input", "oracle-inverse", "oracle-linear", "oracle-mask")
ORACLES = BASELINES[1:]
# Windows of the oracles, powers of two near these: 16384 (in rooms) and 2048 samples at 44.1 kHz. A shorter linear
# window is no ceiling of methods with longer filters, a longer one has too few frames in 10 s for four microphones.
_LINEAR_WINDOW_S, _MASK_WINDOW_S = 0.372, 0.046
_MEASURED = ["-m", "irtools.comparison.measured"]


@dataclass(frozen=True)
class Job:
    """One method on one scene.

    Attributes
    ----------
    scene : dict
        See :func:`irtools.comparison.scenes.make_scene`.
    method : str
        A key of :data:`irtools.METHODS` or :data:`irtools.comparison.RIVALS`, or one of :data:`BASELINES`.
    options : dict
        Parameters of the method that JSON can hold. ``mixture="clean"`` gets the sum of the references as mixdown.
    device : str
        As in :func:`irtools.reduce`.
    """

    scene: dict
    method: str
    options: dict = field(default_factory=dict)
    device: str = "auto"

    @property
    def fields(self) -> dict:
        """The scene without the path of its song, which is another on every machine."""
        return self.scene | {"song": song_label(self.scene)}

    @property
    def key(self) -> str:
        """What tells two jobs apart: 16 hexadecimal digits, the same wherever and at whatever commit it is made."""
        parts = [self.fields, self.method, self.options, self.device, __version__]
        return hashlib.sha256(_json(parts).encode()).hexdigest()[:16]


def plan(scenes: Iterable[dict], methods: Iterable, *, baselines: bool = True, device: str = "auto") -> list[Job]:
    """Every method on every scene, scene by scene.

    Parameters
    ----------
    scenes : iterable of dict
    methods : iterable of str or (str, dict)
        Names, or names with options.
    baselines : bool
        Add those of :data:`BASELINES` that the scene has: only linear scenes have gains to invert.
    device : str

    Returns
    -------
    list of Job

    Examples
    --------
    >>> [job.method for job in plan([{"kind": "room", "song": "falcon69"}], ["am"])]
    ['input', 'oracle-linear', 'oracle-mask', 'am']
    """
    wanted = [(method, {}) if isinstance(method, str) else tuple(method) for method in methods]
    jobs = []
    for scene in scenes:
        first = BASELINES if baselines else ()
        jobs += [Job(scene, name) for name in first if name != "oracle-inverse" or scene["kind"] == "linear"]
        jobs += [Job(scene, name, dict(options), device) for name, options in wanted]
    return jobs


def run_job(job: Job, *, threads: int | None = None, timeout_s: float | None = None) -> list[dict]:
    """Run one job and score it.

    Parameters
    ----------
    job : Job
    threads : int, optional
        Of the method's process; None leaves it to torch.
    timeout_s : float, optional
        Wall-clock limit of the method's process, in seconds.

    Returns
    -------
    list of dict
        A row a stem, with the columns of :data:`irtools.comparison.table.COLUMNS`; one row, with ``error``, where the
        scene or the method failed.

    Examples
    --------
    >>> rows = run_job(Job({"kind": "linear", "song": "band:3", "seconds": 3}, "oracle-inverse"))
    >>> [row["stem"] for row in rows], rows[1]["si_sdr_db"] > 100
    (['vocals', 'bass', 'drums', 'other'], True)
    """
    try:
        return _rows(job, threads, timeout_s)
    except Exception as error:
        return failed_rows(job, error)


def failed_rows(job: Job, error: BaseException) -> list[dict]:
    """The one row of a job that failed, with the error's type and text.

    Examples
    --------
    >>> failed_rows(Job({"kind": "room", "song": "band:3"}, "am"), ValueError("no"))[0]["error"]
    'ValueError: no'
    """
    return [_shared(job) | {"stem": "", "stems": 1, "error": f"{type(error).__name__}: {error}"}]


def _shared(job: Job) -> dict:
    """The columns that say which job this is, and where it ran."""
    return {
        "key": job.key,
        "scene": job.scene.get("name", job.scene.get("kind", "")),
        "kind": job.scene.get("kind", ""),
        "song": job.fields["song"],
        "seed": job.scene.get("seed", 0),
        "rt60_s": job.scene.get("rt60_s"),
        "method": job.method,
        "options": _json(job.options),
        "irtools": __version__,
        "fields": _json(job.fields),
        **_provenance(),
    }


@dataclass(frozen=True)
class _Prepared:
    """A scene with the scores that are the same for every method."""

    scene: Scene
    input: Scores
    oracles: dict[str, Tensor]


def _rows(job: Job, threads: int | None, timeout_s: float | None) -> list[dict]:
    stage = _prepared(_json(job.scene))
    scene = stage.scene
    shared = _shared(job) | {"audio_s": scene.samples / scene.sample_rate, "sample_rate": scene.sample_rate}
    sources, gains, cost = _estimate(job, scene, threads, timeout_s)
    if "error" in cost:
        return [shared | cost | {"stem": "", "stems": 1}]
    if tuple(sources.shape) != tuple(scene.references.shape):
        raise ValueError(f"sources: expected {tuple(scene.references.shape)}, got {tuple(sources.shape)}")
    known = gains is not None and scene.gains is not None
    options = {"gains": gains, "true_gains": scene.gains} if known else {}
    found = stage.input
    if job.method != "input":
        found = score(sources, scene.references, scene.sample_rate, names=scene.names, **options)
    if cost:
        cost["times_real_time"] = shared["audio_s"] / cost["elapsed_s"]
    columns = {
        "input_si_sdr_db": stage.input.si_sdr,
        "si_sdr_db": found.si_sdr,
        "si_sdr_improvement_db": found.si_sdr - stage.input.si_sdr,
        **{f"{name.replace('-', '_')}_si_sdr_db": values for name, values in stage.oracles.items()},
        "input_sdr_db": stage.input.median("sdr"),
        **{f"{ratio}_db": found.median(ratio) for ratio in ("sdr", "sir", "sar", "isr")},
        "input_bleed_db": stage.input.bleed,
        "bleed_db": found.bleed,
    }
    return [
        shared
        | {"stem": name, "stems": len(scene.names), "gains_error": found.gains_error}
        | {column: values[n].item() for column, values in columns.items()}
        | cost
        for n, name in enumerate(scene.names)
    ]


@lru_cache(maxsize=1)
def _prepared(text: str) -> _Prepared:
    # Of jobs in the order of `plan`, the next one most often has the same scene.
    scene = make_scene(json.loads(text))
    close = scene.mics[list(scene.assignment)]
    return _Prepared(
        scene=scene,
        input=score(close, scene.references, scene.sample_rate, names=scene.names),
        oracles={
            name: si_sdr(_oracle(name, scene), scene.references)
            for name in ORACLES
            if name != "oracle-inverse" or scene.gains is not None
        },
    )


def _estimate(job: Job, scene: Scene, threads, timeout_s) -> tuple[Tensor, Tensor | None, dict]:
    """Sources, gains and what they cost."""
    if job.method == "input":
        return scene.mics[list(scene.assignment)], None, {}
    if job.method in ORACLES:
        return _oracle(job.method, scene), None, {}
    return _in_its_own_process(job, scene, threads, timeout_s)


def _oracle(name: str, scene: Scene) -> Tensor:
    if name == "oracle-inverse":
        if scene.gains is None:
            raise ValueError("oracle-inverse: expected a linear scene, got one without gains")
        return inverse_oracle(scene.mics, scene.gains, assignment=scene.assignment)
    if name == "oracle-linear":
        size = None if scene.gains is not None else _window(_LINEAR_WINDOW_S, scene.sample_rate)
        return linear_oracle(scene.mics, scene.references, window_size=size)
    size = _window(_MASK_WINDOW_S, scene.sample_rate)
    return mask_oracle(scene.mics, scene.references, assignment=scene.assignment, window_size=size)


def _window(seconds: float, sample_rate: int) -> int:
    return max(4, 2 ** round(math.log2(seconds * sample_rate)))


def _in_its_own_process(job: Job, scene: Scene, threads, timeout_s) -> tuple[Tensor, Tensor | None, dict]:
    with tempfile.TemporaryDirectory(prefix="irtools-bench-") as name:
        folder = Path(name)
        np.save(folder / "mics.npy", scene.mics.numpy())
        if job.options.get("mixture") == "clean":
            np.save(folder / "mixdown.npy", scene.references.sum(0).numpy())
        call = {"method": job.method, "options": job.options, "sample_rate": scene.sample_rate}
        (folder / "job.json").write_text(_json(call | {"device": job.device, "threads": threads}), encoding="utf-8")
        environment = dict(os.environ) | ({} if threads is None else {"OMP_NUM_THREADS": str(threads)})
        done = subprocess.run(
            [sys.executable, *_MEASURED, str(folder)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"the process of the method ended with {done.returncode}: {last}")
        cost = json.loads((folder / "measured.json").read_text(encoding="utf-8"))
        if "error" in cost:
            return torch.empty(0), None, cost
        gains = folder / "gains.npy"
        return (
            torch.from_numpy(np.load(folder / "sources.npy")),
            torch.from_numpy(np.load(gains)) if gains.exists() else None,
            cost,
        )


@lru_cache(maxsize=1)
def _provenance() -> dict[str, str]:
    return provenance("torch", "numpy")


def _json(value) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
