"""Predictions of a finished stage: of every split of evaluation at hand that its lineage was not trained on.

With those of its selection split comes the temperature that calibrates them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch

from fer_transfer.errors import StoreError
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.evaluation.temperature import fitted
from fer_transfer.faces.faces import Faces
from fer_transfer.files.digest import file_digest
from fer_transfer.files.document import DocumentError, read_document, write_document
from fer_transfer.stages.build import finished_module
from fer_transfer.stages.calibrated import read_temperature, write_temperature
from fer_transfer.stages.inputs import prepared
from fer_transfer.stages.jobs import Job
from fer_transfer.stages.runtime import Runtime
from fer_transfer.stages.store import StageFolder
from fer_transfer.training.module import ExpressionClassifier
from fer_transfer.training.recipe import Recipe


class Scored(NamedTuple):
    """A split to predict, and where its predictions go."""

    faces: Faces
    split: str
    path: Path


def scored_splits(job: Job, faces: Mapping[str, Faces], folder: StageFolder | None = None) -> list[Scored]:
    """Every split of evaluation, and share that is held out, that the lineage of a job was not trained on.

    Of faces of its label set that have what it sees, as far as its recipe goes (``at_most``); in another folder than its own
    while it trains.
    """
    recipe = job.stage.recipe
    return [
        Scored(
            of.few(recipe.at_most),
            split,
            (folder or job.folder).predictions(of.name, split, of.digest, recipe.evaluation),
        )
        for of in faces.values()
        if of.classes == job.classes and can_be_seen(of, recipe)
        for split in [*of.evaluation_splits, *_held_out(job, of)]
        if not job.lineage.trained_on(prepared(of), split)
    ]


def can_be_seen(faces: Faces, recipe: Recipe) -> bool:
    """Whether faces have what a stage looks at: not all have geometry."""
    return recipe.sees == "pixels" or faces.geometry_digest != ""


def _held_out(job: Job, faces: Faces) -> list[str]:
    selected = (split for used in job.own.faces if used.digest == faces.digest for split in used.selected_on)
    return [split for split in selected if split not in faces.split_names]


def written_digest(scored: Scored, job: Job) -> str | None:
    """SHA-256 of the predictions of a split as they were written; None where they are missing, changed, or of something else.

    Beside each CSV stands a document that says what it holds: a file exchanged for another stage's is noticed.
    """
    try:
        told = read_document(scored.path.with_suffix(".json"))
        found = file_digest([scored.path])
    except (OSError, DocumentError):
        return None
    return found if told == _told(scored, job, found) else None


def _told(scored: Scored, job: Job, sha256: str) -> dict[str, str]:
    evaluation, caveat = job.stage.recipe.evaluation, job.own.caveat
    told = {"key": job.key, "faces": scored.faces.digest, "split": scored.split, "by": evaluation, "csv": sha256}
    geometry = scored.faces.geometry_digest if job.stage.recipe.sees == "geometry" else ""
    return told | ({"caveat": caveat} if caveat else {}) | ({"geometry": geometry} if geometry else {})


def unpredicted(job: Job, faces: Mapping[str, Faces], folder: StageFolder | None = None) -> list[Scored]:
    """The splits whose predictions are not there as they were written."""
    return [scored for scored in scored_splits(job, faces, folder) if written_digest(scored, job) is None]


def predict(
    job: Job,
    faces: Mapping[str, Faces],
    runtime: Runtime,
    module: ExpressionClassifier | None = None,
    folder: StageFolder | None = None,
) -> None:
    """Write the predictions that are not there as they were written, and the temperature, if there is none.

    Args:
        job: a stage.
        faces: those at hand.
        runtime: where to compute.
        module: with the stage's weights; read from the store by default.
        folder: where the stage is while it trains.
    """
    device = runtime.torch_device
    # Another job that writes the same ones may come between a file and what is said of it: looked at again.
    for _ in range(3):
        if not (missing := unpredicted(job, faces, folder)):
            break
        module = (module or finished_module(job, runtime)).to(device).eval()
        for scored in missing:
            sha256 = _of_split(module, scored.faces, scored.split, device).write(scored.path)
            write_document(scored.path.with_suffix(".json"), _told(scored, job, sha256))
    _keep_temperature(job, scored_splits(job, faces, folder), (folder or job.folder).temperature)


def _keep_temperature(job: Job, splits: Sequence[Scored], where: Callable[[str], Path]) -> None:
    """Fit and write it, unless it is there. Where it cannot be written nothing is lost: whoever needs it fits the same."""
    selected = {(used.digest, split) for used in job.own.faces for split in used.selected_on}
    evaluation = job.stage.recipe.evaluation
    for scored in splits:
        sha256 = written_digest(scored, job)
        if sha256 is None or (scored.faces.digest, scored.split) not in selected:
            continue
        told = _told(scored, job, sha256)
        if read_temperature(where(evaluation), told) is not None:
            return
        with suppress(OSError, StoreError):
            found = Predictions.read(scored.path, sha256).only_found()
            if len(found) and found.labelled:
                write_temperature(where(evaluation), told, fitted(found, f"{scored.faces.name}/{scored.split}"))
                return


@torch.inference_mode()
def _of_split(module: ExpressionClassifier, faces: Faces, split: str, device: torch.device) -> Predictions:
    """Softmax of the centre crop, or its mean over ten, for every face of a split, found or not."""
    rows, seen = faces.rows([split]), faces.seen(module.recipe.sees)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=module.recipe.precision == "bf16-mixed")
    outputs = []
    with autocast:
        for start in range(0, len(rows), 256):
            batch = torch.from_numpy(seen[rows[start : start + 256]]).to(device)
            outputs.append(module.probabilities((batch,)).cpu())
    probabilities = torch.cat(outputs).double().numpy()
    return Predictions(faces.ids[rows], faces.labels[rows], faces.found[rows], probabilities, faces.classes)
