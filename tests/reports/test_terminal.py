"""What stands in a terminal: what matters first, one line a row, at any width."""

import io
import re

import pytest
from fake_store import SYNTHETIC, add_row, add_trained
from rich.console import Console

from fer_transfer.config import plain
from fer_transfer.reports.report import load_report
from fer_transfer.reports.table import Column, Table, fitted
from fer_transfer.reports.terminal import print_report
from fer_transfer.settings import compose
from fer_transfer.stages.store import Store
from fer_transfer.study import study_from

STUDY = study_from(plain(compose("report").study))
PLANS = ("mine", "emotiw", "fer28", "fer32", "fer28_emotiw")


def printed(store, width, details=False):
    console = Console(file=io.StringIO(), width=width, highlight=False)
    print_report(load_report(store, STUDY, 0.95), console, details=details)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return lines


def rows_of(lines, plan):
    return [line for line in lines if re.match(rf"{re.escape(plan)} ", line)]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    for plan in PLANS:
        for seed in (0, 1, 2):
            add_row(folder, plan, 0.5, seed, backbone="bvlc_alexnet")
    return folder


@pytest.mark.parametrize("width", [80, 120])
def test_each_row_is_one_line_with_the_papers_number_and_ours(store, width):
    lines = printed(store, width)
    for plan, paper in zip(PLANS, ("-", "36.8", "46.9", "-", "48.5"), strict=True):
        [line] = rows_of(lines, plan)
        assert re.match(rf"{plan} +{paper} +\d\d\.\d ± \d\.\d +\[\d\d\.\d, \d\d\.\d\] ", line)
        assert not re.search("…", line)


def test_a_wider_terminal_has_more_columns_and_a_narrow_one_says_what_it_leaves_out(store):
    narrow, wide = printed(store, 80), printed(store, 120)
    assert len(rows_of(wide, "emotiw")[0].split()) > len(rows_of(narrow, "emotiw")[0].split())
    [said] = [line for line in narrow if line.startswith("Not shown for want of room: ")]
    assert "FER Private ours" in said and not any(line.startswith("Not shown") for line in printed(store, 250))


def test_ones_own_plan_stands_first_and_what_did_not_run_is_one_line(store):
    lines = printed(store, 100)
    first = next(number for number, line in enumerate(lines) if line.startswith("───"))
    assert lines[first + 1].startswith("mine ")
    claims = next(number for number, line in enumerate(lines) if line.startswith("The claims"))
    assert [line for line in lines[:claims] if "fer32_emotiw" in line] == ["Not run: fer32+emotiw, fer32_emotiw."]
    assert sum(line.startswith("not run, ") for line in lines) == 1


def test_caveats_stand_once_and_those_of_one_group_beside_it(store, tmp_path):
    assert sum(line.count("SYNTHETIC FACES") for line in printed(store, 100)) == 1
    add_row(tmp_path, "emotiw", 0.5)
    add_row(tmp_path, "emotiw", 0.5, backbone="other", notes=("shortened",))
    text = "\n".join(printed(tmp_path, 100))
    assert text.count(SYNTHETIC) == 1 and text.index(SYNTHETIC) < text.index("mobilenetv2_100")
    assert text.count("CAVEATS: shortened") == 1 and text.index("other, settings") < text.index("CAVEATS: shortened")


def test_every_column_says_whose_its_numbers_are(store):
    lines = printed(store, 250)
    plan = next(number for number, line in enumerate(lines) if line.startswith("Plan "))
    whose = lines[plan].split()[1:]
    assert whose == ["paper", *["ours"] * (len(whose) - 1)] and len(whose) > 7


def test_found_and_all_stand_beside_each_other_only_where_faces_were_lost(tmp_path, monkeypatch):
    import fake_store

    add_row(tmp_path / "lost", "emotiw", 0.5)
    assert any("Val, all" in line for line in printed(tmp_path / "lost", 250))
    made = fake_store.make_predictions

    def nothing_lost(*arguments):
        predictions = made(*arguments)
        predictions.found[:] = True
        return predictions

    monkeypatch.setattr(fake_store, "make_predictions", nothing_lost)
    add_row(tmp_path / "whole", "emotiw", 0.5)
    assert not any("Val, all" in line or "Val, found\n" in line for line in printed(tmp_path / "whole", 250))


def test_details_are_printed_on_request(store):
    brief, details = (" ".join(" ".join(printed(store, 120, wanted)).split()) for wanted in (False, True))
    for word in (
        "Recall in percent",
        "Settings 01234567",
        "The paper does not state",
        "Truth",
        "VGG-CNN-M-2048",
        "Device",
    ):
        assert word in details and word not in brief


def test_a_store_without_a_finished_row_shows_the_papers_rows_and_says_so(tmp_path):
    Store(tmp_path / "store")
    text = "\n".join(printed(tmp_path / "store", 100))
    assert (
        "No row has run" in text
        and "48.5" in text
        and "not run, 12 of the grid" in text
        and "ours" not in text.split("not run")[0].replace("and ours", "")
    )


def test_what_is_damaged_is_said_and_the_rest_is_shown(tmp_path):
    add_trained(tmp_path, "emotiw", backbone="bvlc_alexnet")
    record = add_trained(tmp_path, "fer28", backbone="bvlc_alexnet")
    record.write_text("{")
    lines = printed(tmp_path, 100)
    assert len(rows_of(lines, "emotiw")) == 1 and not rows_of(lines, "fer28")
    assert "Delete it and run fer-train again" in " ".join(" ".join(lines).split())


def test_columns_that_are_spare_go_first_and_the_others_stay():
    columns = (Column("Plan", ("emotiw",)), Column("a", ("12345",), 1), Column("bb", ("1",), 3), Column("c", ("1",), 2))
    table = Table("t", "T", (), columns)
    assert fitted(table, 80) == (table, [])
    for width, headings, out in (
        (18, ("Plan", "a", "c"), ["bb"]),
        (13, ("Plan", "a"), ["bb", "c"]),
        (3, ("Plan",), ["a", "bb", "c"]),
    ):
        shown, left_out = fitted(table, width)
        assert (shown.headings, left_out) == (headings, out)
