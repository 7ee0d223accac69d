"""Studies: what is refused before anything is trained, and that nothing but the study says what a table is about."""

import copy
import csv

import pytest
from fake_store import add_row

from fer_transfer.cli.report import report
from fer_transfer.config import plain
from fer_transfer.errors import ConfigError
from fer_transfer.settings import compose
from fer_transfer.study import published_rows, study_from

NG2015 = plain(compose("report").study)


def changed(**values):
    return copy.deepcopy(NG2015) | values


VAL = {"split": "emotiw/Val", "heading": "Val"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(reported=[]), "at least one split"),
        (changed(reported=[VAL | {"split": "Val"}]), "release/split"),
        (changed(reported=[VAL, VAL]), "emotiw/Val over all twice"),
        (changed(reported=[VAL | {"over": "some"}]), "found or all"),
        (changed(reported=[VAL, VAL | {"split": "fer2013/PublicTest"}], challenge=None), "stands over two"),
        (changed(reported=[VAL | {"spilt": "x"}]), "spilt"),
        (changed(protected=["emotiw.Val"]), "release/split"),
        (changed(challenge="emotiw/Train"), "challenge"),
        (changed(grid={"plan": ["emotiw", "fer28", "emotiw"]}, claims=[]), "'emotiw' twice"),
        (changed(grid={"plan": []}, claims=[]), "empty"),
        (changed(claims=[{"says": "x", "pairs": [["fer28", "fer29"]]}]), "'fer29', which its grid does not run"),
        (changed(claims=[{"says": "x", "pairs": [["fer28"]]}]), "two plans"),
        (changed(claims=[{"says": "x", "pairs": [["fer28", "fer28"]]}]), "two plans"),
        (changed(baseline="fer29"), "baseline"),
        (changed(margin=0), "margin of study 'ng2015' in points"),
        (changed(margin="wide"), "margin"),
        (changed(published="nowhere.csv"), "nowhere.csv"),
        (changed(reported=[VAL | {"published": "vall"}], challenge=None), "vall_percent"),
        (changed(order=["Angry"]), "order"),
        (changed(protcted=[]), "protcted"),
    ],
)
def test_a_wrong_study_says_what_is_wrong(content, message):
    with pytest.raises(ConfigError, match=message):
        study_from(content)


def test_published_numbers_that_are_none(tmp_path):
    lines = ["submission,backbone,plan,val_percent,val_k,val_n,test_percent,test_k,test_n,source"]
    for row, message in (("1,a,b,x,,,,,,s", "could not convert"), ("1,a,b,,,,,,,s\n2,a,b,,,,,,,s", "a with b twice")):
        (tmp_path / "own.csv").write_text("\n".join([*lines, row]))
        with pytest.raises(ConfigError, match=message):
            study_from(changed(published=str(tmp_path / "own.csv")))


def test_a_release_without_a_split_that_the_study_names():
    study = study_from(changed())
    study.check_releases({"emotiw": ["Train", "Val"], "rafdb": ["train"]})  # Test is optional, others are nobody's
    study.check_releases({"fer2013": ["Training", "test"]})  # the merged folder
    with pytest.raises(ConfigError, match=r"protects 'emotw/Val'.*Did you mean 'emotiw'"):
        study_from(changed(protected=["emotw/Val"])).check_releases({"emotiw": ["Train", "Val"]})
    with pytest.raises(ConfigError, match="'emotiw/Val', but the faces of emotiw hold Train, Test"):
        study.check_releases({"emotiw": ["Train", "Test"]})


def test_the_papers_study_is_the_papers_table():
    study = study_from(NG2015)
    grid = {(backbone, plan) for backbone in study.grid["backbone"] for plan in study.grid["plan"]}
    assert {(row.backbone, row.plan) for row in published_rows(study)} == grid | {("organisers", "baseline")}
    assert (
        study.protects("emotiw", "Val") and study.protects("emotiw", "Test") and not study.protects("emotiw", "Train")
    )


@pytest.fixture
def jobs(command, monkeypatch):
    """The rows that ``fer-train -m`` would plan, and its exit code and standard error."""
    found = []

    class Planned:
        def __init__(self, rows, *_):
            for config in (row.settings for row in rows):
                found.append([config["recipe"]["backbone"]["name"], config["plan"]["name"], config["recipe"]["seed"]])

        def run(self):
            return 0

    def call(*overrides):
        found.clear()
        code, _, stderr = command("train", "-m", *overrides)
        return list(found), code, stderr

    monkeypatch.setattr("fer_transfer.sweeps.sweep.Sweep", Planned)
    monkeypatch.setattr("fer_transfer.sweeps.rows.hopeless", lambda rows: {})  # there are no faces
    return call


PLANS = ["emotiw", "fer28", "fer32", "fer32+emotiw", "fer28_emotiw", "fer32_emotiw"]


