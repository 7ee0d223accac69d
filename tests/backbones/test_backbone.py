"""What every timm network must offer here, over timm's own miniatures of its families."""

import json
import re
import socket
from fnmatch import fnmatchcase

import pytest
import timm
import torch
from folded_networks import fold, trained_like
from huggingface_hub import constants

from fer_transfer.backbones.backbone import BackboneRecipe, describe
from fer_transfer.backbones.model_zoo import ZOO
from fer_transfer.backbones.networks import head_patterns
from fer_transfer.backbones.preprocessing import Preprocessing
from fer_transfer.backbones.weights import LINEAGE_KEY, RECORD_KEY, save_tensors, save_weights, weights_digest
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
    backbone = describe(BackboneRecipe(name))
    network = backbone.network().eval()
    logits = network(torch.randn(2, *network.pretrained_cfg["input_size"]))
    assert logits.shape == (2, 7) and logits.isfinite().all()
    seven, eleven = network.state_dict(), timm.create_model(name, num_classes=11).state_dict()
    assert seven.keys() == eleven.keys()
    depends_on_classes = {n for n in seven if seven[n].shape != eleven[n].shape}
    assert depends_on_classes and matched(network, backbone.head) == depends_on_classes
    got = backbone.preprocessing
    assert (got.mean, got.std) == (network.pretrained_cfg["mean"], network.pretrained_cfg["std"])
    assert (got.scale, got.channel_order) == (255.0, "RGB")


@torch.no_grad()
@pytest.mark.parametrize("name", FAMILIES)
def test_a_fresh_head_knows_nothing_and_says_so(name):
    torch.manual_seed(0)
    network = describe(BackboneRecipe(name)).network().eval()
    logits = network(torch.randn(8, *network.pretrained_cfg["input_size"]))
    loss = torch.nn.functional.cross_entropy(logits, torch.arange(8) % 7)
    assert abs(float(loss) - 1.9459) < 0.7  # ln 7


def test_arguments_reach_the_constructor():
    network = describe(BackboneRecipe("test_vit", kwargs={"img_size": 64})).network().eval()
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
    grey = describe(BackboneRecipe("test_resnet", kwargs={"in_chans": 1})).network().eval()
    assert grey(torch.zeros(1, 1, 64, 64)).shape == (1, 7)


def test_fresh_weights_are_a_function_of_the_seed():
    def state(seed):
        torch.manual_seed(seed)
        return describe(BackboneRecipe("test_resnet")).network().state_dict()

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
        describe(BackboneRecipe(name, kwargs=kwargs)).network()


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """The hub's client as with HF_HUB_OFFLINE=1 and an empty cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))


def test_hub_without_network(no_network):
    with pytest.raises(WeightsError, match=r"test_resnet from timm's hub.*recipe.backbone.weights=<path>"):
        describe(BackboneRecipe("test_resnet", weights="hub"))


@pytest.fixture
def hub(no_network, monkeypatch):
    """timm's hub with one file, which a test may change: weights of test_resnet with 1000 classes."""
    torch.manual_seed(3)
    files = {"test_resnet": timm.create_model("test_resnet").state_dict()}
    monkeypatch.setattr(timm.models._builder, "load_state_dict_from_hf", lambda *_, **__: dict(files["test_resnet"]))
    return files


@pytest.mark.parametrize("name", ["test_resnet", "test_resnet.r160_in1k"])
def test_hub_weights_are_known_by_their_tensors(name, hub):
    recipe = BackboneRecipe(name, weights="hub")
    backbone = describe(recipe)
    assert re.fullmatch(r"hub:test_resnet\.r160_in1k:[0-9a-f]{16}", backbone.identity)
    assert (backbone.weights_text, backbone.caveat, backbone.lineage, backbone.notes) == (
        backbone.identity,
        None,
        None,
        (),
    )
    for _ in range(2):
        network = backbone.network()
        assert (
            torch.equal(network.conv1[0].weight, hub["test_resnet"]["conv1.0.weight"]) and network.fc.out_features == 7
        )
    hub["test_resnet"]["fc.bias"] = hub["test_resnet"]["fc.bias"] + 1  # of the classes that no plan keeps
    assert describe(recipe).identity == backbone.identity
    hub["test_resnet"]["bn1.bias"] = hub["test_resnet"]["bn1.bias"] + 1  # the same tag has other weights now
    assert describe(recipe).identity != backbone.identity
    assert not torch.equal(backbone.network().bn1.bias, hub["test_resnet"]["bn1.bias"])  # as described


