"""What a number was made from, through fer-train's own entry point: aliases, inheritance, identity, the guard."""

import json
import shutil

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from tiny import overrides

from fer_transfer.cli.train import train
from fer_transfer.errors import ConfigError, StoreError
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.writer import FacesWriter
from fer_transfer.files.document import read_document, write_document
from fer_transfer.reports.results import load_groups
from fer_transfer.settings import compose
from fer_transfer.stages.lineage import lineage_from_json
from fer_transfer.stages.record import read_record

ONE = ["recipe.epochs=1"]


def run(tiny, *overrides):
    return train(compose("train", [*tiny, *ONE, *overrides]))


@pytest.fixture(scope="module")
def finished(faces_folder, tmp_path_factory):
    store = tmp_path_factory.mktemp("finished") / "store"
    for seed in (0, 1):
        run(overrides(faces_folder, store), "plan=emotiw", f"recipe.seed={seed}")
    return store


@pytest.fixture
def ready(finished, tmp_path):
    """Two seeds of ``plan=emotiw`` are in the store of ``tiny``."""
    shutil.copytree(finished, tmp_path / "store")


@pytest.fixture
def ready_one(ready, tmp_path):
    """One seed."""
    [other] = [path for path in (tmp_path / "store" / "submissions").iterdir() if read_record(path).seed == "1"]
    shutil.rmtree(tmp_path / "store" / read_record(other).lineage.stages[-1].key)
    other.unlink()


def records(tmp_path):
    return [read_record(path) for path in sorted((tmp_path / "store" / "submissions").iterdir())]


def prepared_otherwise(source, folder, name="emotiw"):
    """The same pictures, cut otherwise: other pixels, another digest."""
    faces = open_faces(source)
    with FacesWriter(folder, name, faces.pixels.shape[1:], len(faces)) as writer:
        writer.settings, writer.caveats = faces.manifest["settings"], ["cut otherwise"]
        for i in range(len(faces)):
            pixels = np.ascontiguousarray(faces.pixels[i].T)
            writer.add(pixels, faces.ids[i], faces.splits[i], int(faces.labels[i]), bool(faces.found[i]))
    return folder


def test_another_preparation_stands_beside_the_first_not_in_its_place(tiny, tmp_path, faces_folder):
    wide = prepared_otherwise(faces_folder / "emotiw", tmp_path / "wide")
    run(tiny, "plan=fer28")
    [before] = records(tmp_path)
    run(tiny, "plan=fer28", f"runtime.faces.emotiw={wide}")
    run(tiny, "plan=fer28", f"+runtime.faces.wide={wide}")
    [after] = records(tmp_path)
    val = {of.faces: of.file for of in after.predictions if of.split == "Val"}
    first, second = (open_faces(folder).digest for folder in (faces_folder / "emotiw", wide))
    assert set(val) == {first, second} and len(set(val.values())) == 2
    assert {(of.faces, of.split) for of in before.predictions} < {(of.faces, of.split) for of in after.predictions}
    groups, _ = load_groups(tmp_path / "store")
    assert {group.faces["emotiw"] for group in groups} == {first, second}
    one, other = [group.rows[0].predictions["emotiw/Val"] for group in groups]
    assert not np.array_equal(one.probabilities, other.probabilities)
    assert [("emotiw: cut otherwise" in group.caveats) for group in groups] == [
        group.faces["emotiw"] == second for group in groups
    ]


@pytest.mark.parametrize("split", ["Val", "Test"])
def test_no_word_for_the_faces_walks_past_the_guard(tiny, faces_folder, split):
    faces = ["~runtime.faces.emotiw", f"+runtime.faces.mine={faces_folder / 'emotiw'}"]
    data = "plan.stages.emotiw.data"
    plan = [f"~{data}.train.emotiw", f"+{data}.train.mine=[Train,{split}]", f"~{data}.selection.emotiw"]
    plan.append(f"+{data}.selection.fer2013=[PublicTest]")
    with pytest.raises(ConfigError, match=rf"trains on emotiw \['{split}'\], which study 'ng2015' protects"):
        run(tiny, "plan=emotiw", *faces, *plan)


