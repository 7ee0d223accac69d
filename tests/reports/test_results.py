import json
from dataclasses import replace

import pytest
from fake_store import SYNTHETIC, add_row

from fer_transfer.config import plain
from fer_transfer.files.document import read_document, write_document
from fer_transfer.reports.results import load_groups
from fer_transfer.reports.scores import score
from fer_transfer.settings import compose
from fer_transfer.study import published_rows, study_from


def test_rows_are_grouped_by_backbone_and_settings(tmp_path):
    for plan in ("emotiw", "fer28"):
        for seed in (1, 0):
            add_row(tmp_path, plan, 0.4, seed)
    add_row(tmp_path, "emotiw", 0.4, settings_ids=("other",))
    add_row(tmp_path, "emotiw", 0.4, backbone="vgg_cnn_m_2048")
    groups, _ = load_groups(tmp_path)
    assert [(group.backbone, group.settings_id[:5], len(group.rows)) for group in groups] == [
        ("mobilenetv2_100", "01234", 4),
        ("mobilenetv2_100", "other", 1),
        ("vgg_cnn_m_2048", "01234", 1),
    ]
    assert [row.seed for row in groups[0].of("emotiw")] == ["0", "1"]
    assert groups[0].caveats == (f"emotiw: {SYNTHETIC}",)


def test_one_plan_with_two_settings_of_its_own_is_two_rows_not_two_seeds(tmp_path):
    add_row(tmp_path, "emotiw", 0.4, row_id="aaaaaaaa")
    add_row(tmp_path, "emotiw", 0.4, seed=1, row_id="bbbbbbbb")
    [[group], _] = load_groups(tmp_path)
    assert [row.plan for row in group.rows] == ["emotiw#aaaaaa", "emotiw#bbbbbb"]
    assert group.of("emotiw") == ()


def test_of_two_records_of_one_row_neither_is_believed(tmp_path):
    paths = [add_row(tmp_path, "emotiw", 0.4), add_row(tmp_path, "emotiw", 0.4, notes=("trained again",))]
    add_row(tmp_path, "fer28", 0.4)
    [[group], [missing]] = load_groups(tmp_path)
    assert [row.plan for row in group.rows] == ["fer28"]
    assert "Expected one record" in missing.why and all(str(path) in missing.why for path in paths)


def damage_json(record):
    record.write_text(record.read_text()[:100])


def other_version(record):
    write_document(record, read_document(record) | {"version": 3})


def of_before_records_had_a_digest(record):
    record.write_text(json.dumps(read_document(record) | {"version": 1}))


def another_rows(record):
    record.write_text(add_row(record.parents[1], "fer28", 0.4).read_text())


def not_a_mapping(record):
    record.write_text("[]")


def no_seed(record):
    write_document(record, {k: v for k, v in read_document(record).items() if k != "seeds"})


def one_number_changed(record):
    record.write_text(record.read_text().replace('"epochs": 4', '"epochs": 5', 1))


DAMAGES = [
    damage_json, other_version, of_before_records_had_a_digest, not_a_mapping, no_seed, one_number_changed, another_rows,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_named_and_the_others_are_read(tmp_path, damage):
    record = add_row(tmp_path, "emotiw", 0.4)
    damage(record)
    add_row(tmp_path, "fer32", 0.4)
    [[group], [missing]] = load_groups(tmp_path)
    assert [row.plan for row in group.rows if row.path != record][-1] == "fer32" and len(group.rows) < 3
    assert missing.kind == "damaged" and str(record) in missing.why
    assert "fer-train again" in missing.why or "another store" in missing.why


@pytest.mark.parametrize(
    "replace", [None, "", "id,label\n", "cut", "nan", "last row", "only the header", "repeated", "label"]
)
def test_damaged_or_missing_predictions_are_named_and_the_other_splits_are_read(tmp_path, replace):
    record = add_row(tmp_path, "emotiw", 0.4)
    path = tmp_path / json.loads(record.read_text())["predictions"][0]["file"]
    text = path.read_text()
    if replace is None:
        path.unlink()
    elif replace == "cut":
        path.write_text(text[:-20])
    elif replace == "last row":
        path.write_text("\n".join(text.splitlines()[:-1]) + "\n")
    elif replace == "only the header":
        path.write_text(text.splitlines()[0] + "\n")
    elif replace == "repeated":
        path.write_text(text + "\n".join(text.splitlines()[1:]) + "\n")
    elif replace == "label":
        path.write_text(text.replace("Happy", "Angry", 3))
    elif replace == "nan":
        path.write_text(text.replace("0.4", "nan", 1))
    else:
        path.write_text(replace)
    [[group], [missing]] = load_groups(tmp_path)
    assert missing.kind == "damaged" and str(path) in missing.why
    assert missing.what == "emotiw/Val of emotiw, mobilenetv2_100, seed 0"
    assert score(group.rows, "emotiw/Val", "found") == "damaged"
    assert score(group.rows, "fer2013/PublicTest", "all").count == (300,)


def test_the_papers_numbers_are_consistent():
    published = published_rows(study_from(plain(compose("report").study)))
    assert len(published) == 13
    for row in published:
        for percent, k, n in row.numbers.values():
            if k is not None and n is not None:
                assert percent == pytest.approx(100 * k / n, abs=0.06)


def test_a_split_in_which_no_face_was_found_has_no_score_over_the_found(tmp_path):
    add_row(tmp_path, "emotiw", 0.4)
    [[group], _] = load_groups(tmp_path)
    val = group.rows[0].predictions["emotiw/Val"]
    group.rows[0].predictions["emotiw/Val"] = replace(val, found=val.found & False)
    assert score(group.rows, "emotiw/Val", "found") == "-" and score(group.rows, "emotiw/Val", "all") != "-"
