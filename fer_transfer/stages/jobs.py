"""The stages of a plan with what names them: key, folder, what they start from, lineage."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from fer_transfer.backbones.backbone import Backbone, describe
from fer_transfer.faces.faces import Faces
from fer_transfer.stages.inputs import check_held_out, check_labels, check_protected, faces_used
from fer_transfer.stages.key import recipe_of_weights, stage_key
from fer_transfer.stages.lineage import Lineage, StageLineage, classes_of, lineage_from_json
from fer_transfer.stages.plan import Plan, Stage
from fer_transfer.stages.runtime import Runtime
from fer_transfer.stages.store import StageFolder, Store
from fer_transfer.stages.teachers import TeacherStage, check_teachers, teachers_called
from fer_transfer.study import Study
from fer_transfer.training.recipe import check_targets


@dataclass(frozen=True)
class Job:
    """A stage and what names it.

    Attributes:
        stage: as planned.
        backbone: what its recipe's backbone comes to; stages with the same one share it.
        parent: the job it starts from; None: the backbone's initial weights.
        own: this stage of the lineage, as planned.
        folder: in the store.
        teachers: finished stages that it learns from.
    """

    stage: Stage
    backbone: Backbone
    parent: "Job | None"
    own: StageLineage
    folder: StageFolder
    teachers: tuple[TeacherStage, ...] = ()

    @property
    def key(self) -> str:
        """Of the stage."""
        return self.own.key

    @property
    def classes(self) -> tuple[str, ...]:
        """The label set of its faces, and of its head."""
        return self.own.classes

    @cached_property
    def lineage(self) -> Lineage:
        """Back to the initial weights; of what a stage found in the store started from, as the store has it.

        Notes are no part of a key: what a stage was trained under stays with it.

        Raises:
            StoreError: if the lineage of a stage in the store, or of initial weights that a stage left, is damaged.
        """
        result = self.folder.result()
        if result is not None:
            return lineage_from_json(result.get("lineage"), self.folder.path / "result.json")
        return self.before.then(self.own)

    def notes(self, runtime: Runtime) -> tuple[str, ...]:
        """What is to be said before it is trained: of its weights, a head that is not the one before, and its precision here."""
        stages = self.before.stages
        of_head = self.own.head_after(stages[-1]) if stages else ""
        return (*self.backbone.notes, *filter(None, [of_head]), *runtime.notes(self.stage.recipe.precision))

    @property
    def other_classes_before(self) -> tuple[str, ...] | None:
        """The label set of the stage that it starts from, in this plan or as a file, where that is another; else None."""
        stages = self.before.stages
        return stages[-1].classes if stages and stages[-1].classes != self.classes else None

    @property
    def before(self) -> Lineage:
        """Of what the stage starts from."""
        if self.parent is not None:
            return self.parent.lineage
        if self.backbone.lineage is not None:
            inherited = lineage_from_json(self.backbone.lineage, self.backbone.recipe.weights)
            said = [
                text for text in (inherited.pretraining, self.backbone.caveat) if text
            ]  # the latter: if it was taken in part
            return replace(inherited, pretraining="; ".join(said) or None)
        return Lineage(self.backbone.weights_text, self.backbone.caveat)


def jobs_of(
    plan: Plan,
    faces: Mapping[str, Faces],
    store: Store,
    study: Study,
    note: str | None = None,
    backbones: dict[str, Backbone] | None = None,
) -> tuple[Job, ...]:
    """The jobs of a plan, parents first.

    Args:
        plan: as ``plan_from`` reads it.
        faces: by the words of its recipes.
        store: where finished stages are.
        study: whose protected splits no stage may train on.
        note: a caveat that stays with every stage trained under it.
        backbones: those described before, by their recipe; new ones are added, so that several plans share them.

    Raises:
        ConfigError: if a target of a recipe does not fit, a stage trains on a protected split or learns from what did, or a
            backbone cannot be described.
        WeightsError: if initial weights are missing or damaged.
        StoreError: if teachers are not there, or damaged.
    """
    backbones = {} if backbones is None else backbones
    jobs: dict[str, Job] = {}
    for stage in plan.stages:
        check_targets(stage.recipe, stage.name)
        name = json.dumps(vars(stage.recipe.backbone), sort_keys=True, default=str)
        if name not in backbones:
            backbones[name] = describe(stage.recipe.backbone)
        used = faces_used(stage.recipe, faces)
        check_labels(stage.name, stage.recipe, used)
        check_protected(stage.name, used, faces, study)
        parent = jobs[stage.init_from] if stage.init_from else None
        start = parent.key if parent else backbones[name].identity
        teachers = teachers_called(stage.recipe.distillation.teacher, store)
        check_teachers(stage.name, classes_of(used), teachers, faces, study)
        recipe = recipe_of_weights(stage.recipe, backbones[name].record(), [teacher.key for teacher in teachers])
        key, taught_by = stage_key(recipe, start, used), tuple(teacher.lineage for teacher in teachers)
        own = StageLineage(stage.name, key, start, recipe, used, note, taught_by)
        job = jobs[stage.name] = Job(stage, backbones[name], parent, own, store.stage(own.key), teachers)
        if stage.recipe.selection.share:
            for before in (job.before, *taught_by):
                check_held_out(stage.name, used, before)
    return tuple(jobs.values())
