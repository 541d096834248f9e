"""A job: one method, with its options, on one scene; its rows in the table."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from irtools import __version__
from irtools.comparison.rivals.spectra import window_near
from irtools.comparison.scenes import make_scene, song_label
from irtools.metrics import Scores, score, si_sdr
from irtools.metrics.oracles import inverse_oracle, linear_oracle, mask_oracle
from irtools.provenance import provenance
from irtools.stage.scene import Scene

#: Names that a table shows beside the methods: the untouched microphone, and the ceilings.
BASELINES = ("input", "oracle-inverse", "oracle-linear", "oracle-mask")
ORACLES = BASELINES[1:]
# Windows of the oracles: 16384 (in rooms) and 2048 samples at 44.1 kHz. A shorter linear window is no ceiling of
# methods with longer filters, a longer one has too few frames in 10 s for four microphones.
_LINEAR_WINDOW_S, _MASK_WINDOW_S = 0.372, 0.046


@dataclass(frozen=True)
class Job:
    """One method on one scene: ``method`` is a name of `METHODS`, `RIVALS` or `BASELINES`, ``options`` fit into JSON.

    ``mixture="clean"`` among the options gives the method the sum of the references as its mixdown.
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


def plan(scenes: Iterable[dict], methods: Iterable, *, device: str = "auto") -> list[Job]:
    """The baselines and every method on every scene; methods are names, or pairs of a name and its options."""
    wanted = [(method, {}) if isinstance(method, str) else tuple(method) for method in methods]
    jobs = []
    for scene in scenes:
        # Only linear scenes have gains to invert.
        jobs += [Job(scene, name) for name in BASELINES if name != "oracle-inverse" or scene["kind"] == "linear"]
        jobs += [Job(scene, name, dict(options), device) for name, options in wanted]
    return jobs


def run_job(job: Job, *, threads: int | None = None, timeout_s: float | None = None) -> list[dict]:
    """Run one job and score it: one row per stem, or one row with ``error`` where the scene or the method failed.

    ``threads`` of the method's process are left to torch by default; ``timeout_s`` is its limit of wall-clock time.
    """
    try:
        return _rows(job, threads, timeout_s)
    except Exception as error:
        return failed_rows(job, error)


def failed_rows(job: Job, error: BaseException) -> list[dict]:
    """The one row of a job that failed, with the error's type and text."""
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


def _rows(job: Job, threads: int | None, timeout_s: float | None) -> list[dict]:
    scene, before, oracles = _prepared(_json(job.scene))
    shared = _shared(job) | {"audio_s": scene.samples / scene.sample_rate, "sample_rate": scene.sample_rate}
    if job.method == "input":
        found, cost = before, {}
    elif job.method in ORACLES:
        found, cost = score(_oracle(job.method, scene), scene.references, scene.sample_rate, names=scene.names), {}
    else:
        cost = _measured(job, scene, threads, timeout_s)
        if "error" in cost:
            return [shared | cost | {"stem": "", "stems": 1}]
        sources, gains = cost.pop("sources"), cost.pop("gains")
        if sources.shape != scene.references.shape:
            raise ValueError(f"sources: expected {tuple(scene.references.shape)}, got {tuple(sources.shape)}")
        known = gains is not None and scene.gains is not None
        both = {"gains": gains, "true_gains": scene.gains} if known else {}
        found = score(sources, scene.references, scene.sample_rate, names=scene.names, **both)
        cost["times_real_time"] = shared["audio_s"] / cost["elapsed_s"]
    columns = {
        "input_si_sdr_db": before.si_sdr,
        "si_sdr_db": found.si_sdr,
        "si_sdr_improvement_db": found.si_sdr - before.si_sdr,
        **{f"{name.replace('-', '_')}_si_sdr_db": values for name, values in oracles.items()},
        "input_sdr_db": before.median("sdr"),
        **{f"{ratio}_db": found.median(ratio) for ratio in ("sdr", "sir", "sar", "isr")},
        "input_bleed_db": before.bleed,
        "bleed_db": found.bleed,
    }
    return [
        shared
        | {"stem": name, "stems": len(scene.names), "gains_error": found.gains_error}
        | {column: values[n].item() for column, values in columns.items()}
        | cost
        for n, name in enumerate(scene.names)
    ]


# Of jobs in the order of `plan`, the next one most often has the same scene.
@lru_cache(maxsize=1)
def _prepared(text: str) -> tuple[Scene, Scores, dict[str, Tensor]]:
    """A scene with what is the same for every method: scores of its microphones, and the oracles' SI-SDR."""
    scene = make_scene(json.loads(text))
    close = scene.mics[list(scene.assignment)]
    oracles = [name for name in ORACLES if name != "oracle-inverse" or scene.gains is not None]
    return (
        scene,
        score(close, scene.references, scene.sample_rate, names=scene.names),
        {name: si_sdr(_oracle(name, scene), scene.references) for name in oracles},
    )


def _oracle(name: str, scene: Scene) -> Tensor:
    if name == "oracle-inverse":
        if scene.gains is None:
            raise ValueError("oracle-inverse: expected a linear scene, got one without gains")
        return inverse_oracle(scene.mics, scene.gains, assignment=scene.assignment)
    if name == "oracle-linear":
        size = None if scene.gains is not None else window_near(_LINEAR_WINDOW_S, scene.sample_rate)
        return linear_oracle(scene.mics, scene.references, window_size=size)
    size = window_near(_MASK_WINDOW_S, scene.sample_rate)
    return mask_oracle(scene.mics, scene.references, assignment=scene.assignment, window_size=size)


def _measured(job: Job, scene: Scene, threads: int | None, timeout_s: float | None) -> dict:
    """What :mod:`irtools.comparison.measured` returns, from a process of its own."""
    call = {
        "mics": scene.mics,
        "mixdown": scene.references.sum(0) if job.options.get("mixture") == "clean" else None,
        "sample_rate": scene.sample_rate,
        "method": job.method,
        "options": job.options,
        "device": job.device,
        "threads": threads,
    }
    # The modules of this process, and with -P none of the current folder: it may hold a song's soundfile.py.
    environment = dict(os.environ) | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    with tempfile.TemporaryDirectory(prefix="irtools-bench-") as folder:
        asked, answered = f"{folder}/call.pt", f"{folder}/measured.pt"
        torch.save(call, asked)
        done = subprocess.run(
            [sys.executable, "-P", "-m", "irtools.comparison.measured", asked, answered],
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
        return torch.load(answered, weights_only=True)


@lru_cache(maxsize=1)
def _provenance() -> dict[str, str]:
    return provenance("torch", "numpy")


def _json(value) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
