"""Every page in headless Chromium, from file:// and from a server: scripts, maths, players, sliders, access."""

import functools
import http.server
import re
import threading

import pytest
from chapters import ROOT

SITE = ROOT / "_build/html"
PAGES = re.findall(r"book/\w+", (ROOT / "_toc.yml").read_text())

pytestmark = [pytest.mark.browser]


@pytest.fixture(scope="module", autouse=True)
def book_is_built():
    assert (SITE / "index.html").exists(), "no built book in _build/html: run `make book`"


@pytest.fixture(scope="module")
def served():
    class Silent(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=SITE))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def opened(new_page):
    """Open an address; returns the page, and the list that collects complaints and foreign requests."""

    def open_page(address, base, theme="light", width=1300):
        page, wrong = new_page(theme, width), []
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: None if _local(request.url, base) else wrong.append(request.url))
        page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
        page.goto(address)
        page.evaluate("() => window.MathJax?.startup?.promise.then(() => true)")
        return page, wrong

    return open_page


def _local(url, base):
    return url.startswith((base, "data:", "blob:", "about:"))


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["file", "http"])
def test_page_works(opened, served, name, scheme):
    base = SITE.as_uri() if scheme == "file" else served
    page, wrong = opened(f"{base}/{name}.html", base)
    maths = page.locator(".math").count()
    assert page.locator("mjx-container").count() >= maths
    assert (
        page.evaluate(r"""() => [...document.querySelectorAll('.math')]
        .filter(e => /\\[\[\](){}]/.test(e.innerText)).length""")
        == 0
    )
    assert page.locator("mjx-merror").count() == 0
    assert page.evaluate(PLAYERS_WITHOUT_SOUND) == []
    for slider in page.locator("input[type=range]").all():
        shown = slider.evaluate(WHAT_A_SLIDER_SHOWS)
        values, outputs, contents = zip(*shown, strict=True)
        assert values == outputs and len(set(values)) == len(values) and len(set(contents)) > 1
    assert wrong == []


PLAYERS_WITHOUT_SOUND = """async () => {
    const silent = [];
    for (const player of document.querySelectorAll('audio')) {
        const ready = new Promise(done => {
            player.addEventListener('loadeddata', () => done(true), {once: true});
            player.addEventListener('error', () => done(false), {once: true});
            setTimeout(() => done(false), 60000);
        });
        player.preload = 'auto';
        player.load();
        if (!(await ready) || !(player.duration > 0)) silent.push(player.getAttribute('aria-label'));
    }
    return silent;
}"""

WHAT_A_SLIDER_SHOWS = """input => {
    const figure = input.closest('figure'), shown = [];
    for (let value = 0; value <= Number(input.max); value++) {
        input.value = value;
        input.dispatchEvent(new Event('input', {bubbles: true}));
        const steps = [...figure.querySelectorAll('[data-value]')].filter(step => step.checkVisibility());
        shown.push([steps.map(step => step.dataset.value).join(' & '), figure.querySelector('output').textContent,
                    steps.map(step => step.innerHTML).join('')]);
    }
    return shown;
}"""


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_accessibility_violation(opened, name, theme):
    from axe_playwright_python.sync_playwright import Axe

    page, _ = opened(f"{SITE.as_uri()}/{name}.html", SITE.as_uri(), theme=theme)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    # A report of what passed, node by node, would take longer than the checks.
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations", "incomplete"]}
    report = Axe().run(page, options=options).response
    assert _nodes(report["violations"]) == []
    # Text of exactly the colour of its background is "incomplete" to axe, because some pages hide text that way.
    doubts = [doubt for doubt in report["incomplete"] if doubt["id"] == "color-contrast"]
    assert [line for line in _nodes(doubts) if "1:1" in line] == []


def _nodes(findings):
    return [
        f"{finding['id']}: {node['html'][:160]}: {node.get('failureSummary', '')}"
        for finding in findings
        for node in finding["nodes"]
    ]


@pytest.mark.parametrize("name", PAGES)
def test_no_sideways_scroll_on_a_phone(opened, name):
    page, _ = opened(f"{SITE.as_uri()}/{name}.html", SITE.as_uri(), width=420)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("window.innerWidth")


def test_search_finds_a_chapter_offline(opened):
    page, _ = opened(f"{SITE.as_uri()}/search.html?q=interference", SITE.as_uri())
    page.wait_for_selector("ul.search li")
    assert page.locator("ul.search li").count() > 0


def test_index_leads_to_the_introduction(new_page):
    page = new_page()
    page.goto(f"{SITE.as_uri()}/index.html")
    page.wait_for_url("**/book/intro.html")


def test_the_checks_see_a_bad_page(opened, tmp_path):
    """A page with each fault is caught: the other tests can fail."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<title>x</title><script>missing()</script><img src='https://example.org/x.png'>"
        "<audio aria-label='broken' src='data:audio/mpeg;base64,AAAA'></audio><div style='width:900px'>x</div>"
    )
    page, wrong = opened(bad.as_uri(), tmp_path.as_uri(), width=420)
    assert any("missing is not defined" in line for line in wrong)
    assert any("example.org" in line for line in wrong)
    assert page.evaluate(PLAYERS_WITHOUT_SOUND) == ["broken"]
    assert page.evaluate("document.documentElement.scrollWidth") > 420
