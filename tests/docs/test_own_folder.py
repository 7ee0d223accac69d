"""The tutorial of one's own folder does what it says: its ten commands are read from the page and run, on drawn faces."""

import csv
import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_transfer.labels import EXPRESSIONS
from fer_transfer.synthetic.camera import draw_photograph

PAGE = Path(__file__).parents[2] / "docs" / "own-folder.md"

#: Of what the page trains and shows: a tiny network, so that ten commands take seconds.
TINY = {
    "train": [
        "backbone=timm", "recipe.backbone.name=test_resnet", "recipe.augment.resize=36", "recipe.augment.crop=32",
        "recipe.batch_size=8", "recipe.epochs=1",
    ],
}  # fmt: skip


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def draw(folder: Path, people: int) -> None:
    random = np.random.default_rng(0)
    for person in range(people):
        for number, name in enumerate(EXPRESSIONS):
            path = folder / name / f"p{person:02}_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), draw_photograph(random, number, 48)[0])


@pytest.mark.usefixtures("mesh_model")
def test_ten_commands_make_a_table(elsewhere, command):
    pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'fer_transfer[export]'")
    draw(elsewhere / "mine", 5)
    said = {}
    assert len(commands()) == 10
    for number, (name, *words) in enumerate(commands(), start=1):
        name = name.removeprefix("fer-")
        words = [word.replace("resnet18", "test_resnet") if word.startswith("row=") else word for word in words]
        tiny = (
            [*(word for word in words if not word.startswith("backbone=")), *TINY["train"]]
            if name == "train"
            else words
        )
        code, out, err = command(name, *tiny)
        assert code == 0, f"{number}: fer-{name} {shlex.join(tiny)}: {err}"
        said[number] = out
    assert "release.shares" in said[1] and "Train: 21 pictures, 3 subjects" in said[2]
    with (elsewhere / "report/table.csv").open() as file:
        table = {line["split"]: line for line in csv.DictReader(file) if line["plan"] == "folders"}
    assert table["folders/Test"]["n"] == "7" and table["folders/Test"]["seeds"] == "0 1"
    assert (elsewhere / "report/report.html").exists() and (elsewhere / "exported/model.onnx").exists()
    assert len(list(csv.DictReader(said[9].splitlines()))) == 5
