"""AlexNet and VGG-CNN-M-2048 against OpenCV's importer of Caffe networks, layer by layer, from prototxt texts written here."""

import caffe_files as write
import cv2
import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from fer_transfer.backbones import alexnet, vgg_cnn_m  # noqa: F401  # timm knows their names
from fer_transfer.backbones.backbone import BackboneRecipe, describe
from fer_transfer.backbones.caffe import read_mean
from fer_transfer.backbones.caffe_net import Convolution
from fer_transfer.errors import ConfigError

TINY = 67
NAMES = ("bvlc_alexnet", "vgg_cnn_m_2048")
COUNTS = {"bvlc_alexnet": 60_965_224, "vgg_cnn_m_2048": 92_469_864}
# conv: outputs, kernel, stride, pad, groups; norm: alpha, k. In the order of the layers.
ALEXNET = [
    ("conv", (96, 11, 4, 0, 1)),
    ("norm", (1e-4, 1)),
    ("pool", ()),
    ("conv", (256, 5, 1, 2, 2)),
    ("norm", (1e-4, 1)),
    ("pool", ()),
    ("conv", (384, 3, 1, 1, 1)),
    ("conv", (384, 3, 1, 1, 2)),
    ("conv", (256, 3, 1, 1, 2)),
    ("pool", ()),
    ("fc", (4096,)),
    ("fc", (4096,)),
    ("fc", (1000,)),
]
VGG = [
    ("conv", (96, 7, 2, 0, 1)),
    ("norm", (5e-4, 2)),
    ("pool", ()),
    ("conv", (256, 5, 2, 1, 1)),
    ("norm", (5e-4, 2)),
    ("pool", ()),
    ("conv", (512, 3, 1, 1, 1)),
    ("conv", (512, 3, 1, 1, 1)),
    ("conv", (512, 3, 1, 1, 1)),
    ("pool", ()),
    ("fc", (4096,)),
    ("fc", (2048,)),
    ("fc", (1000,)),
]
# Outputs of the published networks, as their papers and files give them.
SIZES = {
    "bvlc_alexnet": {"conv1": 55, "pool1": 27, "conv2": 27, "pool2": 13, "conv5": 13, "pool5": 6},
    "vgg_cnn_m_2048": {"conv1": 109, "pool1": 54, "conv2": 26, "pool2": 13, "conv5": 13, "pool5": 6},
}


def prototxt(layers, size):
    """Caffe's text of a network; every layer has an output of its own name."""
    blocks, last, number = (
        [f'name: "net" input: "data" input_dim: 1 input_dim: 3 input_dim: {size} input_dim: {size}'],
        "data",
        0,
    )
    for kind, values in layers:
        number += kind in ("conv", "fc")
        if kind == "conv":
            keys = ("num_output", "kernel_size", "stride", "pad", "group")
            body = "convolution_param { " + " ".join(f"{k}: {v}" for k, v in zip(keys, values, strict=True)) + " }"
        elif kind == "norm":
            body = f"lrn_param {{ local_size: 5 alpha: {values[0] / values[1]} beta: 0.75 }}"
        elif kind == "pool":
            body = "pooling_param { pool: MAX kernel_size: 3 stride: 2 }"
        else:
            body = f"inner_product_param {{ num_output: {values[0]} }}"
        steps = [(kind, {"conv": "Convolution", "norm": "LRN", "pool": "Pooling", "fc": "InnerProduct"}[kind], body)]
        if kind == "norm":  # OpenCV takes k for 1, whatever the text says: (k + a) ** -b = k ** -b (1 + a / k) ** -b
            steps = [("lrn", "LRN", body), ("norm", "Power", f"power_param {{ scale: {values[1] ** -0.75} }}")]
        if kind in ("conv", "fc") and number < 8:
            steps.append(("relu", "ReLU", ""))
        for step, word, text in steps:
            name = f"{step}{number}"
            blocks.append(f'layer {{ name: "{name}" type: "{word}" bottom: "{last}" top: "{name}" {text} }}')
            last = name
    return "\n".join(blocks)


def outputs_of(network, picture):
    """Of every layer by name."""
    seen = {}
    hooks = [
        layer.register_forward_hook(
            lambda _layer, _inputs, output, name=name: seen.update({name: output.numpy().copy()})
        )
        for name, layer in network.named_children()
    ]
    with torch.inference_mode():
        network(torch.from_numpy(picture))
    for hook in hooks:
        hook.remove()
    return seen


