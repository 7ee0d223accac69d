"""The proof by OpenCV: holds for our networks, and fails for every other network with the same weights."""

import caffe_files as write
import cv2
import pytest
import timm
import torch
from torch import nn

from fer_transfer.backbones import alexnet, proof, vgg_cnn_m  # noqa: F401  # timm knows their names
from fer_transfer.backbones.importing import Import, import_weights
from fer_transfer.backbones.proof import check_proof, prove
from fer_transfer.errors import ConfigError, WeightsError

TINY = 67

# As Caffe's model zoo publishes it: ReLUs and dropout in place, a probability at the end.
DEPLOY = """
name: "AlexNet"
layer { name: "data" type: "Input" top: "data" input_param { shape: { dim: 10 dim: 3 dim: 67 dim: 67 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
  convolution_param { num_output: 96 kernel_size: 11 stride: 4 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "norm1" type: "LRN" bottom: "conv1" top: "norm1" lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 } }
layer { name: "pool1" type: "Pooling" bottom: "norm1" top: "pool1" pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2"
  convolution_param { num_output: 256 pad: 2 kernel_size: 5 group: 2 } }
layer { name: "relu2" type: "ReLU" bottom: "conv2" top: "conv2" }
layer { name: "norm2" type: "LRN" bottom: "conv2" top: "norm2" lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 } }
layer { name: "pool2" type: "Pooling" bottom: "norm2" top: "pool2" pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: "conv3" type: "Convolution" bottom: "pool2" top: "conv3"
  convolution_param { num_output: 384 pad: 1 kernel_size: 3 } }
layer { name: "relu3" type: "ReLU" bottom: "conv3" top: "conv3" }
layer { name: "conv4" type: "Convolution" bottom: "conv3" top: "conv4"
  convolution_param { num_output: 384 pad: 1 kernel_size: 3 group: 2 } }
layer { name: "relu4" type: "ReLU" bottom: "conv4" top: "conv4" }
layer { name: "conv5" type: "Convolution" bottom: "conv4" top: "conv5"
  convolution_param { num_output: 256 pad: 1 kernel_size: 3 group: 2 } }
layer { name: "relu5" type: "ReLU" bottom: "conv5" top: "conv5" }
layer { name: "pool5" type: "Pooling" bottom: "conv5" top: "pool5" pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: "fc6" type: "InnerProduct" bottom: "pool5" top: "fc6" inner_product_param { num_output: 4096 } }
layer { name: "relu6" type: "ReLU" bottom: "fc6" top: "fc6" }
layer { name: "drop6" type: "Dropout" bottom: "fc6" top: "fc6" dropout_param { dropout_ratio: 0.5 } }
layer { name: "fc7" type: "InnerProduct" bottom: "fc6" top: "fc7" inner_product_param { num_output: 4096 } }
layer { name: "relu7" type: "ReLU" bottom: "fc7" top: "fc7" }
layer { name: "drop7" type: "Dropout" bottom: "fc7" top: "fc7" dropout_param { dropout_ratio: 0.5 } }
layer { name: "fc8" type: "InnerProduct" bottom: "fc7" top: "fc8" inner_product_param { num_output: 1000 } }
layer { name: "prob" type: "Softmax" bottom: "fc8" top: "prob" }
"""


pytestmark = pytest.mark.usefixtures("caffe_importer")


@pytest.fixture(autouse=True)
def one_thread():
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


def network_of(name):
    """A small one whose LRN has something to do."""
    torch.manual_seed(0)
    network = timm.create_model(name, img_size=TINY)
    with torch.no_grad():
        network.conv1.weight.mul_(5)
        network.conv2.weight.mul_(2)
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.normal_(std=0.1)
    return network


def file_of(tensors, path):
    path.write_bytes(write.of_network({name: tensor.numpy() for name, tensor in tensors.items()}))
    return str(path)


def tensors_of(network, *prefixes):
    return {name: t for name, t in network.state_dict().items() if not prefixes or name.startswith(prefixes)}


@pytest.mark.parametrize("name", ["bvlc_alexnet", "vgg_cnn_m_2048"])
def test_our_networks_are_proven(name, tmp_path):
    network = network_of(name)
    tensors = tensors_of(network)
    found = prove(timm.create_model(name, img_size=TINY), tensors, file_of(tensors, tmp_path / "x.caffemodel"))
    assert {d.layer for d in found} == {n for n, _ in network.named_children() if not n.startswith("drop")}
    assert all(d.relative < 1e-5 and d.shape == d.ours for d in found) and found[-1].shape == (1000,)
    check_proof(found, "x", "y")


def swap_first_pool_and_norm(network):  # CaffeNet
    network._features[2:4] = ["pool1", "norm1"]


CHANGES = {
    "conv2": lambda n: setattr(n.conv2, "padding", (1, 1)),
    "conv4": lambda n: None,  # a fault of our reader, below
    "relu3": lambda n: setattr(n, "relu3", nn.LeakyReLU(0.01)),
    "norm1": lambda n: setattr(n.norm1, "k", 1.001),
    "pool1": lambda n: setattr(n, "pool1", nn.MaxPool2d(2, 2)),
    "pool1, norm1": swap_first_pool_and_norm,
    "relu6": lambda n: setattr(n, "relu6", nn.LeakyReLU(0.01)),
}