def test_two_words_for_the_same_faces(tiny, tmp_path, faces_folder):
    shutil.copytree(faces_folder / "emotiw", tmp_path / "copy")
    for folder in (faces_folder / "emotiw", tmp_path / "copy"):
        with pytest.raises(ConfigError, match=r"runtime.faces.emotiw and runtime.faces.mine are the same faces"):
            run(tiny, "plan=emotiw", f"+runtime.faces.mine={folder}")
    assert not list((tmp_path / "store").glob("*/"))


def test_a_word_that_is_another_releases_name(tiny, tmp_path, faces_folder):
    with pytest.raises(ConfigError, match=r"these are faces of 'fer2013', and 'emotiw' is another release"):
        run(tiny, "plan=emotiw", f"runtime.faces.emotiw={faces_folder / 'fer2013'}", "~runtime.faces.fer2013")


def test_what_starts_from_a_file_inherits_what_the_file_was_made_from(tiny, tmp_path):
    first = run(tiny, "plan=fer32", "note=shortened")
    file = shutil.copy(first.jobs[-1].folder.weights, tmp_path / "elsewhere.safetensors")
    options = [f"recipe.backbone.weights={file}", f"runtime.store={tmp_path / 'other'}"]
    second = run(tiny, "plan=emotiw", *options)
    lineage = second.jobs[-1].lineage
    assert [stage.name for stage in lineage.stages] == ["fer", "emotiw"]
    assert lineage.stages[0] == first.jobs[0].own
    assert set(lineage.caveats) == {"emotiw: synthetic", "fer2013: synthetic", "shortened", "no pre-training"}
    [record] = [read_record(path) for path in (tmp_path / "other" / "submissions").iterdir()]
    assert {of.split for of in record.predictions} == {"Val", "Test", "PrivateTest"}  # PublicTest was trained on
    [[group], _] = load_groups(tmp_path / "other")
    assert group.rows[0].trained_on("fer2013/PublicTest") and not group.rows[0].trained_on("fer2013/PrivateTest")
    assert {"fer2013: synthetic", "shortened"} <= set(group.caveats)
    third = run(tiny, "plan=emotiw", "~runtime.faces.fer2013", *options, "recipe.seed=1")
    assert "fer2013: synthetic" in third.jobs[-1].lineage.caveats, "also where these faces are not at hand"


def test_another_preparation_of_what_was_trained_on_is_no_evaluation(tiny, tmp_path, faces_folder):
    wide = prepared_otherwise(faces_folder / "fer2013", tmp_path / "again", "fer2013")
    run(tiny, "plan=fer32", f"+runtime.faces.again={wide}")
    [record] = records(tmp_path)
    digest = open_faces(wide).digest
    assert [of.split for of in record.predictions if of.faces == digest] == ["PrivateTest"]


def merged(source, folder, name="fer2013"):
    """The same faces with Public and Private in one split, as the picture folders have them."""
    faces = open_faces(source)
    with FacesWriter(folder, name, faces.pixels.shape[1:], len(faces)) as writer:
        writer.settings, writer.caveats = faces.manifest["settings"], []
        for i in range(len(faces)):
            split = "Training" if faces.splits[i] == "Training" else "test"
            writer.add(faces.pixels[i], faces.ids[i], split, int(faces.labels[i]), bool(faces.found[i]))
    return folder


def scored(folder, digest):
    return {of.split for record in records(folder) for of in record.predictions if of.faces == digest}


