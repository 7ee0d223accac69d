"""Stages through fer-train's own entry point, on tiny faces with a tiny network."""

import json
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torchvision.transforms.functional import ten_crop

from fer_transfer.backbones.backbone import BackboneRecipe, describe
from fer_transfer.backbones.importing import Import, import_weights
from fer_transfer.backbones.weights import RECORD_KEY, open_weights, save_weights
from fer_transfer.cli.train import train
from fer_transfer.errors import ConfigError, FacesError, StoreError, WeightsError
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.faces.opening import open_faces
from fer_transfer.files.document import read_document
from fer_transfer.settings import compose
from fer_transfer.stages.progress import EpochLog, read_metrics
from fer_transfer.stages.record import read_record
from fer_transfer.stages.store import Store
from fer_transfer.training.module import ExpressionClassifier


def run(tiny, *overrides):
    return train(compose("train", [*tiny, *overrides]))


def records(finished):
    """Those of the plan's store."""
    folder = finished.jobs[-1].folder.path.parent / "submissions"
    return [read_record(path) for path in sorted(folder.iterdir())]


def predicted(finished, record, split, digest=None):
    """Predictions that a record names."""
    [found] = [of for of in record.predictions if of.split == split and digest in (None, of.faces)]
    return Predictions.read(finished.jobs[-1].folder.path.parent / found.file)


def weights(finished, stage=-1):
    return load_file(finished.jobs[stage].folder.weights)


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_cascade_trains_predicts_and_is_recorded(tiny, faces_folder):
    finished = run(tiny, "plan=fer28_emotiw", "recipe.epochs=6")
    assert finished.trained == 2
    folder = finished.jobs[-1].folder
    assert not folder.checkpoint.exists()
    [record] = records(finished)
    faces = open_faces(faces_folder / "emotiw")
    assert sorted(of.split for of in record.predictions) == ["PrivateTest", "PublicTest", "Test", "Val"]
    assert record.faces[faces.digest].caveats == ("synthetic",)
    val = predicted(finished, record, "Val")
    rows = faces.rows(["Val"])
    assert val.ids.tolist() == faces.ids[rows].tolist() and val.labels.tolist() == faces.labels[rows].tolist()
    assert np.allclose(val.probabilities.sum(axis=1), 1, atol=1e-6)
    assert (val.predicted == val.labels).mean() > 0.6  # chance is 1/7
    assert not predicted(finished, record, "Test").labelled


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
    [record] = records(finished)
    faces = finished.jobs[0].own.faces[0].prepared
    assert record.lineage.selected_on(faces, "Val") and not record.lineage.selected_on(faces, "Test")
    best = max(float(row["selection_accuracy"]) for row in read_metrics(finished.jobs[0].folder.metrics))
    val = predicted(finished, record, "Val")
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
    with pytest.raises(StoreError, match="repair=true"):
        run(tiny, "plan=emotiw")


def test_votes_that_no_face_has_are_said_to_change_nothing(tiny, capsys):
    for asked, said in ((["modern=votes"], True), (["modern=clean"], True), ([], False)):
        run(tiny, "plan=emotiw", *asked)
        told = "asks for FER+ votes, but there are none of emotiw: it changes nothing there"
        assert (told in capsys.readouterr().out) == said


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (["runtime.faces.emotiw=nowhere"], FacesError, "fer-prepare"),
        (["recipe.backbone.weights=nowhere.pth"], WeightsError, "nowhere.pth"),
        (["recipe.backbone.name=resnet1k"], ConfigError, "resnet1k"),
        (["recipe.augment.crop=40"], ConfigError, "crop"),
        (["plan.stages.emotiw.data.train.emotiw=[Validation]"], FacesError, "Train, Val, Test|Test, Train, Val"),
        (["plan.stages.emotiw.data.train.emotiw=[Train,Val]"], ConfigError, "protects"),
        (["recipe.labelling.labels=ferplus_soft", "plan=fer28"], FacesError, "FER\\+"),
        (["recipe.frozen=[nothing.*]"], ConfigError, "match a parameter"),
        (["modern=ema", "recipe.frozen=['*bn*']"], ConfigError, r"statistics of bn1, above conv1.*which is trained"),
        (["+plan.stages.emotiw.data.train.unknown=[Train]"], ConfigError, "runtime.faces"),
        (["recipe.backbone.name=vit_tiny_patch16_224"], ConfigError, r"refuses an input.*[^.]\. Change.*=32$"),
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


