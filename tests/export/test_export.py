"""fer-export through its command: what comes out is checked by ONNX Runtime, timm, YAML and by hand, on a tiny trained store."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import timm
import torch
import yaml
from hostile import HOSTILE, acts_on_a_terminal
from PIL import Image
from torch import nn
from trained import FER_ROW, ROW

import fer_transfer
from fer_transfer.backbones.lrn import LocalResponseNorm
from fer_transfer.errors import ConfigError, WeightsError
from fer_transfer.evaluation.temperature import tempered
from fer_transfer.export import checking
from fer_transfer.export.card import model_card
from fer_transfer.export.network import WholeModel, graph_of
from fer_transfer.export.onnx_file import outputs_of, session_of, with_record
from fer_transfer.export.told import Told
from fer_transfer.export.weights import loading_lines
from fer_transfer.faces.opening import open_faces
from fer_transfer.files.names import shown
from fer_transfer.inference.cutting import Cutting
from fer_transfer.inference.provenance import provenance_from_json
from fer_transfer.inference.stage_model import StageModel


@pytest.fixture(scope="module")
def store(trained):
    return fer_transfer.open_store(trained.store)


@pytest.fixture(scope="module")
def faces(trained):
    return {name: trained.faces / name for name in ("emotiw", "fer2013")}


@pytest.fixture(scope="module")
def pixels(faces):
    return np.asarray(open_faces(faces["emotiw"]).pixels[:5])


@pytest.fixture(scope="module")
def exported(store, faces, tmp_path_factory):
    """Both seeds of a row, also in int8."""
    out = tmp_path_factory.mktemp("exported") / "row"
    return fer_transfer.export_model(store.load(ROW, device="cpu"), out, faces, int8=True)


@pytest.fixture(scope="module")
def one(store, faces, tmp_path_factory):
    """One seed."""
    out = tmp_path_factory.mktemp("exported") / "one"
    return fer_transfer.export_model(store.load(f"{ROW}/0", device="cpu"), out, faces)


@pytest.fixture(scope="module")
def picture(trained):
    return sorted((trained.release / "Val").rglob("*.png"))[0]


def run(path, pixels):
    return onnxruntime.InferenceSession(str(path)).run(None, {"faces": pixels})


def test_the_command_writes_it_all_and_says_what_it_found(command, trained, faces, tmp_path):
    out = tmp_path / "out"
    words = [f"store={trained.store}", f"row={ROW}", f"out={out}", f"faces.emotiw={faces['emotiw']}"]
    code, stdout, stderr = command("export", *words)
    assert code == 0, stderr
    assert (
        "checked against PyTorch on " in stdout and "faces of emotiw/Val (synthetic): no probability differs" in stdout
    )
    assert "opset 17" in stdout and "CAVEATS: emotiw: synthetic" in stdout and "seeds 0, 1" in stdout
    assert stdout.count("    model = timm.create_model('test_resnet', num_classes=7)") == 2
    own = {
        f"network-{n}/{name}"
        for n in (1, 2)
        for name in ("config.json", "model.safetensors", "preprocessor_config.json")
    }
    written = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert written == {"README.md", "model.onnx"} | own
    assert "is there. Give another, or replace=true" in command("export", *words)[2]
    assert command("export", *words, "replace=true")[0] == 0


def test_an_ensemble_of_a_study_is_a_row(command, trained, store, pixels, tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "mine.yaml").write_text(
        "name: mine\ntitle: Mine\nreported: [{split: emotiw/Val, heading: Val}]\n"
        f"ensembles: {{both: {{rows: [{ROW}, {FER_ROW}]}}}}\n"
    )
    words = (f"store={trained.store}", "study=mine", "row=both", "calibrated=false", f"out={tmp_path / 'out'}")
    code, _, stderr = command("export", *words, "--config-dir", str(tmp_path))
    assert code == 0, stderr
    members = [
        store.load(name, seeds=0, calibrated=False, device="cpu").probabilities(pixels) for name in (ROW, FER_ROW)
    ]
    np.testing.assert_allclose(run(tmp_path / "out/model.onnx", pixels)[0], np.mean(members, axis=0), atol=1e-5)
    assert f"both: ensemble of {ROW} + {FER_ROW}" in (tmp_path / "out/README.md").read_text().replace("\\", "")


@pytest.mark.parametrize("side", [(24, 24), (64, 64), (300, 200)])
@pytest.mark.parametrize("count", [1, 3])
def test_one_file_takes_any_number_of_faces_of_any_size(exported, store, side, count):
    some = np.random.default_rng(count).integers(0, 256, (count, *side), np.uint8)
    model = store.load(ROW, device="cpu")
    probabilities, logits = run(exported.folder / "model.onnx", some)
    plain = model.model.probabilities(some)
    np.testing.assert_allclose(np.exp(logits), plain, atol=1e-5)
    np.testing.assert_allclose(probabilities, tempered(plain, model.about.temperature.value), atol=1e-5)


@pytest.mark.parametrize("calibrated", [True, False])
def test_what_was_exported_is_opened_and_gives_the_rows_probabilities(exported, store, pixels, calibrated):
    opened = fer_transfer.open_export(exported.folder, calibrated)
    row = store.load(ROW, calibrated=calibrated, device="cpu")
    np.testing.assert_allclose(opened.probabilities(pixels), row.probabilities(pixels), atol=1e-5)
    assert opened.about == row.about and opened.labels == row.labels and opened.cutting == row.cutting
    with pytest.raises(ConfigError, match="probabilities only, no features"):
        opened.features(pixels)


@pytest.mark.parametrize("name", ["", "model.onnx", "model_int8.onnx"])
def test_pictures_are_looked_at_as_with_the_row(exported, trained, picture, command, name):
    by_row = command("predict", f"store={trained.store}", f"row={ROW}", f"input={picture}", "format=json")
    code, stdout, stderr = command("predict", f"model={exported.folder / name}", f"input={picture}", "format=json")
    assert code == 0, stderr
    (one,), (other,) = (json.loads(text)["pictures"][0]["faces"] for text in (by_row[1], stdout))
    assert one["box"] == other["box"]  # cut by the row's own pipeline
    np.testing.assert_allclose(
        list(other["probabilities"].values()), list(one["probabilities"].values()), atol=0.2 if "int8" in name else 1e-5
    )


def test_ten_crops_are_exported_as_ten_crops(store, pixels, tmp_path):
    ten = store.load(f"{ROW}/0", evaluation="ten_crops", device="cpu")
    graph = graph_of(WholeModel([(ten.model, 1.0)]), tmp_path)
    logits = outputs_of(session_of(graph, "ten"), pixels)[1]
    np.testing.assert_allclose(np.exp(logits), ten.model.probabilities(pixels), atol=1e-5)
    assert np.abs(ten.model.probabilities(pixels) - store.load(f"{ROW}/0").model.probabilities(pixels)).max() > 1e-4


def test_the_three_lines_load_the_weights(one, store, pixels, monkeypatch):
    monkeypatch.chdir(one.folder)
    names: dict[str, object] = {}
    exec("\n".join(one.loading), names)
    ours = store.load(f"{ROW}/0", device="cpu").model
    seen = ours.transform((torch.from_numpy(pixels),), random=False)
    assert torch.equal(names["model"](seen), ours.network(seen))
    by_folder = timm.create_model(f"local-dir:{one.folder}", pretrained=True).eval()
    assert torch.equal(by_folder(seen), ours.network(seen))
    assert by_folder.pretrained_cfg["label_names"] == list(fer_transfer.EXPRESSIONS)


DECLARED = [
    "import torch",
    "library = torch.library.Library('torchvision', 'FRAGMENT')",
    "for name in ('nms', 'qnms'): library.define(name + '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')",
]


def in_python(code, folder):
    return subprocess.run(
        [sys.executable, "-c", "\n".join(code)], cwd=folder, capture_output=True, text=True, timeout=120
    )


@pytest.mark.long
def test_the_three_lines_need_timm_and_safetensors_alone(one, store, pixels, tmp_path):
    """In a process in which this package cannot be imported."""
    ours = store.load(f"{ROW}/0", device="cpu").model
    seen = ours.transform((torch.from_numpy(pixels),), random=False)
    np.save(tmp_path / "seen.npy", seen.numpy())
    code = [
        "import sys",
        "sys.modules['fer_transfer'] = None",
        *one.loading,
        "import numpy, torch",
        f"seen = torch.from_numpy(numpy.load({str(tmp_path / 'seen.npy')!r}))",
        f"numpy.save({str(tmp_path / 'logits.npy')!r}, model(seen).detach().numpy())",
    ]
    done = in_python(code, one.folder)
    if (
        "operator torchvision::nms does not exist" in done.stderr
    ):  # torchvision was built for another torch: timm needs it
        done = in_python(DECLARED + code, one.folder)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), ours.network(seen).detach(), atol=1e-5)


def test_the_input_is_told_in_numbers(one, store, pixels):
    """By Pillow and numpy alone."""
    told = json.loads((one.folder / "preprocessor_config.json").read_text())
    side, crop = told["resize"], told["crop"]
    far = (side - crop) // 2
    resized = [
        np.asarray(Image.fromarray(face.astype(np.float32)).resize((side, side), Image.BILINEAR)) for face in pixels
    ]
    grey = np.stack(resized)[:, far : far + crop, far : far + crop]
    mean, std = (np.array(told[key])[:, None, None] for key in ("mean", "std"))
    seen = (grey[:, None] / told["scale"] - mean) / std
    ours = store.load(f"{ROW}/0", device="cpu").model.transform((torch.from_numpy(pixels),), random=False)
    np.testing.assert_allclose(seen, ours, atol=1e-3)
    timms = json.loads((one.folder / "config.json").read_text())["pretrained_cfg"]
    by_timm = [(grey / 255 - mean) / std for mean, std in zip(timms["mean"], timms["std"], strict=True)]
    np.testing.assert_allclose(np.stack(by_timm, axis=1), ours, atol=1e-3)
    assert told["views"] == "centre" and told["faces"]["pipeline"]["detector"]["name"] == "Viola-Jones"


def test_int8_is_measured(exported, faces):
    loss = exported.loss
    val = open_faces(faces["emotiw"])
    rows = val.rows(["Val"])
    rows = rows[val.found[rows]]
    of, small = (run(exported.folder / name, val.pixels[rows])[0] for name in ("model.onnx", "model_int8.onnx"))
    assert loss.count == len(rows) and loss.measured_on == f"{len(rows)} faces of emotiw/Val (synthetic)"
    assert (
        loss.right == (of.argmax(1) == val.labels[rows]).sum()
        and loss.right_int8 == (small.argmax(1) == val.labels[rows]).sum()
    )
    assert loss.mean == pytest.approx(np.abs(of.astype(float) - small).mean()) and 0 < loss.largest < 0.2
    assert loss.size_int8 < loss.size / 2
    assert loss.line() in (exported.folder / "README.md").read_text().replace("\\", "")
    (note,) = fer_transfer.open_export(exported.folder / "model_int8.onnx").about.notes
    assert note == f"the accuracies above are those of the float network; {loss.line()}"


def test_without_faces_it_says_so(store, tmp_path):
    model = store.load(f"{FER_ROW}", device="cpu")
    result = fer_transfer.export_model(model, tmp_path / "a")
    assert "on 14 synthetic faces, drawn for this" in result.checked.line()
    with pytest.raises(
        ConfigError, match=r"to measure what int8 costs, but none of them is in .*nowhere. Give faces.NAME"
    ):
        fer_transfer.export_model(model, tmp_path / "b", {"x": tmp_path / "nowhere"}, int8=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_a_network_that_comes_out_otherwise_is_refused(store, tmp_path, monkeypatch):
    real = checking.in_float32
    monkeypatch.setattr(checking, "in_float32", lambda *given: real(*given) + 2e-4)
    with pytest.raises(WeightsError, match=r"to 1e-04, but on .* one differs by 2.0e-04. Nothing was written"):
        fer_transfer.export_model(store.load(f"{ROW}/0", device="cpu"), tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_a_layer_that_onnx_does_not_know_is_told(store, tmp_path):
    model = store.load(f"{ROW}/0", device="cpu")
    model.model.network.conv1 = nn.Sequential(model.model.network.conv1, Unknown())
    with pytest.raises(WeightsError, match="Cannot write this network as ONNX"):
        fer_transfer.export_model(model, tmp_path / "a")
    assert not list(tmp_path.iterdir())


class Unknown(nn.Module):
    def forward(self, x):
        return torch.special.bessel_j0(x)


def test_the_model_card_says_what_must_be_said(exported):
    text = (exported.folder / "README.md").read_text()
    _, head, body = text.split("---\n", 2)
    told = yaml.safe_load(head)
    assert told["license"] == "other" and told["pipeline_tag"] == "image-classification"
    (score,) = [of for of in fer_transfer.open_export(exported.folder).about.scores if of.split == "emotiw/Val"]
    result = next(of for of in told["model-index"][0]["results"] if of["dataset"]["split"] == "Val")
    assert result["metrics"][0]["value"] == pytest.approx(score.correct / score.count, abs=1e-4)
    assert "synthetic" in result["dataset"]["name"]
    assert f"[{100 * score.low:.1f}, {100 * score.high:.1f}] | {score.correct} / {score.count}" in body
    for said in (
        "Expressions are not feelings", "## Misuse", "## Intended use", "## Licences", "random; no ImageNet",
        "Who is in the data",
        "CAVEATS: emotiw: synthetic", "synthetic faces in the layout", "| 2 | emotiw | emotiw (",
        "fer-predict model=.", "opset 17",
    ):  # fmt: skip
        assert said in body, said


def test_real_releases_and_pretrained_weights_have_their_licences(store, tmp_path):
    """And what was trained under bfloat16 is compared in float32."""
    model = store.load(f"{ROW}/0", device="cpu")
    lineage = model.model.lineage
    (used,) = lineage.stages[-1].faces
    stage = replace(lineage.stages[-1], faces=(replace(used, caveats=()),))
    model.model.lineage = replace(lineage, weights="hub:test_resnet:0123", stages=(stage,))
    model.model.bf16 = True
    assert fer_transfer.export_model(model, tmp_path / "a").checked.difference < 1e-5 and model.model.bf16
    text = (tmp_path / "a/README.md").read_text()
    assert "SFEW 2.0: frames of movies, given out by the EmotiW organisers against a signed agreement" in text
    assert "non-commercial research and education" in text and "hub:test_resnet:0123" in text
    assert "FER-2013: no licence" not in text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_do_nothing_in_card_and_head(one, store, name):
    model = store.load(f"{ROW}/0", device="cpu")
    members = tuple(replace(member, plan=name, lineage=name) for member in model.about.members)
    scores = tuple(replace(score, split=f"{name}/{name}") for score in model.about.scores)
    about = replace(
        model.about, name=name, caveats=(name,), notes=(name,), ensembles=(name,), scores=scores, members=members
    )
    (stage,) = model.model.lineage.stages
    (used,) = stage.faces
    used = replace(used, prepared=replace(used.prepared, release=name), trained_on=(name,), caveats=(name,))
    model.model.lineage = replace(model.model.lineage, weights=name, stages=(replace(stage, name=name, faces=(used,)),))
    checked = replace(one.checked, faces=name)
    told = Told(about, Cutting(name), model.labels, (model.model,), ("",), checked, None, {"fer_transfer": "0"})
    _, head, body = model_card(told).split("---\n", 2)
    assert not acts_on_a_terminal(head + body)
    assert "<script>" not in body and "\n[/red]\n" not in body and "[here](http" not in body
    assert yaml.safe_load(head)["model-index"][0]["name"] == shown(name) and len(yaml.safe_load(head)) == 6
    (row,) = [line for line in body.splitlines() if line.startswith("| 1 |")]
    assert row.replace("\\|", "").count("|") == 8
    assert provenance_from_json(json.loads(json.dumps(told.record()))["about"]) == about


def sealed(path, change):
    """The same file with a changed record under a true digest."""
    data = path.read_bytes()
    content = json.loads(onnxruntime.InferenceSession(data).get_modelmeta().custom_metadata_map["fer_transfer"])
    graph = data[: content["graph"]["bytes"]]
    change(content)
    kept = {key: value for key, value in content.items() if key not in ("sha256", "graph")}
    path.write_bytes(with_record(graph, kept))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "damaged"),
        (lambda path: path.write_bytes(b""), "damaged"),
        (lambda path: path.write_text("a model"), "damaged, or no ONNX file"),
        (lambda path: flip(path, 0.5), "damaged: its graph is not what was written"),
        (lambda path: flip(path, None), "damaged: its record is not what was written"),
        (lambda path: path.unlink(), "with model.onnx in it, but .* holds README.md, config.json, model.safetensors"),
        (lambda path: sealed(path, lambda record: record.update(format=2)), "of format 1 in .*, but got 2"),
        (
            lambda path: sealed(path, lambda record: record["about"].pop("scores")),
            "'scores' of its record is another's",
        ),
        (lambda path: sealed(path, lambda record: record["about"].update(more=1)), "of its record is another's"),
    ],
)
def test_a_damaged_export_is_told_in_a_line(one, tmp_path, command, damage, message):
    shutil.copytree(one.folder, tmp_path / "copy")
    damage(tmp_path / "copy/model.onnx")
    with pytest.raises(WeightsError, match=message) as told:
        fer_transfer.open_export(tmp_path / "copy")
    assert "\n" not in str(told.value)


def flip(path, share):
    """Another bit, so far into the file, or in the record's temperature."""
    data = bytearray(path.read_bytes())
    place = int(len(data) * share) if share else data.index(b'"value": ') + 12
    data[place] ^= 1
    path.write_bytes(data)