def test_a_release_that_is_divided_otherwise_is_scored_only_where_no_face_can_be_in_both(tiny, tmp_path, faces_folder):
    other = merged(faces_folder / "fer2013", tmp_path / "merged")
    first, second = (open_faces(folder).digest for folder in (faces_folder / "fer2013", other))
    with_both = f"+runtime.faces.merged={other}"
    run(tiny, "plan=fer28", with_both)
    assert scored(tmp_path, second) == {"test"}, "Training is Training in both"
    run(tiny, "plan=fer32", with_both, f"runtime.store={tmp_path / 'next' / 'store'}")
    assert scored(tmp_path / "next", second) == set() and scored(tmp_path / "next", first) == {"PrivateTest"}
    data = "plan.stages.emotiw.data.train"
    on_test = [f"~{data}.emotiw", f"+{data}.merged=[Training,test]", f"runtime.store={tmp_path / 'last' / 'store'}"]
    run(tiny, "plan=emotiw", with_both, *on_test)
    assert scored(tmp_path / "last", first) == scored(tmp_path / "last", second) == set()


def test_another_name_for_the_release_does_not_walk_past_the_guard(tiny, tmp_path, faces_folder):
    mine = prepared_otherwise(faces_folder / "emotiw", tmp_path / "mine", "mine")
    shutil.copytree(faces_folder / "emotiw", tmp_path / "emotiw")
    for folder in (mine, tmp_path / "emotiw"):
        manifest = read_document(folder / "manifest.json")
        manifest["settings"] |= {"sources": [{"name": folder.name, "files": 7, "bytes": 99}]}
        write_document(folder / "manifest.json", manifest)
    data = "plan.stages.emotiw.data.train"
    options = [f"+runtime.faces.mine={mine}", f"runtime.faces.emotiw={tmp_path / 'emotiw'}", f"~{data}.emotiw"]
    with pytest.raises(ConfigError, match=r"trains on emotiw \['Val'\], which study 'ng2015' protects"):
        run(tiny, "plan=emotiw", *options, f"+{data}.mine=[Train,Val]")


@pytest.mark.usefixtures("ready_one")
def test_a_lineage_of_another_version_is_told_before_anything_is_trained(tiny, tmp_path, capsys):
    file = run(tiny, "plan=emotiw").jobs[0].folder.weights
    capsys.readouterr()
    for content in ('{"version": 9}', "{}", '{"version": 1, "stages": [3]}'):
        save_file(load_file(file), tmp_path / "x.safetensors", {"lineage": content})
        with pytest.raises(StoreError, match=r"x\.safetensors"):
            run(tiny, "plan=emotiw", f"recipe.backbone.weights={tmp_path / 'x.safetensors'}", "recipe.seed=5")
    assert "loss" not in capsys.readouterr().out


@pytest.mark.usefixtures("ready_one")
def test_what_says_the_same_again_opens_no_table(tiny, tmp_path):
    run(tiny, "plan=emotiw")
    for again in (
        "+stages.emotiw.seed=7",
        "+stages.emotiw.epochs=1",
        "+stages.emotiw.optimizer.lr=0.02",
        "+stages.fer={}",
    ):
        run(tiny, "plan=emotiw", again)
    assert len({group.settings_id for group in load_groups(tmp_path / "store")[0]}) == 1
    run(tiny, "plan=emotiw", "+stages.emotiw.epochs=2")
    assert len({group.settings_id for group in load_groups(tmp_path / "store")[0]}) == 2


def test_weights_that_no_stage_would_use_are_refused(tiny):
    with pytest.raises(ConfigError, match=r"starts from stage 'fer'.*would not be used"):
        run(tiny, "plan=fer28_emotiw", "+stages.emotiw.backbone.weights=x.safetensors")


