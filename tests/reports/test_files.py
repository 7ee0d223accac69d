"""The CSV files of a report: headings where there is nothing, and nothing of rows that are gone."""

import csv

from fake_store import add_row

from fer_transfer.config import plain
from fer_transfer.reports.files import write_csv
from fer_transfer.reports.report import load_report
from fer_transfer.settings import compose
from fer_transfer.stages.store import Store
from fer_transfer.study import study_from

FILES = ("table.csv", "claims.csv", "per_class.csv", "missing.csv")


def written(store, out):
    """The headings of the files."""
    report = load_report(store, study_from(plain(compose("report").study)), 0.95, with_published=False)
    write_csv(report, out)
    return {name: next(csv.reader((out / name).open())) for name in FILES}


def test_a_report_of_nothing_has_headings(tmp_path):
    Store(tmp_path / "store")
    empty = written(tmp_path / "store", tmp_path / "empty")
    add_row(tmp_path / "store", "fer28", 0.5)
    add_row(tmp_path / "store", "emotiw", 0.5)
    assert written(tmp_path / "store", tmp_path / "filled") == empty


def test_what_a_later_report_lacks_goes_and_nothing_of_anybody_elses(tmp_path):
    folder = tmp_path / "out" / "confusion"
    for seed in range(3):
        add_row(tmp_path / "store", "fer28", 0.5, seed)
    written(tmp_path / "store", tmp_path / "out")
    first, second, third = sorted(folder.glob("*.csv"))
    first.write_text("changed by hand")
    (folder / "mine.csv").write_text("mine")
    for record in (tmp_path / "store" / "submissions").glob("*.json"):
        record.unlink()
    add_row(tmp_path / "store", "fer28", 0.5, 2)
    written(tmp_path / "store", tmp_path / "out")
    assert {path.name for path in folder.glob("*.csv")} == {first.name, third.name, "mine.csv"}
    assert first.read_text() == "changed by hand" and second.name not in (folder / ".written.json").read_text()
