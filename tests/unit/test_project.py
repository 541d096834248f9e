"""What holds for the project as a whole: pins, derived files, addresses, floors, docstrings, workflows."""

import ast
import importlib
import importlib.metadata
import inspect
import json
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

import irtools

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
SLUG = SETTINGS["project"]["urls"]["Repository"].removeprefix("https://github.com/")
MODULES = sorted(path.relative_to(ROOT) for path in (ROOT / "irtools").rglob("*.py"))
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def tracked() -> list[Path]:
    """Files under version control; all but the ignored ones where there is no git."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def all_pins() -> list[str]:
    extras = SETTINGS["project"]["optional-dependencies"].values()
    return [
        *SETTINGS["build-system"]["requires"],
        *SETTINGS["project"]["dependencies"],
        *(pin for extra in extras for pin in extra),
        *SETTINGS["tool"]["irtools"]["no-deps"],
    ]


@pytest.fixture(scope="module")
def sync():
    spec = importlib.util.spec_from_file_location("sync", ROOT / "binder/sync.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# One source of dependencies


@pytest.mark.parametrize("pin", all_pins())
def test_every_dependency_is_pinned_exactly(pin):
    assert re.fullmatch(r"[A-Za-z0-9._-]+==\d[A-Za-z0-9.]*", pin)


@pytest.mark.parametrize("python", ["3.11.2", "3.11.7"], ids=["Debian 12", "later"])
def test_every_locked_version_takes_the_python_of_a_bare_machine(sync, python):
    refused = [
        f"{distribution.name} {distribution.version} wants Python {distribution.metadata.get('Requires-Python')}"
        for distribution in importlib.metadata.distributions()
        if sync._normal(distribution.name) in sync.constraints()
        and not SpecifierSet(distribution.metadata.get("Requires-Python") or "").contains(python)
    ]
    assert refused == []


def test_constraints_hold_every_pin_with_its_version(sync):
    locked = sync.constraints()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==\d[A-Za-z0-9.]*", line) for line in locked.values())
    for pin in all_pins()[len(SETTINGS["build-system"]["requires"]) :]:
        name, version = pin.split("==")
        assert locked[normal(name)].split("==")[1] == version, pin


def test_derived_files_are_up_to_date(sync):
    stale = [str(path.relative_to(ROOT)) for path, text in sync.derived().items() if text_of(path) != text]
    assert not stale, f"run `make sync`: {stale}"


def test_the_conda_environment_installs_what_the_chapters_import():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"][0] == "conda-forge" and "ffmpeg" in environment["dependencies"]
    pip = environment["dependencies"][-1]["pip"]
    extras = SETTINGS["project"]["optional-dependencies"]
    wanted = {*SETTINGS["project"]["dependencies"], *extras["datasets"], *extras["book"]}
    assert {line for line in pip if not line.startswith("--")} == wanted


def test_binder_builds_from_the_same_environment():
    link = ROOT / "binder/environment.yml"
    assert link.is_symlink() and link.resolve() == ROOT / "environment.yml"
    post_build = ROOT / "binder/postBuild"
    assert post_build.stat().st_mode & stat.S_IXUSR
    subprocess.run(["bash", "-n", post_build], check=True)
    assert all(pin in post_build.read_text() for pin in SETTINGS["tool"]["irtools"]["no-deps"])


def test_every_install_line_of_a_chapter_is_the_locked_one(sync):
    line = sync.install_line(SETTINGS)
    locked = {pin.lower() for pin in sync.constraints().values()} | set(SETTINGS["tool"]["irtools"]["no-deps"])
    assert {word for word in line.split() if re.match(r"[a-z_-]+==", word)} <= locked
    found = []
    for path in (ROOT / "book").glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        found += re.findall(
            r"%pip.*", "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        )
    assert found and set(found) == {line}


def test_a_new_address_reaches_every_link(sync):
    """The README, the settings of the book and a chapter, moved to another repository and back."""
    for name in ("README.md", "_config.yml", "CITATION.cff", "book/mixing_model.ipynb"):
        text = (ROOT / name).read_text()
        moved = sync.with_address(text, "somebody/fork")
        assert SLUG not in moved and "somebody/fork" in moved
        assert moved.replace("somebody/fork", SLUG) == text


# Addresses and paths

LINKS = (
    r"mybinder\.org/v2/gh/([\w.-]+/[\w.-]+)",
    r"colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)",
    r"git\+https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?(?=[@#\s\"'\\]|$)",
    r"github\.com/([\w.-]+/irtools)\b",
)


def test_every_own_link_names_the_repository():
    # This file holds no link; the patterns above do not match themselves.
    found = {(path.name, slug) for path in tracked() for link in LINKS for slug in re.findall(link, text_of(path))}
    assert len(found) > 4 and {slug for _, slug in found} == {SLUG}, found


def test_launch_links_name_files_that_exist():
    text = (ROOT / "README.md").read_text()
    named = re.findall(r"(?:lab/tree/|blob/main/)([\w/.-]+)", text)
    assert len(named) >= 2 and all((ROOT / name).is_file() for name in named)
    local = [name for name in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in name]
    assert local and all((ROOT / name).is_file() for name in local)


def test_every_picture_of_the_readme_is_described_and_small():
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert all(alt.strip() for alt, _ in pictures)
    sizes = [(ROOT / target).stat().st_size for _, target in pictures if "://" not in target]
    assert sizes and max(sizes) < 200_000


def test_no_tracked_file_names_a_path_of_a_machine():
    pattern = re.compile("|".join(("/" + "work/", "/" + "home/[a-z]", "/" + "Users/[A-Za-z]", r"[A-Z]:\\" + "Users")))
    bad = {
        str(path.relative_to(ROOT)): found.group()
        for path in tracked()
        if "vendor" not in path.parts and (found := pattern.search(text_of(path)))
    }
    assert not bad


# Papers of the project


def test_the_changelog_and_the_citation_carry_the_version():
    released = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    sections = re.findall(r"^## \[([^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert sections[0] == "Unreleased"
    assert not released or released[0] == irtools.__version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert {"message", "title", "authors"} <= set(citation) and citation["authors"]
    assert str(citation["version"]) == irtools.__version__
    assert citation["license"] == SETTINGS["project"]["license"] == "MIT"
    assert citation["repository-code"] == SETTINGS["project"]["urls"]["Repository"]


def test_the_licence_is_mit():
    text = (ROOT / "LICENSE").read_text()
    assert text.startswith("MIT License") and "WITHOUT WARRANTY OF ANY KIND" in text


# make and continuous integration


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def test_every_target_that_is_named_exists():
    assert {"book", "test", "setup", "sync", "lock", "lint", "clean"} <= targets()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / ".ci/run", *WORKFLOWS):
        text = path.read_text()
        named = re.findall(r"`make ([a-z]+)|^\s*(?:- run: )?make ([a-z]+)", text, flags=re.MULTILINE)
        assert {a or b for a, b in named} <= targets(), path
    assert (ROOT / "binder/tools.sh").stat().st_mode & stat.S_IXUSR
    for script in (".ci/run", "binder/tools.sh"):
        subprocess.run(["bash", "-n", ROOT / script], check=True)


def test_there_are_the_five_workflows():
    assert {path.stem for path in WORKFLOWS} == {"tests", "papermill", "pages", "linkcheck", "nightly"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_sound(path):
    text = path.read_text()
    workflow = yaml.safe_load(text)
    on = workflow[True]  # YAML 1.1 reads `on` so
    assert workflow["name"] == path.stem and workflow["permissions"]["contents"] == "read"
    assert "secrets." not in text and "github.event." not in text
    assert set(on) <= {"push", "pull_request", "schedule", "workflow_dispatch"}
    for job in workflow["jobs"].values():
        assert job["runs-on"].startswith("ubuntu")
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            if "uses" in step:
                assert re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])
            else:
                subprocess.run(["bash", "-n"], input=step["run"], text=True, check=True)
        assert set(job.get("needs", "").split()) <= set(workflow["jobs"])


def test_workflows_run_when_they_should():
    read = {path.stem: yaml.safe_load(path.read_text()) for path in WORKFLOWS}
    assert {"push", "pull_request"} <= set(read["tests"][True])
    runs = "\n".join(step.get("run", "") for step in read["tests"]["jobs"]["test"]["steps"])
    assert "make book" in runs and "make test" in runs
    for name in ("papermill", "linkcheck", "nightly"):
        assert all(re.fullmatch(r"(\S+ ){4}\S+", entry["cron"]) for entry in read[name][True]["schedule"])
    assert read["papermill"][True]["workflow_dispatch"]["inputs"]["profile"]["options"] == ["smoke", "book", "paper"]
    assert read["pages"][True]["push"]["branches"] == ["main"] and read["pages"]["permissions"]["pages"] == "write"


# The library: floors, size, names, imports

# From the top; a name is a module or a room, and the longest one that fits a module says its floor.
FLOORS = (
    ("commands",),
    ("comparison", "training"),
    ("methods.registry", "methods.streaming.files"),
    ("methods.alternating", "methods.closemic", "methods.ica", "methods.networks", "methods.powers"),
    ("methods", "methods.iteration"),
    ("methods.separator", "methods.streaming"),
    ("band", "metrics", "nets"),
    ("recording", "stage"),
    ("kernels", "notebook"),
    ("checks", "provenance", "stft"),
    ("",),
)


def floor(module: str) -> int:
    """Floor of a module of the library, counted from the ground, which is the package itself."""
    path = module.removesuffix(".__init__").removesuffix(".__version__").split(".")[1:]
    for length in range(len(path), -1, -1):
        for height, rooms in enumerate(reversed(FLOORS)):
            if ".".join(path[:length]) in rooms and (length or not path):
                return height
    raise LookupError(f"{module}: on no floor; add its room to FLOORS and to the map in CONTRIBUTING.md")


def imported(path: Path) -> set[str]:
    """Modules of the library that the file imports anywhere, also inside functions, but for type checking."""
    found = set()
    tree = ast.parse((ROOT / path).read_text())
    typing_only = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node not in typing_only:
            assert node.level == 0, f"{path}: relative import"
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "irtools" else [node.module]
            )
            found |= {name for name in names if name.split(".")[0] == "irtools"}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "irtools"}
    return found


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_go_down_only(path):
    module = ".".join(path.with_suffix("").parts)
    if module == "irtools.__init__":
        assert imported(path) == set()
        return
    up = {name for name in imported(path) if floor(name) > floor(module)}
    assert not up, f"{path} is on floor {floor(module)}"
    if floor(module) < len(FLOORS) - 1:
        assert "irtools" not in imported(path), f"{path}: the package's own list is for users"


def test_the_test_of_floors_sees_an_import_that_goes_up(tmp_path):
    path = tmp_path / "room.py"
    path.write_text("def f():\n    from irtools.methods.separator import Reduction\n    return Reduction\n")
    assert min(floor(name) for name in imported(path)) > floor("irtools.stage.room")


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_file_is_short_and_has_a_name_that_says_something(path):
    assert not {part.removesuffix(".py") for part in path.parts} & {"utils", "helpers", "common", "misc", "tools"}
    assert len((ROOT / path).read_text().splitlines()) <= 330


HEAVY = (
    "pyroomacoustics",
    "librosa",
    "matplotlib",
    "musdb",
    "museval",
    "stempeg",
    "pretty_midi",
    "lightning",
    "scipy.signal",
    "triton",
)


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("irtools", ("torch", "numpy", "soundfile", *HEAVY)),
        ("irtools.commands.main", ("torch", "numpy", "soundfile", *HEAVY)),
        ("irtools.metrics", HEAVY),
        ("irtools.methods.streaming.files", HEAVY),
        ("irtools.recording.multitrack", HEAVY),
        ("irtools.recording.datasets", HEAVY),
        ("irtools.stage.linear", HEAVY),
        ("irtools.stage.room", HEAVY),
        ("irtools.band.songs", HEAVY),
        ("irtools.methods.networks.methods", HEAVY),
        ("irtools.training.run", HEAVY),
        ("irtools.training.separation", HEAVY),
        ("irtools.training.validation", HEAVY),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_used(module, forbidden):
    script = f"import sys, {module}; print(*[name for name in {forbidden!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# Docstrings


def functions_with_parameter_lists() -> list:
    """Functions anywhere in the library whose docstring lists parameters, by their full name."""
    found = []
    for path in MODULES:
        module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.FunctionDef) and "Parameters\n" in (ast.get_docstring(node) or ""):
                found.append(pytest.param(node, id=f"{module}.{node.name}"))
    return found


@pytest.mark.parametrize("node", functions_with_parameter_lists())
def test_a_list_of_parameters_is_complete(node):
    text = inspect.cleandoc(ast.get_docstring(node))
    arguments = {a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)} - {"self", "cls"}
    listed = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-{3,}$|\Z)", text, flags=re.MULTILINE | re.DOTALL)
    named = re.findall(r"^([*\w][*\w, ]*?)(?: :.*)?$", listed.group(1), flags=re.MULTILINE)
    known = {name.strip(" *") for line in named for name in line.split(",")} - {""}
    spread = {a.arg for a in (node.args.vararg, node.args.kwarg) if a}
    assert arguments <= known, f"not documented: {arguments - known}"
    assert known <= arguments | spread, f"documented, but no argument: {known - arguments}"


@pytest.mark.parametrize("name", [name for name in irtools.__all__ if name not in ("__version__", "METHODS")])
def test_the_public_names_are_documented_in_full(name):
    thing = getattr(irtools, name)
    text = inspect.getdoc(thing)
    if inspect.isfunction(thing):
        for section in ("Parameters", "Returns", "Raises", "Examples"):
            if section == "Parameters" and not inspect.signature(thing).parameters:
                continue
            if section == "Returns" and inspect.signature(thing).return_annotation == "None":
                continue
            assert re.search(rf"^{section}\n-+$", text, flags=re.MULTILINE), f"{name}: no {section}"
    else:
        assert len(text) > 40


@pytest.mark.parametrize("name", sorted(irtools.METHODS))
def test_a_method_cites_its_equation_and_its_paper(name):
    text = inspect.getdoc(irtools.METHODS[name].learn)
    for section in ("Parameters", "Returns", "Raises", "Notes", "References", "Examples"):
        assert re.search(rf"^{section}\n-+$", text, flags=re.MULTILINE), f"{name}: no {section}"


def test_every_public_name_is_there():
    assert set(irtools.__all__) == set(dir(irtools))
    for name in irtools.__all__:
        assert getattr(irtools, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'reduse'"):
        irtools.reduse  # noqa: B018
