"""Sections of the page that are about faces: data sets, the surest ones, and two rows face by face."""

import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_store import DIGESTS, add_row, make_predictions
from scipy.stats import binomtest

from fer_transfer.config import plain
from fer_transfer.errors import ConfigError
from fer_transfer.faces.counts import FacesCounts
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.writer import FacesWriter, with_permission
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.reports.page import compare, data_sets, surest
from fer_transfer.reports.page.blocks import Compare, DataTable, Figure, Section, Shots, Words
from fer_transfer.reports.page.page import page
from fer_transfer.reports.report import Report, load_report
from fer_transfer.settings import compose
from fer_transfer.study import study_from

STUDY = study_from(plain(compose("report").study))
EVIL = "<script>alert(1)</script>"


def counts(**changed) -> FacesCounts:
    by_class = dict(zip(EXPRESSIONS, (4, 1, 2, 8, 5, 3, 7), strict=True))
    none = dict.fromkeys(EXPRESSIONS, 0)
    known = {
        "faces": {"Train": by_class, "Val": by_class, "Test": none | {"unlabelled": 20}},
        "lost": {"Val": none | {"Fear": 2}},
        "lost_for": {"no face detected": 2},
        "distinct": 70,
        "conflicting": 1,
        "repeated": {"Train": 3, "Val": 0, "Test": 0},
        "also_in": {"Train": {}, "Val": {"Train": 5}, "Test": {"Train": 0, "Val": 0}},
        "shared_movies": {"Train and Val": ("Airheads", EVIL)},
    }
    return FacesCounts(**(known | changed))


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """The very faces that the store's predictions of emotiw/Val are of."""
    folder, val = tmp_path_factory.mktemp("faces") / "emotiw", make_predictions("emotiw/Val", 0.5, 0)
    random = np.random.default_rng(0)
    with FacesWriter(folder, "emotiw", (64, 64), len(val)) as writer:
        for id, label, found in zip(val.ids.tolist(), val.labels.tolist(), val.found.tolist(), strict=True):
            small = random.integers(0, 256, (8, 8), np.uint8)
            writer.add(cv2.resize(small, (64, 64)), id, "Val", label, found)
    return with_permission(open_faces(folder), True)


@pytest.fixture(scope="module")
def report(tmp_path_factory, faces):
    """Two rows of three and two seeds on these faces, and one on other faces."""
    store, here = tmp_path_factory.mktemp("report") / "store", DIGESTS | {"emotiw": faces.digest}
    known = {"emotiw": counts()}
    for seed in (0, 1, 2):
        add_row(store, "fer28_emotiw", 0.6, seed, digests=here, counts=known)
    for seed in (1, 2):
        add_row(store, "emotiw", 0.3, seed, digests=here, counts=known)
    add_row(store, "emotiw", 0.3, backbone="resnet18")
    return read(store, emotiw=faces.folder)


def read(store: Path, **faces: Path) -> Report:
    return load_report(store, STUDY, 0.95, faces=faces)


def blocks(section: Section | None, kind: type) -> list:
    assert section is not None
    return [block for block in section.all_blocks() if isinstance(block, kind)]


def embedded(html: str) -> tuple[dict, list[bytes]]:
    """What the comparison counts from, and the pictures, as a browser would read them."""
    [compared] = re.findall(r'<script type="application/json">(.*?)</script>', html)
    [pictures] = re.findall(r'<script type="application/json" id="pictures">(.*?)</script>', html)
    return json.loads(compared), [base64.b64decode(text) for text in json.loads(pictures)]


def test_class_shares_are_shown_where_they_are_published(report):
    section = data_sets.section(report)
    figures = {figure.caption.partition(",")[0]: figure for figure in blocks(section, Figure)}
    [name] = [name for name in figures if name.endswith("/Train")]
    assert sorted(figures) == [name, name.replace("Train", "Val")]
    drawn = {(v["class"], v["whose"]): v["share"] for v in figures[name].data["shares"]}
    assert drawn["Happy", "ours"] == pytest.approx(100 * 8 / 30, abs=0.01)
    assert drawn["Happy", "published"] == pytest.approx(100 * 198 / 958, abs=0.01)
    assert "synthetic" in figures[name].caption and "Happy 26.7 %" in figures[name].says


def test_a_release_that_nobody_published_shows_its_labelled_splits(report):
    other = replace(report, study=replace(report.study, classes={}))
    assert [figure.caption.split(",")[0].split("/")[1] for figure in blocks(data_sets.section(other), Figure)] == [
        "Train",
        "Val",
    ]


def test_lost_faces_duplicates_and_leaks_stand_in_one_table(report):
    table = blocks(data_sets.section(report), DataTable)[-2]
    cells = {row[0].text.split("/")[1]: [cell.text for cell in row[1:]] for row in table.rows}
    assert cells["Train"] == ["30", "0", "0", "3", "0", "2 (Train and Val)"]
    assert cells["Val"] == ["30", "0", "2", "0", "5 (Train)", "2 (Train and Val)"]
    assert cells["Test"] == ["20", "20", "0", "0", "0", "0"]
    assert all("synthetic" in row[0].under[0] for row in table.rows)
    notes = " ".join(table.notes)
    assert "70 distinct pictures of 78, 1 of them with two labels" in notes and "no face detected 2" in notes
    assert f"Airheads, {EVIL}" in notes