def test_a_file_of_somebody_elses_is_told_in_a_line(command, picture, tmp_path):
    torch.onnx.export(
        nn.Conv2d(3, 4, 3).eval(), (torch.zeros(1, 3, 8, 8),), tmp_path / "x.onnx", dynamo=False, input_names=["image"]
    )
    code, _, stderr = command("predict", f"model={tmp_path / 'x.onnx'}", f"input={picture}")
    assert code == 1 and stderr.count("\n") == 1
    assert "it is somebody else's" in stderr and "image tensor(float) [1, 3, 8, 8]" in stderr


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("predict", ["model=nowhere", "input=PICTURE"], "Expected an ONNX file at nowhere, but got: No such file"),
        ("predict", ["model=.", "input=PICTURE"], "with model.onnx in it, but . holds nothing"),
        ("predict", ["model=x", "row=sub3", "input=PICTURE"], "Expected model=EXPORT alone, but got row with it"),
        ("predict", ["model=x", "ten_crops=true", "input=PICTURE"], "but got ten_crops with it"),
        ("predict", ["model=x", "device=cuda", "input=PICTURE"], "device=auto or cpu with model=EXPORT"),
        ("export", [f"row={ROW}"], "Expected a path for out"),
        ("export", ["out=x"], "Expected row=NAME, but got none"),
        ("export", [f"row={ROW}", "out=x", "int8=yes"], "Expected int8 to be true or false, but got 'yes'"),
        ("export", ["row=emotiv/test_resnet", "out=x"], "Did you mean 'emotiw/test_resnet'"),
    ],
)
def test_mistakes(command, trained, picture, name, words, message):
    code, _, stderr = command(name, f"store={trained.store}", *(w.replace("PICTURE", str(picture)) for w in words))
    assert code == 1 and message in stderr and stderr.count("\n") == 1, stderr


