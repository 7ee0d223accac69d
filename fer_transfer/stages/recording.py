"""Writes the record of a plan that has run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fer_transfer.errors import StoreError
from fer_transfer.files.digest import digest
from fer_transfer.files.document import seal_of
from fer_transfer.files.names import shown_text
from fer_transfer.stages.inputs import prepared, scored_otherwise
from fer_transfer.stages.jobs import Job
from fer_transfer.stages.plan import Plan
from fer_transfer.stages.predict import scored_splits, written_digest
from fer_transfer.stages.record import Record, ScoredFaces, ScoredSplit, read_record
from fer_transfer.stages.runner import FinishedPlan
from fer_transfer.stages.store import Store, write_to_store
from fer_transfer.training.recipe import Recipe


def write_record(
    store: Store, finished: FinishedPlan, submission: str | None, note: str | None, command: str = ""
) -> Record:
    """Write ``store/submissions/<identity>.json``, joined with what is there of the same row, and return it.

    Args:
        store: where.
        finished: the plan that has run.
        submission: the row of the study's table that was asked for, or None.
        note: the user's caveat, or None.
        command: as it was typed for this row alone, or "".

    Raises:
        StoreError: if it cannot be written; where the one that is there lacks no more than what older versions did not keep,
            it stays, with a warning.
    """
    record = _record_of(store, finished, submission, note, command)
    path = store.submissions / f"{record.identity}.json"
    before = _record_before(path)
    if before:
        record = record.joined(before)
        if _same(record, before):
            return record  # a finished row of a store that cannot be written is no error
    what = f"the record of {record.plan} ({record.backbone}, seed {record.seed}) to {path}"
    try:
        write_to_store(path, record.to_json(), what)
    except StoreError as error:
        if not before or not _same(record.without_additions(), before.without_additions()):
            raise
        print(shown_text(f"warning: {error} What is there stays: its numbers are the same."), flush=True)
    return record


def _record_before(path: Path) -> Record | None:
    try:
        return read_record(path) if path.exists() else None
    except StoreError as error:
        print(shown_text(f"warning: {error} It is written anew."), flush=True)
        return None


def _same(one: Record, other: Record) -> bool:
    return seal_of(one.to_json()) == seal_of(other.to_json())


def row_id(plan: Plan, jobs: Sequence[Job]) -> str:
    """Identity of the row that the jobs of a plan make, seeds apart."""
    last = jobs[-1]
    return digest([plan.name, last.lineage.seedless(len(jobs)), last.stage.recipe.evaluation])


def _record_of(store: Store, finished: FinishedPlan, submission: str | None, note: str | None, command: str) -> Record:
    jobs, last = finished.jobs, finished.jobs[-1]
    results = [job.folder.result() or {} for job in jobs]
    evaluation = last.stage.recipe.evaluation
    recipes = {job.stage.name: job.stage.recipe for job in jobs}
    seen = last.own.faces if last.stage.recipe.sees == "pixels" else ()  # geometry has no colour
    return Record(
        submission=submission,
        plan=finished.plan.name,
        backbone=last.stage.recipe.backbone.name,
        evaluation=evaluation,
        seeds=tuple(job.own.seed for job in jobs),
        settings_ids=(digest([finished.plan.common, jobs[0].own.start, evaluation]),),
        row_id=row_id(finished.plan, jobs),
        lineage=last.lineage,
        settings=_settings(recipes) | {"weights": jobs[0].backbone.weights_text, "input": results[-1].get("input")},
        stages=tuple(
            {
                "name": job.stage.name,
                "key": job.key,
                "epochs": job.stage.recipe.epochs,
                "seconds": result.get("seconds"),
            }
            for job, result in zip(jobs, results, strict=True)
        ),
        faces={
            of.digest: ScoredFaces(
                prepared(of),
                (*of.caveats, *scored_otherwise(of, seen, finished.faces.values())),
                of.preparation,
                of.counts,
                of.pipeline,
            )
            for of in finished.faces.values()
        },
        predictions=tuple(
            ScoredSplit(
                of.faces.digest, of.split, of.path.relative_to(store.root).as_posix(), written_digest(of, last) or ""
            )
            for of in scored_splits(last, finished.faces)
        ),
        notes=(note,) if note else (),
        environment={**results[-1].get("environment", {}), **({"command": command} if command else {})},
    )


def _settings(recipes: Mapping[str, Recipe]) -> dict[str, Any]:
    """Flat and printable; a value in which stages differ is given by stage."""
    flat = {name: dict(_flatten(_printable(recipe))) for name, recipe in recipes.items()}
    keys = dict.fromkeys(key for values in flat.values() for key in values)
    settings = {}
    for key in keys:
        values = {name: of_stage.get(key) for name, of_stage in flat.items()}
        distinct = {str(v) for v in values.values()}
        settings[key] = (
            next(iter(values.values())) if len(distinct) == 1 else ", ".join(f"{n}: {v}" for n, v in values.items())
        )
    return settings


def _printable(recipe: Recipe) -> dict[str, Any]:
    content = asdict(recipe)
    for dropped in ("seed", "data"):
        content.pop(dropped)
    content["backbone"].pop("weights")
    return content


def _flatten(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    items: list[tuple[str, Any]] = []
    for key, value in content.items():
        name = f"{prefix}{key}"
        items += _flatten(value, f"{name}.") if isinstance(value, Mapping) and value else [(name, value)]
    return items