def content(path):
    """Bytes, less what differs from run to run: times, the machine, and the digests of those."""
    if path.name == "metrics.csv":
        timed = ("seconds", "faces_per_second")
        return [{k: v for k, v in row.items() if k not in timed} for row in read_metrics(path)]
    if path.name == "result.json" or path.parent.name == "submissions":
        whole = read_document(path)
        for part in (whole, *whole.get("stages", ())):
            part.pop("seconds", None)
        whole.get("files", {}).pop("metrics.csv", None)
        return {key: value for key, value in whole.items() if key != "environment"}
    if path.name == "log.txt":
        return len(path.read_text().splitlines())
    return path.read_bytes()


def test_equal_training_gives_equal_bytes(tiny, tmp_path):
    for name in ("store", "other"):
        run(tiny, "plan=fer28_emotiw", "note=said", f"runtime.store={tmp_path / name}")
    first, second = (
        {
            str(path.relative_to(tmp_path / name)): content(path)
            for path in (tmp_path / name).rglob("*")
            if path.is_file() and path.name != ".checked.json"  # of times, and there where two seconds have passed
        }
        for name in ("store", "other")
    )
    assert first.keys() == second.keys() and len(first) > 20
    assert [name for name in first if first[name] != second[name]] == []


def test_full_disk_leaves_no_finished_stage(tiny, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fer_transfer.stages.runner.save_weights", full)
    with pytest.raises(StoreError, match="No space left"):
        run(tiny, "plan=emotiw")
    assert not list((tmp_path / "store").glob("*/result.json"))
    monkeypatch.undo()
    assert run(tiny, "plan=emotiw").trained == 1


def test_ten_crops_are_predicted_from_the_same_weights(tiny, faces_folder):
    options = ["plan=emotiw", "recipe.augment.crop=24"]
    centre = run(tiny, *options)
    ten = run(tiny, *options, "recipe.evaluation=ten_crops")
    assert ten.trained == 0 and ten.jobs[-1].key == centre.jobs[-1].key
    both = {record.evaluation: record for record in records(ten)}
    assert len(both) == 2 and len({record.settings_ids for record in both.values()}) == 2
    one, mean = (predicted(ten, both[name], "Val") for name in ("centre", "ten_crops"))
    assert one.ids.tolist() == mean.ids.tolist()
    assert not np.allclose(one.probabilities, mean.probabilities)
    pixels = open_faces(faces_folder / "emotiw").pixels[open_faces(faces_folder / "emotiw").rows(["Val"])]
    expected = mean_of_ten_crops(weights(ten), pixels, resize=36, crop=24)
    assert np.allclose(mean.probabilities, expected, atol=1e-4)


def mean_of_ten_crops(state, pixels, resize, crop):
    """Softmax of torchvision's ten crops, averaged."""
    network = describe(BackboneRecipe("test_resnet")).network().eval()
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
    assert open_weights(file).record["input_size"] == [3, 32, 32]  # what it was trained at
    options = ["plan=emotiw", "recipe.optimizer.lr=1e-9", f"recipe.backbone.weights={file}"]
    second = run(tiny, *options)
    assert second.trained == 1
    before, after = weights(first), weights(second)
    assert torch.allclose(before["fc.weight"], after["fc.weight"], atol=1e-6)
    both = records(second)
    assert len(both) == 2 and all("no pre-training" in record.lineage.caveats for record in both)


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
        record = next(record for record in records(finished) if record.seed == str(seed))
        caveats = [text for text in record.lineage.caveats if "synthetic" not in text]
        assert caveats == ["shortened: x", *expected]


def write_with_record(network, file, folder, **input):
    """By fer-weights; returns the settings that start from it."""
    out, mean = folder / "recorded.safetensors", [0.5, 0.4, 0.3]
    kwargs = input.pop("kwargs")
    import_weights(Import(network, str(file), mean, str(out), input={"std": [0.3] * 3} | input, kwargs=kwargs), say=str)
    return [f"recipe.backbone.weights={out}"]


def check_that_nothing_is_typed(run_with, file, network, folder, skip, pad):
    """Training from a written file equals training from the raw one with everything typed; so does its stages' file."""
    typed = [f"recipe.backbone.weights={file}", f"+recipe.backbone.kwargs.{pad[0]}={pad[1]}"]
    typed += ["recipe.backbone.preprocessing={mean: [0.5, 0.4, 0.3], std: [0.3, 0.3, 0.3], channel_order: BGR}"]
    recorded = write_with_record(network, file, folder, channel_order="BGR", kwargs=dict([pad]))
    by_hand, from_record = run_with(*typed, skip), run_with(*recorded, skip)
    assert by_hand.jobs[-1].key != from_record.jobs[-1].key and equal(weights(by_hand), weights(from_record))
    left = open_weights(from_record.jobs[-1].folder.weights).record
    assert (left["mean"], left["kwargs"], left["channel_order"]) == ([0.5, 0.4, 0.3], dict([pad]), "BGR")
    assert from_record.jobs[-1].folder.result()["input"].endswith(", BGR")
    onward = run_with(
        f"recipe.backbone.weights={from_record.jobs[-1].folder.weights}", "recipe.backbone.skip_weights=[]"
    )
    assert onward.trained == 1 and dict(onward.jobs[-1].backbone.kwargs) == dict([pad])
    trained_at = replace(from_record.jobs[-1].backbone.preprocessing, size=32, crop_pct=32 / 36)
    assert onward.jobs[-1].backbone.preprocessing == trained_at


def test_what_weights_need_travels_with_them(tiny, tmp_path, capsys):
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "x.pth")

    def run_with(*overrides):
        return run(tiny, "plan=emotiw", "recipe.epochs=1", "runtime.progress=lines", *overrides)

    skip, relu = "recipe.backbone.skip_weights=['fc.*']", ("act_layer", "relu6")
    check_that_nothing_is_typed(run_with, tmp_path / "x.pth", "test_resnet", tmp_path, skip, relu)
    said = capsys.readouterr().out.splitlines()
    assert len([line for line in said if line.startswith("  x.pth carries no record of its input")]) == 1
    assert len([line for line in said if line.startswith("  recorded.safetensors asks for")]) == 1