def test_a_model_of_something_else_is_refused(exported, tmp_path):
    with pytest.raises(ConfigError, match="Expected rows or stages of a store, whose weights can be exported, but got"):
        fer_transfer.export_model(fer_transfer.open_export(exported.folder), tmp_path / "a")


def test_the_papers_networks_are_exported(tmp_path, pixels):
    """LRN is ONNX's own operator, and the weights load with one import more."""

    layer = LocalResponseNorm(5, 5e-4, 0.75, 2.0)
    torch.onnx.export(
        layer, (torch.zeros(1, 8, 3, 3),), tmp_path / "lrn.onnx", dynamo=False, opset_version=17, input_names=["x"]
    )
    x = torch.randn(1, 8, 3, 3) * 50
    (y,) = session_of((tmp_path / "lrn.onnx").read_bytes(), "lrn").run(None, {"x": x.numpy()})
    np.testing.assert_allclose(y, layer(x), rtol=1e-5)
    np.testing.assert_allclose(y, torch.nn.functional.local_response_norm(x, 5, 5e-4, 0.75, 2.0), rtol=1e-5)
    assert np.abs(y - x.numpy()).max() > 1
    named = StageModel.__new__(StageModel)
    named.kwargs = {"img_size": 67}
    of_stage = {"recipe": {"backbone": {"name": "bvlc_alexnet"}}, "classes": fer_transfer.EXPRESSIONS}
    named.lineage = type("L", (), {"stages": [type("S", (), of_stage)]})()
    lines = loading_lines(named)
    assert lines[2].startswith("import fer_transfer.backbones.alexnet") and "img_size=67" in lines[3]