@pytest.fixture
def one_thread():
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@pytest.mark.parametrize(("name", "layers"), [("bvlc_alexnet", ALEXNET), ("vgg_cnn_m_2048", VGG)])
@pytest.mark.usefixtures("caffe_importer")
def test_every_layer_is_what_opencv_makes_of_caffes_text(name, layers, one_thread):
    torch.manual_seed(0)
    network = timm.create_model(name).eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == COUNTS[name]
    with torch.no_grad():
        network.conv1.weight.mul_(5)  # as large as trained ones, so that LRN has something to do
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.normal_(std=0.1)
    size = network.img_size
    picture = np.random.default_rng(0).uniform(-120, 140, (1, 3, size, size)).astype(np.float32)
    ours = outputs_of(network, picture)

    text = prototxt(layers, size).encode()
    data = write.of_network({name: tensor.numpy() for name, tensor in network.state_dict().items()})
    theirs = cv2.dnn.readNetFromCaffe(np.frombuffer(text, np.uint8), np.frombuffer(data, np.uint8))
    theirs.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    theirs.enableFusion(False)
    theirs.enableWinograd(False)
    theirs.setInput(picture)
    names = [n for n in theirs.getLayerNames() if not n.startswith("lrn")]
    expected = dict(zip(names, theirs.forward(names), strict=True))

    assert {n for n in ours if not n.startswith("drop")} == {n for n in names if n != "data"}
    for layer, values in expected.items():
        got = ours[layer].reshape(values.shape)
        assert np.abs(got - values).max() <= 1e-4 * np.abs(values).max(), layer
    assert np.abs(expected["norm1"]).max() < 0.9 * np.abs(expected["relu1"]).max()
    assert {n: expected[n].shape[-1] for n in SIZES[name]} == SIZES[name]


@pytest.mark.parametrize("name", NAMES)
def test_half_of_fc6_and_fc7_are_dropped_in_training(name):
    """Krizhevsky et al. 2012, section 4.2: with probability one half, in the first two fully connected layers."""
    network = timm.create_model(name, img_size=TINY)
    x = torch.randn(100)
    for layer in (network.drop6, network.drop7):
        kept = layer.train()(torch.ones(200_000))
        assert float((kept == 0).float().mean()) == pytest.approx(0.5, abs=0.01) and float(kept.max()) == 2
        assert torch.equal(layer.eval()(x), x)
    pictures = torch.randn(2, 3, TINY, TINY) * 60
    with torch.no_grad():
        assert not torch.equal(network.train()(pictures), network(pictures))
        assert torch.equal(network.eval()(pictures), network(pictures))


def test_ceil_mode_pools_to_caffes_sizes():
    """Caffe: ceil((n - kernel) / stride) + 1, and for pad 0 nothing is taken off at the edge."""
    for size in range(2, 260):
        caffes = int(np.ceil((size - 3) / 2)) + 1
        assert Convolution(1, 1, pool=True).output_size(size) == caffes
        assert F.max_pool2d(torch.zeros(1, 1, size, size), 3, 2, ceil_mode=True).shape[-1] == caffes


def naive(network, x):
    """float64 forward of the convolutions by loops over windows: NumPy alone."""
    x = x.astype(np.float64)
    for number, plan in enumerate(network.plan.convolutions, 1):
        layer = getattr(network, f"conv{number}")
        weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
        x = np.pad(x, ((0, 0), (0, 0), *[(plan.padding,) * 2] * 2))
        windows = np.lib.stride_tricks.sliding_window_view(x, (plan.kernel,) * 2, (2, 3))[
            :, :, :: plan.stride, :: plan.stride
        ]
        parts = zip(np.split(windows, plan.groups, 1), np.split(weight, plan.groups), strict=True)
        x = np.concatenate([np.einsum("nchwij,ocij->nohw", a, b, optimize=True) for a, b in parts], 1)
        x = np.maximum(x + bias[:, None, None], 0)
        if plan.norm:
            size, alpha, beta, k = network.plan.norm
            padded = np.pad(x**2, ((0, 0), (size // 2,) * 2, (0, 0), (0, 0)))
            s = sum(padded[:, i : i + x.shape[1]] for i in range(size))
            x = x / (k + alpha / size * s) ** beta
        if plan.pool:
            edge = (x.shape[-1] - 3) % 2
            x = np.pad(x, ((0, 0), (0, 0), (0, edge), (0, edge)), constant_values=-np.inf)
            x = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))[:, :, ::2, ::2].max((-1, -2))
    return x


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [TINY, 64, 80])
def test_other_sizes_against_numpy(name, size):
    torch.manual_seed(0)
    network = timm.create_model(name, img_size=size, num_classes=0).eval()
    x = np.random.default_rng(0).uniform(-120, 140, (2, 3, size, size)).astype(np.float32)
    expected = naive(network, x)
    with torch.inference_mode():
        got = network.forward_features(torch.from_numpy(x).contiguous(memory_format=torch.channels_last)).numpy()
    assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.fixture(scope="module", params=NAMES)
