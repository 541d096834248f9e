"""The numbers of a chapter: recorded once, glued into its prose and written to ``results/<chapter>.json``."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Iterator, Mapping, MutableMapping
from importlib.metadata import version
from numbers import Integral, Real
from pathlib import Path

import numpy
from torch import Tensor

from irtools.notebook.display import check_name, glue_bundle
from irtools.notebook.profiles import PROFILES

_VERSIONS = ("irtools", "numpy", "scipy", "torch")


class Results(MutableMapping):
    """A dictionary of a chapter's numbers that keeps plain Python types only.

    Parameters
    ----------
    chapter : str
        File name of the chapter, without its ending.
    profile : {"smoke", "book", "paper"}
    seed : int, optional
        Written beside the numbers.

    Raises
    ------
    ValueError
        A chapter or key that is no identifier, an unknown profile, a value that is NaN or infinite.
    TypeError
        A value that has no plain form.

    Notes
    -----
    JSON has no NaN and a glued ``np.float64(1.5)`` cannot be formatted in prose, so both are settled when a number
    is recorded: NumPy and torch scalars become float or int, arrays become lists, and a score that is not defined
    (a silent stem) has to be recorded as None or left out.

    Examples
    --------
    >>> import torch
    >>> results = Results("mixing_model", "smoke")
    >>> results["si_sdr_db"] = torch.tensor([1.5, 2.0])
    >>> results["si_sdr_db"]
    [1.5, 2.0]
    >>> results["worst"] = float("nan")
    Traceback (most recent call last):
      ...
    ValueError: results['worst']: expected a finite number, got nan; record None for what is not defined
    """

    def __init__(self, chapter: str, profile: str, seed: int | None = None):
        if profile not in PROFILES:
            raise ValueError(f"profile: expected one of {', '.join(PROFILES)}; got {profile!r}")
        self.chapter = check_name(chapter)
        self.profile = profile
        self.seed = seed
        self._values: dict = {}

    def __setitem__(self, key: str, value) -> None:
        self._values[check_name(key)] = plain(value, f"results[{key!r}]")

    def __getitem__(self, key: str):
        return self._values[key]

    def __delitem__(self, key: str) -> None:
        del self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def publish(self) -> None:
        """Write ``results/<chapter>.json`` and glue every scalar.

        Notes
        -----
        The folder is ``results`` beside the book's ``_toc.yml``, or in the working directory where there is none
        (Colab); the environment variable ``IRTOOLS_RESULTS`` names another. Lists and dictionaries are written but
        not glued: prose quotes single numbers.

        Examples
        --------
        >>> import tempfile, unittest.mock
        >>> results = Results("demo", "smoke", seed=0)
        >>> results["answer"] = 42
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with unittest.mock.patch.dict(os.environ, IRTOOLS_RESULTS=folder):
        ...         results.publish()
        ...     json.loads((Path(folder) / "demo.json").read_text())["results"]
        {'answer': 42}
        """
        record = {
            "chapter": self.chapter,
            "profile": self.profile,
            "seed": self.seed,
            "versions": {"python": platform.python_version(), **{name: _version(name) for name in _VERSIONS}},
            "results": self._values,
        }
        _write(results_folder() / f"{self.chapter}.json", json.dumps(record, indent=2, sort_keys=True) + "\n")
        for name, value in self._values.items():
            if value is not None and not isinstance(value, list | dict):
                glue_bundle(name, {"text/plain": repr(value)})


def plain(value, name: str = "value"):
    """The value in JSON's own types.

    Parameters
    ----------
    value : None, bool, int, float, str, NumPy or torch number or array, sequence or mapping of these
    name : str
        How a message calls it.

    Raises
    ------
    TypeError
        No plain form.
    ValueError
        NaN or infinity.

    Examples
    --------
    >>> plain({"gains": numpy.eye(2, dtype=numpy.float32), "n": numpy.int64(3)})
    {'gains': [[1.0, 0.0], [0.0, 1.0]], 'n': 3}
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, numpy.ndarray | numpy.generic):
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
        return {str(key): plain(item, f"{name}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{name}[{index}]") for index, item in enumerate(value)]
    raise TypeError(f"{name}: expected numbers, text, lists or dictionaries, got {type(value).__name__}")


def results_folder() -> Path:
    """Where the chapters' JSON files go; see :meth:`Results.publish`.

    Examples
    --------
    >>> results_folder().is_absolute()
    True
    """
    if chosen := os.environ.get("IRTOOLS_RESULTS"):
        return Path(chosen).absolute()
    here = Path.cwd()
    root = next((folder for folder in (here, *here.parents) if (folder / "_toc.yml").is_file()), here)
    return root / "results"


def _version(package: str) -> str:
    # The wheel of torch appends its CUDA version ("+cpu"), which says nothing about the algorithm.
    return version(package).split("+")[0]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
