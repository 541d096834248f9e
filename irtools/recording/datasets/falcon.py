"""The embedded example: four real stems that come with the `stempeg` package."""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from irtools.recording.multitrack import Multitrack

SAMPLE_RATE = 44100
# Stream of each stem in the file; stream 0 is the mix that was published.
STREAMS = {"vocals": 4, "bass": 2, "drums": 1, "other": 3}


def falcon69() -> Multitrack:
    """Stems of "The Easton Ellises - Falcon 69": 6.08 s of vocals, bass, drums and other at 44.1 kHz.

    Returns
    -------
    Multitrack
        Names ``("vocals", "bass", "drums", "other")``; each the average of its two channels, levels untouched.

    Raises
    ------
    ModuleNotFoundError
        The `stempeg` package, which carries the file, is not installed.
    RuntimeError
        ``ffmpeg`` is not on the PATH, or cannot decode the file.

    Notes
    -----
    Licence of the music: CC BY-NC-SA 3.0 (The Easton Ellises). The file is read where `stempeg` keeps it and is no
    part of this project. Its stream 0 is a mastered mix and *not* the sum of the stems: build mixtures by summing.

    References
    ----------
    F.-R. Stöter, A. Liutkus: stempeg, https://github.com/faroit/stempeg.

    Examples
    --------
    >>> stems = falcon69()
    >>> stems.names, stems.sample_rate, round(stems.seconds, 2)
    (('vocals', 'bass', 'drums', 'other'), 44100, 6.08)
    """
    path = _locate()
    stems = [_decode_stereo(path, stream).mean(axis=1, dtype=np.float64) for stream in STREAMS.values()]
    return Multitrack(tuple(STREAMS), torch.from_numpy(np.stack(stems).astype(np.float32)), SAMPLE_RATE)


def _locate() -> Path:
    # Located, not imported: `import stempeg` refuses to work without ffprobe, which decoding does not need.
    spec = find_spec("stempeg")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("Falcon 69 comes with the `stempeg` package: pip install stempeg")
    return Path(spec.submodule_search_locations[0], "data", "The Easton Ellises - Falcon 69.stem.mp4")


def _decode_stereo(path: Path, stream: int) -> np.ndarray:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise RuntimeError("Falcon 69 is AAC, which ffmpeg decodes: install ffmpeg (it is not on the PATH)")
    source = ["-i", str(path), "-map", f"0:{stream}"]
    target = ["-f", "f32le", "-ac", "2", "-ar", str(SAMPLE_RATE), "-"]
    done = subprocess.run([ffmpeg, "-nostdin", "-v", "error", *source, *target], capture_output=True, check=False)
    if done.returncode != 0 or not done.stdout:
        raise RuntimeError(f"{path}: ffmpeg cannot decode stream {stream}: {done.stderr.decode(errors='replace')}")
    return np.frombuffer(done.stdout, dtype="<f4").reshape(-1, 2)
