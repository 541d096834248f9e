"""The built site as files: nothing foreign, nothing broken, nothing heavy. `make test` builds it when it is missing."""

import re
from urllib.parse import unquote

import pytest
from chapters import ROOT, chapters

SITE = ROOT / "_build/html"


@pytest.fixture(scope="module")
def pages():
    """Text of every page of the book, by name."""
    found = {path.stem: path.read_text() for path in sorted((SITE / "book").glob("*.html"))}
    assert found, "no built book in _build/html: run `make book`"
    return found


def test_every_page_of_the_table_of_contents_was_built(pages):
    listed = re.findall(r"book/(\w+)", (ROOT / "_toc.yml").read_text())
    assert sorted(pages) == sorted(listed)
    assert {path.stem for path in chapters()} <= set(listed), "a notebook is missing in _toc.yml"


def test_nothing_is_loaded_from_other_hosts(pages):
    for name, html in pages.items():
        tags = re.findall(
            r"<(?:script|link|img|audio|source|iframe)\b[^>]*?(?:src|href)=[\"'](?:https?:)?//[^>]+>", html
        )
        assert [tag for tag in tags if "canonical" not in tag] == [], name


def test_every_picture_has_alt_text(pages):
    for name, html in pages.items():
        # MyST-NB writes the file name where no alt text was given.
        images = re.findall(r"<img\b[^>]*>", html)
        bare = [tag[:120] for tag in images if not re.search(r"alt=(\"(?!\.\./_images)[^\"]+\"|'[^']+')", tag)]
        assert bare == [], name


def test_no_debris_of_execution(pages):
    for name, html in pages.items():
        for debris in (
            r"Traceback \(most recent",
            r"\d+it/s\]",
            r"widget-view\+json",
            "data:audio/wav",
            "require.min.js",
        ):
            assert not re.search(debris, re.sub(r"base64,[\w+/=]+", "", html)), f"{name}: {debris}"


def test_weight(pages):
    heavy = {path.name: size for path in (SITE / "book").glob("*.html") if (size := path.stat().st_size) > 3e6}
    assert heavy == {}
    assert sum(path.stat().st_size for path in SITE.rglob("*") if path.is_file()) < 60e6


def test_launch_links_name_files_that_exist(pages):
    for chapter in chapters():
        html = pages[chapter.stem]
        links = re.findall(r"https://(?:colab\.research\.google|mybinder)[^\"]+", html)
        assert len(links) >= 2, chapter.stem
        for link in links:
            path = re.search(r"book/[\w.-]+\.ipynb", unquote(link)).group()
            assert (ROOT / path).exists(), link


def test_source_links_name_files_that_exist(pages):
    for name, html in pages.items():
        for path in re.findall(r"https://github\.com/[\w.-]+/[\w.-]+/(?:blob|edit)/main/([\w./-]+)", html):
            assert (ROOT / path).exists(), f"{name}: {path}"


def test_status_page_says_that_every_chapter_succeeded(pages):
    table = pages["status"]
    for chapter in chapters():
        row = re.search(rf"<tr[^>]*>(?:(?!</tr>).)*book/{chapter.stem}(?:(?!</tr>).)*</tr>", table, flags=re.DOTALL)
        assert row and "succeeded" in row.group(), chapter.stem
    assert "failed" not in re.sub(r"<script.*?</script>", "", table, flags=re.DOTALL).split("What the chapters")[0]
