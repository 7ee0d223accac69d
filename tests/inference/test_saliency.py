"""Maps of what spoke for an expression: they lie where a drawn face moves, and are what their methods say."""

import copy

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from trained import FER_ROW, ROW

import fer_transfer
from fer_transfer.backbones.networks import build_network
from fer_transfer.cli.report import report
from fer_transfer.config import plain
from fer_transfer.errors import ConfigError, StoreError
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.writer import FacesWriter, with_permission
from fer_transfer.inference import attribution
from fer_transfer.inference.explaining import row_explainer
from fer_transfer.inference.methods import METHODS
from fer_transfer.inference.saliency import saliency_maps
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.reports.page import surest
from fer_transfer.reports.report import load_report
from fer_transfer.settings import compose
from fer_transfer.study import study_from
from fer_transfer.synthetic.moving import moving_face

STUDY = study_from(plain(compose("report").study))
SIDE, MOVING = 48, 0.15  # of a face's pixels those that its expression changed most are its moving parts
SOME = 60
COUNTS = {"Train": 168, "Val": 56, "Test": 7}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Drawn faces as prepared ones; where each of them moves."""
    folder = tmp_path_factory.mktemp("moving") / "emotiw"
    splits = [split for split, count in COUNTS.items() for _ in range(count)]
    pairs = [moving_face(np.random.default_rng([1, i]), i % 7, SIDE) for i in range(len(splits))]
    with FacesWriter(folder, "emotiw", (SIDE, SIDE), len(splits)) as writer:
        writer.caveats = ["synthetic"]
        for i, (split, (face, _)) in enumerate(zip(splits, pairs, strict=True)):
            writer.add(face, f"{i:04}.png", split, -1 if split == "Test" else i % 7, True)
    return folder, np.stack([moved for _, moved in pairs])


@pytest.fixture(scope="module")
def expert(drawn, tmp_path_factory):
    """A tiny network that learned them, in seconds."""
    store = tmp_path_factory.mktemp("expert") / "store"
    words = ["recipe.backbone.name=test_resnet", "recipe.augment.resize=52", "recipe.augment.crop=48"]
    words += ["optimizer=adamw", "recipe.optimizer.lr=0.003", "recipe.epochs=12", "recipe.batch_size=16"]
    words += ["recipe.head_multiplier=1", "runtime.threads=1", "runtime.progress=none", f"runtime.store={store}"]
    row = fer_transfer.train(["plan=emotiw", "backbone=timm", *words, f"runtime.faces.emotiw={drawn[0]}"])
    return fer_transfer.open_store(store).load(row.name, calibrated=False)


@pytest.fixture(scope="module")
def moving(drawn, expert):
    """Faces that move and that the network is right about, new ones first, and their moving parts, bool [N, H, W]."""
    faces = open_faces(drawn[0])
    rows = np.concatenate([faces.rows(["Val"]), faces.rows(["Train"])])
    rows = rows[faces.labels[rows] != EXPRESSIONS.index("Neutral")]
    pixels = np.asarray(faces.pixels[rows])
    right = expert.probabilities(pixels).argmax(axis=1) == faces.labels[rows]
    assert right[: COUNTS["Val"] * 6 // 7].mean() > 0.4  # of new ones; else the network has nothing to show
    moved = drawn[1][rows][right][:SOME]
    return pixels[right][:SOME], moved > np.quantile(moved, 1 - MOVING, axis=(1, 2), keepdims=True)


def shares(maps, where):
    """Of each map the share that lies in the moving parts; of an empty one what chance has."""
    whole = maps.sum(axis=(1, 2))
    return np.where(whole > 0, (maps * where).sum(axis=(1, 2)) / np.where(whole > 0, whole, 1), MOVING)


def random_shares(where, draws=200):
    """The mean share of smooth random maps, a number for each draw."""
    random = np.random.default_rng(0)
    for _ in range(draws):
        noise = random.random(where.shape, np.float32) ** 4
        yield shares(np.stack([cv2.GaussianBlur(one, (0, 0), SIDE / 32) for one in noise]), where).mean()


@pytest.mark.parametrize(("method", "least"), [("integrated_gradients", 0.28), ("grad_cam", 0.17), ("occlusion", 0.22)])
def test_the_map_of_an_expression_lies_where_its_moving_parts_are(expert, moving, method, least):
    faces, where = moving
    found = shares(expert.saliency(faces, method), where).mean()
    assert found > max(random_shares(where)) and found > least


def test_what_the_network_learned_is_in_the_map_and_not_only_the_faces_edges(expert, moving):
    faces, where = moving
    classes = expert.probabilities(faces).argmax(axis=1)
    learned = shares(expert.saliency(faces, targets=classes), where)
    torch.manual_seed(0)
    fresh = copy.copy(expert.model)
    fresh.network = build_network("test_resnet", {}, len(EXPRESSIONS)).eval()
    untrained = shares(saliency_maps(fresh, faces, targets=classes), where)
    assert learned.mean() > 1.2 * untrained.mean() and (learned > untrained).mean() > 0.65


def test_maps_are_in_the_pixels_of_the_faces_from_nought_to_one(expert, moving):
    faces = np.stack([cv2.resize(face, (60, 72)) for face in moving[0][:5]])
    for method in METHODS:
        maps = expert.saliency(faces, method)
        assert maps.shape == (5, 72, 60) and maps.dtype == np.float32
        assert maps.min() == 0 and maps.max(axis=(1, 2)) == pytest.approx(np.ones(5))
        assert expert.saliency(faces[:0], method).shape == (0, 72, 60)


def test_many_faces_at_once_are_one_after_the_other(expert, moving):
    faces = moving[0][:35]  # more than a batch
    for method in METHODS:
        one = np.concatenate([expert.saliency(faces[i : i + 1], method) for i in (0, 34)])
        np.testing.assert_allclose(expert.saliency(faces, method)[[0, 34]], one, atol=0.02)


def test_integrated_gradients_are_complete(expert, moving):
    """They sum to what the face has over the blurred one (axiom of the method)."""
    faces = moving[0][:8]
    model = expert.model
    classes = np.arange(8) % 7
    given = attribution.integrated_gradients(model.network, model.transform, faces, classes)
    start = np.stack([cv2.GaussianBlur(face.astype(np.float32), (0, 0), 0.08 * SIDE) for face in faces])
    with torch.no_grad():
        ends = [
            model.network(model.transform((torch.from_numpy(of).float(),), random=False)).log_softmax(dim=1)
            for of in (start, faces)
        ]
    expected = (ends[1] - ends[0]).numpy()[np.arange(8), classes]
    np.testing.assert_allclose(given.sum(axis=(1, 2)), expected, atol=0.05 * np.abs(expected).max())


def test_grad_cam_is_that_of_the_paper(expert, moving):
    """Against gradients taken by hand of the last layer with several places."""
    model, faces = expert.model, moving[0][:4]
    classes, kept = np.arange(4), {}
    hook = model.network.layer4.register_forward_hook(lambda module, given, output: kept.update(map=output))
    logits = model.network(model.transform((torch.from_numpy(faces),), random=False))
    hook.remove()
    gradient = torch.autograd.grad(logits[np.arange(4), classes].sum(), kept["map"])[0]
    by_hand = F.relu((gradient.mean(dim=(2, 3), keepdim=True) * kept["map"]).sum(dim=1, keepdim=True))
    crop = F.interpolate(by_hand, (48, 48), mode="bilinear")
    expected = F.interpolate(F.pad(crop, (2, 2, 2, 2)), (SIDE, SIDE), mode="bilinear")[:, 0].detach().numpy()
    got = attribution.grad_cam(model.network, model.transform, faces, classes)
    assert expected.max() > 0
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other / max(other.max(), 1e-12), atol=1e-5)


class Corner:
    """A model that looks at the lower right corner alone, and gives no gradients."""

    name, labels = "corner", ("Dark", "Bright")

    def probabilities(self, faces):
        bright = 0.05 + 0.9 * (faces[:, 30:, 30:].reshape(len(faces), -1).max(axis=1) / 255.0)
        return np.stack([1 - bright, bright], axis=1)


def test_occlusion_explains_any_model_and_the_others_say_so():
    face = np.full((1, 40, 40), 20, np.uint8)
    face[0, 33:36, 33:36] = 250
    (found,) = saliency_maps(Corner(), face, "occlusion")
    assert found[28:, 28:].sum() == pytest.approx(found.sum()) and found[34, 34] == 1
    with pytest.raises(ConfigError, match="corner gives no gradients, which grad_cam needs"):
        saliency_maps(Corner(), face, "grad_cam")


def test_of_several_networks_it_is_the_mean(trained):
    store = fer_transfer.open_store(trained.store)
    pixels = np.asarray(open_faces(trained.faces / "emotiw").pixels[:3])
    both = store.load(ROW, FER_ROW, calibrated=False, weights=[3, 1])
    each = [member.attributions(pixels, np.array([1, 2, 3]), "grad_cam") for member in both.model.members]
    expected = attribution.scaled(0.375 * each[0] + 0.375 * each[1] + 0.25 * each[2])
    np.testing.assert_allclose(both.saliency(pixels, "grad_cam", [1, 2, 3]), expected, atol=1e-6)


def test_faces_of_a_picture_are_explained(trained):
    model = fer_transfer.open_store(trained.store).load(ROW, seeds=0)
    predicted = model.predict(sorted((trained.release / "Val").rglob("*.png"))[0])
    np.testing.assert_array_equal(model.saliency(predicted), model.saliency(predicted[0].pixels[None]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "lime"}, "integrated_gradients, grad_cam, occlusion, but got 'lime'"),
        ({"targets": [0]}, "a class from 0 to 6 for each of 2 faces"),
        ({"targets": [0, 7]}, "a class from 0 to 6 for each of 2 faces"),
        ({"targets": [0.5, 1.0]}, "a class from 0 to 6 for each of 2 faces"),
    ],
)
def test_what_cannot_be_explained_is_said(expert, moving, options, message):
    with pytest.raises(ConfigError, match=message):
        expert.saliency(moving[0][:2], **options)


def test_an_extra_that_is_absent_is_said(expert, moving, monkeypatch):
    monkeypatch.setattr("fer_transfer.inference.methods.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'fer_transfer\[saliency\]'"):
        expert.saliency(moving[0][:2])


@pytest.fixture
def shown(trained, tmp_path):
    """The store's faces, of which pictures may stand in reports."""
    folder = tmp_path / "emotiw"
    folder.mkdir()
    for file in (trained.faces / "emotiw").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return with_permission(open_faces(folder), True).folder