def tiny_network(request):
    torch.manual_seed(0)
    return timm.create_model(request.param, img_size=TINY).eval()


def test_fillers(tiny_network):
    torch.manual_seed(0)
    tiny_network.reset_classifier(1000)
    biased = {"conv2", "conv4", "conv5", "fc6", "fc7"}
    for name, layer in tiny_network.named_children():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            std = 0.005 if name in ("fc6", "fc7") else 0.01
            assert float(layer.weight.detach().std()) == pytest.approx(std, rel=0.03), name
            assert abs(float(layer.weight.detach().mean())) < 4 * std / layer.weight.numel() ** 0.5, name
            assert torch.all(layer.bias == (0.1 if name in biased else 0.0)), name


@torch.no_grad()
def test_heads(tiny_network):
    x = torch.randn(2, 3, TINY, TINY)
    tiny_network.reset_classifier(7)
    features = tiny_network.forward_features(x)
    hidden = tiny_network.forward_head(features, pre_logits=True)
    assert features.shape == (2, tiny_network.num_features, 1, 1)
    assert hidden.shape == (2, tiny_network.head_hidden_size)
    assert tiny_network.get_classifier() is tiny_network.fc8 and tiny_network.fc8.out_features == 7
    assert torch.equal(tiny_network(x), tiny_network.fc8(hidden))
    torch.manual_seed(3)
    tiny_network.reset_classifier(100)
    assert float(tiny_network.fc8.weight.std()) == pytest.approx(0.01, rel=0.03) and not tiny_network.fc8.bias.any()
    tiny_network.reset_classifier(0)
    assert torch.equal(tiny_network(x), hidden) and not any(n.startswith("fc8") for n in tiny_network.state_dict())
    tiny_network.reset_classifier(0, "")
    assert torch.equal(tiny_network(x), features)
    with pytest.raises(ConfigError, match=r"global_pool='fc'.*'avg'"):
        tiny_network.reset_classifier(7, "avg")
    with pytest.raises(ConfigError, match="num_classes=7"):
        tiny_network.reset_classifier(7, "")
    tiny_network.reset_classifier(7, "fc")
    assert tiny_network(x).shape == (2, 7)


@pytest.mark.parametrize("name", NAMES)
def test_maps_of_the_convolutions(name):
    network = timm.create_model(name, img_size=TINY, features_only=True, out_indices=(1, 4))
    maps = network(torch.zeros(1, 3, TINY, TINY))
    assert [m.shape[1] for m in maps] == network.feature_info.channels() == [256, 256 if "alexnet" in name else 512]
    assert [m.shape[-1] for m in maps] == [7, 3] and network.feature_info.reduction() == [8, 16]


@pytest.mark.parametrize(("name", "size"), [("bvlc_alexnet", 227), ("vgg_cnn_m_2048", 224)])
def test_preprocessing_gives_0_to_255_less_the_mean(name, size):
    got = describe(BackboneRecipe(name, kwargs={"img_size": TINY})).preprocessing
    assert got.channel_order == "BGR"
    assert got.size == TINY
    mean, std = np.array(got.mean) * got.scale, np.array(got.std) * got.scale
    np.testing.assert_allclose(std, 1)
    np.testing.assert_allclose(mean, [104, 117, 123], atol=1.5)  # B, G, R
    record = timm.models.get_pretrained_cfg(name)
    assert record.input_size == (3, size, size) and round(size / record.crop_pct) == 256


@pytest.mark.parametrize("name", NAMES)
def test_the_mean_is_that_of_the_published_file(name, shared_weights):
    file = "imagenet_mean" if name == "bvlc_alexnet" else "VGG_mean"
    published = read_mean(shared_weights / f"{file}.binaryproto").astype(np.float64).mean((1, 2))
    np.testing.assert_allclose(np.array(timm.models.get_pretrained_cfg(name).mean) * 255, published, atol=1e-4)


def test_other_pictures_and_sizes_are_refused():
    network = timm.create_model("bvlc_alexnet", img_size=TINY, num_classes=7)
    with pytest.raises(ConfigError, match=r"67x67.*64x64.*img_size=64"):
        network(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ConfigError, match=r"img_size .* of 30 nothing is left at conv5"):
        describe(BackboneRecipe("bvlc_alexnet", kwargs={"img_size": 30}))
    with pytest.raises(ConfigError, match="one side"):
        describe(BackboneRecipe("bvlc_alexnet", kwargs={"img_size": (67, 80)}))


def test_torchvisions_alexnet_is_another():
    import torchvision

    assert sum(p.numel() for p in torchvision.models.alexnet(weights=None).parameters()) != COUNTS["bvlc_alexnet"]
