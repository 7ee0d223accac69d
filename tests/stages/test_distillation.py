"""A stage that learns from rows of its store, through fer-train: key, lineage, what it may not learn from, and going on."""

import pytest
import torch
from safetensors.torch import load_file
from test_checkpoint import Killed, killed_after

from fer_transfer.backbones.weights import open_weights
from fer_transfer.cli.train import train
from fer_transfer.errors import ConfigError, StoreError
from fer_transfer.settings import compose
from fer_transfer.stages.lineage import lineage_from_json
from fer_transfer.stages.progress import read_metrics
from fer_transfer.stages.record import read_record
from fer_transfer.stages.teachers import TeacherStage, check_teachers
from fer_transfer.study import study_called

ONE = ["recipe.epochs=1", "recipe.batch_size=16"]
ROW = "recipe.distillation.teacher=[emotiw/test_resnet]"


def run(tiny, *overrides):
    return train(compose("train", [*tiny, *ONE, *overrides])).jobs[-1]


def test_names_stand_for_keys_that_count_and_lineage_is_inherited(tiny, tmp_path):
    teachers = [run(tiny, "plan=emotiw", f"recipe.seed={seed}", "note=shortened").key for seed in (0, 1)]
    plain = run(tiny, "plan=emotiw", "recipe.seed=2", "recipe.head_multiplier=2")
    words = ["plan=emotiw", "recipe.seed=2", "recipe.head_multiplier=2"]
    by_key = [f"recipe.distillation.teacher=[{','.join(reversed(teachers))}]"]
    pupil = run(tiny, *words, *by_key)
    assert pupil.key != plain.key and pupil.own.recipe["distillation"]["teacher"] == sorted(teachers)
    assert [teacher.stages[-1].key for teacher in pupil.own.teachers] == sorted(teachers)
    assert "shortened" in pupil.lineage.caveats and "shortened" not in plain.lineage.caveats
    inherited = open_weights(pupil.folder.weights).lineage
    assert inherited["version"] == 2 and lineage_from_json(inherited, "file") == pupil.lineage
    assert open_weights(plain.folder.weights).lineage["version"] == 1, "as versions of before read it"
    records = [read_record(path) for path in (tmp_path / "store" / "submissions").iterdir()]
    assert pupil.lineage in [record.lineage for record in records]
    by_name = [*words, "recipe.distillation.teacher=[emotiw]"]
    with pytest.raises(StoreError, match=r"but 2 are called 'emotiw': emotiw/test_resnet#"):
        run(tiny, *by_name)


def test_a_row_teaches_with_all_its_seeds_and_what_it_was_trained_on_is_no_evaluation(tiny, tmp_path):
    teachers = [run(tiny, "plan=fer32", f"recipe.seed={seed}").key for seed in (0, 1)]
    by_name = "recipe.distillation.teacher=[fer32]"
    pupil = run(tiny, "plan=emotiw", by_name)
    assert [of.key for of in pupil.teachers] == sorted(teachers)
    [record] = [
        record for record in map(read_record, (tmp_path / "store" / "submissions").iterdir()) if record.plan == "emotiw"
    ]
    assert {of.split for of in record.predictions} == {"Val", "Test", "PrivateTest"}, "the teachers know PublicTest"
    again = compose("train", [*tiny, *ONE, "plan=fer32", by_name])
    assert [train(again).trained for _ in range(2)] == [1, 0], "its pupil goes by its name too, but is not meant"


