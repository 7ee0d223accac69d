"""Stages through fer-train's own entry point, on tiny faces with a tiny network."""

import json
import threading
import time

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torchvision.transforms.functional import ten_crop

from fer_transfer.backbones.backbone import BackboneRecipe, build_network
from fer_transfer.backbones.weights import read_record
from fer_transfer.cli.train import train
from fer_transfer.config import compose
from fer_transfer.errors import ConfigError, FacesError, StoreError, WeightsError
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.faces.faces import open_faces
from fer_transfer.stages.progress import EpochLog, read_metrics
from fer_transfer.stages.store import Store
from fer_transfer.training.module import ExpressionClassifier


def run(tiny, *overrides):
    return train(compose("train", [*tiny, *overrides]))


def weights(finished, stage=-1):
    return load_file(finished.jobs[stage].folder.weights)


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_cascade_trains_predicts_and_is_recorded(tiny, faces_folder):
    finished = run(tiny, "plan=fer28_emotiw", "recipe.epochs=6")
    assert finished.trained == 2
    folder = finished.jobs[-1].folder
    assert not folder.checkpoint.exists()
    record = json.loads(next((folder.path.parent / "submissions").iterdir()).read_text())
    assert set(record["predictions"]) == {"emotiw/Val", "emotiw/Test", "fer2013/PublicTest", "fer2013/PrivateTest"}
    assert record["faces"]["emotiw"]["caveats"] == ["synthetic"]
    val = Predictions.read(folder.path.parent / record["predictions"]["emotiw/Val"])
    faces = open_faces(faces_folder / "emotiw")
    rows = faces.rows(["Val"])
    assert val.ids.tolist() == faces.ids[rows].tolist() and val.labels.tolist() == faces.labels[rows].tolist()
    assert np.allclose(val.probabilities.sum(axis=1), 1, atol=1e-6)
    assert (val.predicted == val.labels).mean() > 0.6  # chance is 1/7
    assert not Predictions.read(folder.path.parent / record["predictions"]["emotiw/Test"]).labelled


def test_finished_command_trains_nothing_and_shared_stage_is_trained_once(tiny):
    assert run(tiny, "plan=fer28").trained == 1
    assert run(tiny, "plan=fer28_emotiw").trained == 1
    assert run(tiny, "plan=fer28_emotiw").trained == 0
    assert run(tiny, "plan=fer28_emotiw", "recipe.seed=1").trained == 2


def test_cached_first_stage_does_not_change_the_second(tiny, tmp_path):
    run(tiny, "plan=fer28")
    after_hit = run(tiny, "plan=fer28_emotiw")
    in_one_go = run(tiny, "plan=fer28_emotiw", f"runtime.store={tmp_path / 'other'}")
    assert after_hit.trained == 1 and in_one_go.trained == 2
    assert equal(weights(after_hit), weights(in_one_go))


def test_resumed_stage_equals_an_uninterrupted_one(tiny, tmp_path, monkeypatch):
    whole = run(tiny, "plan=fer32+emotiw", "recipe.epochs=4", "recipe.augment.mirror=true")
    original = EpochLog.on_train_epoch_end

    def interrupted(self, trainer, module):
        if trainer.current_epoch == 2:
            raise OSError("killed")
        original(self, trainer, module)

    overrides = ["plan=fer32+emotiw", "recipe.epochs=4", f"runtime.store={tmp_path / 'other'}"]
    monkeypatch.setattr(EpochLog, "on_train_epoch_end", interrupted)
    with pytest.raises(StoreError, match="killed"):
        run(tiny, *overrides)
    monkeypatch.undo()
    resumed = run(tiny, *overrides)
    assert equal(weights(whole), weights(resumed))
    rows, other = (read_metrics(f.jobs[-1].folder.metrics) for f in (whole, resumed))
    assert [r["train_loss"] for r in rows] == [r["train_loss"] for r in other]
    assert [int(r["epoch"]) for r in other] == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", [0, 1])
