"""Writes stores as fer-train leaves them, from random predictions of a stated accuracy: rows alone, or with their stages."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.faces.counts import FacesCounts
from fer_transfer.files.document import write_document
from fer_transfer.labels import UNLABELLED
from fer_transfer.stages.key import code_of_keys, stage_key
from fer_transfer.stages.lineage import FacesUsed, Lineage, Prepared, StageLineage
from fer_transfer.stages.record import Record, ScoredFaces, ScoredSplit
from fer_transfer.stages.store import Store

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


def make_metrics(epochs: int, seed: int) -> str:
    """A ``metrics.csv`` in which the loss falls and accuracies rise."""
    noise = np.random.default_rng(seed).normal(0, 0.01, epochs)
    lines = ["epoch,lr,train_loss,train_accuracy,selection_loss,selection_accuracy,seconds,faces_per_second"]
    for n in range(epochs):
        done = 1 - 0.8 ** (n + 1)
        values = (1.9 - done, 0.2 + 0.6 * done, 2 - 0.8 * done, 0.2 + 0.4 * done + noise[n])
        lines.append(f"{n},0.001,{','.join(f'{value:.4f}' for value in values)},10.0,100.0")
    return "\n".join([*lines, ""])


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
    counts: Mapping[str, FacesCounts] = MappingProxyType({}),
    **changed: Any,
) -> Path:
    """Add a finished plan; ``counts`` are known of releases, and other keyword arguments replace fields of its record."""
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
        file = f"of_{name}/{split.replace('/', '_')}.csv"
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
            key: ScoredFaces(
                prepared(release, digests),
                (SYNTHETIC,) if release == "emotiw" else (),
                "as released",
                counts.get(release),
            )
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


def add_trained(
    store: Path,
    plan: str,
    seed: int = 0,
    machine: str = "one",
    splits: tuple[str, ...] = ("emotiw/Val", "emotiw/Test"),
    sweep: str = "0123456789abcdef",
    backbone: str = "alexnet",
    accuracy: float = 0.5,
    **recipe: Any,
) -> Path:
    """Add a finished plan with its stages under their true keys; another machine's weights and predictions are others.

    Stages that are there stay, but for splits that they have no predictions of. Returns the record's path.
    """
    lineage = Lineage("none", None)
    for part in plan.split("_"):
        start = lineage.stages[-1].key if lineage.stages else "none"
        content = {"backbone": {"name": backbone}, "seed": seed, "keep": "last", "epochs": 4, **recipe}
        key = stage_key(content, start, used(part, DIGESTS))
        lineage = lineage.then(StageLineage(part, key, start, content, used(part, DIGESTS)))
        _add_stage(Store(store), lineage, machine)
        files = [_add_predictions(Store(store), key, split, machine, accuracy) for split in splits]
    names = dict.fromkeys(split.partition("/")[0] for split in splits)
    record = Record(
        submission=None,
        plan=plan,
        backbone=backbone,
        evaluation="centre",
        seeds=(seed,) * len(lineage.stages),
        settings_ids=(sweep,),
        row_id=hashlib.sha256(plan.encode()).hexdigest(),
        lineage=lineage,
        settings={"epochs": 4},
        stages=tuple({"name": of.name, "key": of.key, "epochs": 4, "seconds": 60.0} for of in lineage.stages),
        faces={DIGESTS[name]: ScoredFaces(prepared(name, DIGESTS), (), "as released") for name in names},
        predictions=tuple(files),
        notes=(),
        environment={"device": machine},
    )
    path = store / "submissions" / f"{record.identity}.json"
    write_document(path, record.to_json())
    return path


def _add_stage(store: Store, lineage: Lineage, machine: str) -> None:
    own, folder = lineage.stages[-1], store.stage(lineage.stages[-1].key)
    if folder.path.exists():
        return
    folder.path.mkdir()
    folder.weights.write_bytes(f"{own.key} {machine}".encode() * 30)
    folder.metrics.write_text(make_metrics(own.recipe["epochs"], seed=int(own.key[:8], 16)))
    write_document(folder.path / "recipe.json", {**own.recipe, "start": own.start})
    environment = {"device": machine, "fer_transfer": "0.1.0", "torch": "2.13.0"}
    result = {"key": own.key, "stage": own.name, "lineage": lineage.to_json(), "code": code_of_keys(own.classes)}
    folder.finish({**result, "seconds": 60.0, "environment": environment})


def _add_predictions(store: Store, key: str, split: str, machine: str, accuracy: float) -> ScoredSplit:
    release, _, of = split.partition("/")
    path = store.stage(key).predictions(release, of, DIGESTS[release])
    stream = int(hashlib.sha256(f"{key} {machine} {split}".encode()).hexdigest()[:8], 16)
    if not path.exists():
        csv = make_predictions(split, accuracy, stream, of != "Test").write(path)
        told = {"key": key, "faces": DIGESTS[release], "split": of, "by": "centre", "csv": csv}
        write_document(path.with_suffix(".json"), told)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return ScoredSplit(DIGESTS[release], of, path.relative_to(store.root).as_posix(), sha256)