def test_the_page_shows_what_spoke_for_mistakes_where_faces_may_be_shown(trained, shown, tmp_path):
    hidden, title = trained.faces / "emotiw", "What spoke for the mistake"
    report(
        compose("report", [f"store={trained.store}", f"out={tmp_path}", f"faces.emotiw={shown}", "saliency=grad_cam"])
    )
    assert title in (tmp_path / "report.html").read_text()
    explain = row_explainer(trained.store, "grad_cam")
    for faces, asked in ((shown, None), (hidden, explain)):
        there = load_report(trained.store, STUDY, 0.95, faces={"emotiw": faces}, explain=asked)
        assert title not in repr(surest.section(there))


def test_weights_that_are_gone_are_said_and_the_rest_is_shown(trained, shown):
    def gone(keys, faces, classes):
        raise StoreError("Expected a finished stage, but it is gone.")

    there = load_report(trained.store, STUDY, 0.95, faces={"emotiw": shown}, explain=gone)
    said = repr(surest.section(there))
    assert "What spoke for the mistakes is not shown: Expected a finished stage" in said and "Most surely wrong" in said


def test_a_row_is_explained_by_all_its_seeds(trained):
    store, pixels = fer_transfer.open_store(trained.store), np.asarray(open_faces(trained.faces / "emotiw").pixels[:2])
    explain, classes = row_explainer(trained.store, "grad_cam"), np.array([3, 4])
    expected = store.load(ROW, calibrated=False).saliency(pixels, "grad_cam", classes)
    keys = [record.lineage.stages[-1].key for record in store.row(ROW).records]
    np.testing.assert_array_equal(explain(keys, pixels, classes), expected)
