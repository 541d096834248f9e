import json
import os
import shutil
import sys
from pathlib import Path

import pytest

# The script update_expected.py and the tests share one module.
sys.path.insert(0, str(Path(__file__).parent))

QUIET = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync""".split()


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.book)


@pytest.fixture(scope="session")
def first_run(tmp_path_factory, testrun_uid):
    """Results of a chapter's first run in this session of tests, whichever process ran it."""
    from chapters import execute

    shared = tmp_path_factory.getbasetemp().parent / f"chapters-{testrun_uid}"
    shared.mkdir(exist_ok=True)

    def results(notebook):
        saved = shared / f"{notebook.stem}.json"
        if not saved.exists():
            temporary = saved.with_suffix(f".{os.getpid()}")
            temporary.write_text(json.dumps(execute(notebook, tmp_path_factory.mktemp(notebook.stem))))
            temporary.replace(saved)
        return json.loads(saved.read_text())

    return results


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium that asks nobody anything."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    assert chromium, "no chromium on PATH: run binder/tools.sh chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser):
    """Open an empty page in a context of its own; it waits as long as a machine with other work may need."""
    contexts = []

    def new(theme="light", width=1300):
        size = {"width": width, "height": 900}
        # Without motion nothing is caught half-way between two colours.
        context = browser.new_context(viewport=size, color_scheme=theme, reduced_motion="reduce")
        context.set_default_timeout(180_000)
        contexts.append(context)
        return context.new_page()

    yield new
    for context in contexts:
        context.close()