def test_the_real_mobilenet_needs_no_typed_mean_or_padding(tiny, tmp_path, shared_weights):
    def run_with(*overrides):
        options = ["plan=emotiw", "recipe.epochs=1", "backbone=mobilenetv2_100", "recipe.batch_norm=unfold"]
        return run(tiny, *options, "recipe.backbone.name=mobilenetv2_100", *overrides)

    file, skip = shared_weights / "mobilenetv2_100_imagenet.pth", "recipe.backbone.skip_weights=['classifier.*']"
    check_that_nothing_is_typed(run_with, file, "mobilenetv2_100", tmp_path, skip, ("pad_type", "same"))


def test_stages_of_before_hand_their_caveat_on(tiny, tmp_path):
    """They kept it in the record of their input."""
    record = {"mean": [0.5] * 3, "std": [0.5] * 3, "input_size": [3, 64, 64], "caveat": "pre-training: conv1 only"}
    network = timm.create_model("test_resnet", num_classes=7)
    save_weights(tmp_path / "x.safetensors", network, {RECORD_KEY: json.dumps(record)})
    finished = run(tiny, "plan=emotiw", "recipe.epochs=1", f"recipe.backbone.weights={tmp_path / 'x.safetensors'}")
    [row] = records(finished)
    assert "pre-training: conv1 only" in row.lineage.caveats
    inherited = open_weights(
        finished.jobs[-1].folder.weights
    ).record  # what it was trained at, not what it started from
    assert (inherited["input_size"], inherited["crop_pct"], inherited["mean"]) == ([3, 32, 32], 32 / 36, [0.5] * 3)
