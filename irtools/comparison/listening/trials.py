"""What a listener compares: the same excerpt of one stem in every condition, all with one gain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from irtools.notebook.players import shared_gain_db
from irtools.recording.reading import MultitrackReader

REFERENCE, ANCHOR, MICROPHONE = "reference", "anchor", "microphone"
ANCHOR_CUTOFF_HZ = 3500.0
FADE_S = 0.01


@dataclass(frozen=True)
class Trial:
    """One excerpt of one stem: clips to be rated, and those that are labelled on the page and not rated."""

    stem: str
    start_s: float
    seconds: float
    gain_db: float  # applied to every clip
    clips: dict[str, Tensor]  # "reference" and "anchor" among them where they exist
    open_clips: dict[str, Tensor]  # "microphone" and "reference"


def make_trials(
    conditions: Mapping[str, object],
    *,
    reference=None,
    mics=None,
    anchor=None,
    stems: Iterable[str] | None = None,
    starts: Iterable[float] = (0.0,),
    seconds: float = 8.0,
) -> tuple[list[Trial], int]:
    """Excerpts of the stems that all folders have, one trial per stem and start, and the sample rate in Hz.

    Parameters
    ----------
    conditions : mapping of str to path
        Name of a condition to its folder of .wav or .flac files of equal names, rate and length.
    reference : path, optional
        Folder of clean stems: rated as a hidden reference, and offered openly.
    mics : path, optional
        Folder of the unprocessed microphones, offered openly: who rates the reduction of bleed must know the bleed.
    anchor : path or "auto", optional
        Folder of a condition that ought to be rated low; "auto" makes one of ``mics``.
    stems : iterable of str, optional
        Which, in this order; all that every folder has by default.
    starts : iterable of float
        In seconds.
    seconds : float
        Length of an excerpt; the last one ends with the recording.

    Notes
    -----
    The automatic anchor is the microphone through a low-pass of 3.5 kHz, the low anchor of ITU-R BS.1534-3, because it
    has to be bad on both scales: the raw microphone has all of the interference, but no artefact. One gain puts the
    loudest sample of a trial at -1 dBFS; clips are never normalised one by one. Both ends are faded over 10 ms.
    """
    folders = _folders(conditions, reference, mics, anchor)
    starts = list(starts)
    if not starts or len(set(starts)) < len(starts):
        raise ValueError(f"starts: expected different numbers of seconds, got {starts}")
    with ExitStack() as stack:
        readers = {name: stack.enter_context(MultitrackReader(folder)) for name, folder in folders.items()}
        _check_alike(readers, folders)
        names = _shared_stems(readers, folders, stems)
        rate = next(iter(readers.values())).sample_rate
        trials = []
        for start in starts:
            blocks = {name: _excerpt(reader, start, seconds) for name, reader in readers.items()}
            for stem in names:
                clips = {name: blocks[name][reader.names.index(stem)] for name, reader in readers.items()}
                if anchor == "auto":
                    clips[ANCHOR] = low_pass(clips[MICROPHONE], rate)
                trials.append(_trial(stem, start, rate, clips))
    return sorted(trials, key=lambda trial: names.index(trial.stem)), rate


def low_pass(clip: Tensor, sample_rate: int, cutoff_hz: float = ANCHOR_CUTOFF_HZ) -> Tensor:
    """The automatic anchor: a clip without what lies above ``cutoff_hz``, not delayed."""
    from scipy.signal import butter, sosfiltfilt

    # A clip of so low a rate that nothing lies above is low-passed at a quarter of its rate.
    sections = butter(8, min(cutoff_hz, sample_rate / 4), fs=sample_rate, output="sos")
    padding = min(3 * 17, clip.shape[-1] - 1)
    return torch.from_numpy(sosfiltfilt(sections, clip.double().numpy(), padlen=padding).copy()).to(clip.dtype)


def _folders(conditions, reference, mics, anchor) -> dict:
    if not conditions:
        raise ValueError("conditions: expected at least one NAME=FOLDER, got none")
    for name in conditions:
        if name in (REFERENCE, ANCHOR, MICROPHONE) or not name.strip() or not name.isprintable():
            raise ValueError(
                f"conditions: expected a printable name other than {REFERENCE}, {ANCHOR} and {MICROPHONE}, got {name!r}"
            )
    if anchor == "auto" and mics is None:
        raise ValueError("anchor: auto is made of the microphones; expected their folder (mics), got none")
    others = {REFERENCE: reference, ANCHOR: None if anchor == "auto" else anchor, MICROPHONE: mics}
    return dict(conditions) | {name: folder for name, folder in others.items() if folder is not None}


def _check_alike(readers, folders) -> None:
    first, *rest = readers
    for name in rest:
        for what in ("sample_rate", "samples"):
            ours, its = getattr(readers[first], what), getattr(readers[name], what)
            if ours != its:
                raise ValueError(
                    f"{folders[name]}: {what.replace('_', ' ')} {its}; expected {ours} as in {folders[first]}"
                )


def _shared_stems(readers, folders, stems) -> list[str]:
    if stems is None:
        first, *rest = readers.values()
        shared = [stem for stem in first.names if all(stem in reader.names for reader in rest)]
        if not shared:
            raise ValueError(f"{', '.join(map(str, folders.values()))}: expected a file name that all have, got none")
        return shared
    stems = list(stems)
    for name, reader in readers.items():
        for stem in stems:
            if stem not in reader.names:
                raise ValueError(f"{folders[name]}: no file for stem {stem!r}; it holds {', '.join(reader.names)}")
    if not stems or len(set(stems)) < len(stems):
        raise ValueError(f"stems: expected different names, got {stems}")
    return stems


def _excerpt(reader: MultitrackReader, start_s: float, seconds: float) -> Tensor:
    first, samples = round(start_s * reader.sample_rate), round(seconds * reader.sample_rate)
    if not 0 <= first < reader.samples or samples < 2 * round(FADE_S * reader.sample_rate) + 1:
        raise ValueError(
            f"start, seconds: expected an excerpt inside a recording of {reader.samples / reader.sample_rate:.2f} s, "
            f"got start {start_s:g}, seconds {seconds:g}"
        )
    return reader.read(first, samples)


def _trial(stem: str, start_s: float, rate: int, clips: dict[str, Tensor]) -> Trial:
    gain_db = shared_gain_db(list(clips.values()))
    rated = [name for name in clips if name != MICROPHONE]
    if not any(clips[name].any() for name in rated):
        raise ValueError(f"start: expected an excerpt with sound, got silence in {stem!r} at {start_s:g} s")
    fade = _fade(next(iter(clips.values())).shape[-1], rate)
    ready = {name: clip.double() * 10 ** (gain_db / 20) * fade for name, clip in clips.items()}
    return Trial(
        stem=stem,
        start_s=start_s,
        seconds=fade.shape[0] / rate,
        gain_db=gain_db,
        clips={name: ready[name] for name in rated},
        open_clips={name: ready[name] for name in (MICROPHONE, REFERENCE) if name in ready},
    )


def _fade(samples: int, rate: int) -> Tensor:
    edge = min(round(FADE_S * rate), samples // 2)
    rise = np.sin(0.5 * np.pi * (np.arange(edge) + 0.5) / max(edge, 1)) ** 2
    return torch.from_numpy(np.concatenate([rise, np.ones(samples - 2 * edge), rise[::-1]]))
