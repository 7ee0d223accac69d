"""Figures for a paper: the numbers of the tables, the caveats in every picture, equal files of equal reports."""

import csv
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from fake_store import SYNTHETIC, add_row, add_trained
from hostile import HOSTILE

from fer_transfer.cli.report import report
from fer_transfer.config import plain
from fer_transfer.reports import figures
from fer_transfer.reports.page.lines import lines_of
from fer_transfer.reports.report import load_report
from fer_transfer.settings import compose
from fer_transfer.stages.store import Store
from fer_transfer.study import study_from

STUDY = study_from(plain(compose("report").study))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    for seed in (0, 1):
        add_row(folder, "fer28_emotiw", 0.5, seed, backbone="bvlc_alexnet")
    add_row(folder, "emotiw", 0.3, backbone="bvlc_alexnet")
    return folder


def drawn(store: Path, out: Path) -> dict[str, bytes]:
    figures.write_figures(load_report(store, STUDY, 0.95), out)
    return {path.name: path.read_bytes() for path in sorted((out / "figures").iterdir())}


def words(path: Path) -> str:
    if not shutil.which("pdftotext"):
        pytest.skip("needs pdftotext (Debian: poppler-utils)")
    return " ".join(subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, text=True).stdout.split())


def test_files_are_vector_pictures_that_carry_the_caveats_and_equal_reports_give_equal_bytes(store, tmp_path):
    first, second = (drawn(store, tmp_path / name) for name in ("first", "second"))
    assert first == second
    assert set(first) == {
        f"{name}.{ending}"
        for name in ("accuracy", "confusion-bvlc_alexnet-01234567", "recall-bvlc_alexnet-01234567")
        for ending in ("svg", "pdf")
    }
    for name, data in first.items():
        if name.endswith("svg"):
            assert ElementTree.fromstring(data).tag.endswith("svg")
        else:
            assert "SYNTHETIC FACES" in (text := words(tmp_path / "first" / "figures" / name)) and SYNTHETIC in text


def test_counts_in_the_picture_are_those_of_the_tables(tmp_path):
    add_row(tmp_path / "store", "emotiw", 0.5, backbone="bvlc_alexnet")
    report(compose("report", [f"store={tmp_path / 'store'}", f"out={tmp_path}", "figures=true"]))
    [path] = (tmp_path / "confusion").glob("*.csv")
    with path.open(newline="") as file:
        found = [line for line in csv.DictReader(file) if (line["split"], line["over"]) == ("emotiw/Val", "found")]
    [picture] = (tmp_path / "figures").glob("confusion-*.pdf")
    text = words(picture)
    for line in found:
        assert re.search(rf"{line['truth']} {' '.join(line[name] for name in STUDY.order)}\b", text), line


def test_points_and_intervals_are_those_of_the_score_and_of_the_paper(store):
    made = load_report(store, STUDY, 0.95)
    lines = lines_of(made)
    axes = figures._accuracies(made, lines).axes[0]
    points = [float(of.get_xdata()[0]) for of in axes.lines if len(of.get_xdata()) == 1]
    ends = [tuple(map(float, of.get_xdata())) for of in axes.lines if len(of.get_xdata()) == 2]
    scores = [line.score(STUDY.first) for line in lines]
    papers = {"emotiw": 36.8, "fer28_emotiw": 48.5}
    assert points == pytest.approx(
        [of for line, s in zip(lines, scores, strict=True) for of in (s.percent[0], papers[line.plan])]
    )
    assert ends[::2] == [pytest.approx(s.interval(0.95)) for s in scores]
    assert ends[3] == pytest.approx((43.8, 53.2), abs=0.05)


def test_learning_curves_mark_the_hand_off(tmp_path):
    add_trained(tmp_path, "fer28_emotiw", splits=("emotiw/Val",))
    made = load_report(tmp_path, STUDY, 0.95)
    for kept in made.stages.values():
        kept.folder.metrics.write_text("epoch,train_accuracy,selection_accuracy\n0,0.5,0.25\n1,0.75,0.5\n")
    [row] = made.rows
    assert figures._stages(made, row) == [(name, [25.0, 50.0], [50.0, 75.0]) for name in ("fer28", "emotiw")]
    axes = figures.Figure().subplots()
    figures._curves(made)(axes, lines_of(made)[0])
    assert [list(line.get_xdata()) for line in axes.lines if list(line.get_ydata()) == [25.0, 50.0]] == [[1, 2], [3, 4]]
    assert [2.5, 2.5] in [list(line.get_xdata()) for line in axes.lines]


def test_hostile_names_are_drawn_as_text(tmp_path):
    add_row(tmp_path, "emotiw", 0.3, backbone="<script>/../$\\frac{1}{0}$ 中", notes=HOSTILE)
    files = drawn(tmp_path, tmp_path / "out")
    assert len(files) == 6 and len(list((tmp_path / "out").iterdir())) == 1
    for name, data in files.items():
        assert b"<script" not in data, name


def test_where_no_row_ran_there_is_nothing_to_draw(tmp_path):
    Store(tmp_path / "store")
    assert figures.write_figures(load_report(tmp_path / "store", STUDY, 0.95), tmp_path) == []
