"""The book's style of figures, and figures shown with alt text that is computed like the figure."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

from irtools.notebook.display import show_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette without its yellow, which is too pale for lines on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def use_style() -> None:
    """Set the book's matplotlib style: sharp on dense screens, distinct without colour vision, reproducible.

    Examples
    --------
    >>> use_style()
    >>> import matplotlib
    >>> matplotlib.rcParams["figure.dpi"]
    150.0
    """
    import matplotlib
    from cycler import cycler

    matplotlib.rcParams.update(
        {
            "figure.dpi": 150,
            "savefig.dpi": "figure",
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.titlesize": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": cycler(color=PALETTE),
            "axes.grid": False,
            "grid.alpha": 0.3,
            "legend.frameon": False,
            "lines.linewidth": 1.6,
            "image.cmap": "viridis",
            "svg.hashsalt": "irtools",
        }
    )


def show(figure: Figure, alt: str, caption: str | None = None, name: str | None = None) -> None:
    """Show a figure with its alt text.

    Parameters
    ----------
    figure : matplotlib Figure
        Closed afterwards, so that no notebook shows it a second time.
    alt : str
        What the figure says, for those who do not see it; may quote computed numbers.
    caption : str, optional
    name : str, optional
        Also glue the figure under this name, for another page.

    Raises
    ------
    ValueError
        An empty alt text.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> show(Figure(), alt="Λ is the identity.")
    Figure: Λ is the identity.
    """
    image = image_html(figure, alt)
    text = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    show_html(f"<figure style='margin:1em 0'>{image}{text}</figure>", plain=f"Figure: {alt}", name=name)


def image_html(figure: Figure, alt: str, dpi: float | None = None) -> str:
    """An ``<img>`` with the figure as PNG inside, on white in dark mode too.

    Parameters
    ----------
    figure : matplotlib Figure
    alt : str
    dpi : float, optional
        Dots per inch; the figure's own by default.

    Raises
    ------
    ValueError
        An empty alt text.

    Notes
    -----
    MyST-NB takes a figure's alt text from static cell metadata and Jupyter from nowhere; in HTML it is computed
    and travels with the output.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> image_html(Figure(), "identity")[:20]
    "<img alt='identity' "
    """
    if not alt or not alt.strip():
        raise ValueError("alt: expected a text that says what the figure shows, got an empty one")
    from matplotlib import pyplot

    buffer = io.BytesIO()
    # Without the version string two machines with one matplotlib write the same bytes.
    figure.savefig(buffer, format="png", dpi=dpi or "figure", facecolor="white", metadata={"Software": None})
    pyplot.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    width = round(figure.get_figwidth() * 100)
    return (
        f"<img alt='{escape(alt)}' style='width:{width}px;max-width:100%;height:auto;background:#fff' "
        f"src='data:image/png;base64,{data}'>"
    )
