"""What a sweep will do: every row checked, every distinct stage found, before anything is launched."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from fer_transfer.backbones.backbone import Backbone
from fer_transfer.config import plain, text_given, typed
from fer_transfer.errors import ConfigError, FerTransferError
from fer_transfer.faces.faces import Faces
from fer_transfer.stages.build import check, data_of
from fer_transfer.stages.inputs import open_inputs
from fer_transfer.stages.jobs import Job, jobs_of
from fer_transfer.stages.plan import Plan, plan_from
from fer_transfer.stages.runner import Runner
from fer_transfer.stages.runtime import Runtime
from fer_transfer.stages.store import store_to_train
from fer_transfer.study import Study, study_from
from fer_transfer.sweeps.graph import PlannedRow
from fer_transfer.sweeps.rows import Row
from fer_transfer.training.recipe import Recipe


class Planner:
    """Plans rows against one store; what several have in common is opened, described and checked once.

    Args:
        settings: of any row; they have their runtime in common.

    Attributes:
        said: what there is to say about the rows, each line once.
        missing: keys of the stages that are not in the store.

    Raises:
        ConfigError: if the runtime is wrong.
        StoreError: if the store cannot be read.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.runtime = typed(Runtime, settings["runtime"], "The runtime")
        store_to_train(self.runtime.store)  # one that cannot be used is told once, not by every row
        self.said: dict[str, None] = {}
        self.missing: set[str] = set()
        self.repair, self.retry = bool(settings["repair"]), bool(settings["retry"])
        self._runner: Runner | None = None
        self._studies: dict[str, Study] = {}
        self._faces: dict[str, dict[str, Faces]] = {}
        self._backbones: dict[str, Backbone] = {}
        self._checked: set[str] = set()
        self._counts: dict[str, int] = {}

    def planned(self, row: Row) -> PlannedRow:
        """A row, checked.

        Raises:
            ConfigError, FacesError, WeightsError, StoreError: whatever is wrong with it.
        """
        settings = row.settings
        if settings["runtime"]["store"] != self.runtime.store:
            raise ConfigError(
                f"Expected one store for all rows of a sweep, but got runtime.store={settings['runtime']['store']} and "
                f"{self.runtime.store}. Sweep them one after the other; fer-store merge brings stores together."
            )
        study, plan = self._study(settings["study"]), plan_from(settings)
        submission, note = (text_given(settings, key) for key in ("submission", "note"))
        faces = self._inputs(plan, study, settings["runtime"])
        runner = self._runner = self._runner or Runner(self.runtime, study, repair=self.repair, retry=self.retry)
        jobs = jobs_of(plan, faces, runner.store, study, note, self._backbones)
        missing = runner.missing(jobs)
        for job in missing:
            self._check(job, faces)
        self.missing |= {job.key for job in missing}
        return PlannedRow(row, plan, jobs, faces, study, submission, note)

    @property
    def runner(self) -> Runner:
        """Of the store; there is one as soon as a row is planned."""
        assert self._runner is not None
        return self._runner

    def faces_of(self, job: Job, faces: Mapping[str, Faces]) -> int:
        """How many faces an epoch of a stage sees."""
        recipe = job.stage.recipe
        name = _text(
            [recipe.data, recipe.labelling, recipe.selection, recipe.at_most, [used.digest for used in job.own.faces]]
        )
        if name not in self._counts:
            self._counts[name] = len(data_of(job, faces).train_set)
        return self._counts[name]

    def _study(self, given: Mapping[str, Any]) -> Study:
        name = _text(given)
        if name not in self._studies:
            self._studies[name] = study_from(plain(given))
        return self._studies[name]

    def _inputs(self, plan: Plan, study: Study, runtime: Mapping[str, Any]) -> dict[str, Faces]:
        words = [sorted(stage.recipe.words) for stage in plan.stages]
        name = _text([words, runtime["faces"], study.name])
        if name not in self._faces:
            faces = {key: str(value) for key, value in runtime["faces"].items()}
            own = typed(Runtime, {**asdict(self.runtime), "faces": faces}, "The runtime")
            self._faces[name] = open_inputs(plan, own, study, lambda text: self.said.setdefault(text))
        return self._faces[name]

    def _check(self, job: Job, faces: Mapping[str, Faces]) -> None:
        """What is built depends neither on the seed nor on how long it is trained."""
        parent = job.parent.stage.recipe.backbone if job.parent else None
        name = _text([_of_network(job.stage.recipe), parent, [used.digest for used in job.own.faces]])
        if name not in self._checked:
            check(job, faces, self.runtime)
            self.said.update(dict.fromkeys(f"  {note}" for note in job.backbone.notes))
            self._checked.add(name)


def plan_rows(planner: Planner, rows: Sequence[Row]) -> tuple[list[PlannedRow], dict[str, str]]:
    """The rows that can be run, and what is wrong with the others, by their names."""
    planned, failed = [], {}
    for row in rows:
        try:
            planned.append(planner.planned(row))
        except FerTransferError as error:
            failed[row.name] = str(error)
    return planned, failed


def _of_network(recipe: Recipe) -> dict[str, Any]:
    return {key: value for key, value in vars(recipe).items() if key not in ("seed", "epochs")}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=lambda of: vars(of) if is_dataclass(of) else str(of))
