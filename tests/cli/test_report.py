"""fer-report through its command, on a small store."""

import csv
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fake_store import DIGESTS, SYNTHETIC, add_row, add_trained
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from fer_transfer.cli.report import report
from fer_transfer.config import plain
from fer_transfer.errors import ConfigError, StoreError
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.reports.report import load_report
from fer_transfer.reports.results import load_groups
from fer_transfer.reports.tables import recalls_table
from fer_transfer.settings import compose
from fer_transfer.stages.store import Store
from fer_transfer.study import study_from

STUDY = study_from(plain(compose("report").study))
_MAIN = "from fer_transfer.cli.report import main; main()"


def run_command(*arguments, folder):
    """As the installed script does; fails where torch was imported, which a report needs nothing of."""
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    command = [sys.executable, "-c", f"{_MAIN}; import sys; assert 'torch' not in sys.modules, 'slow'", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def make(store: Path, *overrides: str) -> Path:
    report(compose("report", [f"store={store}", f"out={store.parent / 'report'}", *overrides]))
    return store.parent / "report"


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def store(tmp_path):
    for seed in (0, 1):
        add_row(tmp_path / "store", "emotiw", 0.15, seed)
        add_row(tmp_path / "store", "fer28_emotiw", 0.5, seed)
    add_row(tmp_path / "store", "fer32", 0.45, keep="best")
    add_row(tmp_path / "store", "fer28", 0.45, backbone="bvlc_alexnet")
    return tmp_path / "store"


def test_the_command_prints_and_writes_and_needs_no_torch(store, tmp_path):
    done = run_command("submission_zip=Team", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    for expected in ("Not run", "withheld", "SYNTHETIC FACES", "cannot be told", "46.9", "/429"):
        assert expected in done.stdout
    report_files = {path.name for path in (tmp_path / "report").iterdir()}
    assert report_files == {
        "table.csv", "table.md", "table.tex", "confusion.tex", "claims.csv", "per_class.csv", "missing.csv", "report.html",
        "confusion", "zips",
    }  # fmt: skip
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "fer-report submission_zip=Team</" in page, "the command that makes the page again"
    zips = sorted((tmp_path / "report" / "zips").glob("*/Team.zip"))
    assert len(zips) == 6 and len(zipfile.ZipFile(zips[0]).namelist()) == 372
    assert {path.name for path in tmp_path.iterdir()} == {"store", "report"}  # no log, no Hydra folder


def test_numbers_agree_with_scikit_learn_and_statsmodels(store):
    table = lines(make(store) / "table.csv")
    (group,) = (g for g in load_groups(store)[0] if g.backbone == "bvlc_alexnet")
    val = group.of("fer28")[0].predictions["emotiw/Val"]
    assert len(val) == 436 and val.found.sum() == 429
    for over, keep in (("found", val.found), ("all", np.ones(436, bool))):
        labels, predicted = val.labels[keep], val.predicted[keep]
        (line,) = (
            x for x in table
            if (x["backbone"], x["plan"], x["split"], x["over"]) == ("bvlc_alexnet", "fer28", "emotiw/Val", over)
        )  # fmt: skip
        assert float(line["percent"]) == pytest.approx(100 * accuracy_score(labels, predicted), abs=1e-4)
        assert float(line["macro_recall"]) == pytest.approx(
            100 * recall_score(labels, predicted, average="macro"), abs=1e-4
        )
        low, high = proportion_confint(int(line["k"]), int(line["n"]), method="wilson")
        assert (float(line["low"]), float(line["high"])) == pytest.approx((100 * low, 100 * high), abs=1e-4)
        assert line["n"] == str(keep.sum()) and line["published_k"] == ("201" if over == "found" else "")


def test_several_seeds_give_mean_sample_deviation_and_the_interval_of_the_mean(store):
    table = lines(make(store) / "table.csv")
    (line,) = (
        x for x in table if (x["plan"], x["split"], x["over"], x["status"]) == ("emotiw", "emotiw/Val", "found", "run")
    )
    percents = [100 * int(k) / 429 for k in line["k"].split()]
    assert line["seeds"] == "0 1"
    low, high = proportion_confint(np.mean([int(k) for k in line["k"].split()]), 429, method="wilson")
    assert (float(line["low"]), float(line["high"])) == pytest.approx((100 * low, 100 * high), abs=1e-4)
    assert float(line["percent"]) == pytest.approx(np.mean(percents), abs=1e-4)
    assert float(line["sd"]) == pytest.approx(np.std(percents, ddof=1), abs=1e-4)


def test_claims_agree_with_statsmodels(store):
    claims = lines(make(store) / "claims.csv")
    (line,) = (x for x in claims if (x["better"], x["worse"]) == ("fer28_emotiw", "emotiw") and x["p"])
    (group,) = (g for g in load_groups(store)[0] if g.backbone == "mobilenetv2_100")
    a, b = (group.of(plan)[0].predictions["emotiw/Val"].only_found() for plan in ("fer28_emotiw", "emotiw"))
    right_a, right_b = a.predicted == a.labels, b.predicted == b.labels
    table = [[0, (right_a & ~right_b).sum()], [(right_b & ~right_a).sum(), 0]]
    assert float(line["p_mcnemar"]) == pytest.approx(mcnemar(table, exact=True).pvalue, rel=1e-4)
    assert float(line["points"].split()[0]) == pytest.approx(100 * (right_a.mean() - right_b.mean()), abs=1e-4)
    assert line["seeds"] == "0 1" and line["rests_on"] == "images and seeds"
    assert {x["verdict"] for x in claims if x["better"] == "fer32_emotiw"} == {
        "fer32_emotiw not run", "fer32_emotiw and fer32+emotiw not run", "fer32_emotiw and emotiw not run",
        "fer32_emotiw and fer32 not run",
    }  # fmt: skip


def test_a_better_a_worse_and_an_equal_plan(tmp_path):
    for seed in range(5):
        add_row(tmp_path / "store", "emotiw", 0.6, seed)
        add_row(tmp_path / "store", "fer28", 0.1, seed)
        add_row(tmp_path / "store", "fer28_emotiw", 0.6, seed)
    claims = {(x["better"], x["worse"]): x for x in lines(make(tmp_path / "store") / "claims.csv")}
    assert claims["fer28", "emotiw"]["verdict"] == "not shown"
    assert claims["fer28", "emotiw"]["equivalence"] == "emotiw is the better one"
    assert claims["fer28_emotiw", "emotiw"]["verdict"] == "cannot be told"
    assert "would tell" in claims["fer28_emotiw", "emotiw"]["needed"]
    assert claims["fer28_emotiw", "fer28"]["verdict"] == "shown" and not claims["fer28_emotiw", "fer28"]["needed"]


def test_confusion_matrices_are_scikit_learns_in_the_papers_order(store):
    out = make(store)
    (group,) = (g for g in load_groups(store)[0] if g.backbone == "bvlc_alexnet")
    (row,) = group.rows
    val = row.predictions["emotiw/Val"].only_found()
    order = [EXPRESSIONS.index(name) for name in STUDY.order]
    theirs = confusion_matrix(val.labels, val.predicted, labels=order)
    ours = [
        x for x in lines(out / "confusion" / f"{row.name}.csv") if (x["split"], x["over"]) == ("emotiw/Val", "found")
    ]
    assert [x["truth"] for x in ours] == STUDY.order
    assert [[int(x[name]) for name in STUDY.order] for x in ours] == theirs.tolist()
    assert "| Fear | " + " | ".join(map(str, theirs[0])) + " |" in (out / "table.md").read_text()


def test_the_caveat_stands_in_every_file_and_zip(store, capsys):
    out = make(store, "submission_zip=Team")
    for name in ("missing.csv", "confusion/.written.json"):  # hold no number
        (out / name).unlink()
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) == 7 + 6 + 6
    for path in files:
        assert SYNTHETIC.encode() in path.read_bytes(), path
    for path in out.rglob("*.csv"):
        with_numbers = [x for x in lines(path) if x.get("status", "run") == "run"]
        assert with_numbers and all(SYNTHETIC in x["caveats"] for x in with_numbers), path
    headings = re.split(r"^##+ ", (out / "table.md").read_text(), flags=re.MULTILINE)[1:]
    assert all(
        "SYNTHETIC FACES" in part for part in headings if not part.startswith(("Confusion matrices", "What is missing"))
    )
    assert capsys.readouterr().out.count("SYNTHETIC FACES") == 1, "once, above all"


def test_a_split_on_which_an_epoch_was_chosen_carries_a_dagger(store):
    text = (make(store) / "table.md").read_text()
    fer32 = re.findall(r"^\| fer32 .*$", text, re.MULTILINE)[0]
    assert fer32.count("†") == 1 and "† an epoch was chosen" in text
    table = lines(store.parent / "report" / "table.csv")
    assert {x["split"] for x in table if x["selected_on_split"] == "yes"} == {"fer2013/PrivateTest"}


def test_without_the_paper_its_rows_are_left_out(store, capsys):
    out = make(store, "published=false")
    assert "The published rows" not in capsys.readouterr().out
    assert {x["backbone"] for x in lines(out / "table.csv")} == {"bvlc_alexnet", "mobilenetv2_100"}


def test_every_published_row_stands_in_the_table_as_in_the_paper(store):
    [text] = [
        part for part in (make(store) / "table.md").read_text().split("\n## ") if part.startswith("The published rows")
    ]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    assert rows[0][:6] == ["Sub.", "Architecture", "1st fine-tune", "2nd fine-tune", "Val paper", "interval paper"]
    assert rows[4][:7] == ["3", "AlexNet", "FER28", "EmotiW", "48.5", "[43.8, 53.2]", "208/429"]
    assert len(rows) == 2 + 13 and sum(row.count("not run") == 2 for row in rows) == 11
    [ours] = [row for row in rows if row[:3] == ["1", "AlexNet", "FER28"]]
    assert re.fullmatch(r"\d\d\.\d", ours[7]) and ours[9].endswith("/429") and ours[10] == "1"


@pytest.mark.parametrize(
    "override, error, message",
    [
        ("level=1.5", ConfigError, "level between 0 and 1"),
        ("submission_zip=a/b", ConfigError, "team name"),
        ("store=/nowhere", StoreError, "no such folder"),
    ],
)
def test_bad_input_is_one_error_before_anything_is_written(store, override, error, message):
    with pytest.raises(error, match=message):
        make(store, override)
    assert not (store.parent / "report").exists()


def test_the_command_shows_an_error_without_a_traceback(tmp_path):
    done = run_command("store=nowhere", folder=tmp_path)
    assert done.returncode == 1 and done.stderr.startswith("error: Expected a store in nowhere")
    assert "Traceback" not in done.stderr and not list(tmp_path.iterdir())


def test_help_is_fast_because_torch_is_not_imported(tmp_path):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", _MAIN, "--help"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0 and "submission_zip" in done.stdout
    assert not re.search(r"\| +(torch|scipy|pytorch_lightning)$", done.stderr, re.MULTILINE)


def test_recalls_by_expression_agree_with_scikit_learn(store):
    (group,) = (g for g in load_groups(store)[0] if g.backbone == "mobilenetv2_100")
    table = recalls_table(group, load_report(store, STUDY, 0.95))
    shown = {row[0]: row[1:] for row in table.rows}
    order = [EXPRESSIONS.index(name) for name in STUDY.order]
    for plan, cells in shown.items():
        found = [row.predictions["emotiw/Val"].only_found() for row in group.of(plan)]
        recalls = [recall_score(p.labels, p.predicted, average=None, labels=order) for p in found]
        assert cells == tuple(f"{100 * value:.0f}" for value in np.mean(recalls, axis=0))
    assert set(shown) == {"emotiw", "fer28_emotiw", "fer32"} and SYNTHETIC in " ".join(table.caveats)


def test_a_store_in_which_much_is_wrong_is_reported_with_what_there_is(tmp_path, command):
    """Damaged records, predictions and stages, a stage that failed, one that is not finished: one exit code 0."""
    store = tmp_path / "store"
    for plan in ("emotiw", "fer28", "fer28_emotiw", "fer32"):
        add_trained(store, plan)
    whole = {row.plan: row for row in load_report(store, STUDY, 0.95).rows}
    whole["emotiw"].path.write_text("{")
    [val] = [of.file for of in whole["fer28"].record.predictions if of.split == "Val"]
    (store / val).write_text("damaged")
    (store / whole["fer32"].record.lineage.stages[-1].key / "result.json").write_text("{}")
    Store(store).fail("0" * 16, "fer", "out of memory")
    (store / ".work" / f"{'1' * 16}.left.{'2' * 8}").mkdir()
    code, out, _ = command("report", f"store={store}", f"out={tmp_path / 'out'}", "figures=true")
    text = " ".join(out.split())
    assert code == 0
    for said in ("damaged, 3: ", "failed: stage fer", "out of memory", "unfinished: stage 1111", "not run, 12"):
        assert said in text, said
    assert re.search(r"^fer28 +46.9 +42.9 +damaged ", out, re.MULTILINE) and re.search(
        r"^fer32 .*/429 ", out, re.MULTILINE
    )
    kinds = [line["kind"] for line in lines(tmp_path / "out" / "missing.csv")]
    assert [kinds.count(kind) for kind in ("damaged", "failed", "unfinished", "not run")] == [3, 1, 1, 12]
    for name in ("table.md", "report.html"):
        assert "out of memory" in (tmp_path / "out" / name).read_text(encoding="utf-8")


def test_a_study_none_of_whose_rows_ran_shows_the_papers(tmp_path, command):
    Store(tmp_path / "store")
    code, out, _ = command("report", f"store={tmp_path / 'store'}", f"out={tmp_path / 'out'}", "figures=true")
    assert code == 0 and "No row has run" in out and "48.5" in out
    assert (
        "48.5" in (tmp_path / "out" / "table.md").read_text()
        and "FER28" in (tmp_path / "out" / "table.tex").read_text()
    )


def test_a_class_that_never_occurs_and_one_seed(tmp_path, monkeypatch):
    import fake_store

    made = fake_store.make_predictions

    def without_disgust(*arguments):
        predictions = made(*arguments)
        predictions.labels[predictions.labels == EXPRESSIONS.index("Disgust")] = EXPRESSIONS.index("Sad")
        return predictions

    monkeypatch.setattr(fake_store, "make_predictions", without_disgust)
    add_row(tmp_path / "store", "emotiw", 0.4)
    out = make(tmp_path / "store", "details=true", "figures=true")
    text = (out / "table.md").read_text()
    assert "Disgust n 0" in text and re.search(r"^\| Disgust \| 0 .* \| 0 \| - \|  \|$", text, re.MULTILINE)
    [line] = [
        x
        for x in lines(out / "per_class.csv")
        if (x["split"], x["over"], x["truth"]) == ("emotiw/Val", "found", "Disgust")
    ]
    assert (line["n"], line["recall"]) == ("0", "")
    assert "n 0" in (out / "table.tex").read_text()


def test_rows_on_different_faces_stand_in_tables_of_their_own(tmp_path, capsys):
    add_row(tmp_path / "store", "emotiw", 0.4)
    add_row(tmp_path / "store", "fer28_emotiw", 0.5, digests=DIGESTS | {"emotiw": "d" * 64})
    make(tmp_path / "store", "figures=true")
    out = capsys.readouterr().out
    assert out.count("settings 01234567, faces ") == 2 and "The claims" not in out
    names = [path.name for path in (tmp_path / "report" / "figures").glob("*.svg")]
    assert len(names) == 5 and len(set(names)) == 5
