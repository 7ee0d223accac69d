"""The dashboard as it would be saved: made and put into wandb's own JSON without a server."""

import json

import pytest
from fake_store import add_row

from fer_transfer.config import plain
from fer_transfer.reports.report import load_report
from fer_transfer.settings import compose
from fer_transfer.study import study_from
from fer_transfer.tracking.rows import row_runs

dashboard = pytest.importorskip("fer_transfer.tracking.dashboard", reason="needs the extra wandb")


@pytest.fixture
def report(tmp_path):
    for plan, seed in (("fer28", 0), ("fer28_emotiw", 0), ("fer28_emotiw", 1), ("a|<script>", 0)):
        add_row(tmp_path / "store", plan, 0.5, seed)
    return load_report(tmp_path / "store", study_from(plain(compose("report").study)), 0.95)


def spec(of):
    return of._to_model().model_dump_json(by_alias=True, exclude_none=True)


def test_the_run_table_has_the_papers_columns(report):
    text = spec(dashboard.workspace(report, "team", "project"))
    written = {
        f"summary:{name}"
        for run in row_runs(report.groups, report.published, report.study, 0.95)
        for name in run.summary
    }
    pinned = json.loads(text)["spec"]["section"]["runSets"][0]["runFeed"]["columnPinned"]
    assert {"summary:Val (found)/published", "summary:Val (found)/ours", "summary:Val (found)/low"} <= set(pinned)
    named = {name for name in pinned if name.startswith("summary:") and not name.endswith("/published")}
    assert named - written <= {"summary:Test/low", "summary:Test/high"}, "columns that no row run has"


def test_panels_name_what_stages_log(report):
    text = spec(dashboard.workspace(report, "team", "project"))
    for name in (
        "selection/accuracy",
        "confusion/emotiw/Val_table",
        "predictions/emotiw/Val",
        "plan",
        "backbone",
        "seed",
    ):
        assert name in text
    titles = [section["name"] for section in json.loads(text)["spec"]["section"]["panelBankConfig"]["sections"]]
    assert len(titles) == 4


def test_the_report_holds_the_tables_escaped(report):
    text = spec(dashboard.wandb_report(report, "team", "project"))
    assert "<script>" not in text and "&lt;script&gt;" in text
    assert "Config" not in json.loads(text)["displayName"] and "SYNTHETIC" in text
    assert text.count("panel-grid") == 2
