"""Lays out a project of wandb: a workspace with the paper's table, curves, matrices and coordinates, and a report of the same.

Which runs and columns there are is what ``rows`` and ``wandb_outlet`` write. Both are made without a server; ``save`` needs one.
"""

import wandb
import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

from fer_transfer.reports.markdown import to_markdown
from fer_transfer.reports.report import Report
from fer_transfer.reports.tables import all_tables
from fer_transfer.study import Study
from fer_transfer.tracking.rows import column_name
from fer_transfer.tracking.runs import ROW, STAGE

_CURVES = ("selection/accuracy", "selection/macro_recall", "train/accuracy", "train/loss", "selection/loss", "lr")
_TIMEOUT = 20  # seconds for the server to answer


def workspace(report: Report, entity: str, project: str) -> ws.Workspace:
    """The project's page: beside its run table, whose columns are the paper's, the sections below.

    Args:
        report: of the store whose runs are in the project.
        entity: of wandb's.
        project: of wandb's.
    """
    study = report.study
    return ws.Workspace(
        entity=entity,
        project=project,
        name=_title(study),
        sections=[
            ws.Section("The paper's table beside ours", panels=_table_panels(report), is_open=True),
            ws.Section("Curves by stage", panels=_curves(), is_open=True),
            ws.Section("Confusion matrices and faces", panels=_matrices(study), is_open=True),
            ws.Section("Plan, network, seed", panels=[_coordinates(study)], is_open=True),
        ],
        settings=ws.WorkspaceSettings(x_axis="epoch", max_runs=100),
        runset_settings=ws.RunsetSettings(pinned_columns=_columns(study)),
    )


def wandb_report(report: Report, entity: str, project: str) -> wr.Report:
    """The same as a report of wandb's, to be read: the tables of the store as they are, then the project's own panels.

    Args:
        report: of the store whose runs are in the project.
        entity: of wandb's.
        project: of wandb's.
    """
    study = report.study
    rows = wr.Runset(name="Rows", filters=f"Config('kind') = '{ROW}'", pinned_columns=_columns(study))
    stages = wr.Runset(name="Stages", filters=f"Config('kind') = '{STAGE}'")
    return wr.Report(
        project=project,
        entity=entity,
        title=_title(study),
        description="; ".join(report.caveats),
        blocks=[
            wr.MarkdownBlock(to_markdown(all_tables(report))),
            wr.H1("The rows"),
            wr.PanelGrid(runsets=[rows], panels=[_bars(study)]),
            wr.H1("The stages"),
            wr.PanelGrid(runsets=[stages], panels=[*_curves(), *_matrices(study), _coordinates(study)]),
        ],
        width="fluid",
    )


def save(report: Report, project: str, entity: str | None = None) -> list[str]:
    """Save both at wandb's server; returns their addresses.

    Args:
        report: of the store whose runs are in the project.
        project: of wandb's.
        entity: of wandb's; None: the one that is logged in.
    """
    entity = entity or str(wandb.Api(timeout=_TIMEOUT).default_entity)
    page, text = workspace(report, entity, project), wandb_report(report, entity, project)
    page.save()
    text.save()
    return [page.url, text.url]


def _title(study: Study) -> str:
    """As much of the study's title as a report's may have, without what wandb refuses in a name."""
    return study.title.encode("ascii", "replace").decode()[:100]


def _columns(study: Study) -> list[str]:
    """The run table's: of each column of the study the published number, ours, and its interval."""
    shown = ["config:plan.value", "config:backbone.value", "config:seeds.value"]
    for column in study.reported:
        name = column_name(column, study)
        published = ["published"] if column.published else []
        shown += [f"summary:{name}/{part}" for part in (*published, "ours", "low", "high")]
    return shown


def _table_panels(report: Report) -> list[wr.MarkdownPanel | wr.BarPlot]:
    return [
        wr.MarkdownPanel(markdown=to_markdown(all_tables(report)), layout=wr.Layout(w=24, h=16)),
        _bars(report.study),
    ]


def _bars(study: Study) -> wr.BarPlot:
    name = column_name(study.first, study)
    parts = ["published", "ours"] if study.first.published else ["ours"]
    return wr.BarPlot(title=f"{name}, percent", metrics=[wr.SummaryMetric(f"{name}/{part}") for part in parts])


def _curves() -> list[wr.LinePlot]:
    return [wr.LinePlot(title=name, x="epoch", y=[name]) for name in _CURVES]


def _matrices(study: Study) -> list[wr.CustomChart | wr.WeavePanelSummaryTable]:
    """Of each split that the study reports: the matrix, and the faces the most surely wrong first."""
    panels: list[wr.CustomChart | wr.WeavePanelSummaryTable] = []
    for split in dict.fromkeys(column.split for column in study.reported):
        matrix = wr.CustomChart(
            query={"summaryTable": {"tableKey": f"confusion/{split}_table"}},
            chart_name="wandb/confusion_matrix/v1",
            chart_fields={name: name for name in ("Actual", "Predicted", "nPredictions")},
            chart_strings={"title": f"Confusion matrix, {split}"},
        )
        panels += [matrix, wr.WeavePanelSummaryTable(table_name=f"predictions/{split}")]
    return panels


def _coordinates(study: Study) -> wr.ParallelCoordinatesPlot:
    names = [wr.Config(name) for name in ("plan", "backbone", "seed")]
    scores = [wr.SummaryMetric(f"{study.first.split}/{name}") for name in ("accuracy", "macro_recall")]
    columns = [wr.ParallelCoordinatesPlotColumn(metric=metric) for metric in (*names, *scores)]
    return wr.ParallelCoordinatesPlot(title="Stages by plan, network and seed", columns=columns)
