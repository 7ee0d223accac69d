"""Caffe's files: real ones against the same weights in other forms, generated ones against what was written."""

import numpy as np
import pytest
import torch

from fer_transfer.backbones.caffe import caffe_tensors, read_caffemodel, read_mean
from fer_transfer.backbones.weights import read_weights


def squeezenet_name(name: str) -> str:
    """torchvision's name of a tensor of the real SqueezeNet file."""
    layer, part = name.rsplit(".", 1)
    if layer == "conv1":
        return f"features.0.{part}"
    if layer == "conv_final":
        return f"classifier.1.{part}"
    fire, conv = layer.split("/")
    index = {2: 3, 3: 4, 4: 5, 5: 7, 6: 8, 7: 9, 8: 10, 9: 12}[int(fire[4:])]
    module = {"conv1x1_1": "squeeze", "conv1x1_2": "expand1x1", "conv3x3_2": "expand3x3"}[conv]
    return f"features.{index}.{module}.{part}"


def test_real_squeezenet_equals_its_checkpoint(shared_weights):
    tensors = read_weights(shared_weights / "squeezenet_v1.0.caffemodel")
    expected = torch.load(shared_weights / "squeezenet1_0_caffe_bgr.pth", weights_only=True)
    assert {squeezenet_name(name) for name in tensors} == set(expected) and len(expected) == 52
    for name, tensor in tensors.items():
        assert torch.equal(tensor, expected[squeezenet_name(name)]), name


def test_real_v1_file_with_shapes_of_old(shared_weights):
    model = read_caffemodel(shared_weights / "lenet_v1.caffemodel")
    assert (
        model.name == "LeNet" and [layer.kind for layer in model.layers] == ["Convolution"] * 2 + ["InnerProduct"] * 2
    )
    assert model.layers[2].blobs[0].shape == (1, 1, 500, 800)
    shapes = {name: tuple(tensor.shape) for name, tensor in caffe_tensors(model).items()}
    assert shapes == {
        "conv1.weight": (20, 1, 5, 5),
        "conv1.bias": (20,),
        "conv2.weight": (50, 20, 5, 5),
        "conv2.bias": (50,),
        "ip1.weight": (500, 800),
        "ip1.bias": (500,),
        "ip2.weight": (10, 500),
        "ip2.bias": (10,),
    }


@pytest.mark.parametrize(("file", "count", "slopes"), [("mtcnn_det1", 13, "PReLU1.0"), ("mtcnn_det2", 17, "prelu4.0")])
def test_real_v2_files_with_other_layers(file, count, slopes, shared_weights):
    tensors = read_weights(shared_weights / f"{file}.caffemodel")
    assert len(tensors) == count and tensors[slopes].ndim == 1


def test_real_alexnet(shared_weights):
    tensors = read_weights(shared_weights / "bvlc_alexnet_conv1-5.caffemodel")
    assert (
        len(tensors) == 10
        and tensors["conv2.weight"].shape == (256, 48, 5, 5)
        and tensors["conv2.bias"].shape == (256,)
    )


@pytest.mark.parametrize(
    ("file", "size", "means"),
    [("imagenet_mean", 256, (104.00699, 116.66877, 122.67891)), ("VGG_mean", 224, (102.717, 115.7726, 123.5094))],
)
def test_real_means(file, size, means, shared_weights):
    mean = read_mean(shared_weights / f"{file}.binaryproto")
    assert mean.shape == (3, size, size) and mean.dtype == np.float32
    np.testing.assert_allclose(mean.mean((1, 2)), means, atol=1e-3)
