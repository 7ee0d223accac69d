"""Predictions of a finished stage: of every split of evaluation at hand that its lineage was not trained on."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.faces.faces import Faces
from fer_transfer.stages.build import finished_module
from fer_transfer.stages.jobs import Job
from fer_transfer.stages.runtime import Runtime
from fer_transfer.training.module import ExpressionClassifier


class Scored(NamedTuple):
    """A split to predict, and where its predictions go."""

    faces: Faces
    split: str
    path: Path


def scored_splits(job: Job, faces: Mapping[str, Faces]) -> list[Scored]:
    """Every split of evaluation that the lineage of a job was not trained on."""
    evaluation = job.stage.recipe.evaluation
    return [
        Scored(of, split, job.folder.predictions(of.name, split, of.digest, evaluation))
        for of in faces.values()
        for split in of.evaluation_splits
        if not job.lineage.trained_on(of.digest, of.name, split)
    ]


def predict(job: Job, faces: Mapping[str, Faces], runtime: Runtime, module: ExpressionClassifier | None = None) -> None:
    """Write the predictions that are not there yet.

    Args:
        job: a stage whose weights are in the store, or about to be.
        faces: those at hand.
        runtime: where to compute.
        module: with the stage's weights, where it is there already.
    """
    missing = [scored for scored in scored_splits(job, faces) if not scored.path.exists()]
    if not missing:
        return
    device = torch.device("cuda" if runtime.accelerator == "gpu" else "cpu")
    module = (module or finished_module(job, runtime)).to(device).eval()
    for of, split, path in missing:
        _of_split(module, of, split, device).write(path)


@torch.inference_mode()
def _of_split(module: ExpressionClassifier, faces: Faces, split: str, device: torch.device) -> Predictions:
    """Softmax of the centre crop, or its mean over ten, for every face of a split, found or not."""
    rows = faces.rows([split])
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=module.recipe.precision == "bf16-mixed")
    outputs = []
    with autocast:
        for start in range(0, len(rows), 256):
            pixels = torch.from_numpy(faces.pixels[rows[start : start + 256]]).to(device)
            outputs.append(module.probabilities((pixels,)).cpu())
    probabilities = torch.cat(outputs).double().numpy()
    return Predictions(faces.ids[rows], faces.labels[rows], faces.found[rows], probabilities)
