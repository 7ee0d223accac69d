"""Folds left out one by one: prepared, trained as a study, and the mean over them in the report."""

import csv

import numpy as np
import pytest
from releases.layouts import write_jaffe
from releases.pictures import FAST
from scipy import stats

from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.reports.folds import FoldMean
from fer_transfer.stages.record import read_record

TINY = [
    "backbone=timm", "recipe.backbone.name=test_resnet", "recipe.augment.resize=18", "recipe.augment.crop=16",
    "recipe.epochs=1", "recipe.batch_size=16", "runtime.progress=none",
]  # fmt: skip


@pytest.fixture
def people(elsewhere, command):
    write_jaffe(elsewhere / "own", 2, 1)
    words = ["release=jaffe", "release.path=own", "release.folds=2", "release.aligned=true"]
    assert command("prepare", *words, *FAST)[0] == 0


def lines(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_subject_is_left_out_once(elsewhere, command, people):
    """First one fold of two, of which there is no mean, then both as the study runs them."""
    code, _, err = command("train", "plan=jaffe", "fold=1", "folds=2", *TINY)
    assert code == 0, err
    code, out, err = command("report", "study=jaffe")
    assert code == 0 and "folds: jaffe: 1 of 2 folds ran with seed 0, so there is no mean: not fold0." in out, err
    assert not (elsewhere / "report/folds.csv").exists()
    code, _, err = command("train", "-m", "study=jaffe", "fold=0,1", "folds=2", *TINY)
    assert code == 0, err
    code, out, err = command("report", "study=jaffe")
    assert code == 0, err
    table = {line["plan"]: line for line in lines(elsewhere / "report/table.csv") if line["split"] == "jaffe/folds"}
    assert set(table) == {"jaffe", "jaffe#fold0", "jaffe#fold1"}
    right = [int(table[f"jaffe#fold{n}"]["k"]) for n in range(2)]
    assert [table[f"jaffe#fold{n}"]["n"] for n in range(2)] == ["7"] * 2
    assert (int(table["jaffe"]["k"]), table["jaffe"]["n"]) == (sum(right), "14"), "every face once"
    *folds, mean = lines(elsewhere / "report/folds.csv")
    assert [line["fold"] for line in folds] == [f"jaffe/fold{n}" for n in range(2)] and mean["fold"] == "mean"
    assert float(mean["percent"]) == pytest.approx(100 * sum(right) / 14, abs=1e-3)
    assert "jaffe (folds)" in out and "2 folds, each said by the network that left it out; mean over folds" in out
    code, _, err = command("train", "plan=jaffe", "fold=2", "folds=2", *TINY)
    assert code == 1 and "fold=2, but folds=2, so there are fold0 to fold1" in err
    code, _, err = command("train", "plan=jaffe", *TINY)
    assert code == 1 and "fold2" in err and "it holds fold0, fold1" in err, err


def test_of_folds_of_a_person_each_one_is_selected_on(elsewhere, command):
    """None of the folds alone has a person to spare."""
    write_jaffe(elsewhere / "own", 3, 1)
    words = ["release=jaffe", "release.path=own", "release.folds=3", "release.aligned=true"]
    assert command("prepare", *words, *FAST)[0] == 0
    share = ["recipe.selection.share=0.5", "recipe.keep=best"]
    code, _, err = command("train", "plan=jaffe", "fold=1", "folds=3", *share, *TINY)
    assert code == 0, err
    [path] = (elsewhere / "store/submissions").iterdir()
    record = read_record(path)
    [used] = record.own_stages[0].faces
    [held] = used.selected_on
    assert held.startswith("fold0+2~0.5~0~") and used.trained_on == ("fold0", "fold2")
    [scored] = [of for of in record.predictions if of.split == held]
    said = Predictions.read(elsewhere / "store" / scored.file, scored.sha256)
    assert len({id.split(".")[0] for id in said.ids.tolist()}) == 1 and len(said) == 7
    assert not record.trained_on(used.digest, held) and record.trained_on(used.digest, "fold0+2~0.5~1")


def test_the_interval_of_a_mean_over_folds():
    mean = FoldMean((60.0, 70.0, 65.0, 50.0))
    low, high = stats.t.interval(0.9, 3, np.mean(mean.percents), stats.sem(mean.percents))
    assert mean.interval(0.9) == pytest.approx((low, high))
    assert f"mean over folds 61.2 ± 8.5, 90 % interval [{low:.1f}, {high:.1f}]" in mean.says(0.9)
