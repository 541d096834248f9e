"""Audio players for comparisons: embedded MP3, and one gain for everything that is compared."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from html import escape

import soundfile
import torch
from torch import Tensor

from irtools.notebook.display import scrollable, show_html

# 6 s of music cost 42 kB of page at 32 kHz and this VBR setting (0 best, 1 smallest): a page holds 60 such clips.
LISTENING_RATE = 32000
COMPRESSION = 0.7
PEAK_DBFS = -1.0


def listen(
    clips: Mapping[str, Tensor],
    sample_rate: int,
    *,
    caption: str | None = None,
    seconds: float | None = None,
    start: float = 0.0,
    name: str | None = None,
) -> None:
    """Show one row of players, all with one gain.

    Parameters
    ----------
    clips : mapping of str to Tensor, shape (samples,)
        Label to waveform; levels between clips are kept.
    sample_rate : int
        In Hz, of every clip.
    caption : str, optional
    seconds : float, optional
        Length of the excerpt; the rest of the clip by default.
    start : float
        Where the excerpt starts, in seconds.
    name : str, optional
        Also glue the row under this name, for another page.

    Raises
    ------
    TypeError, ValueError
        No clip, a clip that is no tensor of shape (samples,), NaN or infinite samples, an empty excerpt.

    Notes
    -----
    The loudest sample of the *whole* comparison is put at -1 dBFS and the caption states the gain. Players that are
    normalised one by one would hide what a method did to the level of the bleed. The MP3s are for ears only.

    Examples
    --------
    >>> listen({"silence": torch.zeros(4410)}, 44100, caption="Rest")
    Rest (audio: silence)
    """
    ready, gain_db = _prepare({("", label): clip for label, clip in clips.items()}, sample_rate, start, seconds)
    figures = "".join(
        f"<div style='flex:1 1 11em;max-width:22em'><div>{escape(label)}</div>{_player(clip, rate, label)}</div>"
        for (_, label), (clip, rate) in ready.items()
    )
    row = f"<div style='display:flex;flex-wrap:wrap;align-items:end;gap:.8em 1.2em'>{figures}</div>"
    show_html(_figure(row, caption, gain_db), plain=_plain(caption, clips), name=name)


def listening_grid(
    rows: Mapping[str, Mapping[str, Tensor]],
    sample_rate: int,
    *,
    caption: str | None = None,
    seconds: float | None = None,
    start: float = 0.0,
    name: str | None = None,
) -> None:
    """Show a table of players, for example stems by (input, estimate, reference), all with one gain.

    Parameters
    ----------
    rows : mapping of str to mapping of str to Tensor, shape (samples,)
        Row label to column label to waveform. The first row names the columns; a missing clip leaves a dash.
    sample_rate, caption, seconds, start, name
        As in :func:`listen`.

    Raises
    ------
    TypeError, ValueError
        As in :func:`listen`.

    Examples
    --------
    >>> hum = torch.full((4410,), 0.1)
    >>> listening_grid({"bass": {"input": hum, "estimate": hum}}, 44100, caption="Bleed")
    Bleed (audio: bass)
    """
    columns = list(dict.fromkeys(label for row in rows.values() for label in row))
    clips = {(stem, label): clip for stem, row in rows.items() for label, clip in row.items()}
    ready, gain_db = _prepare(clips, sample_rate, start, seconds)

    def cell(stem, label):
        if (stem, label) not in ready:
            return "<td>–</td>"
        return f"<td style='min-width:9em'>{_player(*ready[stem, label], f'{stem}, {label}')}</td>"

    head = "".join(f"<th scope='col'>{escape(label)}</th>" for label in columns)
    body = "".join(
        f"<tr><th scope='row'>{escape(stem)}</th>{''.join(cell(stem, label) for label in columns)}</tr>"
        for stem in rows
    )
    corner = "<td></td>"
    table = f"<table class='table'><thead><tr>{corner}{head}</tr></thead><tbody>{body}</tbody></table>"
    html = _figure(scrollable(table, caption or "Listening table"), caption, gain_db)
    show_html(html, plain=_plain(caption, rows), name=name)


def audio_html(clip: Tensor, sample_rate: int, label: str) -> str:
    """One ``<audio>`` element with its MP3 inside; the caller has chosen the gain.

    Parameters
    ----------
    clip : Tensor, shape (samples,)
        Within ±1.
    sample_rate : int
        In Hz; clips above 32 kHz are resampled to 32 kHz.
    label : str
        Accessible name.

    Examples
    --------
    >>> audio_html(torch.zeros(800), 8000, "rest")[:44]
    "<audio controls preload='metadata' aria-labe"
    """
    return _player(*_resample(clip.detach().cpu().double(), sample_rate), label)


def shared_gain_db(clips: list[Tensor]) -> float:
    """Gain in dB, rounded to 0.1, that puts the loudest sample of all clips at -1 dBFS; 0 for silence.

    Parameters
    ----------
    clips : list of Tensor, shape (samples,)

    Examples
    --------
    >>> shared_gain_db([torch.tensor([0.0, 0.1]), torch.tensor([0.25])])
    11.0
    >>> shared_gain_db([torch.zeros(3)])
    0.0
    """
    peak = max(clip.abs().max().item() for clip in clips)
    # Rounded downwards: what the caption says is what was applied, and nothing passes -1 dBFS.
    return math.floor((PEAK_DBFS - 20 * math.log10(peak)) * 10) / 10 if peak > 0 else 0.0


def gain_note(gain_db: float) -> str:
    """What a caption says about the shared gain; nothing when there is none.

    Parameters
    ----------
    gain_db : float

    Examples
    --------
    >>> gain_note(-3.5)
    'One gain of −3.5 dB for all players.'
    >>> gain_note(0.0)
    ''
    """
    return f"One gain of {gain_db:+.1f} dB for all players.".replace("-", "−") if gain_db else ""


def encode_mp3(clip: Tensor, sample_rate: int) -> bytes:
    """MP3 (variable bit rate) of one mono clip.

    Parameters
    ----------
    clip : Tensor, shape (samples,)
    sample_rate : int
        In Hz, one of MP3's rates.

    Examples
    --------
    >>> len(encode_mp3(torch.zeros(3200), 32000)) < 2000
    True
    """
    buffer = io.BytesIO()
    soundfile.write(
        buffer,
        clip.numpy(),
        sample_rate,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=COMPRESSION,
        bitrate_mode="VARIABLE",
    )
    return buffer.getvalue()


def _prepare(clips, sample_rate, start, seconds):
    """Excerpts at the listening rate with the shared gain applied, and that gain in dB."""
    if not clips:
        raise ValueError("clips: expected at least one clip, got none")
    ready = {}
    for key, clip in clips.items():
        label = ", ".join(filter(None, key))
        ready[key] = _resample(_excerpt(clip, sample_rate, start, seconds, label), sample_rate)
    gain_db = shared_gain_db([clip for clip, _ in ready.values()])
    return {key: (clip * 10 ** (gain_db / 20), rate) for key, (clip, rate) in ready.items()}, gain_db


def _excerpt(clip, sample_rate, start, seconds, label):
    if not isinstance(clip, Tensor):
        raise TypeError(f"clips: {label!r}: expected a torch.Tensor of shape (samples,), got {type(clip).__name__}")
    if clip.ndim != 1:
        raise ValueError(f"clips: {label!r}: expected shape (samples,), got {tuple(clip.shape)}")
    first = round(start * sample_rate)
    last = clip.shape[0] if seconds is None else first + round(seconds * sample_rate)
    excerpt = clip.detach().cpu().double()[first:last]
    if start < 0 or excerpt.shape[0] == 0:
        raise ValueError(
            f"start, seconds: expected an excerpt inside {label!r} ({clip.shape[0] / sample_rate:.2f} s), "
            f"got start {start}, seconds {seconds}"
        )
    if not torch.isfinite(excerpt).all():
        raise ValueError(f"clips: {label!r}: expected finite samples, got NaN or infinity")
    return excerpt


def _resample(clip, sample_rate):
    """Clip at the nearest rate that MP3 and the page can afford."""
    rate = next((r for r in (8000, 11025, 16000, 22050, 24000) if sample_rate <= r), LISTENING_RATE)
    if rate == sample_rate:
        return clip, rate
    from scipy.signal import resample_poly

    common = math.gcd(rate, sample_rate)
    return torch.from_numpy(resample_poly(clip.numpy(), rate // common, sample_rate // common)), rate


def _player(clip, rate, label):
    data = base64.b64encode(encode_mp3(clip, rate)).decode()
    return (
        f"<audio controls preload='metadata' aria-label='{escape(label)}' style='width:100%;height:2.5em' "
        f"src='data:audio/mpeg;base64,{data}'></audio>"
    )


def _figure(body, caption, gain_db):
    notes = [escape(caption.rstrip(".")) + "." if caption else "", "Compressed for listening.", gain_note(gain_db)]
    return f"<figure style='margin:1em 0'>{body}<figcaption>{' '.join(filter(None, notes))}</figcaption></figure>"


def _plain(caption, labels):
    return f"{caption or 'Players'} (audio: {', '.join(labels)})"
