"""What the digests cost: of a stage of a minute, and of a sweep whose rows are all there.

The checks are read off a profile: the time within the functions that compute or compare digests, of all the time of the command.

::

    python benchmarks/checks.py
"""

import contextlib
import cProfile
import io
import pstats
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import fer_transfer.stages.runner  # noqa: F401  its import is no part of what is measured
from fer_transfer.cli.train import train
from fer_transfer.faces.writer import FacesWriter
from fer_transfer.settings import compose

#: Where digests are computed and compared; none of these calls another.
CHECKS = {
    ("checked.py", "checked_digest"), ("document.py", "read_document"), ("document.py", "write_document"),
    ("predict.py", "written_digest"), ("checkpoint.py", "content_digest"),
}  # fmt: skip
PLANS = ("emotiw", "fer28", "fer32", "fer32+emotiw", "fer28_emotiw", "fer32_emotiw")


def write_faces(folder: Path, name: str, size: int, splits: dict[str, int]) -> None:
    random = np.random.default_rng(0)
    with FacesWriter(folder, name, (size, size), sum(splits.values())) as writer:
        writer.settings = {"ferplus": False} if name == "fer2013" else {}
        for i, split in enumerate(split for split, count in splits.items() for _ in range(count)):
            writer.add(random.integers(0, 256, (size, size), np.uint8), f"{name}{i:06}", split, i % 7)


def measured(overrides: list[str]) -> tuple[float, float]:
    """Seconds of a command, and of its checks."""
    config, profile = compose("train", overrides), cProfile.Profile()
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        profile.runcall(train, config)
    seconds = time.perf_counter() - started
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    checks = sum(row[3] for (file, _, name), row in stats.items() if (Path(file).name, name) in CHECKS)
    return seconds, checks


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_faces(root / "fer2013", "fer2013", 48, {"Training": 28709, "PublicTest": 3589, "PrivateTest": 3589})
        write_faces(root / "emotiw", "emotiw", 256, {"Train": 958, "Val": 436, "Test": 372})
        time.sleep(2.1)  # files that were written just now are read again: their times do not tell yet
        common = [
            "backbone=timm", "recipe.backbone.name=mobilenetv2_050", "recipe.augment.resize=36", "recipe.augment.crop=32",
            "recipe.epochs=1", "runtime.progress=none", f"runtime.store={root / 'store'}",
            f"runtime.faces.fer2013={root / 'fer2013'}", f"runtime.faces.emotiw={root / 'emotiw'}",
        ]  # fmt: skip
        epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 6
        seconds, checks = measured([*common, "plan=fer28", f"recipe.epochs={epochs}", "recipe.seed=1"])
        print(f"one stage on FER28, {epochs} epochs: {seconds:.1f} s, checks {checks:.2f} s, {checks / seconds:.2%}")
        for plan in PLANS:
            measured([*common, f"plan={plan}"])
        time.sleep(2.1)
        for title in ("first", "again"):
            rows = [measured([*common, f"plan={plan}"]) for plan in PLANS]
            total, checks = (sum(values) for values in zip(*rows, strict=True))
            print(f"six plans that are all there, {title}: {total:.2f} s, checks {checks:.3f} s")


if __name__ == "__main__":
    main()
