"""What every timm network must offer here, over timm's own miniatures of its families."""

import json
import socket
from fnmatch import fnmatchcase

import pytest
import timm
import torch
from huggingface_hub import constants

from fer_transfer.backbones.backbone import (
    BackboneRecipe,
    Preprocessing,
    build_network,
    head_patterns,
    initial_weights_identity,
    preprocessing_of,
)
from fer_transfer.backbones.model_zoo import ZOO
from fer_transfer.backbones.weights import RECORD_KEY, save_weights
from fer_transfer.errors import ConfigError, WeightsError

FAMILIES = [
    "test_byobnet",
    "test_convnext",
    "test_efficientnet",
    "test_mambaout",
    "test_nfnet",
    "test_resnet",
    "test_vit",
]


def matched(network, patterns):
    return {name for name in network.state_dict() if any(fnmatchcase(name, pattern) for pattern in patterns)}


@pytest.mark.parametrize("name", FAMILIES)
def test_contract(name):
    torch.manual_seed(0)
    network = build_network(BackboneRecipe(name)).eval()
    logits = network(torch.randn(2, *network.pretrained_cfg["input_size"]))
    assert logits.shape == (2, 7) and logits.isfinite().all()
    seven, eleven = network.state_dict(), timm.create_model(name, num_classes=11).state_dict()
    assert seven.keys() == eleven.keys()
    depends_on_classes = {n for n in seven if seven[n].shape != eleven[n].shape}
    assert depends_on_classes and matched(network, head_patterns(network)) == depends_on_classes
    got = preprocessing_of(BackboneRecipe(name), network)
    assert (got.mean, got.std, got.scale) == (network.pretrained_cfg["mean"], network.pretrained_cfg["std"], 255.0)


@torch.no_grad()
@pytest.mark.parametrize("name", FAMILIES)
def test_a_fresh_head_knows_nothing_and_says_so(name):
    torch.manual_seed(0)
    network = build_network(BackboneRecipe(name)).eval()
    logits = network(torch.randn(8, *network.pretrained_cfg["input_size"]))
    loss = torch.nn.functional.cross_entropy(logits, torch.arange(8) % 7)
    assert abs(float(loss) - 1.9459) < 0.7  # ln 7


def test_arguments_reach_the_constructor():
    network = build_network(BackboneRecipe("test_vit", kwargs={"img_size": 64})).eval()
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
    grey = build_network(BackboneRecipe("test_resnet", kwargs={"in_chans": 1})).eval()
    assert grey(torch.zeros(1, 1, 64, 64)).shape == (1, 7)