def test_resuming_keeps_the_best_epoch_so_far(tiny, tmp_path, monkeypatch, seed):
    overrides = ["plan=emotiw", "recipe.epochs=4", "recipe.keep=best", f"recipe.seed={seed}"]
    whole = run(tiny, *overrides)
    scores = [float(row["selection_accuracy"]) for row in read_metrics(whole.jobs[-1].folder.metrics)]
    after_best = scores.index(max(scores)) + 1  # killed in the epoch after the best one
    original = EpochLog.on_train_epoch_end

    def interrupted(self, trainer, module):
        if trainer.current_epoch == after_best:
            raise OSError("killed")
        original(self, trainer, module)

    monkeypatch.setattr(EpochLog, "on_train_epoch_end", interrupted)
    other = [*overrides, f"runtime.store={tmp_path / 'other'}"]
    if after_best < 4:
        with pytest.raises(StoreError, match="killed"):
            run(tiny, *other)
    monkeypatch.undo()
    assert equal(weights(whole), weights(run(tiny, *other)))


def test_damaged_checkpoint_starts_again(tiny):
    job = run(tiny, "plan=emotiw").jobs[0]
    before = weights(run(tiny, "plan=emotiw"))
    (job.folder.path / "result.json").unlink()
    job.folder.checkpoint.write_bytes(b"half a checkpoint")
    assert equal(before, weights(run(tiny, "plan=emotiw")))


def test_weights_load_without_this_package(tiny):
    finished = run(tiny, "plan=emotiw")
    timm.create_model("test_resnet", num_classes=7).load_state_dict(weights(finished), strict=True)


def test_child_starts_from_its_parent(tiny):
    same = ["plan=fer28_emotiw", "recipe.batch_norm=frozen", "+stages.emotiw.optimizer.lr=0"]
    kept = run(tiny, *same)
    assert equal(weights(kept, 0), weights(kept))
    reset = run(tiny, *same, "+stages.emotiw.head=reset")
    parent, child = weights(reset, 0), weights(reset)
    changed = sorted(name for name in parent if not torch.equal(parent[name], child[name]))
    assert changed == ["fc.bias", "fc.weight"]


def test_best_epoch_is_marked_as_selected(tiny):
    finished = run(tiny, "plan=emotiw", "recipe.keep=best")
    record = json.loads(next((finished.jobs[0].folder.path.parent / "submissions").iterdir()).read_text())
    assert record["selected_on"] == ["emotiw/Val"]
    best = max(float(row["selection_accuracy"]) for row in read_metrics(finished.jobs[0].folder.metrics))
    val = Predictions.read(finished.jobs[0].folder.path.parent / record["predictions"]["emotiw/Val"])
    assert (val.predicted == val.labels).mean() == pytest.approx(best, abs=0.026)  # one face of 40


def test_waiting_job_does_not_train_what_another_has_trained(tiny, tmp_path, capsys):
    source = run(tiny, "plan=emotiw").jobs[0]
    store = Store(tmp_path / "store")
    hidden = source.folder.path / "hidden.json"
    (source.folder.path / "result.json").rename(hidden)
    lock = store.lock(source.key)
    lock.acquire()
    results = []
    thread = threading.Thread(target=lambda: results.append(run(tiny, "plan=emotiw")))
    thread.start()
    time.sleep(2)
    assert not results
    hidden.rename(source.folder.path / "result.json")
    lock.release()
    thread.join(60)
    assert results and "trained by another job" in capsys.readouterr().out


