"""Label sets other than the seven expressions: from a folder through every command, and from one set to another."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_store import add_row
from safetensors.torch import load_file
from tiny import write_faces

import fer_transfer
from fer_transfer.errors import ConfigError
from fer_transfer.evaluation.ensemble import averaged
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.export.exporting import export_model
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.writer import FacesWriter
from fer_transfer.files.digest import file_digest
from fer_transfer.files.document import read_document
from fer_transfer.labels import EXPRESSIONS, SEVEN, LabelSet, as_columns, label_set_from
from fer_transfer.stages.key import code_of_keys, stage_key
from fer_transfer.stages.lineage import FacesUsed, Prepared
from fer_transfer.stages.record import read_record
from fer_transfer.stages.rows import stored_rows
from fer_transfer.study import study_from
from fer_transfer.upkeep.ensembles import EnsembleError, composed

EIGHT = (*EXPRESSIONS, "Contempt")
FOLDERS = ("anger", "disgust", "fear", "happy", "sad", "surprise", "neutral", "contempt")

#: Classes whose names are markup, a formula and TeX: each outlet must show them as they are.
OWN = ("=cmd()", "<b>calm</b> | x", "\\input{a}$_^")

READ = ["release=folders", "release.aligned=true", "release.size=32", "workers=1"]


def write_pictures(root, classes, train=4):
    """A bright bar whose height is the class, in noise, in three splits."""
    random = np.random.default_rng(len(classes))
    for split, count in (("Train", train), ("Val", 2), ("Test", 2)):
        for place, name in enumerate(classes):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 120, (32, 32), np.uint8)
                pixels[32 * place // len(classes) : 32 * (place + 1) // len(classes)] += 100
                assert cv2.imwrite(str(root / split / name / f"{number}.png"), pixels)
    return root


def training(folder):
    return [
        "study=folders", "backbone=timm", "recipe.backbone.name=test_resnet", "recipe.augment.resize=36",
        "recipe.augment.crop=32", "recipe.batch_size=16", "recipe.epochs=1", "recipe.optimizer.lr=0.02", "runtime.threads=1",
        "runtime.progress=none", f"runtime.store={folder / 'store'}", f"++runtime.faces.fer2013={folder / 'faces' / 'fer2013'}",
        f"++runtime.faces.folders={folder / 'faces' / 'folders'}",
    ]  # fmt: skip


def prepare(folder, name, *words):
    return fer_transfer.prepare([*READ, f"release.path={folder / name}", f"out={folder / 'faces' / 'folders'}", *words])


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    """Pictures of eight classes, prepared and trained on by themselves, after seven, and with the rows of these kept."""
    folder = tmp_path_factory.mktemp("eight")
    write_pictures(folder / "mine", FOLDERS)
    prepare(folder, "mine", "labels=eight", "release.may_be_shown=true")
    write_faces(folder / "faces" / "fer2013", "fer2013")
    kept = ["plan=fer28_folders", "+stages.folders.optimizer.lr=0", "+stages.fer.at_most=16"]
    for words in (["plan=folders"], kept, [*kept, "+stages.folders.head=shared"]):
        fer_transfer.train([*words, *training(folder)])
    return folder


@pytest.fixture(scope="module")
def records(eight):
    return [read_record(path) for path in sorted((eight / "store" / "submissions").glob("*.json"))]


def test_the_set_belongs_to_the_faces_the_key_the_record_and_the_predictions(eight, records):
    faces = open_faces(eight / "faces" / "folders")
    assert faces.classes == EIGHT and faces.manifest["counts"]["Train"] == dict.fromkeys(EIGHT, 4)
    assert [faces.classes[label] for label in faces.labels[:8:4]] == ["Angry", "Contempt"]
    assert len(records) == 3
    for record in records:
        assert record.classes == EIGHT
        last = eight / "store" / record.lineage.stages[-1].key
        assert read_document(last / "result.json")["code"]["expressions"] == list(EIGHT)
        for scored in record.predictions:
            with (eight / "store" / scored.file).open() as file:
                assert next(csv.reader(file)) == ["id", "label", "found", *EIGHT]
    seven = {stage.key for record in records for stage in record.lineage.stages if stage.classes == EXPRESSIONS}
    (fer,) = seven
    assert read_document(eight / "store" / fer / "result.json")["code"]["expressions"] == list(EXPRESSIONS)
    assert not list((eight / "store" / fer / "predictions").glob("*folders*"))


def head_of(eight, key):
    return load_file(eight / "store" / key / "weights.safetensors")["fc.weight"]


def test_a_stage_over_another_set_starts_a_new_head_or_keeps_shared_rows_by_name(eight, records):
    for record in records:
        if len(record.lineage.stages) == 2:
            before, own = (head_of(eight, stage.key) for stage in record.lineage.stages)
            shared = record.lineage.stages[-1].recipe["head"] == "shared"
            same = [bool((own[EIGHT.index(name)] == before[EXPRESSIONS.index(name)]).all()) for name in EXPRESSIONS]
            assert same == [shared] * 7
            kept = "rows of shared classes kept in the head" if shared else "new head"
            assert f"{kept} at folders: 8 classes after 7, with Contempt" in record.lineage.caveats
        else:
            assert not any("head" in caveat for caveat in record.lineage.caveats)


def test_rows_are_shared_by_name_not_by_place(eight, records, tmp_path):
    """Eight classes, then three of them in another order, in a plan that starts from the weights of a stage."""
    write_pictures(tmp_path / "mine", ("calm", "happy", "anger"))
    prepare(tmp_path, "mine", "labels.classes=[calm,Happy,Angry]")
    (weights,) = (of.lineage.stages[-1].key for of in records if len(of.lineage.stages) == 1)
    start = eight / "store" / weights / "weights.safetensors"
    words = ["plan=folders", f"recipe.backbone.weights={start}", "recipe.optimizer.lr=0", *training(tmp_path)[:-2]]
    words.remove("recipe.optimizer.lr=0.02")
    words.append(f"++runtime.faces.folders={tmp_path / 'faces' / 'folders'}")
    heads = {}
    for head in ("keep", "shared"):
        row = fer_transfer.train([*words, f"recipe.head={head}"])
        heads[head] = head_of(tmp_path, row.records[0].lineage.stages[-1].key)
        assert any(
            "at folders: 3 classes after 8, with calm, without Disgust, Fear, Sad and 3 more" in c for c in row.caveats
        )
    before = load_file(start)["fc.weight"]
    assert (heads["shared"][1:] == before[[3, 0]]).all() and not (heads["shared"][0] == before).all(dim=1).any()
    assert not (heads["keep"][1:] == before[[3, 0]]).any()


def test_no_outlet_of_eight_speaks_of_seven(eight, command):
    store, faces = f"store={eight / 'store'}", f"++faces.folders={eight / 'faces' / 'folders'}"
    code, out, err = command("report", "study=folders", store, "details=true", "out=report", faces)
    assert code == 0, err
    assert "Contempt" in out and "new head at folders" in " ".join(out.split())
    with open("report/per_class.csv") as file:
        assert {line["truth"] for line in csv.DictReader(file)} == set(EIGHT)
    code, out, err = command(
        "predict", "study=folders", store, "row=folders", f"input={eight / 'mine' / 'Test'}", "out=seen", "pipeline=box"
    )
    assert code == 0, err
    seen = json.loads(Path("seen/faces.json").read_text())
    assert seen["labels"] == list(EIGHT) and "Contempt" in {one["label"] for one in seen["pictures"]}
    assert set(seen["pictures"][0]["faces"][0]["probabilities"]) == set(EIGHT)
    with open("seen/confusion.csv") as file:
        assert next(csv.reader(file))[1:] == list(EIGHT)


def test_python_and_an_export_know_the_set(eight, tmp_path):
    opened = fer_transfer.open_store(eight / "store")
    row = opened.row("folders")
    assert list(row.predictions("folders/Test").columns)[3:] == list(EIGHT)
    model = opened.load("folders", device="cpu")
    assert model.labels == EIGHT and model.probabilities(np.zeros((2, 32, 32), np.uint8)).shape == (2, 8)
    export_model(model, tmp_path / "out", faces={"folders": eight / "faces" / "folders"})
    again = fer_transfer.open_export(tmp_path / "out")
    assert again.labels == EIGHT
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["num_classes"] == 8 and config["label_names"][-1] == "Contempt"
    assert "8 expressions" in (tmp_path / "out" / "README.md").read_text()


def test_the_seven_are_what_they_were(tmp_path):
    """Faces of the seven name no set, their digest is of the arrays alone, and keys are those that stores have."""
    used = (FacesUsed(Prepared("d", "emotiw"), ("Train",), ("Val",), ()),)
    code = {"expressions": list(EXPRESSIONS), "versions": {"torch": "2.13"}, "store": 2}
    assert stage_key({"seed": 0}, "none", used, code) == "3219e3bfb037cb3b"
    assert stage_key({"seed": 0}, "none", used) == stage_key({"seed": 0}, "none", used, code_of_keys(EXPRESSIONS))
    digests = {}
    for name, classes in (("seven", EXPRESSIONS), ("eight", EIGHT), ("other", (*EXPRESSIONS, "Awe"))):
        with FacesWriter(tmp_path / name, "mine", (4, 4), 1) as writer:
            writer.classes = classes
            writer.add(np.zeros((4, 4), np.uint8), "a", "Train", 0)
        faces = open_faces(tmp_path / name)
        assert faces.classes == classes and ("classes" in faces.manifest) == (classes != EXPRESSIONS)
        digests[name] = faces.digest
    assert digests["seven"] == file_digest([tmp_path / "seven" / file for file in ("pixels.npy", "index.npy")])
    assert len(set(digests.values())) == 3
    assert label_set_from({"classes": list(EXPRESSIONS), "names": {}}) is SEVEN


def test_names_that_are_markup_are_shown_as_they_are(tmp_path, command):
    """Three classes of one's own from a YAML of one's own, through every command."""
    folders = ("one", "two", "three")
    write_pictures(tmp_path / "mine", folders)
    (tmp_path / "conf" / "labels").mkdir(parents=True)
    content = {"classes": list(OWN), "names": dict(zip(folders, OWN, strict=True))}
    (tmp_path / "conf" / "labels" / "mine.yaml").write_text(json.dumps(content))  # which is YAML too
    out = f"out={tmp_path / 'faces' / 'folders'}"
    given = ["--config-dir", str(tmp_path / "conf"), "labels=mine"]
    code, _, err = command("prepare", *given, *READ, f"release.path={tmp_path / 'mine'}", out)
    assert code == 0 and open_faces(tmp_path / "faces" / "folders").classes == OWN, err
    words = [word for word in training(tmp_path) if "fer2013" not in word]
    code, _, err = command("train", "plan=folders", *words)
    assert code == 0, err
    code, _, err = command("report", "study=folders", f"store={tmp_path / 'store'}", "out=report", "figures=true")
    assert code == 0, err
    page, tex = Path("report/report.html").read_text(), Path("report/confusion.tex").read_text()
    assert "Recall by class" in page and "recalls of the classes" in page and "by expression" not in page
    assert OWN[1] not in page and "&lt;b&gt;calm&lt;/b&gt; | x" in page
    assert "\\input{a}" not in tex and "textbackslash" in tex
    with open("report/per_class.csv") as file:
        assert {line["truth"] for line in csv.DictReader(file)} == {"'=cmd()", *OWN[1:]}
    (predictions,) = list((tmp_path / "store").glob("*/predictions/*Test*.csv"))
    assert (
        predictions.read_text().startswith("id,label,found,'=cmd(),") and Predictions.read(predictions).classes == OWN
    )
    code, _said, err = command("export", "row=folders", f"store={tmp_path / 'store'}", "out=exported", "study=folders")
    assert code == 0 and "<b>calm</b> | x" not in Path("exported/README.md").read_text(), err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["labels.classes=[happy]"], "2 to 100 classes (labels.classes), but got 1 (happy)"),
        (["labels.classes=[happy,sad,Happy]"], "got 1 twice: 'happy' and 'Happy'"),
        (["labels.classes=[happy,Anger,angry]"], "'Anger' and 'angry'"),
        (["labels.classes=[happy,1]"], "1 is not: 1"),
        (["labels.classes=[happy,unlabelled]"], "1 is not: 'unlabelled'"),
        (["labels.classes=[happy,sad]", "labels.names={glad: joy}"], "to stand for happy, sad, but 1 is not: 'glad: joy'"),
        (["labels.classes=[happy,sad]", "labels.names={Happiness: sad}"], "no name that is another class's own"),
        (["labels.clases=[happy,sad]"], "labels.classes"),
        (["labels=eigth"], "eight"),
        (["labels.classes=[happy,sad]"], "but got 5 of 15 pictures of others (anger 5: "),
        (["labels.classes=[happy,sad,awe]", "release.leave_out=[anger]"], "of 1 of 3 there are none: awe (there are happy 5"),
        (["labels.classes=[happy,sad]", "release.classes={anger: sad}"], "Expected one name for sad"),
        (["labels.classes=[happy,sad,anger]", "release.lacks=[anger]"], "there are 5 of anger"),
        (["labels.classes=[happy,sad,anger]", "release.lacks=[awe]"], "release.lacks to name classes"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_before_anything_is_written(words, said, elsewhere, command):
    write_pictures(elsewhere / "mine", ("happy", "sad", "anger"), train=1)
    code, _out, err = command("prepare", *READ, "release.path=mine", *words)
    assert code == 1 and said in " ".join(err.split()), err
    assert not (elsewhere / "faces").exists()


def test_names_are_said_by_the_set_or_the_release_and_lacking_classes_by_name(elsewhere, command):
    write_pictures(elsewhere / "mine", ("happy", "sad", "anger"), train=1)
    merged = ["labels.classes=[good,bad]", "labels.names={happy: good, Sad: bad, ANGER: bad}"]
    code, out, err = command("prepare", *READ, "release.path=mine", *merged)
    assert code == 0 and open_faces("faces/folders").manifest["counts"]["Train"] == {"good": 1, "bad": 2}, err
    lacking = ["labels.classes=[happy,sad,anger,awe]", "release.lacks=[awe]", "out=faces/lacking"]
    code, out, err = command("prepare", *READ, "release.path=mine", *lacking)
    assert code == 0 and "caveat: no faces of awe" in out, err
    code, out, err = command("prepare", *READ, "release.path=mine", *merged)
    assert code == 0 and "already holds these faces" in err
    code, out, err = command("prepare", *READ, "release.path=mine")
    assert code == 1 and "differ in" in err and "labels" in err


def test_a_union_of_faces_of_two_sets_is_refused(eight, command):
    union = "+plan.stages.folders.data.train.fer2013=[Training]"
    code, _out, err = command("train", "plan=folders", union, *training(eight))
    assert (
        code == 1
        and "faces of one label set for stage 'folders', but got 2: folders: Angry" in err
        and "labels=NAME" in err
    )


def test_rows_of_two_sets_make_no_ensemble(tmp_path):
    def of(plan, classes):
        digest = {"emotiw": plan * 8, "fer2013": "f" * 64}
        path = add_row(tmp_path, plan, 0.5, digests=digest, splits=())
        record = read_record(path)
        used = FacesUsed(Prepared(digest["emotiw"], "emotiw", classes=classes), ("Train",), ("Val",), ())
        last = record.lineage.stages[-1]
        object.__setattr__(last, "faces", (used,))
        return record

    rows = stored_rows([of("emotiw", EXPRESSIONS), of("fer28_emotiw", EIGHT)])
    study = study_from({"name": "s", "title": "s", "reported": [{"split": "emotiw/Val", "heading": "Val"}],
                        "ensembles": {"both": {"rows": ["emotiw", "fer28_emotiw"]}}})  # fmt: skip
    with pytest.raises(EnsembleError, match=r"rows of one label set, but got .*Contempt") as caught:
        composed("both", study.ensembles["both"], rows, tmp_path, study)
    assert caught.value.word == "other classes"
    ids, labels = np.array(["a"]), np.zeros(1, np.int8)
    seven, eight = (Predictions(ids, labels, np.ones(1, bool), np.full((1, n), 1 / n), EIGHT[:n]) for n in (7, 8))
    with pytest.raises(ValueError, match="one label set"):
        averaged([seven, eight])


def test_votes_are_for_contempt_where_it_is_a_class():
    from fer_transfer.data.targets import _voted

    assert _voted(EXPRESSIONS).tolist() == [6, 3, 5, 4, 0, 1, 2, -1, -1, -1]
    assert _voted(EIGHT).tolist() == [6, 3, 5, 4, 0, 1, 2, 7, -1, -1]


def test_a_study_orders_its_own_set_and_leaves_others_in_theirs():
    reported = [{"split": "mine/Test", "heading": "Test"}]
    study = study_from({"name": "s", "title": "s", "reported": reported, "order": ["b", "a", "c"]})
    assert study.ordered(("a", "b", "c")) == ["b", "a", "c"] and study.ordered(EXPRESSIONS) == list(EXPRESSIONS)
    with pytest.raises(ConfigError, match="every class once"):
        study_from({"name": "s", "title": "s", "reported": reported, "order": ["a", "a"]})


def test_classes_called_as_columns_are_told_apart():
    assert as_columns(("low", "mid"), ("n", "low")) == ["class low", "mid"]
    assert LabelSet(("Anger", "joy"), {"Happy": "joy"}).counted([("angry", 2), ("HAPPY", 3)]) == {"Anger": 2, "joy": 3}
