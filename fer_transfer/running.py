"""A release prepared, a plan composed and run, from Python or by a command."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig

from fer_transfer.config import build, path_given, plain, text_given, typed, typed_words
from fer_transfer.errors import ConfigError
from fer_transfer.files.names import shown_text
from fer_transfer.labels import SEVEN, label_set_from
from fer_transfer.settings import compose
from fer_transfer.signals import check, stop_file
from fer_transfer.stages.plan import Plan, plan_from
from fer_transfer.study import study_from
from fer_transfer.training.recipe import check_targets

if TYPE_CHECKING:
    from fer_transfer.inference.row import Row
    from fer_transfer.stages.record import Record
    from fer_transfer.stages.runner import FinishedPlan


class Ran(NamedTuple):
    """A plan that has run, and its record; None where it was stopped at a stage (``stage=NAME``)."""

    finished: "FinishedPlan"
    record: "Record | None"


def prepare(overrides: Sequence[str] = ()) -> Path:
    """Make faces of a release as fer-prepare does: what is there already is not made again.

    Args:
        overrides: words of fer-prepare's command line, such as ``["release=frames", "release.path=photographs"]``.

    Returns:
        The folder of the faces.

    Raises:
        ConfigError: if a setting is wrong.
        ReleaseError, FacesError: if the release cannot be read, or other faces are there.
    """
    return run_preparation(compose("prepare", list(overrides)), shlex.join(["fer-prepare", *overrides]))


def run_preparation(config: DictConfig, again: str) -> Path:
    """Prepare a release, or a shard of it.

    Args:
        config: composed from ``conf/prepare.yaml``.
        again: the command that goes on with it, for whoever reads that it was stopped.

    Returns:
        The folder of the faces.
    """
    settings = plain(config)
    out, replace, workers = path_given(settings, "out"), settings["replace"], settings["workers"]
    beside = text_given(settings, "beside")
    if not isinstance(replace, bool):
        raise ConfigError(f"Expected replace to be true or false, but got {replace!r}.")
    if settings["shards"] is not None:
        raise ConfigError("shards=NUMBER starts a job for each shard and joins them: fer-prepare -m shards=NUMBER ...")
    # Imported here so that --help and mistakes in the configuration do not wait for numpy and OpenCV.
    from fer_transfer.faces.prepare import prepare, prepare_shard
    from fer_transfer.faces.shards import WHOLE, shard_from
    from fer_transfer.faces.source import in_colour

    shard = WHOLE if settings["shard"] is None else shard_from(settings["shard"])
    release = build("release", _release(settings))
    if settings["pipeline"].get("colour") is True and not in_colour(release):
        raise ConfigError(
            f"Expected a release of pictures for pipeline.colour=true, but {release.name} holds grey faces alone. Leave it out: "
            "grey faces are trained on together with faces in colour as they are."
        )
    if shard == WHOLE:
        prepare(release, out, workers=workers, beside=beside, replace=replace, again=again)
    else:
        prepare_shard(release, out, shard, workers=workers, replace=replace, again=again)
    return out


def _release(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The release with its label set; one of somebody's own need know none but the seven expressions."""
    labels = label_set_from(settings["labels"])
    release = dict(settings["release"])
    if str(release.get("aligned")).lower() == "true" and not _model_at_hand(release["pipeline"]):
        release["pipeline"] = _unsearching(release["pipeline"])
    return release if labels == SEVEN else {**release, "labels": labels}


def _model_at_hand(pipeline: Mapping[str, Any]) -> bool:
    """Whether there is a model for its landmarks; one that is named is, or is told to be wrong."""
    landmarker = pipeline.get("landmarker")
    if landmarker is None or landmarker.get("model", "its own") is not None:
        return True
    try:
        build("pipeline.landmarker", landmarker)
    except ConfigError:
        return False
    return True


def _unsearching(pipeline: Mapping[str, Any]) -> dict[str, Any]:
    """What cuts pictures that are faces already as a pipeline does, and needs no model: nothing is looked for in them."""
    box = plain(compose("prepare", ["release=frames", "release.path=.", "pipeline=box"]).pipeline)
    crop = {key: pipeline["crop"][key] for key in ("size", "stretch")}
    return {**box, "crop": {**box["crop"], **crop}, "colour": pipeline["colour"]}