def test_changed_weights_in_the_store_are_noticed(tiny):
    folder = run(tiny, "plan=emotiw").jobs[0].folder
    folder.weights.write_bytes(folder.weights.read_bytes()[:-4] + b"oops")
    with pytest.raises(StoreError, match="missing or changed"):
        run(tiny, "plan=emotiw")


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (["runtime.faces.emotiw=nowhere"], FacesError, "fer-prepare"),
        (["recipe.backbone.weights=nowhere.pth"], WeightsError, "nowhere.pth"),
        (["recipe.backbone.name=resnet1k"], ConfigError, "resnet1k"),
        (["recipe.augment.crop=40"], ConfigError, "crop"),
        (["plan.stages.emotiw.data.train.emotiw=[Validation]"], FacesError, "Train, Val, Test|Test, Train, Val"),
        (["plan.stages.emotiw.data.train.emotiw=[Train,Val]"], ConfigError, "reports"),
        (["recipe.labelling.labels=ferplus_soft", "plan=fer28"], FacesError, "FER\\+"),
        (["recipe.frozen=[nothing.*]"], ConfigError, "match a parameter"),
        (["+plan.stages.emotiw.data.train.unknown=[Train]"], ConfigError, "runtime.faces"),
        (["recipe.backbone.name=vit_tiny_patch16_224"], ConfigError, "refuses an input"),
        (["recipe.optimizer.lr=-1"], ConfigError, "learning rate"),
        (["recipe.optimizer.weight_decay=much"], ConfigError, "SGD refuses .*weight_decay='much'"),
        (["recipe.scheduler.every=0"], ConfigError, "optimizer or scheduler"),
        (["recipe.augment.resize=big"], ConfigError, "whole pixels"),
        (["recipe.precision=16-mixed", "runtime.device=cpu"], ConfigError, "GPU"),
        (["runtime.threads=0"], ConfigError, "threads"),
        (["runtime.progress=bars"], ConfigError, "progress"),
        (
            ["plan=fer28_emotiw", "++stages.emotiw.backbone.name=test_convnext"],
            WeightsError,
            "stage 'fer' does not fit",
        ),
    ],
)
def test_bad_input_stops_before_training(tiny, tmp_path, overrides, error, message):
    with pytest.raises(error, match=message):
        run(tiny, "plan=emotiw", *overrides)
    assert not list((tmp_path / "store").glob("*/weights.safetensors"))
    assert not list((tmp_path / "store").glob("*/recipe.json"))


def test_diverging_stage_says_so_and_is_not_finished(tiny, tmp_path):
    with pytest.raises(ConfigError, match="learning rate"):
        run(tiny, "plan=emotiw", "recipe.optimizer.lr=1e30")
    assert not list((tmp_path / "store").glob("*/result.json"))


def test_weights_that_diverge_in_the_last_step_are_not_kept(tiny, tmp_path, monkeypatch):
    original = ExpressionClassifier.on_train_epoch_end

    def broken(self):
        original(self)
        next(self.network.parameters()).data.fill_(float("nan"))

    monkeypatch.setattr(ExpressionClassifier, "on_train_epoch_end", broken)
    with pytest.raises(ConfigError, match="diverged"):
        run(tiny, "plan=emotiw", "recipe.epochs=1")
    assert not list((tmp_path / "store").glob("*/result.json"))