def test_layers_of_the_hubs_weights_can_be_left_out(hub):
    backbone = describe(BackboneRecipe("test_resnet", weights="hub", skip_weights=["layer*", "bn1.*"]))
    assert backbone.caveat == "pre-training: conv1.0-1, conv1.3-4, conv1.6 only"
    assert not torch.equal(backbone.network().layer1[0].conv1.weight, hub["test_resnet"]["layer1.0.conv1.weight"])


def test_nobody_answers(monkeypatch, tmp_path):
    """A network that is not there is asked once or twice, not for most of a minute."""
    asked = []

    def resolve(host, *rest, **options):
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(WeightsError, match=r"Cannot fetch the weights of test_resnet from timm's hub"):
        describe(BackboneRecipe("test_resnet", weights="hub")).network()
    assert 1 <= len(asked) <= 3
    assert not constants.HF_HUB_OFFLINE


@pytest.mark.parametrize("name", ZOO)
def test_the_hub_does_not_have_the_papers_networks(name):
    with pytest.raises(WeightsError, match=rf"a file for {name}, but got weights=hub.*fer-weights"):
        describe(BackboneRecipe(name, weights="hub")).network()


def test_hub_without_weights_for_the_name(no_network):
    with pytest.raises(ConfigError, match="Invalid pretrained tag"):
        describe(BackboneRecipe("test_resnet.nonsense", weights="hub")).network()


def test_file_is_loaded_strictly_and_only_when_asked(tmp_path):
    torch.manual_seed(1)
    saved = timm.create_model("test_resnet")  # 1000 classes
    torch.save(saved.state_dict(), tmp_path / "x.pth")
    backbone = describe(BackboneRecipe("test_resnet", str(tmp_path / "x.pth"), skip_weights=["fc.*"]))
    network = backbone.network()
    assert torch.equal(network.conv1[0].weight, saved.conv1[0].weight) and network.fc.out_features == 7
    assert not torch.equal(backbone.network(load=False).conv1[0].weight, saved.conv1[0].weight)
    with pytest.raises(WeightsError, match=r"~ fc\.weight"):
        describe(BackboneRecipe("test_resnet", str(tmp_path / "x.pth"))).network()


def test_networks_of_one_description_are_apart(tmp_path):
    torch.save(timm.create_model("test_resnet", num_classes=7).state_dict(), tmp_path / "x.pth")
    backbone = describe(BackboneRecipe("test_resnet", str(tmp_path / "x.pth")))
    first, before = backbone.network(), backbone.network().state_dict()
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.fill_(0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.network().state_dict().items())


@pytest.mark.parametrize("weights", ["none", "file"])
def test_describing_draws_no_random_numbers(weights, tmp_path):
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "x.pth")
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    describe(BackboneRecipe("test_resnet", weights if weights == "none" else str(tmp_path / "x.pth")))
    assert torch.equal(torch.rand(3), expected)


def test_identity_is_of_the_content(tmp_path):
    a, b = tmp_path / "a.pth", tmp_path / "b.pth"
    torch.save(timm.create_model("test_resnet").state_dict(), a)
    b.write_bytes(a.read_bytes())
    of_a, of_b = (describe(BackboneRecipe("test_resnet", str(path))) for path in (a, b))
    assert of_a.identity == of_b.identity == f"sha256:{weights_digest(a)}"
    assert of_b.weights_text == f"b.pth (sha256:{weights_digest(a)[:12]})"
    torch.save(timm.create_model("test_resnet").state_dict(), b)
    assert describe(BackboneRecipe("test_resnet", str(b))).identity != of_a.identity
    none = describe(BackboneRecipe("test_resnet"))
    assert (none.identity, none.weights_text, none.caveat, none.notes) == ("none", "none", "no pre-training", ())


