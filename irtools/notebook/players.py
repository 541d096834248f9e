"""Audio players for comparisons: embedded MP3, and one gain for everything that is compared."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Mapping
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
    """Show one row of players of clips of shape (samples,), of ``seconds`` from ``start``, all with one gain.

    The loudest sample of the *whole* comparison is put at -1 dBFS, and the caption states the gain. Players that are
    normalised one by one would hide what a method did to the level of the bleed. With a name the row is also glued,
    for another page.

    Examples
    --------
    >>> listen({"silence": torch.zeros(4410)}, 44100, caption="Rest")
    Rest (audio: silence)
    """
    players, gain_db = _players(clips, sample_rate, start, seconds)
    figures = "".join(
        f"<div style='flex:1 1 11em;max-width:22em'><div>{escape(label)}</div>{player}</div>"
        for label, player in players.items()
    )
    row = f"<div style='display:flex;flex-wrap:wrap;align-items:end;gap:.8em 1.2em'>{figures}</div>"
    _show(row, caption, gain_db, clips, name)


def listening_grid(
    rows: Mapping[str, Mapping[str, Tensor]],
    sample_rate: int,
    *,
    caption: str | None = None,
    seconds: float | None = None,
    start: float = 0.0,
    name: str | None = None,
) -> None:
    """Show a table of players as :func:`listen` does, such as stems by (input, estimate, reference).

    ``rows`` are row label to column label to waveform; a missing clip leaves a dash.

    Examples
    --------
    >>> hum = torch.full((4410,), 0.1)
    >>> listening_grid({"bass": {"input": hum, "estimate": hum}}, 44100, caption="Bleed")
    Bleed (audio: bass)
    """
    columns = list(dict.fromkeys(label for row in rows.values() for label in row))
    clips = {f"{stem}, {label}": clip for stem, row in rows.items() for label, clip in row.items()}
    players, gain_db = _players(clips, sample_rate, start, seconds)
    cells = {label: f"<td style='min-width:9em'>{player}</td>" for label, player in players.items()}
    head = "".join(f"<th scope='col'>{escape(label)}</th>" for label in columns)
    body = "".join(
        f"<tr><th scope='row'>{escape(stem)}</th>"
        + "".join(cells.get(f"{stem}, {label}", "<td>–</td>") for label in columns)
        + "</tr>"
        for stem in rows
    )
    table = f"<table class='table'><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>"
    _show(scrollable(table, caption or "Listening table"), caption, gain_db, rows, name)


def audio_html(clip: Tensor, sample_rate: int, label: str) -> str:
    """One player of a clip within ±1; the caller has chosen the gain."""
    data = base64.b64encode(encode_mp3(*_resample(clip.detach().cpu().double(), sample_rate))).decode()
    return (
        f"<audio controls preload='metadata' aria-label='{escape(label)}' style='width:100%;height:2.5em' "
        f"src='data:audio/mpeg;base64,{data}'></audio>"
    )


def shared_gain_db(clips: Iterable[Tensor]) -> float:
    """Gain in dB, rounded to 0.1, that puts the loudest sample of all clips at -1 dBFS; 0 for silence."""
    peak = max(clip.abs().max().item() for clip in clips)
    # Rounded downwards: what the caption says is what was applied, and nothing passes -1 dBFS.
    return math.floor((PEAK_DBFS - 20 * math.log10(peak)) * 10) / 10 if peak > 0 else 0.0


def caption_of(caption: str | None, *notes: str, gain_db: float) -> str:
    """The caption, notes and, where there is one, the gain of all players, as sentences."""
    text = escape(caption.rstrip(".")) + "." if caption else ""
    gain = f"One gain of {gain_db:+.1f} dB for all players.".replace("-", "−") if gain_db else ""
    return " ".join(filter(None, [text, *notes, gain]))


def encode_mp3(clip: Tensor, sample_rate: int) -> bytes:
    """MP3 (variable bit rate) of one mono clip at one of MP3's rates."""
    buffer = io.BytesIO()
    options = {"compression_level": COMPRESSION, "bitrate_mode": "VARIABLE"}
    soundfile.write(buffer, clip.numpy(), sample_rate, format="MP3", subtype="MPEG_LAYER_III", **options)
    return buffer.getvalue()


def _players(clips, sample_rate, start, seconds):
    """Players of excerpts with the shared gain applied, and that gain in dB."""
    if not clips:
        raise ValueError("clips: expected at least one clip, got none")
    ready = {
        label: _resample(_excerpt(clip, sample_rate, start, seconds, label), sample_rate)
        for label, clip in clips.items()
    }
    gain_db = shared_gain_db(clip for clip, _ in ready.values())
    gain = 10 ** (gain_db / 20)
    return {label: audio_html(clip * gain, rate, label) for label, (clip, rate) in ready.items()}, gain_db


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


def _show(body, caption, gain_db, labels, name):
    text = caption_of(caption, "Compressed for listening.", gain_db=gain_db)
    html = f"<figure style='margin:1em 0'>{body}<figcaption>{text}</figcaption></figure>"
    show_html(html, plain=f"{caption or 'Players'} (audio: {', '.join(labels)})", name=name)
