"""The page of a listening test in headless Chromium: a listener without a mouse, from file://, to the CSV."""

import pytest
import torch

from irtools.comparison.listening.orders import listener_order
from irtools.comparison.listening.page import listening_page, write_page
from irtools.comparison.listening.ratings import read_ratings
from irtools.comparison.listening.trials import Trial

RATE, SEED = 8000, 5
CONDITIONS = ('says "five", loud', "mira", "reference")

pytestmark = [pytest.mark.browser]


@pytest.fixture(scope="module", params=["flac", "mp3"])
def address(request, tmp_path_factory):
    generator = torch.Generator().manual_seed(0)

    def noise():
        return 0.1 * torch.randn(RATE, generator=generator).double()

    trials = []
    for stem in ("vocals", "<b>bass & co</b>"):
        clips = {name: noise() for name in CONDITIONS}
        trials.append(Trial(stem, 0.0, 1.0, 0.0, clips, {"microphone": noise(), "reference": clips["reference"]}))
    page = listening_page(trials, RATE, seed=SEED, title="Bleed <1>", audio=request.param)
    return write_page(tmp_path_factory.mktemp("listening") / "test.html", page).as_uri()


@pytest.fixture
def opened(new_page, address):
    """Open the page; returns it, and the list that collects complaints and requests for anything else."""

    def open_page(theme="light", width=1300, before=""):
        page, wrong = new_page(theme, width), []
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request", lambda one: None if one.url.startswith((address, "data:", "blob:")) else wrong.append(one.url)
        )
        page.add_init_script(before)
        page.goto(address)
        return page, wrong

    return open_page


def begin(page, listener="ada"):
    page.keyboard.press("Tab")
    page.keyboard.type(listener)
    page.keyboard.press("Enter")


def rate_all(page, marks):
    """Hear and rate every clip of the trial by keyboard alone."""
    for irq, aq in marks:
        page.keyboard.press("Space")
        # A selector, since the page's policy forbids the evaluation that waiting for an expression needs.
        page.locator("#clips .clip:focus-within .play[aria-pressed=true]").wait_for()
        page.wait_for_timeout(60)
        page.keyboard.press(str(irq))
        page.keyboard.press("ArrowRight")
        page.keyboard.press(str(aq))
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowDown")


MARKS = [[(1, 5), (2, 4), (3, 3)], [(4, 2), (5, 1), (1, 1)]]


@pytest.mark.parametrize("before", ["", "Object.defineProperty(window, 'localStorage', {get() { throw Error('no') }})"])
def test_a_test_is_done_by_keyboard_and_outlives_a_reload(opened, tmp_path, before):
    page, wrong = opened(before=before)
    begin(page)
    page.keyboard.press("n")
    assert page.inner_text("#message") == "Clip A has no mark of interference reduction."
    rate_all(page, MARKS[0])
    page.keyboard.press("n")
    title = page.inner_text("h1#trial-title")
    rate_all(page, MARKS[1][:2])
    page.reload()
    assert page.inner_text("h1#trial-title") == title and title.startswith("Excerpt 2 of 2: ")
    page.keyboard.press("m")
    page.wait_for_selector("[data-play=microphone][aria-pressed=true]")
    page.keyboard.press("r")
    page.wait_for_selector("[data-play=reference][aria-pressed=true]")
    assert page.locator("#compare [data-play][aria-pressed=true]").count() == 1
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("1")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("1")
    page.keyboard.press("n")
    assert page.inner_text("#message") == "Clip C has not been heard."
    page.keyboard.press("Space")
    page.wait_for_selector(".clip:last-child .play[aria-pressed=true]")
    page.wait_for_timeout(60)
    page.keyboard.press("n")
    page.reload()
    with page.expect_download() as download:
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "listening-ada.csv"
    download.value.save_as(tmp_path / "ada.csv")
    assert wrong == []

    ratings = read_ratings([tmp_path / "ada.csv"])
    trials, orders = listener_order("ada", 2, 3, SEED)
    stems = ("vocals", "<b>bass & co</b>")
    assert [(one.trial, one.stem, one.condition, one.position, one.IRQ, one.AQ) for one in ratings] == [
        (trial + 1, stems[trial], CONDITIONS[condition], position, *MARKS[heard][position - 1])
        for heard, trial in enumerate(trials)
        for position, condition in enumerate(orders[heard], start=1)
    ]
    assert all(0 < one.seconds_listened < 30 and one.started < one.finished for one in ratings)
    assert all(one.started.utcoffset().total_seconds() == 0 for one in ratings)


def test_every_listener_has_the_order_that_the_library_tells(opened):
    page, _ = opened()
    for listener in ("ada", "Bela_2", "x.y-z", "7"):
        found = page.evaluate("name => orderOf(name)", listener)
        assert (found["trials"], found["conditions"]) == listener_order(listener, 2, 3, SEED)


def test_a_second_listener_finds_no_marks_of_the_first(opened):
    page, _ = opened()
    begin(page)
    rate_all(page, MARKS[0])
    page.keyboard.press("n")
    page.evaluate("state.listener = null; show()")
    page.fill("#listener", "bela")
    page.keyboard.press("Enter")
    assert page.inner_text("h1#trial-title").startswith("Excerpt 1 of 2")
    assert page.locator(".marks [aria-pressed=true]").count() == 0
    page.evaluate("state.listener = null; show()")
    page.fill("#listener", "ada")
    page.keyboard.press("Enter")
    assert page.inner_text("h1#trial-title").startswith("Excerpt 2 of 2")


def test_a_name_that_makes_no_file_name_is_refused(opened):
    page, _ = opened()
    for name in ("", "../ada", "a,b", "ada bela"):
        page.fill("#listener", name)
        page.keyboard.press("Enter")
        assert page.is_visible("#start")


@pytest.mark.parametrize(("theme", "width"), [("light", 1300), ("dark", 360)])
def test_each_of_its_three_views_is_accessible_and_fits(opened, theme, width):
    from axe_playwright_python.sync_playwright import Axe

    page, wrong = opened(theme=theme, width=width)

    def check():
        report = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}).response
        assert [(one["id"], node["html"]) for one in report["violations"] for node in one["nodes"]] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("window.innerWidth")

    check()
    begin(page)
    page.keyboard.press("4")
    check()
    for _ in range(2):
        page.evaluate("current().marks.forEach(mark => Object.assign(mark, {IRQ: 1, AQ: 2, heard: 1})); next()")
    assert page.is_visible("#save")
    check()
    assert wrong == []