def test_what_must_be_said_of_pre_training(tmp_path):
    state = timm.create_model("test_resnet", num_classes=7).state_dict()
    part = {name: tensor for name, tensor in state.items() if name.startswith(("conv1.", "bn1."))}
    only = "pre-training: conv1.0-1, conv1.3-4, conv1.6, bn1 only"
    lineage = {"stages": ["a"], "caveats": ["no pre-training"]}
    cases = [
        (state, [], {}, None),
        (state, ["fc.*"], {}, None),
        (part, ["layer*", "fc.*"], {}, only),
        (state, ["layer*"], {}, only + ", fc only"),
        (state, [], {RECORD_KEY: json.dumps({"caveat": "no pre-training"})}, "no pre-training"),  # stages of before
        (state, [], {LINEAGE_KEY: json.dumps(lineage)}, None),
        (state, [], {LINEAGE_KEY: json.dumps(lineage), RECORD_KEY: json.dumps({"caveat": "x"})}, None),
    ]
    for tensors, skip, metadata, expected in cases:
        save_tensors(tmp_path / "x.safetensors", tensors, metadata)
        backbone = describe(BackboneRecipe("test_resnet", str(tmp_path / "x.safetensors"), skip_weights=skip))
        assert backbone.caveat == (expected and expected.replace(" only, fc", ", fc"))
        assert backbone.lineage == (lineage if LINEAGE_KEY in metadata else None)


def test_preprocessing_of_ones_own():
    own = {"mean": [104, 117, 123], "std": [1, 1, 1], "scale": 1, "channel_order": "BGR"}
    got = describe(BackboneRecipe("test_resnet", preprocessing=own)).preprocessing
    assert (got.mean, got.std, got.scale) == ((104.0, 117.0, 123.0), (1.0, 1.0, 1.0), 1.0)
    assert got.channel_order == got.record()["channel_order"] == "BGR"


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
        {"mean": [float("nan")], "std": [0.5]},
        {"interpolation": "nearest"},
        {"channel_order": "GBR"},
    ],
)
def test_wrong_preprocessing(own):
    with pytest.raises(ConfigError, match=r"recipe\.backbone\.preprocessing"):
        describe(BackboneRecipe("test_resnet", preprocessing=own))


def test_network_that_does_not_name_its_head():
    with pytest.raises(ConfigError, match="Linear does not say which layer is its classifier"):
        head_patterns(torch.nn.Linear(2, 7))


RECORD = {"mean": [1.0, 2.0, 3.0], "std": [1.0] * 3, "scale": 1.0, "input_size": [3, 96, 96], "crop_pct": 0.75}


def recorded(folder, record, name="test_resnet", **kwargs):
    save_weights(folder / "x.safetensors", timm.create_model(name, **kwargs), {RECORD_KEY: json.dumps(record)})
    return str(folder / "x.safetensors")


def test_the_input_that_a_file_of_weights_expects_comes_with_it(tmp_path):
    path = recorded(tmp_path, RECORD | {"channel_order": "BGR", "network": "test_resnet"})
    got = describe(BackboneRecipe("test_resnet", path, preprocessing={"crop_pct": 0.5})).preprocessing
    assert got == Preprocessing((1.0, 2.0, 3.0), (1.0,) * 3, 1.0, 96, 0.5, "bilinear", "BGR")
    assert describe(BackboneRecipe("test_resnet")).preprocessing.scale == 255


@pytest.mark.parametrize("wrong", [{"mean": [1.0]}, {"std": None}, {"channel_order": "grey"}, {"kwargs": [1]}])
def test_a_record_that_is_wrong_is_the_files(wrong, tmp_path):
    with pytest.raises(WeightsError, match=r"x\.safetensors.*Write it anew: fer-weights"):
        describe(BackboneRecipe("test_resnet", recorded(tmp_path, RECORD | wrong)))


