"""What a report has no number for, and why: damaged files, stages that failed or are not finished, rows that never ran.

Ensembles too, and means over folds, where they lack something; and rows of the store that are of other data sets.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

from fer_transfer.config import config_words, override
from fer_transfer.errors import StoreError
from fer_transfer.files.checked import checked_digest
from fer_transfer.stages.lineage import StageLineage
from fer_transfer.stages.record import Record
from fer_transfer.stages.store import Store
from fer_transfer.stages.work import unfinished
from fer_transfer.study import Study
from fer_transfer.upkeep.contents import Kept, is_key, read_stage
from fer_transfer.upkeep.works import failures, key_of

Kind = Literal["damaged", "failed", "unfinished", "ensemble", "folds", "elsewhere", "not run"]
_KINDS: tuple[Kind, ...] = get_args(Kind)

_STATES = {
    True: "a job trains it now",
    False: "it was stopped; the same fer-train command goes on with it",
    None: "a job of another host trains it, or did; the same fer-train command goes on with it",
}


@dataclass(frozen=True)
class Missing:
    """One thing that is not there.

    Attributes:
        kind: of it.
        what: it is: a record, predictions, a stage, an ensemble, a plan of folds, a row, the rows of a plan.
        why: one line, with the path where there is one, and what to do.
    """

    kind: Kind
    what: str
    why: str


def missing_lines(missing: Sequence[Missing], study: str) -> list[str]:
    """For a reader: the first three of each kind with what to do, and how many more; of rows that never ran also the command.

    >>> few = [Missing("damaged", f"record {n}", "Delete it.") for n in range(5)]
    >>> missing_lines([*few, Missing("not run", "fer28, alexnet", "...")], "own")
    ['damaged, 5: record 0: Delete it.', 'damaged: record 1: Delete it.', 'damaged: record 2: Delete it.',
     'damaged: and 2 more: missing.csv', 'not run, 1 of the grid: fer28, alexnet. This runs them:',
     '  fer-train -m study=own']
    """
    lines = []
    for kind in _KINDS:
        of = [one for one in missing if one.kind == kind]
        if kind == "not run" and of:
            names = "; ".join(one.what for one in of[:3]) + (f"; and {len(of) - 3} more" if len(of) > 3 else "")
            lines.append(f"not run, {len(of)} of the grid: {names}. This runs them:")
            lines.append(f"  {_command('-m', override('study', study))}")
            continue
        told = [f"{kind}: {one.what}: {one.why}" for one in of[:3]]
        lines += [
            line.replace(kind, f"{kind}, {len(of)}", 1) if len(of) > 1 and not n else line
            for n, line in enumerate(told)
        ]
        lines += [f"{kind}: and {len(of) - 3} more: missing.csv"] if len(of) > 3 else []
    return lines


def stages_of(store: Store, records: Iterable[Record], missing: list[Missing]) -> dict[str, Kept]:
    """The finished stages of some rows, by key, as far as they can be read; the others are added to what is missing.

    Weights are not read: no number needs them (``fer-store verify`` reads everything).
    """
    own = {stage.key: stage for record in records for stage in record.own_stages}
    stages = {}
    for key, stage in own.items():
        try:
            stages[key] = _stage(store, stage)
        except StoreError as error:
            missing.append(Missing("damaged", f"stage {stage.name} ({key[:8]})", f"{error} Scores stand without it."))
    return stages


def _stage(store: Store, stage: StageLineage) -> Kept:
    """A stage whose result and metrics are those that it wrote.

    Raises:
        StoreError: if they are not, or there are none.
    """
    folder = store.stage(stage.key)
    kept = read_stage(folder) if is_key(stage.key) else None
    if kept is None:
        raise StoreError(f"Expected a finished stage in {folder.path}, but there is none. fer-train trains it again.")
    try:
        is_whole = checked_digest(folder.metrics) == kept.files.get(folder.metrics.name)
    except OSError as error:
        raise StoreError(
            f"Expected {folder.metrics}, but got: {error.strerror}. Add repair=true to fer-train."
        ) from None
    if not is_whole:
        raise StoreError(
            f"Expected in {folder.metrics} what the stage wrote, but it was changed. Add repair=true to fer-train."
        )
    return kept


def stages_not_finished(store: Store) -> Iterator[Missing]:
    """Stages that failed when they were tried last, and those that are or were being trained."""
    failed = {}
    for path, content in failures(store).items():
        key = path.name.partition(".")[0]
        if not (store.stage(key).path / "result.json").exists():
            failed[key] = _failed(key, content, str(path))
    yield from failed.values()
    for key, state in {key_of(work): work.is_living for work in unfinished(store)}.items():
        if key not in failed and not (store.stage(key).path / "result.json").exists():
            yield Missing("unfinished", f"stage {key[:8]}", f"{_STATES[state]} ({store.work}).")


def _failed(key: str, content: Mapping[str, object], path: str) -> Missing:
    error = str(content.get("error") or "the reason cannot be read")
    what = f"stage {content.get('stage', '')} ({key[:8]})"
    return Missing(
        "failed", what, f"{' '.join(error.split())} (kept in {path}). Add retry=true to fer-train to try again."
    )


def rows_not_run(study: Study, run: Iterable[tuple[str, str]]) -> Iterator[Missing]:
    """Rows of the study's grid that have no record.

    Args:
        study: with the grid.
        run: backbone and plan of the rows that have one.
    """
    done = set(run)
    backbones = study.grid.get("backbone") or list(dict.fromkeys(backbone for backbone, _ in done)) or [""]
    for backbone, plan in product(backbones, study.plans):
        if (backbone, plan) not in done:
            words = ("study", study.name), ("backbone", backbone), ("plan", plan)
            command = _command(*(override(key, value) for key, value in words if value))
            yield Missing("not run", ", ".join(filter(None, [plan, backbone])), f"{command} runs it.")


def _command(*words: str) -> str:
    return shlex.join(["fer-train", *config_words(), *words])
