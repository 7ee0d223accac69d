"""What stands at the end of a run, from stores as fer-train leaves them."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fake_store import DIGESTS, SYNTHETIC, add_row

from fer_transfer.config import conf_dir, plain
from fer_transfer.reports.ending import ending
from fer_transfer.settings import compose
from fer_transfer.stages.record import read_record
from fer_transfer.study import study_from

STUDY = study_from(plain(compose("report").study))


def ended(store: Path, failed=None, study=STUDY):
    records = [read_record(path) for path in sorted((store / "submissions").glob("*.json"))]
    text = ending(sorted(records, key=lambda record: record.plan), failed or {}, store, study)
    lines = text.splitlines()
    assert all(len(line) <= 80 or " " not in line.strip() or str(store) in line for line in lines), text
    return lines


def test_one_row_is_shown_on_every_reported_split_that_it_was_scored_on(tmp_path):
    add_row(tmp_path, "fer32", 0.5, keep="best")
    lines = ended(tmp_path)
    assert lines[0] == "Accuracy, k/n, Wilson 95 % interval: fer32, mobilenetv2_100, seed 0"
    assert [line[2:25].rstrip() for line in lines[1:5]] == [
        "Val, found faces", "Val, all faces", "FER Private, all faces", "Test, all faces",
    ]  # fmt: skip
    percent, sign, counted, low, high = lines[1].split()[-5:]
    k, n = map(int, counted.split("/"))
    assert n == 429 and percent == f"{100 * k / n:.1f}" and sign == "%"
    assert float(low.strip("[,")) < 100 * k / n < float(high.strip("]"))
    assert "%†" in lines[3] and "labels withheld" in lines[4]
    text = " ".join(" ".join(lines).split())
    assert text.count(SYNTHETIC) == 1 and "† an epoch was chosen on this split" in text
    assert lines[-1] == f"Next: fer-report store={tmp_path}" and f"are in {tmp_path}" in text


def test_rows_that_the_study_does_not_report_lead_to_one_that_does(tmp_path, monkeypatch):
    add_row(tmp_path, "fer28_emotiw", 0.5)
    other = replace(STUDY, name="other", reported=(replace(STUDY.reported[0], split="rafdb/Test"),))
    lines = ended(tmp_path, study=other)
    said = " ".join(" ".join(lines).split())
    assert "Accuracy" not in said and "Study other reports none of the splits" in said and "study ng2015 does." in said
    assert lines[-1] == f"Next: fer-report store={tmp_path}"
    [path] = (tmp_path / "submissions").glob("*.json")
    record = read_record(path)
    moved = [replace(of, split=f"fold{n}") for n, of in enumerate(record.predictions)]
    faces = {
        digest: replace(of, prepared=replace(of.prepared, release="ckplus")) for digest, of in record.faces.items()
    }
    of_folds = replace(record, plan="ckplus_folds#fold0", predictions=tuple(moved), faces=faces)
    assert ending([of_folds], {}, tmp_path, other).endswith(" study=ckplus")
    folds = replace(other, name="ckplus", reported=(replace(STUDY.reported[0], split="ckplus/folds"),))
    text = ending([of_folds], {}, tmp_path, folds)
    assert "Val, found faces" in text and "reports none" not in text
    (tmp_path / "conf" / "study").mkdir(parents=True)
    for name, text in (
        ("a", "reported: ???"),
        ("b", "reported: [{split: '${.x}'}]"),
        ("c", "- 1"),
        ("d", "reported: [{split: emotiw/Val}]"),
    ):
        (tmp_path / "conf" / "study" / f"{name}.yaml").write_text(text)
    (tmp_path / "conf" / "study" / "e.yaml").write_bytes(b"\xff\xfe\x00")
    monkeypatch.setattr("fer_transfer.reports.ending.config_folders", lambda: [tmp_path / "conf", conf_dir()])
    assert ended(tmp_path, study=other)[-1].endswith(" study=d")
    nobodys = {
        digest: replace(of, prepared=replace(of.prepared, release="mine")) for digest, of in record.faces.items()
    }
    assert ending([replace(record, faces=nobodys)], {}, tmp_path, other).endswith(" study=other")


def test_several_rows_are_a_line_each_and_failed_ones_say_why(tmp_path):
    for seed in (0, 1):
        add_row(tmp_path, "fer28_emotiw", 0.5, seed)
        add_row(tmp_path, "emotiw", 0.2, seed)
    lines = ended(tmp_path, {"fer28, mobilenetv2_100, seed 0": "Stage 'fer'\ndiverged: " + "a word " * 20})
    assert lines[0].endswith("interval: Val, found faces") and sum("/429" in line for line in lines) == 4
    assert (
        "1 of 5 rows failed:" in lines
        and "  fer28, mobilenetv2_100, seed 0: Stage 'fer' diverged: a word" in "\n".join(lines)
    )


def test_rows_scored_on_another_split_say_which(tmp_path):
    add_row(tmp_path, "fer28", 0.5, splits=("fer2013/PrivateTest",))
    add_row(tmp_path, "emotiw", 0.5)
    text = "\n".join(ended(tmp_path))
    assert "fer28, mobilenetv2_100, seed 0: FER Private" in text and "seed 0: Val, found" in text


def test_each_of_several_preparations_is_named(tmp_path):
    add_row(tmp_path, "fer28", 0.5)
    other = {**DIGESTS, "emotiw": "d" * 64}
    [path] = (tmp_path / "submissions").glob("*.json")
    first = read_record(path)
    second = add_row(tmp_path / "other", "fer28", 0.3, digests=other)
    joined = replace(first, lineage=first.lineage).joined(replace(read_record(second), lineage=first.lineage))
    (tmp_path / "other" / "submissions").rename(tmp_path / "unused")
    for folder in (tmp_path / "other").iterdir():
        folder.rename(tmp_path / folder.name)
    text = ending([joined], {}, tmp_path, STUDY)
    assert "Val, found faces of emotiw eeeeeeee" in text and "Val, found faces of emotiw dddddddd" in text
    assert text.count("FER Public, all faces") == 1


def test_nothing_finished_is_no_table(tmp_path):
    lines = ending([], {"a": "why"}, tmp_path, STUDY).splitlines()
    assert lines[:2] == ["1 of 1 rows failed:", "  a: why"] and not any("Accuracy" in line for line in lines)


@pytest.mark.parametrize(
    ("store", "name", "expected"),
    [
        ("store", "ng2015", "Next: fer-report"),
        ("demo/store", "mine", "Next: fer-report store=demo/store study=mine"),
        ("my, store", "ng2015", "Next: fer-report 'store=\"my, store\"'"),
    ],
)
def test_the_next_command_is_as_it_must_be_typed(store, name, expected):
    assert ending([], {}, Path(store), replace(STUDY, name=name)).splitlines()[-1] == expected


def test_it_is_fast_and_needs_no_torch(tmp_path):
    for seed in range(5):
        add_row(tmp_path, "fer28_emotiw", 0.5, seed)
    ended(tmp_path)
    started = time.perf_counter()
    ended(tmp_path)
    assert time.perf_counter() - started < 0.5  # 0.02 on a machine at rest
    code = "import sys, fer_transfer.reports.ending; assert not {'torch', 'scipy', 'rich'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