def test_its_own_teacher_has_nothing_to_tell_whatever_is_seen(tiny, tmp_path):
    """The same weights see the same crops, mirrors, distortions and mixtures, and say the same: no loss."""
    frozen = ["plan=emotiw", "recipe.batch_norm=frozen", "recipe.augment.mirror=true", "recipe.optimizer.lr=0.0001"]
    teacher = run(tiny, *frozen)
    same = [f"recipe.backbone.weights={teacher.folder.weights}", "recipe.optimizer.lr=0", "recipe.distillation.share=1"]
    seen = ["recipe.mixing.cutmix=1", "recipe.distortion.rotate=20", "recipe.distillation.temperature=3"]
    pupil = run(tiny, *frozen, *same, *seen, f"recipe.distillation.teacher=[{teacher.key}]")
    assert float(read_metrics(pupil.folder.metrics)[0]["train_loss"]) == pytest.approx(0, abs=1e-5)
    stranger = run(tiny, *frozen, *same[1:], *seen, f"recipe.distillation.teacher=[{teacher.key}]", "recipe.seed=3")
    assert float(read_metrics(stranger.folder.metrics)[0]["train_loss"]) > 1e-3


def test_an_interrupted_pupil_goes_on_to_the_bit(tiny, tmp_path, monkeypatch):
    teacher = run(tiny, "plan=fer28")
    words = ["plan=emotiw", "recipe.epochs=2", f"recipe.distillation.teacher=[{teacher.key}]"]
    words += ["recipe.mixing.mixup=0.4", "recipe.averaging.ema=0.9", "recipe.sharpness=0.05"]
    words += ["recipe.progressive.start=0.5"]
    whole = run(tiny, *words)
    kept = load_file(whole.folder.weights)
    whole.folder.path.rename(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tiny, *words, killed_after(monkeypatch, 1, 0))
    monkeypatch.undo()
    [path] = (tmp_path / "store" / ".work").glob("*/last.ckpt")
    assert not [name for name in torch.load(path, weights_only=True)["state_dict"] if "network" not in name]
    resumed = load_file(run(tiny, *words).folder.weights)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in resumed.items())


@pytest.mark.parametrize(
    ("teacher", "what"),
    [
        (["study.protected=[]", "plan.stages.emotiw.data.train.emotiw=[Train,Val]"], "trained on"),
        (["recipe.keep=best"], "selected on"),
    ],
)
def test_what_knows_a_protected_split_is_no_teacher(tiny, tmp_path, teacher, what):
    key = run(tiny, "plan=emotiw", *teacher).key
    with pytest.raises(ConfigError, match=rf"learn from {key}, which was {what} emotiw \['Val'\], and study 'ng2015'"):
        run(tiny, "plan=fer28", f"recipe.distillation.teacher=[{key}]")
    assert len(list((tmp_path / "store").glob("*/result.json"))) == 1


def test_a_teacher_that_knows_the_share_that_is_held_out_is_refused(tiny):
    run(tiny, "plan=emotiw")
    with pytest.raises(ConfigError, match=r"selected on 25 % of emotiw/Train, .* or one of its teachers"):
        run(tiny, "plan=emotiw", ROW, "recipe.selection.share=0.25")


def test_a_teacher_of_another_label_set_is_refused(tiny):
    made = run(tiny, "plan=emotiw")
    teacher = TeacherStage(made.key, made.folder, made.lineage)
    eight = (*made.classes, "Contempt")
    with pytest.raises(
        ConfigError, match=rf"teachers of stage 'x' with its label set, .*Contempt, but {made.key} has Ang"
    ):
        check_teachers("x", eight, [teacher], {}, study_called("ng2015"))
    check_teachers("x", made.classes, [teacher], {}, study_called("ng2015"))


def test_a_teacher_that_is_not_there_is_told(tiny, tmp_path):
    run(tiny, "plan=emotiw")
    with pytest.raises(StoreError, match=r"no finished row 'emotivv/test_resnet'.* Did you mean 'emotiw/test_resnet'"):
        run(tiny, "plan=fer28", "recipe.distillation.teacher=[emotivv/test_resnet]")
    with pytest.raises(StoreError, match=r"no finished row 'PLAN/BACKBONE' in .* Rows there: emotiw/test_resnet"):
        run(tiny, "plan=fer28", "modern=distilled")