def test_fresh_weights_are_a_function_of_the_seed():
    def state(seed):
        torch.manual_seed(seed)
        return build_network(BackboneRecipe("test_resnet")).state_dict()

    first, again, other = state(0), state(0), state(1)
    assert all(torch.equal(first[n], again[n]) for n in first)
    assert not torch.equal(first["fc.weight"], other["fc.weight"])


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("test_resnets", {}, "'test_resnets'.*such as test_resnet"),
        ("nonsense", {}, r"'nonsense'.*timm.list_models\(\)"),
        ("test_resnet", {"img_size": 64}, "img_size"),
        ("test_resnet", {"act_layer": "zelu"}, "zelu"),  # KeyError in timm
        ("test_vit", {"global_pool": "most"}, "Only avg"),  # AssertionError in timm
    ],
)
def test_names_and_arguments_that_timm_refuses(name, kwargs, message):
    with pytest.raises(ConfigError, match=message):
        build_network(BackboneRecipe(name, kwargs=kwargs))


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """The hub's client as with HF_HUB_OFFLINE=1 and an empty cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))


def test_hub_without_network(no_network):
    recipe = BackboneRecipe("test_resnet", weights="hub")
    with pytest.raises(WeightsError, match=r"test_resnet from timm's hub.*recipe.backbone.weights=<path>"):
        build_network(recipe)
    build_network(recipe, load=False)  # a parent's weights follow: nothing is fetched


def test_nobody_answers(monkeypatch, tmp_path):
    """A network that is not there is asked once or twice, not for most of a minute."""
    asked = []

    def resolve(host, *rest, **options):
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(WeightsError, match=r"Cannot fetch the weights of test_resnet from timm's hub"):
        build_network(BackboneRecipe("test_resnet", weights="hub"))
    assert 1 <= len(asked) <= 3
    assert not constants.HF_HUB_OFFLINE


@pytest.mark.parametrize("name", ZOO)
def test_the_hub_does_not_have_the_papers_networks(name):
    with pytest.raises(WeightsError, match=rf"a file for {name}, but got weights=hub.*fer-weights"):
        build_network(BackboneRecipe(name, weights="hub"))


def test_hub_without_weights_for_the_name(no_network):
    with pytest.raises(ConfigError, match="Invalid pretrained tag"):
        build_network(BackboneRecipe("test_resnet.nonsense", weights="hub"))


def test_file_is_loaded_strictly_and_only_when_asked(tmp_path):
    torch.manual_seed(1)
    saved = timm.create_model("test_resnet")  # 1000 classes
    torch.save(saved.state_dict(), tmp_path / "x.pth")
    recipe = BackboneRecipe("test_resnet", str(tmp_path / "x.pth"), skip_weights=["fc.*"])
    network = build_network(recipe)
    assert torch.equal(network.conv1[0].weight, saved.conv1[0].weight) and network.fc.out_features == 7
    assert not torch.equal(build_network(recipe, load=False).conv1[0].weight, saved.conv1[0].weight)
    with pytest.raises(WeightsError, match=r"~ fc\.weight"):
        build_network(BackboneRecipe("test_resnet", str(tmp_path / "x.pth")))


def test_identity_is_of_the_content(tmp_path):
    a, b = tmp_path / "a.pth", tmp_path / "b.pth"
    a.write_bytes(b"same")
    b.write_bytes(b"same")
    identities = {initial_weights_identity(BackboneRecipe("test_resnet", str(path))) for path in (a, b)}
    assert len(identities) == 1 and identities.pop().startswith("sha256:")
    b.write_bytes(b"other")
    assert initial_weights_identity(BackboneRecipe("x", str(a))) != initial_weights_identity(
        BackboneRecipe("x", str(b))
    )
    assert initial_weights_identity(BackboneRecipe("test_resnet")) == "none"
    assert initial_weights_identity(BackboneRecipe("test_resnet", "hub")) == "hub:test_resnet:r160_in1k"


def test_preprocessing_of_ones_own():
    network = build_network(BackboneRecipe("test_resnet"))
    own = {"mean": [104, 117, 123], "std": [1, 1, 1], "scale": 1}
    got = preprocessing_of(BackboneRecipe("test_resnet", preprocessing=own), network)
    assert (got.mean, got.std, got.scale) == ((104.0, 117.0, 123.0), (1.0, 1.0, 1.0), 1.0)


@pytest.mark.parametrize(
    "own",
    [
        {"mean": [0.5]},
        {"mean": [0.5], "std": ["wide"]},
        {"mean": 0.5, "std": 0.5},
        {"mean": [0.5], "std": [0.5, 0.5, 0.5]},
        {"mean": [0.5], "std": [0]},
        {"mean": [0.5], "std": [0.5], "scale": 0},
        {"mean": [0.5], "std": [0.5], "scal": 1},
    ],
)
def test_wrong_preprocessing(own):
    with pytest.raises(ConfigError, match=r"recipe\.backbone\.preprocessing"):
        preprocessing_of(BackboneRecipe("test_resnet", preprocessing=own), build_network(BackboneRecipe("test_resnet")))


def test_network_that_does_not_name_its_head():
    with pytest.raises(ConfigError, match="Linear does not say which layer is its classifier"):
        head_patterns(torch.nn.Linear(2, 7))


def test_the_input_that_a_file_of_weights_expects_comes_with_it(tmp_path):
    record = {"mean": [1.0, 2.0, 3.0], "std": [1.0] * 3, "scale": 1.0, "input_size": [3, 96, 96], "crop_pct": 0.75}
    network = timm.create_model("test_resnet")
    path = tmp_path / "x.safetensors"
    save_weights(path, network, {RECORD_KEY: json.dumps(record | {"channel_order": "BGR", "network": "test_resnet"})})
    recipe = BackboneRecipe("test_resnet", str(path), preprocessing={"crop_pct": 0.5})
    got = preprocessing_of(recipe, network)
    assert got == Preprocessing((1.0, 2.0, 3.0), (1.0,) * 3, 1.0, 96, 0.5, got.interpolation)
    assert preprocessing_of(BackboneRecipe("test_resnet"), network).scale == 255


@pytest.mark.parametrize(("name", "size"), [("bvlc_alexnet", 227), ("vgg_cnn_m_2048", 224)])
def test_the_papers_networks_are_fed_grey_levels_less_the_mean(name, size):
    network = build_network(BackboneRecipe(name, kwargs={"img_size": 67}), load=False)
    of = preprocessing_of(BackboneRecipe(name), network)
    gain, offset = 1 / (of.scale * of.std[0]), -of.mean[0] / of.std[0]
    assert gain == pytest.approx(1) and -offset == pytest.approx(104.007 if size == 227 else 102.717, abs=1e-3)
    assert of.crop_pct == size / 256


@pytest.mark.parametrize(("name", "published"), [("bvlc_alexnet", 227), ("test_vit", 160)])
def test_a_network_built_for_another_size_is_fed_that_size(name, published, tmp_path):
    small = {"img_size": 80}
    path = tmp_path / "x.safetensors"
    record = {"mean": [0.5] * 3, "std": [1.0] * 3, "input_size": [3, published, published]}
    save_weights(path, timm.create_model(name, **small), {RECORD_KEY: json.dumps(record)})
    for recipe in (BackboneRecipe(name, kwargs=small), BackboneRecipe(name, str(path), kwargs=small)):
        network = build_network(recipe, load=False).eval()
        side = preprocessing_of(recipe, network).size
        assert side == 80 and network(torch.zeros(1, 3, side, side)).shape == (1, 7)
    assert preprocessing_of(BackboneRecipe(name), timm.create_model(name)).size == published