def test_full_disk_leaves_no_finished_stage(tiny, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fer_transfer.stages.runner.save_weights", full)
    with pytest.raises(StoreError, match="No space left"):
        run(tiny, "plan=emotiw")
    assert not list((tmp_path / "store").glob("*/result.json"))
    monkeypatch.undo()
    assert run(tiny, "plan=emotiw").trained == 1


def test_wandb_keeps_one_offline_run_a_stage(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    finished = run(tiny, "plan=fer28_emotiw", "logger=wandb")
    runs = sorted(path.name for path in (tmp_path / "store" / "wandb").glob("offline-run-*"))
    assert {name.rsplit("-", 1)[1] for name in runs} == {job.key for job in finished.jobs}


def test_ten_crops_are_predicted_from_the_same_weights(tiny, faces_folder):
    options = ["plan=emotiw", "recipe.augment.crop=24"]
    centre = run(tiny, *options)
    ten = run(tiny, *options, "recipe.evaluation=ten_crops")
    assert ten.trained == 0 and ten.jobs[-1].key == centre.jobs[-1].key
    folder = centre.jobs[-1].folder
    records = [json.loads(path.read_text()) for path in (folder.path.parent / "submissions").iterdir()]
    assert len(records) == 2 and len({record["settings_id"] for record in records}) == 2
    of = {record["settings"]["evaluation"]: record["predictions"]["emotiw/Val"] for record in records}
    one, mean = (Predictions.read(folder.path.parent / of[name]) for name in ("centre", "ten_crops"))
    assert one.ids.tolist() == mean.ids.tolist()
    assert not np.allclose(one.probabilities, mean.probabilities)
    pixels = open_faces(faces_folder / "emotiw").pixels[open_faces(faces_folder / "emotiw").rows(["Val"])]
    expected = mean_of_ten_crops(weights(ten), pixels, resize=36, crop=24)
    assert np.allclose(mean.probabilities, expected, atol=1e-4)


def mean_of_ten_crops(state, pixels, resize, crop):
    """Softmax of torchvision's ten crops, averaged."""
    network = build_network(BackboneRecipe("test_resnet")).eval()
    network.load_state_dict(state)
    record = network.pretrained_cfg
    mean, std = (torch.tensor(record[key]).view(3, 1, 1) for key in ("mean", "std"))
    gray = torch.from_numpy(np.ascontiguousarray(pixels)).float()[:, None] / 255
    large = F.interpolate(gray, (resize, resize), mode=record["interpolation"], antialias=True, align_corners=False)
    views = ten_crop(large.expand(-1, 3, -1, -1), [crop, crop])
    with torch.inference_mode():
        return torch.stack([network((view - mean) / std).softmax(1) for view in views]).mean(0).numpy()


def test_a_stages_weights_are_weights_that_another_command_can_start_from(tiny):
    first = run(tiny, "plan=fer28_emotiw")
    file = first.jobs[-1].folder.weights
    assert read_record(file)["input_size"] == [3, 160, 160]
    options = ["plan=emotiw", "recipe.optimizer.lr=1e-9", f"recipe.backbone.weights={file}"]
    second = run(tiny, *options)
    assert second.trained == 1
    before, after = weights(first), weights(second)
    assert torch.allclose(before["fc.weight"], after["fc.weight"], atol=1e-6)
    records = [json.loads(path.read_text()) for path in (file.parents[1] / "submissions").iterdir()]
    assert len(records) == 2 and all("no pre-training" in record["caveats"] for record in records)


def test_what_was_not_pre_trained_and_notes_stand_in_the_record(tiny, tmp_path):
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "whole.pth")
    torch.save(
        {k: v for k, v in timm.create_model("test_resnet").state_dict().items() if k.startswith(("conv1.", "bn1."))},
        tmp_path / "part.pth",
    )
    rest = ["layer*", "fc.*"]
    cases = {
        "none": ("none", [], ["no pre-training"]),
        "whole": (tmp_path / "whole.pth", ["fc.*"], []),
        "part": (tmp_path / "part.pth", rest, ["pre-training: conv1.0-1, conv1.3-4, conv1.6, bn1 only"]),
    }
    for seed, (weights_file, skip, expected) in enumerate(cases.values()):
        options = [f"recipe.backbone.weights={weights_file}", f"recipe.backbone.skip_weights={json.dumps(skip)}"]
        finished = run(tiny, "plan=emotiw", "recipe.epochs=1", f"recipe.seed={seed}", *options, "note='shortened: x'")
        folder = finished.jobs[-1].folder.path.parent / "submissions"
        record = next(r for p in folder.iterdir() if (r := json.loads(p.read_text()))["seed"] == seed)
        assert [text for text in record["caveats"] if text != "shortened: x"] == expected
        assert "shortened: x" in record["caveats"]
