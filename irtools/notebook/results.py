"""The size of a chapter's run, and its numbers: glued into its prose and written to ``results/<chapter>.json``."""

from __future__ import annotations

import json
import math
import os
import platform
from collections import UserDict
from collections.abc import Mapping
from importlib.metadata import version
from numbers import Integral, Real
from pathlib import Path

import numpy as np
from torch import Tensor

from irtools.checks import check_choice
from irtools.notebook.display import check_name, glue_bundle

# Seconds for a test, minutes for the published page, the published size.
PROFILES = ("smoke", "book", "paper")
_VERSIONS = ("irtools", "numpy", "scipy", "torch")


def profile_value(profile: str, *, smoke, book, paper):
    """The value of one setting in the profile in which a chapter runs."""
    return {"smoke": smoke, "book": book, "paper": paper}[check_choice("profile", profile, PROFILES)]


class Results(UserDict):
    """A dictionary of a chapter's numbers that keeps plain Python types only.

    JSON has no NaN and a glued ``np.float64(1.5)`` cannot be formatted in prose, so both are settled when a number is
    recorded: NumPy and torch scalars become float or int, arrays become lists, and a score that is not defined (a
    silent stem) has to be recorded as None or left out. The chapter is the file's name without its ending.

    Examples
    --------
    >>> results = Results("mixing_model", "smoke")
    >>> results["si_sdr_db"] = np.array([1.5, 2.0])
    >>> results["si_sdr_db"]
    [1.5, 2.0]
    >>> results["worst"] = float("nan")
    Traceback (most recent call last):
      ...
    ValueError: results['worst']: expected a finite number, got nan; record None for what is not defined
    """

    def __init__(self, chapter: str, profile: str, seed: int | None = None):
        super().__init__()
        self.profile = check_choice("profile", profile, PROFILES)
        self.chapter = check_name(chapter)
        self.seed = seed

    def __setitem__(self, key: str, value) -> None:
        super().__setitem__(check_name(key), _plain(value, f"results[{key!r}]"))

    def publish(self) -> None:
        """Write ``results/<chapter>.json`` and glue every scalar; prose quotes single numbers."""
        record = {
            "chapter": self.chapter,
            "profile": self.profile,
            "seed": self.seed,
            # The wheel of torch appends its CUDA version ("+cpu"), which says nothing about the algorithm.
            "versions": {"python": platform.python_version()}
            | {name: version(name).split("+")[0] for name in _VERSIONS},
            "results": self.data,
        }
        _write(results_folder() / f"{self.chapter}.json", json.dumps(record, indent=2, sort_keys=True) + "\n")
        for name, value in self.items():
            if value is not None and not isinstance(value, list | dict):
                glue_bundle(name, {"text/plain": repr(value)})


def results_folder() -> Path:
    """``IRTOOLS_RESULTS``, else ``results`` beside the book's ``_toc.yml``, else in the working directory (Colab)."""
    if chosen := os.environ.get("IRTOOLS_RESULTS"):
        return Path(chosen).absolute()
    here = Path.cwd()
    root = next((folder for folder in (here, *here.parents) if (folder / "_toc.yml").is_file()), here)
    return root / "results"


def _plain(value, name):
    """The value in JSON's own types."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        if not math.isfinite(value):
            raise ValueError(f"{name}: expected a finite number, got {value}; record None for what is not defined")
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{name}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{name}[{index}]") for index, item in enumerate(value)]
    raise TypeError(f"{name}: expected numbers, text, lists or dictionaries, got {type(value).__name__}")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