def test_a_study_named_on_the_command_line_is_its_grid(jobs):
    assert jobs("study=ng2015")[0] == [[net, plan, 0] for net in ("bvlc_alexnet", "vgg_cnn_m_2048") for plan in PLANS]
    assert jobs("study=ng2015", "backbone=resnet18")[0] == [["resnet18", plan, 0] for plan in PLANS]
    both = jobs("study=ng2015", "backbone=resnet18", "plan=fer28", "recipe.seed=0,1")[0]
    assert both == [["resnet18", "fer28", 0], ["resnet18", "fer28", 1]]
    assert jobs("plan=fer28", "recipe.seed=0,1")[0] == [["resnet18", "fer28", 0], ["resnet18", "fer28", 1]]
    assert jobs("study=ng2015", "submission=sub3")[0] == [["bvlc_alexnet", "fer28_emotiw", 0]], "a row already"
    found, code, stderr = jobs("study=ng2015,ng2015")
    assert not found and code == 1
    assert stderr == "error: Expected one study at a time, but got study=ng2015,ng2015. Run them one after the other.\n"


HEAD = "name: mine\ntitle: Mine\nreported: [{split: emotiw/Val, heading: Val, published: %s}]\n"


def study_of_ones_own(folder, text, published="null"):
    (folder / "own" / "study").mkdir(parents=True)
    (folder / "own" / "study" / "mine.yaml").write_text(HEAD % published + text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grid: {plan: [emotiw, emotiw]}", "twice"),
        ("grid: {plan: emotiw}", "grid"),
        ("grid: [emotiw]", "The study is wrong"),
        ("grid: {plan: [[emotiw]]}", "grid"),
        ("grid: {plan: ['emotiw,fer28']}", "one an entry"),
        ("grid: {plan: [emotiw]}\nclaims: [{says: x, pairs: [[emotiw, fer28]]}]", "its grid does not run"),
        ("published: none.csv", "none.csv"),
    ],
)
def test_a_wrong_study_is_told_once_before_any_job(text, message, jobs, elsewhere):
    study_of_ones_own(elsewhere, text)
    found, code, stderr = jobs("--config-dir", "own", "study=mine")
    assert not found and code == 1 and stderr.count("\n") == 1, stderr
    assert stderr.startswith("error: ") and message in stderr
    assert sorted(path.name for path in elsewhere.iterdir()) == ["own"]


def test_a_study_of_ones_own_needs_no_grid_and_its_numbers_stand_beside_it(jobs, elsewhere):
    study_of_ones_own(elsewhere, "published: mine.csv", "val")
    lines = ["submission,backbone,plan,val_percent,val_k,val_n,source", "1,resnet18,emotiw,50,,,somewhere", ""]
    (elsewhere / "own" / "study" / "mine.csv").write_text("\n".join(lines))
    found, _, stderr = jobs("--config-dir", "own", "study=mine", "recipe.seed=0,1")
    assert found == [["resnet18", "emotiw", 0], ["resnet18", "emotiw", 1]], stderr


def test_reports_are_about_what_another_study_says(tmp_path, monkeypatch, capsys):
    """Three stages, other claims, another release first; no data set is known by name."""
    digests = {"emotiw": "e" * 64, "fer2013": "f" * 64, "rafdb": "d" * 64}
    splits = ("rafdb/test", "fer2013/PrivateTest", "emotiw/Val")
    for seed in range(3):
        for plan, accuracy in (("emotiw_fer28_emotiw", 0.7), ("fer28", 0.3)):
            add_row(tmp_path / "store", plan, accuracy, seed, digests=digests, splits=splits)
    study = {
        "name": "own", "title": "Nobody 2026", "protected": ["rafdb/test"], "grid": {"plan": ["emotiw_fer28_emotiw", "fer28"]},
        "reported": [{"split": "rafdb/test", "heading": "RAF"}, {"split": "fer2013/PrivateTest", "heading": "Private"}],
        "claims": [{"says": "There and back again helps", "pairs": [["emotiw_fer28_emotiw", "fer28"]]}],
    }  # fmt: skip
    config = compose("report", [f"store={tmp_path / 'store'}", f"out={tmp_path / 'report'}", "details=true"])
    config.study = study
    report(config)
    out = capsys.readouterr().out
    assert "There and back again helps" in out and "RAF" in out and "Nobody 2026" in out
    assert not {"Val ours", "fer32", "Ng et al", "AlexNet", "Submission 4"} & set(out.split("  "))
    with (tmp_path / "report" / "table.csv").open() as file:
        table = list(csv.DictReader(file))
    assert {(line["plan"], line["split"]) for line in table} == {
        (plan, split) for plan in study["grid"]["plan"] for split in splits
    }
    [claim] = csv.DictReader((tmp_path / "report" / "claims.csv").open())
    assert (claim["verdict"], claim["rests_on"], claim["seeds"]) == ("shown", "images and seeds", "0 1 2")
    assert "Other splits" in out and "emotiw" in out  # what the study does not report is still to be seen