def test_the_constructor_arguments_that_weights_need_come_with_them(tmp_path):
    path = recorded(tmp_path, RECORD | {"kwargs": {"in_chans": 1, "output_stride": 16}}, in_chans=1)
    backbone = describe(BackboneRecipe("test_resnet", path, skip_weights=["fc.*"]))
    assert backbone.network().conv1[0].weight.shape[1] == 1
    assert backbone.kwargs == backbone.record()["kwargs"] == {"in_chans": 1, "output_stride": 16}
    assert "x.safetensors asks for a network built with in_chans 1, output_stride 16: it is." in backbone.notes
    own = describe(BackboneRecipe("test_resnet", path, ["fc.*"], {"in_chans": 1, "output_stride": 8}))
    assert own.kwargs == {"in_chans": 1, "output_stride": 8}
    [note] = [note for note in own.notes if "asks" in note]
    assert note.endswith("output_stride 16, but recipe.backbone.kwargs say output_stride 8: the recipe's are used.")


def test_a_file_that_does_not_say_its_input_is_told(tmp_path):
    torch.save(trained_like("test_resnet").state_dict(), tmp_path / "x.pth")
    recipe = BackboneRecipe("test_resnet", str(tmp_path / "x.pth"), preprocessing={"std": [0.25, 0.25, 0.25]})
    assumed, command = describe(recipe).notes
    for part in (
        "x.pth carries no record",
        "timm's record of test_resnet",
        "mean [0.5,0.5,0.5]",
        "scale 255",
        "[3,160,160]",
    ):
        assert part in assumed
    assert "std" not in assumed and "interpolation bilinear" in assumed
    assert f"fer-weights net=test_resnet file={tmp_path / 'x.pth'} out=x.safetensors" in command
    assert (
        describe(BackboneRecipe("test_resnet", recorded(tmp_path, RECORD))).notes[0].startswith("x.safetensors: batch")
    )


def test_batch_normalisation_that_is_folded_away_is_told(tmp_path):
    whole, gone = trained_like("test_resnet"), fold(trained_like("test_resnet"))
    for network, expected in ((whole, []), (gone, ["recipe.batch_norm=unfold"])):
        torch.save(network.state_dict(), tmp_path / "x.pth")
        notes = describe(BackboneRecipe("test_resnet", str(tmp_path / "x.pth"))).notes
        assert [note.split()[-1].rstrip(".") for note in notes if "folded" in note] == expected


@pytest.mark.parametrize(("name", "size"), [("bvlc_alexnet", 227), ("vgg_cnn_m_2048", 224)])
def test_the_papers_networks_are_fed_grey_levels_less_the_mean(name, size):
    of = describe(BackboneRecipe(name, kwargs={"img_size": 67})).preprocessing
    gain, offset = 1 / (of.scale * of.std[0]), -of.mean[0] / of.std[0]
    assert gain == pytest.approx(1) and -offset == pytest.approx(104.007 if size == 227 else 102.717, abs=1e-3)
    assert of.crop_pct == size / 256 and of.channel_order == "BGR"


@pytest.mark.parametrize(("name", "published"), [("bvlc_alexnet", 227), ("test_vit", 160)])
def test_a_network_built_for_another_size_is_fed_that_size(name, published, tmp_path):
    small = {"img_size": 80}
    path = recorded(
        tmp_path, {"mean": [0.5] * 3, "std": [1.0] * 3, "input_size": [3, published, published]}, name, **small
    )
    for recipe in (BackboneRecipe(name, kwargs=small), BackboneRecipe(name, path, kwargs=small)):
        backbone = describe(recipe)
        side = backbone.preprocessing.size
        assert side == 80 and backbone.network(load=False).eval()(torch.zeros(1, 3, side, side)).shape == (1, 7)
    assert describe(BackboneRecipe(name)).preprocessing.size == published