def compose_plan(overrides: Sequence[str] = ()) -> Plan:
    """The plan that fer-train would run with these words on its command line: its stages and their recipes, checked.

    Args:
        overrides: such as ``["plan=fer28_emotiw", "backbone=resnet18", "recipe.epochs=5"]``.

    Raises:
        ConfigError: naming what there is not, and the nearest that there is.

    >>> [stage.name for stage in compose_plan(["plan=fer28_emotiw"]).stages]
    ['fer', 'emotiw']
    """
    plan = plan_from(compose("train", list(overrides)))
    for stage in plan.stages:
        check_targets(stage.recipe, stage.name)
    return plan


def train(overrides: Sequence[str] = ()) -> "Row":
    """Run a plan as fer-train does: what is in the store is not trained again.

    Args:
        overrides: words of fer-train's command line, but for ``-m`` and its own options.

    Returns:
        The row of the store, with all seeds that it has there.

    Raises:
        ConfigError, FacesError, WeightsError: before anything is trained.
        StoreError: if the store cannot be written, or a stage failed before.
    """
    from fer_transfer.inference.store import OpenStore

    config = compose("train", list(overrides))
    if config.stage is not None:
        raise ConfigError(
            f"Expected a whole plan, but got stage={config.stage}, after which there is no row. Leave it out."
        )
    ran = run(config)
    if ran is None or ran.record is None:
        raise ConfigError(
            "Expected one process, but this one follows another of torchrun's. Start Python without torchrun."
        )
    rows = OpenStore(config.runtime.store).rows()
    return next(row for row in rows if ran.record.row_id == row.records[0].row_id)


def advise(config: DictConfig) -> str:
    """Measure which settings train the plan's last stage fastest on this machine.

    Args:
        config: composed from ``conf/train.yaml``.

    Returns:
        What was measured and what to give; nothing is trained, and no faces are needed.
    """
    from fer_transfer.stages.runtime import Runtime

    stage = plan_from(config).last
    check_targets(stage.recipe, stage.name)
    from fer_transfer.stages.advice import advice_text
    from fer_transfer.stages.advice import advise as measured

    runtime = typed(Runtime, plain(config.runtime), "The runtime")
    return advice_text(measured(stage.recipe, runtime), stage.recipe.backbone.name, runtime.accelerator)


def run(config: DictConfig) -> Ran | None:
    """Train what is not in the store yet and write the plan's record.

    Args:
        config: composed from ``conf/train.yaml``.

    Returns:
        What was run; None in a process that follows another (``stages.together``).
    """
    study, plan = study_from(plain(config.study)), plan_from(config)
    note, submission = (text_given({key: plain(config[key])}, key) for key in ("note", "submission"))
    # Imported step by step: mistakes in the plan wait for nothing, most others not for torch.
    from fer_transfer.stages.early import look
    from fer_transfer.stages.runtime import Runtime

    runtime = typed(Runtime, plain(config.runtime), "The runtime")
    look(plan, runtime, study)
    from fer_transfer.stages.recording import write_record
    from fer_transfer.stages.runner import Runner
    from fer_transfer.stages.together import joined
    from fer_transfer.tracking.trackers import tracker_of

    quiet = runtime.progress == "none"
    tracker = tracker_of(plain(config.logger), study, quiet)
    with stop_file(runtime.stop_file), joined(runtime.accelerator) as together:
        runner = Runner(runtime, study, tracker, note, bool(config.repair), bool(config.retry), together)
        if not together.ranks.leads:
            runner.follow(plan)
            return None
        check()
        finished = runner.run_plan(plan, config.stage)
        record = write_record(runner.store, finished, submission, note, typed_words()) if config.stage is None else None
    if record is not None:
        tracker.rows(runner.store.root, [record])
        if not quiet:
            from fer_transfer.reports.ending import ending

            print(ending([record], {}, runner.store.root, study), flush=True)
    if (said := tracker.close()) and not quiet:
        print(shown_text(said), flush=True)
    return Ran(finished, record)
