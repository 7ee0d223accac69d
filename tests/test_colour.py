"""Faces in colour, from a picture to the first layer of a network and to whatever shows faces; a red face stays red."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import onnxruntime
import pytest
import timm
import torch
from PIL import Image
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from trained import ROW

import fer_transfer
from fer_transfer.backbones.model_zoo import ZOO
from fer_transfer.backbones.preprocessing import Preprocessing
from fer_transfer.cli.demo import pipeline_at_hand
from fer_transfer.data.augment import BatchTransform
from fer_transfer.data.distorter import Distorter
from fer_transfer.data.distortion import Distortion
from fer_transfer.detection.crop import BoxCrop
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.detection.recorded import pipeline_from
from fer_transfer.errors import ConfigError, FacesError
from fer_transfer.export.at_hand import faces_at_hand
from fer_transfer.export.opened import open_export
from fer_transfer.faces.heat import heated
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.thumbnails import thumbnails
from fer_transfer.faces.writer import FacesWriter
from fer_transfer.files.document import write_document
from fer_transfer.inference.drawing import explained
from fer_transfer.inference.results import PredictedFace
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.reports.page import compare
from fer_transfer.reports.pictures import Pictures
from fer_transfer.stages.inputs import COLOUR_AFTER_GREY, GREY_AFTER_COLOUR, GREY_AMONG_COLOUR

SIDE = 64


def red(number: int) -> tuple[int, int, int]:
    """RGB of a picture, each another red."""
    return 200 + number, 10, 60


@pytest.fixture(scope="module")
def reds(tmp_path_factory) -> Path:
    """Folders of classes with pictures of one red each, and their faces, in colour."""
    root = tmp_path_factory.mktemp("reds")
    for number in range(20):
        path = root / "own" / ("Train" if number < 14 else "Val") / EXPRESSIONS[number % 7] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (80, 70), red(number)).save(path)
    fer_transfer.prepare([
        "release=folders", f"release.path={root / 'own'}", "release.aligned=true", f"release.size={SIDE}", "workers=1",
        "pipeline.colour=true", "pipeline.crop.stretch=false", "release.may_be_shown=true", f"out={root / 'faces'}",
    ])  # fmt: skip
    return root


def training(store: Path, faces: Path, *words: str) -> list[str]:
    """What fer-train is told to train a tiny network, or that of ``words``, for an epoch."""
    return [
        "plan=folders", "study=folders", "backbone=timm", "recipe.backbone.name=test_resnet", "recipe.augment.resize=72",
        "recipe.augment.crop=67", "recipe.batch_size=14", "recipe.epochs=1", "runtime.threads=1", "runtime.progress=none",
        f"runtime.store={store}", f"++runtime.faces.folders={faces}", *words,
    ]  # fmt: skip


def first_inputs(words: list[str]) -> np.ndarray:
    """What a training of red faces gives the first layer, float32 [N, C, H, W], from the least red to the reddest."""
    seen: list[torch.Tensor] = []

    def look(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        if isinstance(module, nn.Conv2d) and given[0].shape[2:] == (67, 67) and module.training and len(given[0]) == 14:
            seen.append(given[0].detach().clone())

    hook = register_module_forward_pre_hook(look)
    try:
        fer_transfer.train(words)
    finally:
        hook.remove()
    batch = seen[0].numpy()
    return batch[np.argsort(batch[:, [0, -1]].max(axis=(1, 2, 3)))]


def test_a_red_face_is_red_in_the_first_layer_of_a_network_of_timms(reds, tmp_path):
    given = first_inputs(training(tmp_path, reds / "faces"))
    cfg = timm.get_pretrained_cfg("test_resnet.r160_in1k")
    expected = np.array([(np.array(red(number)) / 255 - cfg.mean) / cfg.std for number in range(14)])
    np.testing.assert_allclose(given, np.broadcast_to(expected[..., None, None], given.shape), atol=1e-5)


def test_a_red_face_is_red_in_the_first_layer_of_a_caffe_network(reds, tmp_path):
    words = ["backbone=bvlc_alexnet", "recipe.backbone.name=bvlc_alexnet", "recipe.backbone.weights=none"]
    given = first_inputs(training(tmp_path, reds / "faces", *words, "++recipe.backbone.kwargs.img_size=67"))
    expected = np.array([red(number)[::-1] for number in range(14)]) - ZOO["bvlc_alexnet"].mean  # B, G, R
    np.testing.assert_allclose(given, np.broadcast_to(expected[..., None, None], given.shape), atol=1e-2)


def test_the_manifest_says_colour_and_grey_faces_say_nothing(reds, trained):
    faces = open_faces(reds / "faces")
    assert faces.colour and faces.manifest["colour"] is True and faces.pixels.shape == (20, SIDE, SIDE, 3)
    assert faces.pipeline["colour"] is True and f"{SIDE} px, in colour" in faces.preparation
    np.testing.assert_array_equal(faces.pixels[0, 5, 5], red(int(Path(faces.ids[0]).stem)))
    grey = open_faces(trained.faces / "emotiw")
    assert "colour" not in grey.manifest and "colour" not in grey.pipeline and not grey.colour
    assert "in colour" not in grey.preparation and grey.pixels.ndim == 3


@pytest.mark.parametrize(("says", "size"), [(True, (2, 8, 8)), (False, (2, 8, 8, 3))])
def test_a_manifest_that_says_otherwise_than_its_array_is_told(tmp_path, says, size):
    with FacesWriter(tmp_path / "faces", "own", (8, 8), 2, colour=not says) as writer:
        for number in range(2):
            writer.add(np.zeros(size[1:], np.uint8) + number, f"{number}", "Train")
    path = tmp_path / "faces" / "manifest.json"
    manifest = {key: value for key, value in json.loads(path.read_text()).items() if key not in ("colour", "sha256")}
    write_document(path, manifest | ({"colour": True} if says else {}))
    said = "The manifest says RGB (colour)." if says else "The manifest says grey."
    with pytest.raises(FacesError, match=re.escape(f"but got uint8 {size}. {said}")) as error:
        open_faces(tmp_path / "faces")
    assert "\n" not in str(error.value)
    write_document(path, manifest | {"colour": "yes"})
    with pytest.raises(FacesError, match=r"colour to be true or false.*'yes'"):
        open_faces(tmp_path / "faces")


def test_a_release_of_grey_faces_is_not_prepared_in_colour(trained, command, tmp_path):
    words = ["release=fer2013", "release.path=fer2013.csv", "pipeline.colour=true", f"out={tmp_path / 'faces'}"]
    code, _, err = command("prepare", *words)
    assert code and "fer2013 holds grey faces alone" in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "faces").exists()
    code, _, err = command("prepare", "release=frames", f"release.path={trained.release}", "pipeline.colour=1")
    assert code and "pipeline.colour to be true or false, but got 1" in err


def test_what_is_found_does_not_depend_on_colour_and_the_stretch_keeps_hues():
    frame = np.random.default_rng(0).integers(60, 90, (40, 50, 3), dtype=np.uint8)
    frame[..., 2] += 100  # red, in BGR

    class Box:
        def detect(self, frame):
            from fer_transfer.detection.detectors import Detections

            return Detections(np.array([[8, 4, 30, 30]], np.float32), np.ones(1, np.float32))

        def settings(self):
            return {"detector": {"name": "box"}}

    grey, colour = (FacePipeline(Box(), None, BoxCrop(30), colour=which).find(frame) for which in (False, True))
    assert (colour.pixels.shape, grey.pixels.shape) == ((30, 30, 3), (30, 30))
    np.testing.assert_array_equal(colour.box, grey.box)
    cut = frame[4:34, 8:38, ::-1].astype(float)
    stretched = np.rint((cut - cut.min()) * 255 / (cut.max() - cut.min()))
    np.testing.assert_array_equal(colour.pixels, stretched)
    lost = FacePipeline(Box(), None, BoxCrop(30), colour=True).read(b"no picture")
    assert lost.pixels.shape == (30, 30, 3) and lost.reason.startswith("unreadable")


def test_crops_and_mirrors_of_colours_are_those_of_each_channel():
    record = Preprocessing((0.4, 0.5, 0.6), (0.2, 0.3, 0.4), size=24)
    faces = torch.randint(0, 256, (9, 32, 32, 3), dtype=torch.uint8)
    for order in ("RGB", "BGR"):
        one = BatchTransform(
            28, 24, True, "bicubic", Preprocessing(record.mean, record.std, 255, 24, channel_order=order)
        )
        torch.manual_seed(3)
        found = one((faces,), random=True)
        for place, channel in enumerate("RGB".index(letter) for letter in order):
            torch.manual_seed(3)
            alone = one((faces[..., channel].contiguous(),), random=True)
            torch.testing.assert_close(found[:, place], alone[:, place])
        torch.manual_seed(3)
        mixed = one((faces[:4], faces[4:, :, :, 0].contiguous()), random=True)
        grey = one((faces[4:, :, :, 0].contiguous(),), random=False)
        assert mixed.shape == found.shape and found.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(one((faces[:4], faces[4:, :, :, 0].contiguous()), random=False)[4:], grey)


def test_light_falls_alike_on_all_channels_of_a_face():
    record = Preprocessing((0.4, 0.5, 0.6), (0.2, 0.3, 0.4), size=16)
    transform = BatchTransform(16, 16, False, "bilinear", record)
    faces = torch.randint(100, 130, (6, 16, 16, 3), dtype=torch.uint8)  # in the middle: nothing reaches black or white
    given = transform((faces,), random=False)
    torch.manual_seed(0)
    lit = Distorter(Distortion(light=0.3), *transform.range)(given)
    mean, std = torch.tensor(record.mean)[:, None, None], torch.tensor(record.std)[:, None, None]
    spread = [(batch * std + mean).std(dim=(2, 3)) for batch in (lit, given)]
    contrast = spread[0] / spread[1]
    torch.testing.assert_close(contrast, contrast[:, :1].expand(-1, 3))
    assert contrast[:, 0].std() > 0.01  # and otherwise on each face


def test_a_network_of_one_channel_sees_the_luma_of_colours():
    one = BatchTransform(16, 16, False, "bilinear", Preprocessing((0.0,), (1.0,), 1.0, 16))
    faces = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    found = one((torch.from_numpy(faces),), random=False)
    expected = np.stack([cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) for face in faces])
    np.testing.assert_allclose(found[:, 0], expected, atol=0.51)  # OpenCV rounds


@pytest.fixture(scope="module")
def colour(trained, tmp_path_factory) -> Path:
    """A folder with the frames of ``trained`` prepared in colour, and a store with a row trained on them and grey faces."""
    root = tmp_path_factory.mktemp("colour")
    made = ["release=emotiw", f"release.path={trained.release}", "release.may_be_shown=true", "pipeline.crop.size=64"]
    fer_transfer.prepare([*made, *pipeline_at_hand(), "pipeline.colour=true", "workers=1", f"out={root / 'emotiw'}"])
    words = [word for word in trained.overrides if not word.startswith(("runtime.store", "runtime.faces.emotiw"))]
    here = [f"runtime.store={root / 'store'}", f"runtime.faces.emotiw={root / 'emotiw'}"]
    for plan in ("emotiw", "fer32+emotiw"):
        fer_transfer.train([f"plan={plan}", *words, *here])
    return root


def test_a_row_of_colour_looks_at_pictures_in_colour(colour, trained):
    row = fer_transfer.open_store(colour / "store")
    model, faces = row.load(ROW, device="cpu"), open_faces(colour / "emotiw")
    assert model.cutting.colour and model.pipeline.colour and "in colour" in model.cutting.said
    assert model.pipeline.settings() == faces.pipeline == pipeline_from(faces.pipeline).settings()
    found = model.predict(trained.release / "Val", faces="one")
    by_name = {Path(face.picture).name: face for face in found}
    for place in np.flatnonzero(faces.of_splits(["Val"]))[:5]:
        face = by_name[Path(faces.ids[place]).name]
        np.testing.assert_array_equal(face.pixels, faces.pixels[place])
        kept = model.probabilities(np.asarray(faces.pixels[[place]]))[0]
        np.testing.assert_allclose(face.probabilities, kept, atol=1e-6)
    cut = np.asarray(faces.pixels[:3])
    np.testing.assert_array_equal(model.predict(cut, faces="cut").probabilities, model.probabilities(cut))
    swapped = model.probabilities(np.ascontiguousarray(cut[..., ::-1]))
    assert np.abs(swapped - model.probabilities(cut)).max() > 1e-6  # colours are seen
    assert model.features(cut, faces="cut").shape[0] == 3
    with pytest.raises(ConfigError, match=r"\[N, H, W, 3\], RGB, but got uint8 \[2, 8, 8, 4\]"):
        model.probabilities(np.zeros((2, 8, 8, 4), np.uint8))


@pytest.mark.parametrize("method", ["integrated_gradients", "grad_cam", "occlusion"])
def test_maps_of_colour_stand_in_the_pixels_of_the_face(colour, method):
    model = fer_transfer.open_store(colour / "store").load(ROW, device="cpu")
    cut = np.asarray(open_faces(colour / "emotiw").pixels[:2])
    maps = model.saliency(cut, method)
    assert maps.shape == (2, 64, 64) and maps.max() == 1 and maps.min() >= 0


def other_kind(record) -> dict[str, str]:
    """What a record says of faces that are of another kind than those it was trained on, by release."""
    kinds = (COLOUR_AFTER_GREY, GREY_AFTER_COLOUR)
    return {of.release: said for of in record.faces.values() for said in of.caveats if said in kinds}


def test_a_union_of_grey_and_colour_says_so(colour, trained):
    rows = {row.records[0].plan: row.records[0] for row in fer_transfer.open_store(colour / "store").rows()}
    said = f"fer2013: {GREY_AMONG_COLOUR}"
    assert said in rows["fer32+emotiw"].lineage.caveats and said not in rows["emotiw"].lineage.caveats
    grey = {row.records[0].plan: row.records[0] for row in fer_transfer.open_store(trained.store).rows()}
    assert rows["emotiw"].lineage.stages[-1].key != grey["emotiw"].lineage.stages[-1].key
    assert other_kind(rows["emotiw"]) == {"fer2013": GREY_AFTER_COLOUR} and not other_kind(rows["fer32+emotiw"])
    assert not other_kind(grey["emotiw"])
    model = fer_transfer.open_store(colour / "store").load("fer32+emotiw/test_resnet", device="cpu")
    assert model.cutting.colour and said in " ".join(model.about.caveats)


def test_an_export_takes_faces_in_colour(colour, tmp_path):
    model = fer_transfer.open_store(colour / "store").load(ROW, device="cpu")
    faces = {"emotiw": colour / "emotiw"}
    done = fer_transfer.export_model(model, tmp_path / "out", faces, int8=True)
    assert "[N, H, W, 3], RGB" in done.lines()[0] and "emotiw" in done.checked.faces
    cut = np.asarray(open_faces(colour / "emotiw").pixels[:4])
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx")
    _, logits = session.run(None, {"faces": cut})
    powers = np.exp(logits.astype(float))
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), model.model.probabilities(cut), atol=1e-4)
    card = (tmp_path / "out" / "README.md").read_text()
    assert (
        "a cut face in colour" in card
        and "uint8 [N, H, W, 3], RGB, 0..255" in card
        and "np.zeros((1, 48, 48, 3)" in card
    )
    config = json.loads((tmp_path / "out" / "preprocessor_config.json").read_text())
    assert (config["channels"], config["channel_order"]) == ("RGB", "RGB") and "[N, H, W, 3], RGB" in config["input"]
    opened = open_export(tmp_path / "out")
    assert opened.pipeline.colour
    np.testing.assert_allclose(opened.probabilities(cut), model.probabilities(cut), atol=1e-4)
    grey = cut[..., 0]
    again = opened.probabilities(np.repeat(grey[..., None], 3, axis=3))
    np.testing.assert_array_equal(opened.probabilities(np.ascontiguousarray(grey)), again)
    without = fer_transfer.export_model(model, tmp_path / "drawn")
    assert "synthetic faces, drawn for this" in without.checked.faces


def test_an_export_of_grey_refuses_colours_and_is_checked_on_grey(colour, trained, tmp_path):
    model = fer_transfer.open_store(trained.store).load(ROW, seeds=0, device="cpu")
    fer_transfer.export_model(model, tmp_path / "out")
    opened = open_export(tmp_path / "out")
    with pytest.raises(ConfigError, match=r"Expected grey faces \[N, H, W\].*got faces in colour, \[4, 64, 64, 3\]"):
        opened.probabilities(np.asarray(open_faces(colour / "emotiw").pixels[:4]))
    colours = fer_transfer.open_store(colour / "store").load(ROW, device="cpu")
    lineages = [colours.model.lineage]
    assert faces_at_hand(lineages, {"emotiw": colour / "emotiw"}, 9) is None
    assert faces_at_hand(lineages, {"emotiw": colour / "emotiw"}, 9, colour=True).measured.pixels.ndim == 4


def reddish(picture: np.ndarray) -> bool:
    """Whether an RGB picture is red in its middle."""
    middle = picture[len(picture) // 2, picture.shape[1] // 2].astype(int)
    return middle[0] > 150 and middle[1:].max() < 110


def test_what_shows_faces_shows_them_red(reds):
    faces = open_faces(reds / "faces")
    ids = faces.ids[:2].tolist()
    small = thumbnails(faces, ids, side=32)
    assert all(map(reddish, small.values())) and list(small) == ids
    found = thumbnails(faces, ids[:1])[ids[0]]
    nothing = np.zeros(found.shape[:2], np.float32)
    np.testing.assert_array_equal(heated(found, nothing), found[..., ::-1])
    face = PredictedFace(
        "a", 0, True, "", 1.0, np.zeros(4), np.zeros((2, 2)), None, found, EXPRESSIONS, np.full(7, 1 / 7)
    )
    assert reddish(explained(face, nothing, "occlusion")[100:156, 100:156, ::-1])
    report = SimpleNamespace(
        pictures=Pictures({"folders": reds / "faces"}),
        study=SimpleNamespace(first=SimpleNamespace(split="folders/Val")),
    )
    row = SimpleNamespace(ids=ids, digest=faces.digest)
    of_page = [cv2.imdecode(np.frombuffer(one, np.uint8), 1) for one in compare._pictures(report, row).values()]
    assert len(of_page) == 2 and all(reddish(one[..., ::-1]) for one in of_page)


def test_tables_on_wandb_show_them_red(reds):
    wandb_outlet = pytest.importorskip("fer_transfer.tracking.wandb_outlet")
    faces = open_faces(reds / "faces")
    outlet = SimpleNamespace(_faces={faces.digest: str(reds / "faces")}, options={"pictures": 2})
    scores = SimpleNamespace(digest=faces.digest, predictions=faces, by_certainty=np.arange(5))
    shown = wandb_outlet.WandbOutlet._pictures(outlet, scores)
    assert len(shown) == 2 and all(reddish(np.asarray(of.image)) for of in shown.values())


def test_sheets_show_them_red(reds):
    sheet = np.asarray(Image.open(reds / "faces" / "sheet.jpg").convert("RGB")).astype(int)
    of_frames_and_crops = sheet[(sheet.max(axis=2) - sheet.min(axis=2)) > 60]
    assert len(of_frames_and_crops) and (of_frames_and_crops.argmax(axis=1) == 0).mean() > 0.99
    crop = sheet[22 + 100, round(1.4 * 192) + 96]  # of the first cell: in the middle, beside the frame
    assert crop[0] > 150 and crop[1:].max() < 110
