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
    """Set the book's matplotlib style: sharp on dense screens, distinct without colour vision, reproducible."""
    import matplotlib
    from cycler import cycler

    matplotlib.rc("figure", dpi=150, facecolor="white")
    matplotlib.rc("figure.constrained_layout", use=True)
    matplotlib.rc("savefig", dpi="figure")
    matplotlib.rc("font", size=10)
    matplotlib.rc("axes", titlesize=10, prop_cycle=cycler(color=PALETTE))
    matplotlib.rc("axes.spines", top=False, right=False)
    matplotlib.rc("grid", alpha=0.3)
    matplotlib.rc("legend", frameon=False)
    matplotlib.rc("lines", linewidth=1.6)
    matplotlib.rc("svg", hashsalt="irtools")


def show(figure: Figure, alt: str, caption: str | None = None) -> None:
    """Show a figure and close it; ``alt`` says what it shows to those who do not see it, with computed numbers.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> show(Figure(), alt="Λ is the identity.")
    Figure: Λ is the identity.
    """
    text = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    html = f"<figure style='margin:1em 0'>{image_html(figure, alt)}{text}</figure>"
    show_html(html, plain=f"Figure: {alt}")


def image_html(figure: Figure, alt: str, dpi: float | None = None) -> str:
    """An ``<img>`` with the figure as PNG inside, on white in dark mode too; the figure is closed."""
    # MyST-NB takes alt text from static cell metadata and Jupyter from nowhere; in HTML it travels with the output.
    if not alt or not alt.strip():
        raise ValueError("alt: expected a text that says what the figure shows, got an empty one")
    from matplotlib import pyplot as plt

    buffer = io.BytesIO()
    # Without the version string two machines with one matplotlib write the same bytes.
    figure.savefig(buffer, format="png", dpi=dpi or "figure", facecolor="white", metadata={"Software": None})
    plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    width = round(figure.get_figwidth() * 100)
    return (
        f"<img alt='{escape(alt)}' style='width:{width}px;max-width:100%;height:auto;background:#fff' "
        f"src='data:image/png;base64,{data}'>"
    )
