"""The page as Chromium shows it: drawn, quiet, self-contained, sortable, narrow, printable, and open to everybody."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from fake_store import add_row, add_trained

from fer_transfer.config import plain
from fer_transfer.reports.page.page import NAME, write_page
from fer_transfer.reports.report import load_report
from fer_transfer.settings import compose
from fer_transfer.study import study_from

PLANS = {"emotiw": 0.37, "fer28": 0.45, "fer28_emotiw": 0.6}
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 800}

#: Of every kind of mark that a chart may have drawn.
MARKS = ".mark-symbol path, .mark-rect path, .mark-rule line, .mark-line path"


@pytest.fixture(scope="module")
def shown(browser, tmp_path_factory):
    """The page in a browser that may fetch nothing, and what it said or asked for while it was opened."""
    folder = tmp_path_factory.mktemp("page")
    for plan, accuracy in PLANS.items():
        for seed in (0, 1, 2):
            add_trained(folder / "store", plan, seed, backbone="bvlc_alexnet", accuracy=accuracy)
    add_row(folder / "store", "emotiw", 0.4, backbone="<b>hostile</b>")
    write_page(load_report(folder / "store", study_from(plain(compose("report").study)), 0.95), folder)
    page, said = browser.new_page(viewport=WIDE, color_scheme="light"), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda asked: said.append(asked.url) if asked.url.startswith(("http", "ws")) else None)
    page.route("http*://**", lambda route: route.abort())
    page.goto((folder / NAME).as_uri())
    page.locator("html[data-charts=drawn]").wait_for(state="attached")
    page.said = said
    return page


def test_every_chart_is_drawn_and_nothing_is_said_or_fetched(shown):
    drawn = shown.eval_on_selector_all("[data-chart]", f"all => all.map(of => of.querySelectorAll('{MARKS}').length)")
    assert len(drawn) > 20 and min(drawn) > 0
    assert shown.locator("[data-chart][data-drawn=true]").count() == len(drawn)
    assert shown.said == []


def test_the_keyboard_reaches_the_results_first(shown):
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.textContent") == "Skip to the results"
    shown.keyboard.press("Enter")
    assert shown.evaluate("document.activeElement.id") == "content"


def test_charts_have_words_and_numbers_for_whoever_does_not_see_them(shown):
    for figure in shown.locator("figure:has([data-chart])").all():
        assert len(figure.locator("[role=img]").get_attribute("aria-label")) > 40
        assert figure.locator("figcaption").inner_text()


def column(page, number):
    """A column of the table of rows, from top to bottom."""
    return page.eval_on_selector_all(
        "#rows tbody tr", f"all => all.map(of => of.cells[{number}].innerText.split('\\n')[0])"
    )


def test_the_table_sorts_by_keyboard_numbers_as_numbers_and_the_empty_last(shown):
    head = shown.locator("#rows thead th", has_text=re.compile("Val.*ours", re.DOTALL)).first
    number = head.evaluate("head => head.cellIndex")
    for key, state, way in (("Enter", "ascending", 1), ("Space", "descending", -1)):
        head.locator("button").press(key)
        assert head.get_attribute("aria-sort") == state
        texts = column(shown, number)
        values = [float(text.split()[0]) for text in texts if text != "not run"]
        assert len(values) == 4 and values == sorted(values, key=lambda value: way * value)
        assert set(texts[4:]) == {"not run"}
    assert shown.locator("#rows th[aria-sort]").count() == 1
    keys = "['10.5', '9.5', '', '-2'].map(key => ({cells: [{dataset: {key}}]}))"
    assert shown.evaluate(f"sorted({keys}, 0, false).map(of => of.cells[0].dataset.key)") == ["-2", "9.5", "10.5", ""]


def test_names_that_are_markup_are_text(shown):
    assert shown.locator("b", has_text="hostile").count() == 0
    assert shown.locator("#rows th", has_text="<b>hostile</b>").count() == 1


def test_it_neither_scrolls_sideways_nor_cuts_charts_on_a_phone_and_on_paper(shown):
    try:
        shown.set_viewport_size(NARROW)
        assert shown.evaluate("document.documentElement.scrollWidth") <= 390
        opened, on_request = shown.locator("details[open]").count(), shown.locator("details.screen:not([open])")
        shown.emulate_media(media="print")
        shown.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert shown.locator("details:not([open])").count() == on_request.count() > 0
        assert not any(of.is_visible() for of in on_request.all()), "matrices have their numbers in them"
        over = "all => all.filter(of => of.getBoundingClientRect().right > innerWidth).length"
        assert shown.eval_on_selector_all("[data-chart] svg", over) == 0
        shown.evaluate("dispatchEvent(new Event('afterprint'))")
        assert shown.locator("details[open]").count() == opened
    finally:
        shown.emulate_media(media="screen")
        shown.set_viewport_size(WIDE)


WHOLE, WITHOUT_MARKS = None, {"exclude": [["[data-chart] svg"]]}  # of hundreds of marks each takes its time


@pytest.mark.parametrize(
    ("theme", "window", "part"),
    [
        ("dark", NARROW, WITHOUT_MARKS),
        pytest.param("dark", NARROW, WHOLE, marks=pytest.mark.long),
        pytest.param("light", WIDE, WHOLE, marks=pytest.mark.long),
    ],
)
def test_nothing_keeps_anybody_out(shown, theme, window, part):
    shown.get_by_role("button", name=theme.capitalize()).click()
    ink = shown.evaluate("getComputedStyle(document.body).color")
    assert (sum(map(int, ink[4:-1].split(","))) > 380) == (theme == "dark")
    shown.set_viewport_size(window)
    found = Axe().run(shown, part, options={"resultTypes": ["violations"]})
    shown.set_viewport_size(WIDE)
    serious = [of for of in found.response["violations"] if of["impact"] in ("serious", "critical")]
    assert serious == [], [(of["id"], of["nodes"][0]["html"][:200]) for of in serious]