@pytest.mark.parametrize("layers", CHANGES)
def test_another_network_with_the_same_weights_is_refused(layers, tmp_path):
    network = network_of("bvlc_alexnet")
    tensors = tensors_of(network, "conv", "fc6", "fc7")
    file = file_of(tensors, tmp_path / "x.caffemodel")
    CHANGES[layers](network)
    if layers == "conv4":
        tensors = {name: t + 1e-3 if name == "conv4.weight" else t for name, t in tensors.items()}
    first = layers.split(",")[0]
    found = prove(network, tensors, file)
    with pytest.raises(WeightsError, match=rf"first {first} ") as error:
        check_proof(found, file, "our layers")
    assert "fc8" not in str(error.value)  # not held: not compared


def test_a_published_text(tmp_path):
    network = network_of("bvlc_alexnet")
    tensors = tensors_of(network)
    file, text = file_of(tensors, tmp_path / "x.caffemodel"), tmp_path / "deploy.prototxt"
    text.write_text(DEPLOY)
    found = prove(network, tensors, file, str(text))
    assert [d.layer for d in found] == [n for n, _ in network.named_children()]
    check_proof(found, file, str(text))
    norm1, pool1 = (
        next(line for line in DEPLOY.splitlines() if f'name: "{name}"' in line) for name in ("norm1", "pool1")
    )
    caffenet = DEPLOY.replace(norm1, "").replace(
        pool1,
        pool1.replace('bottom: "norm1"', 'bottom: "conv1"')
        + norm1.replace('bottom: "conv1" top: "norm1"', 'bottom: "pool1" top: "norm1"'),
    )
    text.write_text(caffenet.replace('bottom: "pool1" top: "conv2"', 'bottom: "norm1" top: "conv2"'))
    with pytest.raises(WeightsError, match=r"first norm1 96x15x15, not 96x7x7"):
        check_proof(prove(network, tensors, file, str(text)), file, "deploy.prototxt")


def test_texts_that_prove_nothing(tmp_path):
    network = network_of("bvlc_alexnet")
    tensors = tensors_of(network, "conv")
    file, text = file_of(tensors, tmp_path / "x.caffemodel"), tmp_path / "deploy.prototxt"
    with pytest.raises(WeightsError, match=r"Expected prove=true or a deploy.prototxt that can be read"):
        prove(network, tensors, file, str(text))
    text.write_bytes(b"\xff\xfe")
    with pytest.raises(WeightsError, match=r"can be read, but got .*deploy.prototxt"):
        prove(network, tensors, file, str(text))
    text.write_text(DEPLOY)  # asks for layers that the file does not have
    with pytest.raises(
        WeightsError, match=r"Expected OpenCV to compute .*x.caffemodel too, but it says.*asks for no others"
    ):
        prove(network, tensors, file, str(text))
    text.write_text("layer {")
    with pytest.raises(WeightsError, match=r"parse NetParameter"):
        prove(network, tensors, file, str(text))
    text.write_text(
        'input: "data" input_dim: 1 input_dim: 3 input_dim: 67 input_dim: 67 '
        'layer { name: "x" type: "ReLU" bottom: "data" top: "x" }'
    )
    with pytest.raises(WeightsError, match=r"Expected layers named conv1.* but got \['x'\]"):
        prove(network, tensors, file, str(text))
    with pytest.raises(ConfigError, match=r"prove=true.*k for 1.*here it is 2"):
        prove(timm.create_model("vgg_cnn_m_2048", img_size=TINY), {}, file, str(text))


def test_nothing_is_written_where_the_proof_fails(tmp_path, monkeypatch, shared_weights):
    file = str(shared_weights / "bvlc_alexnet_conv1-5.caffemodel")
    out, lines = tmp_path / "x.safetensors", []
    asked = Import("bvlc_alexnet", file, None, str(out), ("fc6.*", "fc7.*", "fc8.*"), prove=True)
    monkeypatch.setattr(proof, "BOUND", 1e-12)
    with pytest.raises(WeightsError, match=r"15 that are not, first conv1 .*another network than ours, or damaged"):
        import_weights(asked, lines.append)
    assert not out.exists() and lines[-1].startswith("pool5")
    monkeypatch.undo()
    import_weights(asked, lines.append)
    assert out.exists() and "15 layers compute what OpenCV" in lines[-2]
    with pytest.raises(ConfigError, match=r"prove=true or prove=deploy.prototxt, but got 3"):
        import_weights(Import("bvlc_alexnet", file, partial=asked.partial, prove=3))


def test_what_cannot_be_compared_is_said(shared_weights):
    file, lines = str(shared_weights / "bvlc_alexnet_conv1-5.caffemodel"), []
    rest = ("fc6.*", "fc7.*", "fc8.*")
    import_weights(Import("bvlc_alexnet", file, partial=("conv3.*", *rest), prove=True), lines.append)
    assert lines[-2] == "not compared: conv4-5, which a layer that was not taken stands before"
    assert lines[-1].startswith("8 layers compute")
    with pytest.raises(WeightsError, match=r"Expected conv1 among the layers taken"):
        import_weights(Import("bvlc_alexnet", file, partial=("conv1.*", *rest), prove=True), lines.append)