def test_records_of_an_older_version_say_that_they_do_not_know(report, tmp_path):
    add_row(tmp_path / "older", "emotiw", 0.3)
    [words] = blocks(data_sets.section(read(tmp_path / "older")), Words)
    assert words.text.startswith("What is in emotiw, fer2013 is not known") and "trains nothing" in words.text


def test_the_surest_faces_are_pictures_with_texts(report, faces):
    section = surest.section(report)
    first = section.blocks[0]
    assert first.opened and not section.blocks[1].opened
    shots = [shot for block in blocks(replace(section, blocks=(first,)), Shots) for shot in block.shots]
    assert 7 < len(shots) <= 7 * 2 * surest.MOST
    for shot in shots:
        id, _, rest = shot.alt.partition(": ")
        row = faces.ids.tolist().index(id)
        assert rest.startswith(EXPRESSIONS[faces.labels[row]]) and faces.found[row]
        picture = cv2.imdecode(np.frombuffer(shot.picture, np.uint8), cv2.IMREAD_GRAYSCALE).astype(int)
        assert np.abs(picture - faces.pixels[row]).mean() < 12  # these very pixels, less what WebP drops
        assert ("wrongly" in rest) == (f"for {EXPRESSIONS[faces.labels[row]]} " not in rest)


def test_what_may_not_be_shown_is_listed_by_name_and_said_why(report, tmp_path, faces):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    for file in faces.folder.iterdir():
        (hidden / file.name).write_bytes(file.read_bytes())
    with_permission(open_faces(hidden), False)
    there = read(report.store, emotiw=hidden)
    section = surest.section(there)
    assert not blocks(section, Shots)
    assert any("release.may_be_shown=false" in words.text for words in blocks(section, Words))
    [table, *_] = blocks(section, DataTable)
    assert all(row[1].text != row[2].text for row in table.rows)  # wrong ones alone
    [block] = blocks(compare.section(there), Compare)
    assert block.pictures == ({}, {}) and "release.may_be_shown=false" in block.content["sets"][0]["why"]


def test_every_pair_carries_its_test_and_its_counts(report, faces):
    section = compare.section(report)
    [block] = blocks(section, Compare)
    assert [name.split(",")[1].strip() for name in block.rows] == ["emotiw", "fer28_emotiw", "emotiw"]
    assert block.chosen == (1, 0)  # the study's first claim
    assert list(block.content["pairs"]) == ["0 1"]  # the third row was scored on other faces
    pair, (one, other, _) = block.content["pairs"]["0 1"], block.content["rows"]
    assert pair["seeds"] == ["1", "2"]
    truth = np.array(list(block.content["sets"][0]["truth"]))
    right = {seed: [np.array(list(row["said"][seed])) == truth for row in (one, other)] for seed in pair["seeds"]}
    assert len(truth) == 429
    mean = np.mean([100 * (a.mean() - b.mean()) for a, b in right.values()])
    assert pair["points"][0] == pytest.approx(mean, abs=0.01)
    assert pair["points"][1] < mean < pair["points"][2] and 0 <= pair["p"] <= 1


def test_with_one_seed_p_is_mcnemars(tmp_path):
    add_row(tmp_path / "store", "fer28_emotiw", 0.5)
    add_row(tmp_path / "store", "emotiw", 0.42)
    [block] = blocks(compare.section(read(tmp_path / "store")), Compare)
    one, other = block.content["rows"]
    truth = block.content["sets"][0]["truth"]
    right = [[a == b for a, b in zip(row["said"]["0"], truth, strict=True)] for row in (one, other)]
    only = [sum(a and not b for a, b in zip(*pair, strict=True)) for pair in (right, right[::-1])]
    assert block.content["pairs"]["0 1"]["p"] == pytest.approx(binomtest(only[0], sum(only)).pvalue, rel=1e-2)
    assert "Give ++faces.emotiw=FOLDER" in block.content["sets"][0]["why"]


def test_the_page_holds_each_picture_once_and_no_markup_of_others(report, faces):
    sections = [data_sets.section(report), surest.section(report), compare.section(report)]
    html = page(report, sections)
    compared, pictures = embedded(html)
    assert len(set(pictures)) == len(pictures) == 429
    assert EVIL not in html and "&lt;script&gt;alert(1)" in html
    [numbers, others] = compared["pictures"]
    assert others == {} and len(numbers) == 429
    place = 7
    picture = cv2.imdecode(np.frombuffer(pictures[numbers[str(place)]], np.uint8), cv2.IMREAD_GRAYSCALE)
    row = faces.ids.tolist().index(compared["sets"][0]["ids"][place])
    assert np.abs(picture.astype(int) - faces.pixels[row]).mean() < 12


def test_without_two_rows_nothing_is_compared(tmp_path):
    add_row(tmp_path / "store", "emotiw", 0.4)
    assert compare.section(read(tmp_path / "store")) is None


def test_published_counts_of_a_study_are_checked():
    content = plain(compose("report").study)
    with pytest.raises(ConfigError, match=r"classes\.fer2013 of study 'ng2015' how many faces"):
        study_from(content | {"classes": {"fer2013": {"Happy": 3}}})
