"""What chapters show: players, sliders, figures, tables and the numbers of their prose.

Nothing here needs MyST-NB, so that a chapter runs on Colab as it runs in the book.
"""

from irtools.notebook.display import show_table
from irtools.notebook.figures import plot_convergence, plot_gains, plot_scores, plot_spectrograms, plot_stage
from irtools.notebook.images import show, use_style
from irtools.notebook.players import listen, listening_grid
from irtools.notebook.results import Results, profile_value
from irtools.notebook.sliders import Step, slider

__all__ = [
    "Results",
    "Step",
    "listen",
    "listening_grid",
    "plot_convergence",
    "plot_gains",
    "plot_scores",
    "plot_spectrograms",
    "plot_stage",
    "profile_value",
    "show",
    "show_table",
    "slider",
    "use_style",
]
