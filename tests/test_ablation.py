"""The ablation: presets change one thing each, and the table compares rows of a store on the share that they hold out."""

import csv
import hashlib
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_store import DIGESTS, add_row, make_predictions, prepared

from fer_transfer.config import conf_dir
from fer_transfer.settings import compose
from fer_transfer.stages.key import recipe_of_weights
from fer_transfer.stages.lineage import FacesUsed, Lineage, StageLineage
from fer_transfer.stages.plan import plan_from
from fer_transfer.stages.record import ScoredSplit

ROOT = Path(__file__).resolve().parents[1]
PRESETS = sorted(path.stem for path in (conf_dir() / "modern").glob("*.yaml"))
SHARE = "Train~0.1~0"


def recipe(*words):
    return recipe_of_weights(plan_from(compose("train", ["plan=emotiw", *words])).last.recipe, {})


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_changes_its_own_fields_and_no_others(name):
    plain, own = recipe(), recipe(f"modern={name}")
    changed = {key for key in {*plain, *own} if plain.get(key) != own.get(key)}
    assert len(changed) == {"none": 0, "long": 2}.get(name, 1), changed


def test_presets_go_together_and_after_an_experiment():
    both = recipe("modern=[ema,cutmix,balanced]", "experiment=ablation")
    assert both["averaging"]["ema"] == 0.999 and both["mixing"]["cutmix"] == 1
    assert both["imbalance"]["sampling"] == "balanced" and both["epochs"] == 3
    assert recipe("experiment=ablation", "modern=long")["epochs"] == 90


@pytest.fixture
def ablation():
    spec = importlib.util.spec_from_file_location("ablation_table", ROOT / "experiments" / "ablation" / "table.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for annotations
    spec.loader.exec_module(module)
    return module


def add(store, accuracy, seed, share=SHARE, **recipe):
    faces = FacesUsed(prepared("emotiw", DIGESTS), ("Train",), (share,), ("synthetic",))
    name = hashlib.sha256(repr((seed, share, recipe)).encode()).hexdigest()[:16]
    own = StageLineage("emotiw", name, "none", {"seed": seed, "keep": "last", "epochs": 4, **recipe}, (faces,))
    predictions = make_predictions(f"emotiw/{share}", accuracy, int(name, 16) % 2**32)
    file = f"{name}.csv"
    scored = ScoredSplit(DIGESTS["emotiw"], share, file, predictions.write(store / file))
    row = hashlib.sha256(repr((share, recipe)).encode()).hexdigest()
    lineage = Lineage("none", None, (own,))
    add_row(store, "emotiw", accuracy, seed, splits=(), lineage=lineage, predictions=(scored,), row_id=row)
    return 100 * (predictions.predicted == predictions.labels).mean()


def test_the_table_compares_each_change_with_the_base(ablation, tmp_path, monkeypatch, capsys):
    base = [add(tmp_path, 0.5, seed) for seed in range(3)]
    better = [add(tmp_path, 0.95, seed, averaging={"ema": 0.9, "swa": 0.0}) for seed in range(3)]
    for seed in range(3):
        add(tmp_path, 0.5, seed, epochs=8)
    add(tmp_path, 0.5, 0, share="Train~0.2~0", sharpness=0.1)
    monkeypatch.setattr(sys, "argv", ["table.py", str(tmp_path), "--out", str(tmp_path)])
    ablation.main()
    assert capsys.readouterr().out.strip() == (tmp_path / "table.md").read_text().strip()
    with (tmp_path / "ablation.csv").open() as file:
        lines = {line["Changed"].lstrip("'"): line for line in csv.DictReader(file)}
    assert set(lines) == {"(the base)", "averaging.ema=0.9", "epochs=8"}
    ema = lines["averaging.ema=0.9"]
    assert ema["Accuracy"] == f"{np.mean(better):.1f} ± {np.std(better, ddof=1):.1f}"
    gain = np.subtract(better, base)
    assert ema["Points"] == f"{gain.mean():.1f} ± {gain.std(ddof=1):.1f}"
    low, high = map(float, ema["95 % interval"].strip("'[]").split(", "))
    assert low < gain.mean() < high and (ema["Verdict"], lines["epochs=8"]["Verdict"]) == ("shown", "cannot be told")
    page = (tmp_path / "table.md").read_text()
    assert "10 % of Train, seed 0: 100 faces" in page and "SYNTHETIC" in page
    assert "another share or none: emotiw/mobilenetv2" in page


def test_a_store_without_a_share_has_no_table(ablation, tmp_path, monkeypatch):
    add_row(tmp_path, "emotiw", 0.5)
    monkeypatch.setattr(sys, "argv", ["table.py", str(tmp_path), "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"hold out a share \(recipe\.selection\.share\), but got none"):
        ablation.main()
    assert not (tmp_path / "table.md").exists()
