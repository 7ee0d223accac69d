"""The page as text: what stands in it, what is escaped, and what it says of a store with little in it."""

import pytest
from fake_store import add_row, add_trained

from fer_transfer.config import plain
from fer_transfer.reports.page.page import NAME, write_page
from fer_transfer.reports.report import load_report
from fer_transfer.settings import compose
from fer_transfer.stages.store import Store
from fer_transfer.study import study_from


@pytest.fixture
def page(tmp_path):
    """Write the page of ``tmp_path/store`` and return its text."""

    def written(**changes):
        study = study_from(plain(compose("report").study) | changes)
        assert write_page(load_report(tmp_path / "store", study, 0.95), tmp_path) == [NAME]
        return (tmp_path / NAME).read_text(encoding="utf-8")

    Store(tmp_path / "store")
    return written


def test_a_study_none_of_whose_rows_ran_has_the_published_rows_and_says_what_is_missing(page):
    text = page()
    assert "0 run" in text and "48.5" in text and "12 not run" in text


def test_names_that_are_markup_are_shown_and_do_nothing(page, tmp_path):
    hostile = "<script>alert(1)</script>"
    add_row(tmp_path / "store", "emotiw", 0.4, backbone=hostile, notes=(f"{hostile} \\input{{x}} =1+1 |",))
    text = page()
    assert hostile not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; \\input{x} =1+1 |" in text


def test_equal_stores_give_equal_bytes(page, tmp_path):
    for seed in (0, 1):
        add_trained(tmp_path / "store", "fer28_emotiw", seed, backbone="bvlc_alexnet")
    assert page() == page()
