"""From prepared faces to two rows compared in a browser: fer-train, fer-report, and headless Chromium, which fetches nothing."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from fer_transfer.evaluation.statistics import mcnemar_exact
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.writer import with_permission
from fer_transfer.reports.results import load_groups
from fer_transfer.stages.record import read_record

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
]


@pytest.fixture
def page_file(command, trained, tmp_path) -> Path:
    """The report of rows that were trained on rendered frames, with a copy of these that may be shown."""
    shutil.copytree(trained.faces / "emotiw", tmp_path / "emotiw")
    with_permission(open_faces(tmp_path / "emotiw"), True)
    where = [f"store={trained.store}", f"out={tmp_path / 'report'}", f"faces.emotiw={tmp_path / 'emotiw'}"]
    code, out, err = command("report", *where)
    assert code == 0 and "report.html" in out, err
    return tmp_path / "report" / "report.html"


def test_records_say_what_the_faces_hold(trained):
    for path in (trained.store / "submissions").glob("*.json"):
        for of in read_record(path).faces.values():
            assert of.counts == open_faces(trained.faces / of.release).counts


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, Debian's package")
def test_two_rows_are_compared_with_pictures_and_the_keyboard(page_file, trained):
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page, said = browser.new_page(viewport={"width": 390, "height": 800}), []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on(
            "request", lambda asked: said.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None
        )
        page.goto(page_file.as_uri())
        page.locator("html[data-charts=drawn]").wait_for(state="attached")
        assert said == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        shown = page.locator("#surest img").first
        shown.scroll_into_view_if_needed()
        assert shown.evaluate("(picture) => picture.naturalWidth") == 64 and "taken for" in shown.get_attribute("alt")
        compares(page, trained.store)
        assert said == []
        browser.close()


def compares(page, store: Path) -> None:
    """The table of two rows is that of their predictions; the keyboard chooses another row."""
    groups, _ = load_groups(store)
    rows = {row.plan: row.predictions["emotiw/Val"].only_found() for row in groups[0].rows if row.seed == "0"}
    fer28, emotiw = (rows[plan].predicted == rows[plan].labels for plan in ("fer28", "emotiw"))
    place = page.locator(".compare")
    verdict = place.locator(".verdict")
    cells = {name: int(place.locator(f"[data-cell={name}]").inner_text()) for name in ("both", "a", "b", "none")}
    assert cells == {
        "both": int((fer28 & emotiw).sum()), "a": int((fer28 & ~emotiw).sum()),
        "b": int((~fer28 & emotiw).sum()), "none": int((~fer28 & ~emotiw).sum()),
    }  # fmt: skip
    p = float(re.search(r"p.=.([\d.]+)", verdict.inner_text())[1])
    assert p == pytest.approx(mcnemar_exact(cells["a"], cells["b"]), abs=0.006)
    points = 100 * (fer28.mean() - emotiw.mean())
    assert signed(points) in verdict.inner_text()
    only = place.locator("[data-list=a]")
    assert only.locator("h3").inner_text() == f"Only A is right: {cells['a']}"
    assert only.locator("img").count() == min(12, cells["a"])
    if cells["a"] > 12:
        only.get_by_role("button").press("Enter")
        assert only.locator("img").count() == cells["a"]
    for letter, other in ("AB", "BA"):  # the one row has a seed more, which counts for nothing here
        for item in place.locator(f"[data-list={letter.lower()}] li").all():
            truth, text = item.locator("b").inner_text(), item.inner_text()
            assert f"{letter}: {truth} " in text and f"{other}: {truth} " not in text
    first, second = place.locator("select").all()
    second.focus()
    page.keyboard.press("ArrowDown" if second.input_value() == "0" else "ArrowUp")
    assert "same row twice" in verdict.inner_text() and not place.locator(".found").is_visible()
    first.select_option(str(1 - int(first.input_value())))
    assert {name: int(place.locator(f"[data-cell={name}]").inner_text()) for name in "ab"} == {
        "a": cells["b"], "b": cells["a"],
    }  # fmt: skip
    assert signed(-points) in verdict.inner_text()
    assert np.isclose(float(re.search(r"p.=.([\d.]+)", verdict.inner_text())[1]), p)


def signed(points: float) -> str:
    return f"{points:+.1f} points".replace("-", "\N{MINUS SIGN}")
