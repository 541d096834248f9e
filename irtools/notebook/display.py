"""How everything that a chapter shows reaches the page: one piece of HTML, shown, glued, or both."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

# MyST-NB reads values from outputs of this type; emitting them needs no MyST-NB, which Colab lacks.
RECORD = "application/papermill.record/"


def check_name(name: str) -> str:
    """Return ``name`` after checking that it can serve as an HTML id and as a glue key.

    Parameters
    ----------
    name : str

    Raises
    ------
    ValueError
        Anything but a lower-case letter followed by lower-case letters, digits, ``_`` and ``-``.

    Examples
    --------
    >>> check_name("bleed_level")
    'bleed_level'
    """
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        raise ValueError(f"name: expected lower-case letters, digits, '_' and '-', letter first; got {name!r}")
    return name


def show_html(html: str, *, plain: str, name: str | None = None) -> None:
    """Show a piece of HTML as the output of the running cell.

    Parameters
    ----------
    html : str
    plain : str
        What a terminal prints in its place.
    name : str, optional
        Also glue the piece under this name, so that another page can paste it with ``{glue:}``.

    Raises
    ------
    ValueError
        A name that is no identifier.

    Examples
    --------
    >>> show_html("<p>hum</p>", plain="hum")
    hum
    """
    from IPython.display import display

    if name is not None:
        check_name(name)
    display(_Html(html, plain))
    if name is not None:
        glue_bundle(name, {"text/html": html, "text/plain": plain})


@dataclass(frozen=True)
class _Html:
    html: str
    plain: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.plain


def glue_bundle(name: str, bundle: dict[str, str]) -> None:
    """Record a MIME bundle under a name without showing it.

    Parameters
    ----------
    name : str
    bundle : dict of str to str
        MIME type to content.

    Notes
    -----
    The output format that ``myst_nb.glue`` and papermill's ``scrapbook`` share: every MIME type behind the prefix
    ``application/papermill.record/`` and the name in the output's metadata. Outside a notebook nothing happens.

    Examples
    --------
    >>> glue_bundle("rms", {"text/plain": "0.5"})
    """
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        return
    records = {RECORD + kind: content for kind, content in bundle.items()}
    display(records, raw=True, metadata={"scrapbook": {"name": name, "mime_prefix": RECORD}})


def show_table(
    header: list[str],
    rows: list[list],
    *,
    caption: str,
    fmt: str = ".1f",
    name: str | None = None,
) -> None:
    """Show a table whose first column heads its rows.

    Parameters
    ----------
    header : list of str
        One a column, with the unit where there is one.
    rows : list of list
        Text is shown as it is, None as a dash, a float with ``fmt``.
    caption : str
    fmt : str
        Format of the floats.
    name : str, optional
        Also glue the table under this name.

    Raises
    ------
    ValueError
        A row that is not as long as the header.

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
    plain = "\n".join([caption, *(" | ".join(row) for row in [header, *cells])])
    show_html(table_html(header, cells, caption), plain=plain, name=name)


def table_html(header: list[str], cells: list[list[str]], caption: str) -> str:
    """HTML of a table with a caption, column and row headers; the cells are escaped.

    Parameters
    ----------
    header : list of str
    cells : list of list of str
    caption : str

    Examples
    --------
    >>> "<th scope='row'>bass</th>" in table_html(["stem", "dB"], [["bass", "7.2"]], "Scores")
    True
    """
    head = f"<th scope='col'>{escape(header[0])}</th>" + "".join(
        f"<th scope='col' style='text-align:right'>{escape(title)}</th>" for title in header[1:]
    )
    body = "".join(
        f"<tr><th scope='row'>{escape(row[0])}</th>"
        + "".join(f"<td style='text-align:right'>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in cells
    )
    table = (
        f"<table class='table'><caption style='caption-side:top'>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )
    return scrollable(table, caption)


def scrollable(html: str, label: str) -> str:
    """Wrap wide content so that it, and not the page, scrolls sideways; the keyboard reaches it.

    Parameters
    ----------
    html : str
    label : str
        Accessible name of the region.

    Examples
    --------
    >>> scrollable("<p>wide</p>", "a table").startswith("<div role='region' aria-label='a table' tabindex='0'")
    True
    """
    return f"<div role='region' aria-label='{escape(label)}' tabindex='0' style='overflow-x:auto'>{html}</div>"


def _text(value, fmt: str) -> str:
    if value is None:
        return "–"
    return format(value, fmt) if isinstance(value, float) else str(value)
