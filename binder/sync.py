"""Derive every copy of the pins and of the repository address from pyproject.toml.

python binder/sync.py            rewrite environment.yml, the launch links and the chapters' install cell
python binder/sync.py --check    exit 1 and name what differs
python binder/sync.py --lock     freeze the installed versions into binder/constraints.txt
python binder/sync.py --print torch | no-deps
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("_config.yml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff")
# What a chapter needs that Colab lacks; Colab keeps its own torch, numpy and matplotlib.
COLAB = ("pyroomacoustics", "stempeg", "ffmpeg-python", "pretty_midi", "mido", "tinysoundfont")


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def slug(settings: dict) -> str:
    """``owner/name`` of the repository."""
    return settings["project"]["urls"]["Repository"].removeprefix("https://github.com/")


def constraints() -> dict[str, str]:
    """Locked version of every package, by its normalised name."""
    lines = (ROOT / "binder/constraints.txt").read_text().split()
    return {_normal(line.split("==")[0]): line for line in lines if "==" in line}


def all_pins(settings: dict, *extras: str) -> list[str]:
    table = settings["project"]
    pins = list(table["dependencies"])
    for extra in extras:
        pins += table["optional-dependencies"][extra]
    return sorted(pins, key=str.lower)


def environment(settings: dict) -> str:
    """conda environment: Python and ffmpeg from conda-forge, CPU torch and the exact pins from the package index."""
    lines = [
        "# Derived from pyproject.toml by binder/sync.py.",
        "# conda env create -f environment.yml && conda activate irtools && binder/postBuild",
        "name: irtools",
        "channels: [conda-forge, nodefaults]",
        "dependencies:",
        "  - python=3.11",
        "  - pip",
        "  - ffmpeg",
        "  - pip:",
        "      - --extra-index-url https://download.pytorch.org/whl/cpu",
    ]
    return "\n".join(lines + [f"      - {pin}" for pin in all_pins(settings, "datasets", "book")]) + "\n"


def post_build(settings: dict) -> str:
    no_deps = " ".join(settings["tool"]["irtools"]["no-deps"])
    return (
        "#!/usr/bin/env bash\n"
        "# Derived from pyproject.toml by binder/sync.py: what the environment file cannot say.\n"
        "set -eu\n"
        'cd "$(dirname "$0")/.."\n'
        f"python -m pip install --no-deps {no_deps} -e .\n"
    )


def install_line(settings: dict) -> str:
    """The one line that makes a chapter run on Colab."""
    pins = constraints() | {_normal(pin.split("==")[0]): pin for pin in settings["tool"]["irtools"]["no-deps"]}
    version = re.search(r'__version__ = "(.+)"', (ROOT / "irtools/__init__.py").read_text()).group(1)
    packages = " ".join(pins[_normal(name)] for name in COLAB)
    return f"%pip install -q --no-deps git+https://github.com/{slug(settings)}@v{version} {packages}"


def install_cell(settings: dict) -> str:
    """First code cell of every chapter, with its install line brought up to date."""
    text = (ROOT / "book/_install_cell.py").read_text()
    return re.sub(r"%pip install .*", lambda _: install_line(settings), text)


def with_address(text: str, new: str) -> str:
    """``text`` with the repository of its launch links, badges and own links replaced by ``new``."""
    old = _addresses((ROOT / "_config.yml").read_text()) or {new}
    for address in old:
        text = text.replace(f"github.com/{address}", f"github.com/{new}")
        text = text.replace(f"mybinder.org/v2/gh/{address}", f"mybinder.org/v2/gh/{new}")
        text = text.replace(f"colab.research.google.com/github/{address}", f"colab.research.google.com/github/{new}")
    return text


def derived() -> dict[Path, str]:
    """Every derived file with the text that it must have."""
    settings = project()
    new = slug(settings)
    files = {ROOT / "environment.yml": environment(settings), ROOT / "binder/postBuild": post_build(settings)}
    pages = [ROOT / name for name in SOURCES] + sorted((ROOT / "book").glob("*.md"))
    for path in filter(Path.exists, pages):
        files[path] = with_address(path.read_text(), new)
    if (ROOT / "book/_install_cell.py").exists():
        cell = install_cell(settings)
        files[ROOT / "book/_install_cell.py"] = cell
        for path in sorted((ROOT / "book").glob("*.ipynb")):
            files[path] = _with_first_code_cell(with_address(path.read_text(), new), cell.rstrip("\n"))
    return files


def lock() -> str:
    """Installed versions as constraints, without the CPU label of torch, the project and the installer."""
    freeze = [sys.executable, "-m", "pip", "freeze", "--exclude-editable", "--exclude", "setuptools"]
    lines = subprocess.run(freeze, capture_output=True, text=True, check=True).stdout.split("\n")
    pins = {line.split("+")[0] for line in lines if "==" in line and not line.startswith("irtools")}
    header = "# Every version that a set-up installs, frozen by `make lock`."
    return "\n".join([header, *sorted(pins, key=str.lower)]) + "\n"


def _with_first_code_cell(text: str, source: str) -> str:
    notebook = json.loads(text)
    cell = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    cell["source"] = source.splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _addresses(config: str) -> set[str]:
    return set(re.findall(r"^\s*url:\s*https://github\.com/([\w.-]+/[\w.-]+)\s*$", config, flags=re.MULTILINE))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--lock", action="store_true")
    parser.add_argument("--print", choices=["torch", "no-deps"])
    args = parser.parse_args()
    if args.print:
        settings = project()
        wanted = {
            "torch": [pin for pin in settings["project"]["dependencies"] if pin.startswith("torch==")],
            "no-deps": settings["tool"]["irtools"]["no-deps"],
        }
        print(*wanted[args.print])
        return 0
    if args.lock:
        (ROOT / "binder/constraints.txt").write_text(lock())
        return 0
    stale = {path: text for path, text in derived().items() if not path.exists() or path.read_text() != text}
    for path, text in stale.items():
        print(("differs: " if args.check else "rewritten: ") + str(path.relative_to(ROOT)))
        if not args.check:
            path.write_text(text)
            if text.startswith("#!"):
                path.chmod(0o755)
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
