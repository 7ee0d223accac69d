"""A stage that learns from rows of its store, through fer-train: key, lineage, what it may not learn from, and going on."""

import shutil
from typing import NamedTuple

import pytest
import torch
from fake_store import add_row
from safetensors.torch import load_file
from test_checkpoint import Killed, killed_after
from tiny import overrides

from fer_transfer.backbones.weights import open_weights
from fer_transfer.cli.train import train
from fer_transfer.errors import ConfigError, StoreError
from fer_transfer.settings import compose
from fer_transfer.stages.jobs import Job
from fer_transfer.stages.lineage import lineage_from_json
from fer_transfer.stages.progress import read_metrics
from fer_transfer.stages.record import read_record
from fer_transfer.stages.store import Store
from fer_transfer.stages.teachers import TeacherStage, check_teachers, teachers_called
from fer_transfer.study import study_called

ONE = ["recipe.epochs=1", "recipe.batch_size=16"]
PLAIN = ["plan=emotiw", "recipe.seed=2"]


class School(NamedTuple):
    """A store with two seeds of a row, a row of its own, and one that is else like this but was taught by the two."""

    store: Store
    teachers: list[Job]
    plain: Job
    pupil: Job


def run(tiny, *words):
    return train(compose("train", [*tiny, *ONE, *words])).jobs[-1]


def taught_by(*names):
    return f"recipe.distillation.teacher=[{','.join(names)}]"


@pytest.fixture(scope="module")
def school(faces_folder, tmp_path_factory):
    store = tmp_path_factory.mktemp("school") / "store"
    tiny = overrides(faces_folder, store)
    teachers = [run(tiny, "plan=fer32", f"recipe.seed={seed}", "note=shortened") for seed in (0, 1)]
    pupil = run(tiny, *PLAIN, taught_by(*sorted((job.key for job in teachers), reverse=True)))
    return School(Store(store), teachers, run(tiny, *PLAIN), pupil)


@pytest.fixture
def there(school, tiny, tmp_path):
    """Words of fer-train, with a store of the test's own that holds what the school's does."""
    shutil.copytree(school.store.root, tmp_path / "store")
    return tiny


def test_keys_count_and_lineage_is_inherited(school):
    keys = sorted(job.key for job in school.teachers)
    pupil, plain = school.pupil, school.plain
    assert pupil.key != plain.key and pupil.own.recipe["distillation"]["teacher"] == keys
    assert [teacher.stages[-1].key for teacher in pupil.own.teachers] == keys
    assert "shortened" in pupil.lineage.caveats and "shortened" not in plain.lineage.caveats
    inherited = open_weights(pupil.folder.weights).lineage
    assert inherited["version"] == 2 and lineage_from_json(inherited, "file") == pupil.lineage
    assert open_weights(plain.folder.weights).lineage["version"] == 1, "as versions of before read it"


def test_what_its_teachers_were_trained_on_is_no_evaluation(school):
    records = map(read_record, school.store.submissions.iterdir())
    [record] = [record for record in records if record.lineage == school.pupil.lineage]
    assert {of.split for of in record.predictions} == {"Val", "Test", "PrivateTest"}, "the teachers know PublicTest"


def test_a_name_stands_for_the_keys_of_all_seeds_of_a_row(there):
    assert train(compose("train", [*there, *ONE, *PLAIN, taught_by("fer32")])).trained == 0, "as by the keys"
    again = compose("train", [*there, *ONE, "plan=fer32", taught_by("fer32")])
    assert [train(again).trained for _ in range(2)] == [1, 0], "its pupil goes by its name too, but is not meant"


def test_a_name_of_two_rows_is_refused(tmp_path):
    for row in "ab":
        add_row(tmp_path, "emotiw", 0.5, row_id=row * 64)
    with pytest.raises(StoreError, match=r"but 2 are called 'emotiw': emotiw/mobilenetv2_100#aaaaaa, "):
        teachers_called(["emotiw"], Store(tmp_path))


def test_its_own_teacher_has_nothing_to_tell_whatever_is_seen(school, there):
    """The same weights see the same crops, mirrors, distortions and mixtures, and say the same: no loss."""
    words = ["plan=emotiw", "recipe.batch_norm=frozen", "recipe.optimizer.lr=0", "recipe.distillation.share=1"]
    words += ["recipe.augment.mirror=true", "recipe.mixing.cutmix=1", "recipe.distortion.rotate=20"]
    words += ["recipe.distillation.temperature=3", taught_by(school.plain.key)]
    teacher = f"recipe.backbone.weights={school.plain.folder.weights}"
    pupil, stranger = run(there, *words, teacher), run(there, *words, "recipe.seed=3")
    assert float(read_metrics(pupil.folder.metrics)[0]["train_loss"]) == pytest.approx(0, abs=1e-5)
    assert float(read_metrics(stranger.folder.metrics)[0]["train_loss"]) > 1e-3


def test_an_interrupted_pupil_goes_on_to_the_bit(school, there, tmp_path, monkeypatch):
    words = ["plan=emotiw", "recipe.epochs=2", taught_by(school.teachers[0].key)]
    words += ["recipe.mixing.mixup=0.4", "recipe.averaging.ema=0.9", "recipe.sharpness=0.05"]
    words += ["recipe.progressive.start=0.5"]
    whole = run(there, *words)
    kept = load_file(whole.folder.weights)
    whole.folder.path.rename(tmp_path / "whole")
    with pytest.raises(Killed):
        run(there, *words, killed_after(monkeypatch, 1, 0))
    monkeypatch.undo()
    [path] = (tmp_path / "store" / ".work").glob("*/last.ckpt")
    assert not [name for name in torch.load(path, weights_only=True)["state_dict"] if "network" not in name]
    resumed = load_file(run(there, *words).folder.weights)
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
        run(tiny, "plan=fer28", taught_by(key))
    assert len(list((tmp_path / "store").glob("*/result.json"))) == 1


def test_a_teacher_that_knows_the_share_that_is_held_out_is_refused(there):
    with pytest.raises(ConfigError, match=r"selected on 25 % of emotiw/Train, .* or one of its teachers"):
        run(there, "plan=emotiw", taught_by("emotiw/test_resnet"), "recipe.selection.share=0.25")


def test_a_teacher_of_another_label_set_is_refused(school):
    made = school.plain
    teacher = TeacherStage(made.key, made.folder, made.lineage)
    eight = (*made.classes, "Contempt")
    with pytest.raises(
        ConfigError, match=rf"teachers of stage 'x' with its label set, .*Contempt, but {made.key} has Ang"
    ):
        check_teachers("x", eight, [teacher], {}, study_called("ng2015"))
    check_teachers("x", made.classes, [teacher], {}, study_called("ng2015"))


def test_a_teacher_that_is_not_there_is_told(there):
    with pytest.raises(StoreError, match=r"no finished row 'emotivv/test_resnet'.* Did you mean 'emotiw/test_resnet'"):
        run(there, "plan=fer28", taught_by("emotivv/test_resnet"))
    with pytest.raises(
        StoreError, match=r"no finished row 'PLAN/BACKBONE' in .* Rows there: emotiw/test_resnet, fer32"
    ):
        run(there, "plan=fer28", "modern=distilled")
