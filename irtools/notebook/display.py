"""How everything that a chapter shows reaches the page: one piece of HTML, shown, glued, or both."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

# MyST-NB reads values from outputs of this type; emitting them needs no MyST-NB, which Colab lacks.
RECORD = "application/papermill.record/"


def show_table(header: list[str], rows: list[list], *, caption: str, fmt: str = ".1f") -> None:
    """Show a table whose first column heads its rows.

    Text is shown as it is, None as a dash, a float with ``fmt``.

    Examples
    --------
    >>> show_table(["stem", "SI-SDR (dB)"], [["bass", 7.25]], caption="Scores")
    Scores
    stem | SI-SDR (dB)
    bass | 7.2
    """
    cells = [[_text(value, fmt) for value in row] for row in rows]
    for row in cells:
        if len(row) != len(header):
            raise ValueError(f"rows: expected {len(header)} cells (as in the header), got {len(row)}: {row}")
    head = f"<th scope='col'>{escape(header[0])}</th>" + "".join(
        f"<th scope='col' style='text-align:right'>{escape(title)}</th>" for title in header[1:]
    )
    table = (
        f"<table class='table'><caption style='caption-side:top'>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{table_rows(cells)}</tbody></table>"
    )
    plain = "\n".join([caption, *(" | ".join(row) for row in [header, *cells])])
    show_html(scrollable(table, caption), plain=plain)


def table_rows(cells: Iterable[Sequence[str]]) -> str:
    """Rows of an HTML table, the first cell of each its header; the cells are escaped."""
    return "".join(
        f"<tr><th scope='row'>{escape(row[0])}</th>"
        + "".join(f"<td style='text-align:right'>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in cells
    )


def scrollable(html: str, label: str) -> str:
    """Wide content that scrolls sideways, and not the page; the keyboard reaches it, and ``label`` names it."""
    return f"<div role='region' aria-label='{escape(label)}' tabindex='0' style='overflow-x:auto'>{html}</div>"


def show_html(html: str, *, plain: str, name: str | None = None) -> None:
    """Show HTML, ``plain`` in a terminal; with a name also glue it, so that another page can paste it."""
    from IPython.display import display

    if name is not None:
        check_name(name)
    display(_Html(html, plain))
    if name is not None:
        glue_bundle(name, {"text/html": html, "text/plain": plain})


def check_name(name: str) -> str:
    """A name that can serve as an HTML id and as a glue key."""
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise ValueError(f"name: expected lower-case letters, digits, '_' and '-', letter first; got {name!r}")
    return name


def glue_bundle(name: str, bundle: dict[str, str]) -> None:
    """Record a bundle (MIME type to content) under a name without showing it, as ``myst_nb.glue`` does."""
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is not None:
        records = {RECORD + kind: content for kind, content in bundle.items()}
        display(records, raw=True, metadata={"scrapbook": {"name": name, "mime_prefix": RECORD}})


@dataclass(frozen=True)
class _Html:
    html: str
    plain: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.plain


def _text(value, fmt: str) -> str:
    if value is None:
        return "–"
    return format(value, fmt) if isinstance(value, float) else str(value)
