"""``{provenance}``: a table of what built the book, the same for two builds of one commit."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive

PACKAGES = ("irtools", "torch", "numpy", "scipy", "soundfile", "pyroomacoustics", "jupyter-book")


class Provenance(Directive):
    """The commit with its date (never the date of the build), Python and the packages that the numbers depend on."""

    def run(self):
        source = Path(self.state.document.settings.env.srcdir)
        rows = [("commit", _git(source, "--format=%h")), ("date of the commit", _git(source, "--format=%cs"))]
        rows += [("Python", platform.python_version()), *((name, version(name)) for name in PACKAGES)]
        return [_table(("built from", "version"), rows)]


def _git(folder: Path, wanted: str) -> str:
    command = ["git", "-C", str(folder), "log", "-1", wanted]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() or "unknown"
    except (OSError, subprocess.CalledProcessError):
        return "unknown (not built from a git checkout)"


def _table(header, rows):
    group = nodes.tgroup(cols=2)
    group += [nodes.colspec(colwidth=1), nodes.colspec(colwidth=1, stub=0)]
    head, body = nodes.thead(), nodes.tbody()
    head += _row(header)
    body += [_row(row) for row in rows]
    group += [head, body]
    return nodes.table("", group)


def _row(texts):
    return nodes.row("", *(nodes.entry("", nodes.paragraph(text=text)) for text in texts))


def setup(app):
    app.add_directive("provenance", Provenance)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
