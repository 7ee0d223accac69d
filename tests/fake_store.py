"""Writes stores as fer-train leaves them, from random predictions of a stated accuracy."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.labels import UNLABELLED

SYNTHETIC = "synthetic faces, drawn from parameters"
SPLITS = {"emotiw/Val": 436, "emotiw/Test": 372, "fer2013/PublicTest": 300, "fer2013/PrivateTest": 300}


def make_predictions(split: str, accuracy: float, seed: int, labelled: bool = True) -> Predictions:
    """Faces of a split (always the same ones), right with the given probability; seven faces of Val are lost."""
    count = SPLITS[split]
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


def add_row(store: Path, plan: str, accuracy: float, seed: int = 0, **changed: Any) -> Path:
    """Add a finished plan; keyword arguments replace fields of its record."""
    backbone = changed.get("backbone", "mobilenetv2_100")
    name = hashlib.sha256(repr((plan, backbone, seed, changed)).encode()).hexdigest()[:16]
    files = {}
    for number, split in enumerate(SPLITS):
        if plan.startswith("fer32") and split == "fer2013/PublicTest":
            continue  # trained on
        files[split] = f"{name}/{split.replace('/', '_')}.csv"
        unlabelled = split == "emotiw/Test"
        stream = int(name, 16) % 2**32 + number
        make_predictions(split, accuracy, stream, not unlabelled).write(store / files[split])
    record = {
        "version": 1,
        "submission": None,
        "plan": plan,
        "backbone": backbone,
        "seed": seed,
        "settings_id": "0123456789abcdef",
        "row_id": hashlib.sha256(plan.encode()).hexdigest(),
        "settings": {"epochs": 4, "batch_size": 64, "augment.crop": 96, "precision": "32-true", "optimizer.lr": 0.001},
        "stages": [{"name": part, "key": f"{part}{seed}", "seconds": 60.0} for part in plan.split("_")],
        "predictions": files,
        "faces": {"emotiw": {"digest": "e", "caveats": [SYNTHETIC]}, "fer2013": {"digest": "f", "caveats": []}},
        "selected_on": [],
        "trained_on": ["fer2013/PublicTest"] if plan.startswith("fer32") else [],
        "environment": {"device": "cpu (two threads)"},
    } | changed
    path = store / "submissions" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))
    return path
