"""A store as fer-train leaves it, from rendered frames: two plans of a tiny network, one of them with two seeds."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from tiny import write_faces

import fer_transfer
from fer_transfer.cli.demo import pipeline_at_hand
from fer_transfer.config import build, plain
from fer_transfer.faces.prepare import prepare
from fer_transfer.settings import compose
from fer_transfer.synthetic.releases import write_sfew

COUNTS = {"Train": 28, "Val": 14, "Test": 2}
ROW, FER_ROW = "emotiw/test_resnet", "fer28/test_resnet"


@dataclass(frozen=True)
class Trained:
    """Where everything is: the store, the frames that its faces were made from, the faces."""

    store: Path
    release: Path
    faces: Path

    @property
    def overrides(self) -> list[str]:
        """Of fer-train."""
        return [
            "backbone=timm",
            "recipe.backbone.name=test_resnet",
            "recipe.augment.resize=36",
            "recipe.augment.crop=32",
            "recipe.batch_size=16",
            "recipe.epochs=1",
            "recipe.optimizer.lr=0.02",
            "runtime.threads=1",
            "runtime.progress=none",
            f"runtime.store={self.store}",
            f"runtime.faces.emotiw={self.faces / 'emotiw'}",
            f"runtime.faces.fer2013={self.faces / 'fer2013'}",
        ]


def write_trained(folder: Path) -> Trained:
    """Render, prepare and train."""
    made = Trained(folder / "store", folder / "sfew", folder / "faces")
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        write_sfew(made.release, COUNTS, seed=1)
        words = ["release=emotiw", f"release.path={made.release}", *pipeline_at_hand()]
        config = plain(compose("prepare", words))
        prepare(build("release", config["release"]), made.faces / "emotiw", workers=1)
        write_faces(made.faces / "fer2013", "fer2013")
        for words in (["plan=emotiw"], ["plan=emotiw", "recipe.seed=1"], ["plan=fer28"]):
            fer_transfer.train([*words, *made.overrides])
    return made
