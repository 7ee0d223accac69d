"""The page as text: what stands in it, what is escaped, and what it says of a store with little in it."""

import re
from dataclasses import replace

import pytest
from fake_store import DIGESTS, add_row, add_trained

from fer_transfer.config import plain
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.files.document import write_document
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.reports.page.page import NAME, write_page
from fer_transfer.reports.report import load_report
from fer_transfer.settings import compose
from fer_transfer.stages.record import read_record
from fer_transfer.stages.store import Store
from fer_transfer.study import published_matrices, published_rows, study_from


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
    assert "0 run" in text and "48.5" in text and "12 not run" in text and "Sub." in text


def test_names_that_are_markup_are_shown_and_do_nothing(page, tmp_path):
    hostile = "<script>alert(1)</script>"
    add_row(tmp_path / "store", "emotiw", 0.4, backbone=hostile, notes=(f"{hostile} \\input{{x}} =1+1 |",))
    text = page()
    assert hostile not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; \\input{x} =1+1 |" in text


def test_charts_show_what_would_hide_other_text(page, tmp_path):
    add_row(tmp_path / "store", "emotiw", 0.4, backbone="a\u202egnp.b")
    charts = re.search(r'id="charts">(.*?)</script>', page())[1]
    assert r"a\\u202egnp.b" in charts and not re.search(r"(?<!\\)\\u202e", charts)


def test_equal_stores_give_equal_bytes(page, tmp_path):
    for seed in (0, 1):
        add_trained(tmp_path / "store", "fer28_emotiw", seed, backbone="bvlc_alexnet")
    assert page() == page()


def test_damaged_and_failed_stages_leave_out_their_curves_and_are_told(page, tmp_path):
    store = tmp_path / "store"
    record = read_record(add_trained(store, "fer28_emotiw", backbone="bvlc_alexnet"))
    fer28, emotiw = record.lineage.stages
    (store / fer28.key / "metrics.csv").write_text("epoch\n")
    Store(store).fail("f" * 16, "fer32", "the loss became nan <b>")
    text = page()
    assert f"stage fer28 ({fer28.key[:8]})" in text and "the loss became nan &lt;b&gt;" in text
    curves = text[text.index('<section id="curves"') : text.index('<section id="confusion"')]
    assert "emotiw, seed 0" in curves and "fer28, seed 0" not in curves
    (store / emotiw.key / "result.json").write_text("{")
    assert "No curve" in page()


def test_metrics_that_are_no_numbers_are_no_curve(page, tmp_path):
    record = read_record(add_trained(tmp_path / "store", "emotiw", backbone="bvlc_alexnet"))
    folder = Store(tmp_path / "store").stage(record.lineage.stages[0].key)
    folder.metrics.write_text(folder.metrics.read_text().replace("1.7", "nan"))
    folder.finish(folder.result())
    text = page()
    assert "No curve" in text
    assert "NaN" not in re.search(r'id="charts">(.*?)</script>', text)[1]


def test_rows_on_different_faces_are_rows_of_their_own(page, tmp_path):
    for digit in "ab":
        add_row(tmp_path / "store", "emotiw", 0.4, backbone="vgg_cnn_m_2048", digests=DIGESTS | {"emotiw": digit * 64})
    text = page()
    assert "VGG-M [1], emotiw" in text and "VGG-M [2], emotiw" in text and "faces emotiw aaaaaaaa" in text


def test_the_seven_are_called_expressions(page, tmp_path):
    add_row(tmp_path / "store", "emotiw", 0.4)
    said = page()
    assert "mean of the recalls of the expressions" in said and "Recall by expression" in said


def test_an_expression_that_no_face_bears_has_no_recall(page, tmp_path):
    record = read_record(add_row(tmp_path / "store", "emotiw", 0.4, backbone="bvlc_alexnet"))
    of = next(of for of in record.predictions if of.split == "Val")
    path = tmp_path / "store" / of.file
    kept = Predictions.read(path)
    without = kept.labels != EXPRESSIONS.index("Disgust")
    sha256 = Predictions(*(getattr(kept, part)[without] for part in ("ids", "labels", "found", "probabilities"))).write(
        path
    )
    changed = tuple(replace(one, sha256=sha256) if one is of else one for one in record.predictions)
    write_document(
        Store(tmp_path / "store").submissions / f"{record.identity}.json",
        replace(record, predictions=changed).to_json(),
    )
    assert "Disgust: no face" in page()


def test_with_one_seed_it_cannot_be_told(page, tmp_path):
    for plan, accuracy in (("emotiw", 0.2), ("fer28", 0.6)):
        add_row(tmp_path / "store", plan, accuracy, backbone="bvlc_alexnet")
    text = page()
    assert "1 cannot be told" in text and "another seed may turn it" in text
    assert '<span class="good' not in text
    assert re.search(r"fer32[^<]* not run", text) and text.count(">fer32_emotiw not run<") == 1, "said once"


def test_a_study_without_published_numbers_or_claims_is_a_page(page, tmp_path):
    add_row(tmp_path / "store", "emotiw", 0.4)
    text = page(published=None, matrices=None, networks={}, claims=[])
    assert "Network, plan" in text and "Sub." not in text, "no column of nothing but dashes"
    assert '<section id="rows"' in text and '<section id="claims"' not in text and "AlexNet" not in text


def test_the_published_matrices_are_those_of_the_published_counts(page):
    study = study_from(plain(compose("report").study))
    rows = {(row.backbone, row.plan): row for row in published_rows(study)}
    matrices = published_matrices(study)
    assert len(matrices) == 5
    for row, matrix in matrices.items():
        _, k, n = rows[row].numbers["val"]
        assert (matrix.trace(), matrix.sum()) == (k, n)
        recalls = matrix.diagonal() / matrix.sum(axis=1)
        assert round(100 * recalls.mean(), 2) == rows[row].macro_recall["val"]