def test_what_a_third_release_scores_is_seen_under_the_papers_study(tmp_path, capsys):
    digests = {"emotiw": "e" * 64, "fer2013": "f" * 64, "rafdb": "d" * 64}
    splits = ("emotiw/Val", "rafdb/test", "fer2013/test")
    add_row(tmp_path / "store", "fer28", 0.5, digests=digests, splits=splits)
    report(
        compose(
            "report", [f"store={tmp_path / 'store'}", f"out={tmp_path / 'report'}", "published=false", "details=true"]
        )
    )
    out = capsys.readouterr().out
    with (tmp_path / "report" / "table.csv").open() as file:
        scored = {line["split"]: line["percent"] for line in csv.DictReader(file) if line["status"] == "run"}
    assert set(scored) == set(splits)
    for split in ("rafdb/test", "fer2013/test"):
        assert f"{float(scored[split]):.1f}" in out.split("Other splits")[1].split("Recall")[0]


OWN = {
    "name": "own", "title": "Own",
    "reported": [
        {"split": "rafdb/test", "over": "found", "heading": "RAF"}, {"split": "rafdb/test", "heading": "RAF"},
        {"split": "fer2013/PrivateTest", "over": "found", "heading": "FER Private"},
        {"split": "fer2013/PrivateTest", "heading": "FER Private"},
    ],
    "grid": {"plan": ["emotiw", "fer28"]},
}  # fmt: skip


def report_of(tmp_path, study):
    """The sections of table.md by title, under a study that no configuration holds."""
    digests = {"emotiw": "e" * 64, "fer2013": "f" * 64, "rafdb": "d" * 64}
    for plan in study["grid"]["plan"]:
        add_row(tmp_path / "store", plan, 0.5, digests=digests, splits=("rafdb/test", "fer2013/PrivateTest"))
    config = compose("report", [f"store={tmp_path / 'store'}", f"out={tmp_path / 'report'}"])
    config.study = study
    report(config)
    sections = (tmp_path / "report" / "table.md").read_text().split("\n## ")[1:]
    return {section.partition("\n")[0].partition(":")[0]: section for section in sections}


def cells(line):
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_a_study_that_protects_nothing_has_whole_cells_in_its_first_column(tmp_path):
    sections = report_of(tmp_path, OWN)
    plans = sections["mobilenetv2_100, settings 01234567"]
    headings, _, first, *_ = [cells(line) for line in plans.splitlines() if line.startswith("|")]
    assert headings == [  # nothing was lost: found faces are all faces
        "Plan", "RAF ours", "95 % interval ours", "k/n ours", "Seeds ours", "Macro ours", "FER Private ours",
    ]  # fmt: skip
    assert first[3].endswith("/100") and first[2].startswith("[") and "/" not in first[6]
    assert "paper" not in plans.lower() and "none recorded" not in plans and "Chosen" not in plans
    assert "- Seeds: 0.\n" in plans
    assert "### emotiw, " in sections["Confusion matrices"]
    assert "rafdb/test, found faces" in sections["Confusion matrices"]


def test_what_a_study_leaves_open_is_said_in_its_words(tmp_path):
    plans = report_of(tmp_path, OWN | {"left_open": {"words": ["epoch"]}})["mobilenetv2_100, settings 01234567"]
    assert "- Chosen here: epochs 4; seeds 0.\n" in plans


def test_published_numbers_of_a_study_that_protects_nothing(tmp_path):
    header = "submission,backbone,plan,all_percent,all_k,all_n,found_percent,found_k,found_n,source"
    (tmp_path / "own.csv").write_text(f"{header}\n1,mobilenetv2_100,fer28,50.0,50,100,40.0,40,100,s\n")
    with_numbers = [
        column | {"published": column["over"]} for column in ({"over": "all"} | c for c in OWN["reported"][:2])
    ]
    study = OWN | {
        "reported": with_numbers,
        "published": str(tmp_path / "own.csv"),
        "networks": {"mobilenetv2_100": "Net"},
    }
    sections = report_of(tmp_path, study)
    table = sections["The published rows (Own) and ours"]
    headings, _, row = [cells(line) for line in table.splitlines() if line.startswith("|")]
    assert headings == [
        "Sub.", "Architecture", "Plan",
        *(
            heading
            for over in ("found", "all")
            for heading in (
                f"RAF, {over} paper", "interval paper", "k/n paper",
                f"RAF, {over} ours", "interval ours", "k/n ours", "Seeds ours",
            )
        ),
    ]  # fmt: skip
    assert row[3:6:2] == ["40.0", "40/100"] and row[10:13:2] == ["50.0", "50/100"], "published over both"
    plans = sections["mobilenetv2_100, settings 01234567"]
    assert "| RAF paper |" in plans and "| fer28 | 40.0 |" in plans and "RAF: rafdb/test, found faces" in plans


def test_networks_without_published_numbers_have_no_column(tmp_path):
    study = OWN | {"networks": {"bvlc_alexnet": "AlexNet"}, "claims": [{"says": "x", "pairs": [["fer28", "emotiw"]]}]}
    assert all("AlexNet" not in section for section in report_of(tmp_path, study).values())
