"""Writes what a store has finished: the rows of some records with all their seeds, or every stage and row."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fer_transfer.config import typed
from fer_transfer.files.document import read_document
from fer_transfer.published import Published
from fer_transfer.reports.ensembles import with_ensembles
from fer_transfer.reports.results import load_groups
from fer_transfer.stages.record import Record
from fer_transfer.study import Study
from fer_transfer.tracking.process import Outlet
from fer_transfer.tracking.rows import is_of, row_runs
from fer_transfer.tracking.runs import Run, group_name, stage_run
from fer_transfer.upkeep.contents import Contents, Kept, open_store
from fer_transfer.upkeep.contents import contents as contents_of


def read_study(message: Mapping[str, Any]) -> tuple[Study, list[Published]]:
    """A study and its published rows, as they were told: its files may be where this process does not look."""
    published = [
        Published(**{**row, "numbers": {name: tuple(of) for name, of in row["numbers"].items()}})
        for row in message["published"]
    ]
    return typed(Study, message["study"], "The study"), published


def write(
    outlet: Outlet,
    store: Path,
    study: Study,
    published: Sequence[Published],
    identities: Collection[str] | None,
    faces: Mapping[str, str],
    level: float,
) -> None:
    """Write runs.

    Args:
        outlet: to write to.
        store: what it has finished.
        study: whose rows these are.
        published: its published rows.
        identities: of records, whose rows are written; None: all with ensembles, and before them all stages, parents first.
        faces: folders of faces that may be shown, by digest.
        level: of the rows' intervals, 0..1.

    Raises:
        StoreError: if something of it is damaged.
    """
    if identities is None:
        contents = contents_of(open_store(store))
        for stage in _parents_first(contents.stages):
            outlet.start(_stage(stage, contents), store, faces)
            outlet.finish(stage.folder)
    groups, missing = load_groups(store)  # what is missing is the report's to tell
    groups = with_ensembles(groups, study, store, missing) if identities is None else groups
    for group in groups:
        chosen = {row.plan for row in group.rows if identities is None or row.record.identity in identities}
        of_rows = replace(group, rows=tuple(row for row in group.rows if row.plan in chosen))
        for run in row_runs([of_rows], published, study, level):
            outlet.start(run if is_of(run, store) else replace(run, uses=()), store)
            outlet.end()


def _parents_first(stages: Mapping[str, Kept]) -> list[Kept]:
    return sorted(stages.values(), key=lambda stage: (len(stage.lineage.stages), stage.key))


def _stage(stage: Kept, contents: Contents) -> Run:
    """As it was when it was trained, under the first of its rows."""
    records = [contents.records[identity] for identity in contents.rows_of.get(stage.key, ())]
    own = [record for record in records if stage.key in {of.get("key") for of in record.stages}]
    plan, group = _named(own[0]) if own else (stage.own.name, "no row")
    recipe = {
        k: v for k, v in read_document(stage.folder.path / "recipe.json").items() if k not in ("start", "teachers")
    }
    init_from = stage.lineage.stages[-2].name if stage.parent else None
    return stage_run(plan, group, init_from, stage.lineage, recipe)


def _named(record: Record) -> tuple[str, str]:
    return record.plan, group_name(record.plan, record.backbone, record.row_id)