def test_a_reported_release_is_found_where_fer_prepare_puts_it_or_it_is_said(
    tiny, tmp_path, faces_folder, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    run(tiny, "plan=fer28", "~runtime.faces.emotiw")
    assert "not scored on emotiw, which study ng2015 reports" in capsys.readouterr().out
    shutil.copytree(faces_folder / "emotiw", tmp_path / "faces" / "emotiw")
    run(tiny, "plan=fer28", "~runtime.faces.emotiw")
    assert "not scored" not in capsys.readouterr().out
    assert "Val" in scored(tmp_path, open_faces(faces_folder / "emotiw").digest)


def test_preparing_another_release_afterwards_makes_neither_a_record_nor_a_group(tiny, tmp_path):
    run(tiny, "plan=emotiw", "~runtime.faces.fer2013")
    assert len(load_groups(tmp_path / "store")[0][0].rows[0].predictions) == 2
    assert run(tiny, "plan=emotiw").trained == 0
    assert len(records(tmp_path)) == 1
    [[group], _] = load_groups(tmp_path / "store")
    assert set(group.rows[0].predictions) == {"emotiw/Val", "emotiw/Test", "fer2013/PublicTest", "fer2013/PrivateTest"}
    run(tiny, "plan=fer28")
    assert len(load_groups(tmp_path / "store")[0]) == 1, "rows of one table"


def test_every_stage_has_its_seed_in_the_identity(tiny, tmp_path):
    for seed in (0, 1):
        run(tiny, "plan=fer28_emotiw", f"recipe.seed={seed}", "+stages.emotiw.seed=7")
    both = records(tmp_path)
    assert sorted(record.seed for record in both) == ["0+7", "1+7"] and len({record.row_id for record in both}) == 1
    [[group], _] = load_groups(tmp_path / "store")
    assert [row.seed for row in group.of("fer28_emotiw")] == ["0+7", "1+7"]


@pytest.mark.parametrize("name", ["index.npy", "manifest.json"])
def test_a_damaged_release_that_the_plan_does_not_need_is_said_and_left_out(tiny, tmp_path, faces_folder, capsys, name):
    shutil.copytree(faces_folder / "fer2013", tmp_path / "damaged")
    (tmp_path / "damaged" / name).unlink()
    assert run(tiny, "plan=emotiw", f"runtime.faces.fer2013={tmp_path / 'damaged'}").trained == 1
    out = capsys.readouterr().out
    assert "not scored on fer2013" in out and str(tmp_path / "damaged") in out


def test_the_lineage_travels_whole(tiny):
    lineage = run(tiny, "plan=fer28_emotiw").jobs[-1].lineage
    assert lineage_from_json(json.loads(json.dumps(lineage.to_json())), "here") == lineage
    for damage in (
        {},
        [],
        None,
        {"version": 2},
        lineage.to_json() | {"stages": [1]},
        lineage.to_json() | {"weights": 3},
    ):
        with pytest.raises(StoreError, match="here"):
            lineage_from_json(damage, "here")


@pytest.mark.usefixtures("ready_one")
@pytest.mark.parametrize("damage", ["{}", "[]", "null", "{", '{"key": "other"}', "[" * 100_000])
def test_a_damaged_result_is_named_and_mended(tiny, damage):
    first = run(tiny, "plan=emotiw").jobs[0]
    path = first.folder.path / "result.json"
    before = path.read_text()
    path.write_text(damage)
    with pytest.raises(StoreError, match=r"result\.json.*repair=true"):
        run(tiny, "plan=emotiw")
    assert run(tiny, "plan=emotiw", "repair=true").trained == 1
    assert path.read_text() != before and first.folder.path.with_name(f"{first.key}.damaged").is_dir()
    assert run(tiny, "plan=emotiw").trained == 0


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("name", ["recipe.json", "metrics.csv", "weights.safetensors", "result.json"])
def test_every_file_of_a_stage_is_checked(tiny, name):
    first, other = (run(tiny, "plan=emotiw", f"recipe.seed={seed}").jobs[0].folder.path for seed in (0, 1))
    whole = (first / name).read_bytes()
    for damage in (
        whole[:-1],
        b"",
        whole[:40] + bytes([whole[40] ^ 1]) + whole[41:],
        (other / name).read_bytes(),
        None,
    ):
        if damage is None:
            (first / name).unlink()
            if name == "result.json":
                continue  # the stage is not finished then
        else:
            (first / name).write_bytes(damage)
        with pytest.raises(StoreError, match=name.replace(".", r"\.")):
            run(tiny, "plan=emotiw")
    (first / name).write_bytes(whole)
    assert run(tiny, "plan=emotiw").trained == 0


@pytest.mark.usefixtures("ready")
def test_damaged_predictions_are_written_again(tiny, tmp_path):
    jobs = [run(tiny, "plan=emotiw", f"recipe.seed={seed}").jobs[0] for seed in (0, 1)]
    files = [sorted((job.folder.path / "predictions").glob("*.csv")) for job in jobs]
    whole = [path.read_bytes() for path in files[0]]
    for path, other in zip(*files, strict=True):
        for damage in (b"", path.read_bytes()[:-30], other.read_bytes(), None):
            if damage is None:
                path.unlink()
            else:
                path.write_bytes(damage)
            _, [missing] = load_groups(tmp_path / "store")
            assert missing.kind == "damaged" and path.name in missing.why
            assert run(tiny, "plan=emotiw").trained == 0
            assert load_groups(tmp_path / "store")[1] == []
    shutil.rmtree(files[0][0].parent)
    shutil.copytree(files[1][0].parent, files[0][0].parent)  # another stage's, each with its digest
    assert run(tiny, "plan=emotiw").trained == 0
    load_groups(tmp_path / "store")
    assert [path.read_bytes() for path in files[0]] == whole


@pytest.mark.usefixtures("ready_one")
@pytest.mark.parametrize(
    "changed",
    [
        {"faces": {"emotiw": 3}}, {"notes": 5}, {"stages": [1]}, {"predictions": [{"file": "../x"}]}, {"lineage": {}},
        {"seeds": []}, {"plan": None}, {"faces": {}},
        {"predictions": [{"faces": "e", "split": "Val", "file": "/etc/passwd"}]},
    ],
)  # fmt: skip
def test_a_damaged_record_is_told(tiny, tmp_path, changed):
    run(tiny, "plan=emotiw")
    [path] = (tmp_path / "store" / "submissions").iterdir()
    write_document(path, read_document(path) | changed)
    groups, [missing] = load_groups(tmp_path / "store")
    assert groups == [] and str(path) in missing.why
    assert run(tiny, "plan=emotiw").trained == 0
    assert load_groups(tmp_path / "store")[0], "fer-train writes it anew"


def test_a_failing_disk_is_no_damage_and_damage_is_said(tiny, tmp_path, monkeypatch, capsys):
    import torch

    job = run(tiny, "plan=emotiw", "recipe.epochs=2").jobs[0]
    (job.folder.path / "result.json").unlink()
    job.folder.checkpoint.write_bytes(b"half a checkpoint")

    def failing(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(torch, "load", failing)
    with pytest.raises(StoreError, match="Input/output error"):
        run(tiny, "plan=emotiw", "recipe.epochs=2")
    [checkpoint] = (tmp_path / "store" / ".work").glob("*/last.ckpt")
    assert checkpoint.read_bytes() == b"half a checkpoint"
    monkeypatch.undo()
    assert run(tiny, "plan=emotiw", "recipe.epochs=2").trained == 1
    assert "last.ckpt.damaged" in capsys.readouterr().out


def test_selection_by_other_labels_is_called_so(tiny, tmp_path, faces_folder, capsys):
    faces = open_faces(faces_folder / "fer2013")
    votes = np.zeros((len(faces), 10), np.uint8)
    votes[:, 0] = 10
    with FacesWriter(tmp_path / "voted", "fer2013", faces.pixels.shape[1:], len(faces)) as writer:
        writer.settings = {"ferplus": True}
        for i in range(len(faces)):
            writer.add(faces.pixels[i], faces.ids[i], faces.splits[i], int(faces.labels[i]), votes=votes[i])
    options = ["plan=fer28", f"runtime.faces.fer2013={tmp_path / 'voted'}", "runtime.progress=lines"]
    run(tiny, *options, "recipe.labelling.labels=ferplus_majority")
    assert "selection (FER+ majority) " in capsys.readouterr().out
    run(tiny, *options)
    assert "selection " in (out := capsys.readouterr().out) and "FER+" not in out
