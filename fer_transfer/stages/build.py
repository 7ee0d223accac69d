"""What a stage is trained with, made from its recipe: data, transform, module; and the check that all of it can be made."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from fer_transfer.backbones.batch_norm import BATCH_NORMS, unfold
from fer_transfer.backbones.networks import sees
from fer_transfer.backbones.weights import load_into, open_weights, without_prefix
from fer_transfer.config import build
from fer_transfer.data.augment import BatchTransform
from fer_transfer.data.datamodules import FacesDataModule
from fer_transfer.errors import ConfigError
from fer_transfer.faces.faces import Faces
from fer_transfer.stages.heads import fill_shared, skipped_head
from fer_transfer.stages.inputs import selected_on
from fer_transfer.stages.jobs import Job
from fer_transfer.stages.runtime import Runtime
from fer_transfer.stages.trained import trained
from fer_transfer.training.loss import TrainingLoss, loss_of
from fer_transfer.training.module import ExpressionClassifier
from fer_transfer.training.optim import freeze
from fer_transfer.training.recipe import Recipe
from fer_transfer.training.teacher import Member, Teacher


def data_of(job: Job, faces: Mapping[str, Faces]) -> FacesDataModule:
    """The DataModule of a stage.

    Raises:
        FacesError: if a split is unknown, votes are missing, or nothing is left to train on.
    """
    recipe, sampling = job.stage.recipe, job.stage.recipe.imbalance.sampling
    module: FacesDataModule = build(
        f"{job.stage.name}.data",
        {**recipe.data, "selection": selected_on(recipe, faces)},
        labelling=recipe.labelling,
        faces={word: of.few(recipe.at_most) for word, of in faces.items()},
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        # a DataModule of one's own need not know these
        **({"sampling": sampling} if sampling != "all" else {}),
        **({"sees": recipe.sees} if recipe.sees != "pixels" else {}),
    )
    return module


def transform_of(job: Job, runtime: Runtime) -> BatchTransform:
    """The batch transform of a stage, with the preprocessing of its weights."""
    transform: BatchTransform = build(
        f"{job.stage.name}.augment",
        job.stage.recipe.augment,
        preprocessing=job.backbone.preprocessing,
        channels_last=runtime.channels_last,
    )
    return transform


def module_to_train(job: Job, data: FacesDataModule, runtime: Runtime) -> tuple[ExpressionClassifier, dict[str, Any]]:
    """The module of a stage, filled from its parent or its initial weights, and what was taken from them."""
    recipe, transform = job.stage.recipe, transform_of(job, runtime)
    network, tensors = _initial(job)
    taken: dict[str, Any] = {"from": job.own.start}
    if job.parent is not None:
        weights = job.parent.folder.weights
        tensors = open_weights(weights).tensors
        loaded = load_into(network, tensors, _skipped(job), str(weights))
        taken |= {"tensors": len(loaded.taken), "skipped": loaded.skipped}
    elif recipe.batch_norm == "unfold":
        taken["unfolded"] = unfold(network, transform(_sample(data), random=False))
    if shared := fill_shared(job, network, tensors):
        taken["head"] = shared
    freeze(network, recipe.frozen)
    loss, teacher = loss_of(recipe, data.train_set.targets, len(job.classes)), teacher_of(job, transform)
    return _module(job, network, transform, runtime, loss, teacher), taken


def teacher_of(job: Job, transform: BatchTransform) -> Teacher | None:
    """What a stage learns from beside the labels.

    Args:
        job: the stage.
        transform: its own, whose batches the teacher sees.

    Raises:
        WeightsError: if a teacher's weights are damaged.
        ConfigError: if a teacher sees something else, or other channels.
    """
    if not job.teachers:
        return None
    members = [trained(teacher.folder.weights) for teacher in job.teachers]
    for of, teacher in zip(members, job.teachers, strict=True):
        if of.transform.sees != transform.sees:
            raise ConfigError(
                f"Expected teachers of stage {job.stage.name!r} that see {transform.sees}, as it does, but {teacher.key} sees "
                f"{of.transform.sees}. Name another in recipe.distillation.teacher."
            )
    return Teacher(
        [Member(of.network, of.transform) for of in members], transform, job.stage.recipe.distillation.temperature
    )


def finished_module(job: Job, runtime: Runtime) -> ExpressionClassifier:
    """The module of a stage that is in the store, with its weights."""
    network = job.backbone.network(load=False, classes=len(job.classes))
    load_into(network, open_weights(job.folder.weights).tensors, source=str(job.folder.weights))
    return _module(job, network, transform_of(job, runtime), runtime)


def _module(
    job: Job,
    network: torch.nn.Module,
    transform: BatchTransform,
    runtime: Runtime,
    loss: TrainingLoss | None = None,
    teacher: Teacher | None = None,
) -> ExpressionClassifier:
    if runtime.channels_last:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return ExpressionClassifier(network, transform, job.stage.recipe, list(job.backbone.head), loss, teacher)


def check(job: Job, faces: Mapping[str, Faces], runtime: Runtime, processes: int = 1) -> None:
    """Find out before the first epoch what would fail: splits, labels, weights, names, crop, optimiser.

    Raises:
        ConfigError, FacesError, WeightsError: whichever it is.
    """
    recipe = job.stage.recipe
    check_precision(recipe, runtime)
    data = data_of(job, faces)
    network, _ = _initial(job)
    if job.parent is not None:
        parent = job.parent.backbone.network(load=False, classes=len(job.parent.classes)).state_dict()
        load_into(network, parent, _skipped(job), f"stage {job.parent.stage.name!r}")
    freeze(network, recipe.frozen)
    transform = transform_of(job, runtime)
    _check_averaged(recipe, network)
    _check_seen(recipe, network)
    _check_input(recipe, network, transform, _sample(data, 1), "recipe.augment.crop,")
    if recipe.progressive.grows:
        smallest = transform.at(recipe.progressive.side(0, 2, transform.crop))
        _check_input(recipe, network, smallest, _sample(data, 1), "recipe.progressive.start, which makes it so small,")
    teacher_of(job, transform)
    module = ExpressionClassifier(network, transform, recipe, list(job.backbone.head))
    module.check_optimizer()
    if processes > 1:
        _check_shared(job, data, module, runtime, processes)


def check_precision(recipe: Recipe, runtime: Runtime) -> None:
    """Refuse half precision with scaled gradients where no GPU is."""
    if recipe.precision == "16-mixed" and runtime.accelerator == "cpu":
        raise ConfigError("Expected a GPU for recipe.precision=16-mixed. On a CPU use 32-true or bf16-mixed.")


def _check_input(
    recipe: Recipe, network: torch.nn.Module, transform: BatchTransform, faces: tuple[torch.Tensor, ...], setting: str
) -> None:
    """Let the network see a face of the size that it will see; ``setting`` is what to change otherwise."""
    try:
        with torch.no_grad():
            network.eval()(transform(faces, random=False))
    except (RuntimeError, AssertionError) as error:
        why = str(error).splitlines()[0].rstrip(" .")
        if recipe.sees != "pixels":
            raise ConfigError(f"The network {recipe.backbone.name} refuses {recipe.sees} of a face: {why}.") from None
        raise ConfigError(
            f"The network {recipe.backbone.name} refuses an input of {transform.crop} x {transform.crop}: "
            f"{why}. Change {setting} or build the network for it if it takes "
            f"img_size: recipe.backbone.kwargs.img_size={transform.crop}"
        ) from None


def _check_averaged(recipe: Recipe, network: torch.nn.Module) -> None:
    """Refuse an average of weights whose outputs are normalised with statistics that ``recipe.frozen`` holds."""
    trained = ""
    for name, layer in network.named_modules() if recipe.averaging.averages else ():
        own = list(layer.parameters(recurse=False))
        if own and any(parameter.requires_grad for parameter in own):
            trained = name
        elif own and trained and isinstance(layer, BATCH_NORMS):
            raise ConfigError(
                f"Expected no recipe.averaging where recipe.frozen holds the statistics of {name}, above {trained}, which is "
                "trained: nothing fits them to the average. Freeze all below too, or nothing of it, or give no averaging."
            )


def _check_seen(recipe: Recipe, network: torch.nn.Module) -> None:
    """Refuse batches of other than what the network looks at, and what can be done to pixels alone."""
    if sees(network) != recipe.sees:
        name, choice = recipe.backbone.name, "geometry" if sees(network) == "geometry" else "crop_mirror"
        raise ConfigError(
            f"The network {name} sees {sees(network)}, but recipe.augment ({recipe.augment['_target_']}) makes batches of "
            f"{recipe.sees}. Give augment={choice}; experiment=geometry sets all that a network that sees geometry wants."
        )
    changed = {
        "mixing": recipe.mixing.mixes,
        "distortion": recipe.distortion.distorts,
        "progressive": recipe.progressive.grows,
        "distillation": bool(recipe.distillation.teacher),
    }
    if recipe.sees != "pixels" and (wrong := [f"recipe.{name}" for name, is_on in changed.items() if is_on]):
        raise ConfigError(
            f"Expected no {' and no '.join(wrong)} for {recipe.backbone.name}, which sees {recipe.sees}: they are for pixels. "
            "Leave them out."
        )


def _check_shared(
    job: Job, data: FacesDataModule, module: ExpressionClassifier, runtime: Runtime, processes: int
) -> None:
    """Find out what processes cannot share."""
    faces = min(job.stage.recipe.batch_size, len(data.train_set))
    if faces < processes:
        raise ConfigError(
            f"Expected a face of every batch for each of {processes} processes, but those of stage {job.stage.name!r} have "
            f"{faces}. Start fewer processes."
        )
    if runtime.accelerator == "cpu" and module.trains_statistics:
        raise ConfigError(
            f"The batch normalisation of {job.stage.recipe.backbone.name} is trained, by the statistics of whole batches, and "
            "processes can share those on GPUs alone. On the processor train in one process, or with recipe.batch_norm=frozen."
        )


def _initial(job: Job) -> tuple[torch.nn.Module, Mapping[str, torch.Tensor]]:
    """The network with its initial weights, and what these are by its names; with none where a parent's weights follow."""
    load, other = job.parent is None, job.other_classes_before is not None
    network = job.backbone.network(load, len(job.classes), skip_head=load and other)
    given = job.backbone.tensors if load and other else {}
    return network, without_prefix(given, network.state_dict(), job.backbone.recipe.weights) if given else {}


def _skipped(job: Job) -> list[str]:
    """Patterns of names in which a child may differ from its parent."""
    return [*job.stage.recipe.skip_weights, *skipped_head(job)]


def _sample(data: FacesDataModule, count: int = 256) -> tuple[torch.Tensor, ...]:
    """Training faces evenly spread over the set."""
    indices = np.linspace(0, len(data.train_set) - 1, min(count, len(data.train_set))).astype(int)
    return data.train_set.__getitems__(indices.tolist()).pixels
