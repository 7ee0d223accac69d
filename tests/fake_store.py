"""Writes stores as fer-train leaves them, from random predictions of a stated accuracy."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.files.document import write_document
from fer_transfer.labels import UNLABELLED
from fer_transfer.stages.lineage import FacesUsed, Lineage, Prepared, StageLineage
from fer_transfer.stages.record import Record, ScoredFaces, ScoredSplit

SYNTHETIC = "synthetic faces, drawn from parameters"
SPLITS = {"emotiw/Val": 436, "emotiw/Test": 372, "fer2013/PublicTest": 300, "fer2013/PrivateTest": 300}
DIGESTS = {"emotiw": "e" * 64, "fer2013": "f" * 64}


def make_predictions(split: str, accuracy: float, seed: int, labelled: bool = True) -> Predictions:
    """Faces of a split (always the same ones), right with the given probability; seven faces of Val are lost."""
    count = SPLITS.get(split, 100)
    faces = np.random.default_rng(count)
    labels = faces.integers(0, 7, count).astype(np.int8)
    random = np.random.default_rng(seed)
    predicted = np.where(random.random(count) < accuracy, labels, random.integers(0, 7, count))
    probabilities = np.full((count, 7), 0.1)
    probabilities[np.arange(count), predicted] = 0.4
    found = np.ones(count, bool)
    if split == "emotiw/Val":
        found[5:12] = False
    ids = np.array([f"{split.split('/')[1]}_{i:09d}_00000001.png" for i in range(count)])
    return Predictions(ids, labels if labelled else np.full(count, UNLABELLED, np.int8), found, probabilities)


def prepared(release: str, digests: dict[str, str]) -> Prepared:
    splits = {"emotiw": ("Train", "Val", "Test"), "fer2013": ("Training", "PublicTest", "PrivateTest")}
    return Prepared(digests[release], release, "", splits.get(release, ("Train", "test")))


def used(part: str, digests: dict[str, str]) -> tuple[FacesUsed, ...]:
    """What a stage of a plan's name (``fer28``, ``fer32+emotiw``, ``emotiw``) trains and selects on."""
    sets = {
        "fer28": ("fer2013", ("Training",), ("PublicTest",)),
        "fer32": ("fer2013", ("Training", "PublicTest"), ("PrivateTest",)),
        "emotiw": ("emotiw", ("Train",), ("Val",)),
    }
    known = [sets[name] for name in part.split("+") if name in sets]
    return tuple(
        FacesUsed(prepared(release, digests), train, selection, (SYNTHETIC,) if release == "emotiw" else ())
        for release, train, selection in known
    )


def add_row(
    store: Path,
    plan: str,
    accuracy: float,
    seed: int = 0,
    keep: str = "last",
    digests: dict[str, str] = DIGESTS,
    splits: tuple[str, ...] = tuple(SPLITS),
    **changed: Any,
) -> Path:
    """Add a finished plan; keyword arguments replace fields of its record."""
    backbone = changed.get("backbone", "mobilenetv2_100")
    name = hashlib.sha256(repr((plan, backbone, seed, keep, digests, changed)).encode()).hexdigest()[:16]
    lineage = Lineage("none", None)
    for part in plan.split("_"):
        recipe = {"seed": seed, "keep": keep, "epochs": 4}
        lineage = lineage.then(StageLineage(part, f"{name}{part}", "none", recipe, used(part, digests)))
    files = []
    for number, split in enumerate(splits):
        release, _, of = split.partition("/")
        if lineage.trained_on(prepared(release, digests), of):
            continue
        file = f"{name}/{split.replace('/', '_')}.csv"
        stream = int(name, 16) % 2**32 + number
        sha256 = make_predictions(split, accuracy, stream, split != "emotiw/Test").write(store / file)
        files.append(ScoredSplit(digests[release], of, file, sha256))
    scored = {digests[release]: release for release in digests}
    record = Record(
        submission=None,
        plan=plan,
        backbone=backbone,
        evaluation="centre",
        seeds=(seed,) * len(lineage.stages),
        settings_ids=("0123456789abcdef",),
        row_id=hashlib.sha256(plan.encode()).hexdigest(),
        lineage=lineage,
        settings={"epochs": 4, "batch_size": 64, "augment.crop": 96, "precision": "32-true", "optimizer.lr": 0.001},
        stages=tuple({"name": part, "key": f"{part}{seed}", "seconds": 60.0} for part in plan.split("_")),
        faces={
            key: ScoredFaces(prepared(release, digests), (SYNTHETIC,) if release == "emotiw" else (), "as released")
            for key, release in scored.items()
        },
        predictions=tuple(files),
        notes=(),
        environment={"device": "cpu (two threads)"},
    )
    record = replace(record, **changed)
    path = store / "submissions" / f"{record.identity}.json"
    write_document(path, record.to_json())
    return path
