"""The listening test as one page: marks by mouse, touch or keyboard, no network, results as a CSV file."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

import soundfile
from torch import Tensor

from irtools.checks import check_choice
from irtools.comparison.listening.trials import Trial
from irtools.notebook.players import encode_mp3
from irtools.recording.resampling import resample
from irtools.recording.writing import replacing

MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


def listening_page(
    trials: Sequence[Trial],
    sample_rate: int,
    *,
    seed: int = 0,
    title: str = "Listening test",
    audio: str = "flac",
) -> str:
    """HTML of a test: everything is inside, nothing is asked of any host.

    ``seed`` is that of the orders, see :func:`irtools.comparison.listening.orders.listener_order`. ``audio`` is "flac",
    of 16 bits, which keeps what is to be judged, or "mp3", ten times smaller and with artefacts of its own.
    """
    check_choice("audio", audio, ("flac", "mp3"))
    if not trials or len({tuple(trial.clips) for trial in trials}) > 1:
        raise ValueError(f"trials: expected at least one, all of the same conditions, got {len(trials)}")
    several_starts = len({trial.start_s for trial in trials}) > 1
    test = {
        "seed": seed,
        "conditions": list(trials[0].clips),
        "trials": [
            {
                "stem": trial.stem,
                "label": f"{trial.stem}, {trial.start_s:g} s" if several_starts else trial.stem,
                "clips": [_data_uri(clip, sample_rate, audio) for clip in trial.clips.values()],
                # A clip that is also rated is there once: its number stands for it.
                "open": {
                    name: list(trial.clips).index(name) if name in trial.clips else _data_uri(clip, sample_rate, audio)
                    for name, clip in trial.open_clips.items()
                },
            }
            for trial in trials
        ],
    }
    # A page of other clips does not go on with what was entered on this one.
    test["id"] = hashlib.sha256(json.dumps(test).encode()).hexdigest()[:16]
    template = files("irtools.comparison.listening") / "template"
    parts = {
        "title": escape(title),
        "style": (template / "page.css").read_text(encoding="utf-8").strip(),
        "test": json.dumps(test, ensure_ascii=False).replace("<", "\\u003c"),
        "script": (template / "page.js").read_text(encoding="utf-8").strip(),
    }
    page = (template / "page.html").read_text(encoding="utf-8")
    first, *others = page.split("@")
    # Split once: what is put in may hold any sign.
    return first + "".join(parts.get(part, part) for part in others)


def write_page(path, page: str) -> Path:
    """Write a page, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return Path(path)


def _data_uri(clip: Tensor, sample_rate: int, audio: str) -> str:
    if audio == "mp3":
        rate = next((rate for rate in MP3_RATES if sample_rate <= rate), MP3_RATES[-1])
        data, kind = encode_mp3(resample(clip, sample_rate, rate), rate), "mpeg"
    else:
        buffer = io.BytesIO()
        soundfile.write(buffer, clip.numpy(), sample_rate, format="FLAC", subtype="PCM_16")
        data, kind = buffer.getvalue(), "flac"
    return f"data:audio/{kind};base64,{base64.b64encode(data).decode()}"
