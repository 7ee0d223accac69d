"""Caffe's files: real ones against the same weights in other forms, generated ones against what was written."""

import caffe_files as write
import cv2
import numpy as np
import pytest
import torch
from caffe_files import V1, V2
from torch import nn

from fer_transfer.backbones.caffe import CaffeModel, caffe_tensors, read_caffemodel, read_mean
from fer_transfer.backbones.weights import load_into, open_weights
from fer_transfer.errors import WeightsError


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
    tensors = open_weights(shared_weights / "squeezenet_v1.0.caffemodel").tensors
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


@pytest.mark.parametrize(("file", "count", "slopes"), [("mtcnn_det1", 13, "PReLU1.0"), ("mtcnn_det2", 18, "prelu4.0")])
def test_real_v2_files_with_other_layers(file, count, slopes, shared_weights):
    tensors = open_weights(shared_weights / f"{file}.caffemodel").tensors
    assert len(tensors) == count and tensors[slopes].ndim == 1


def test_real_alexnet(shared_weights):
    tensors = open_weights(shared_weights / "bvlc_alexnet_conv1-5.caffemodel").tensors
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


def prototxt(model: CaffeModel) -> bytes:
    """A description that OpenCV's importer accepts; what is connected with what does not matter to the weights."""
    text = 'input: "data"\ninput_dim: 1\ninput_dim: 3\ninput_dim: 64\ninput_dim: 64\n'
    for layer in model.layers:
        sizes = layer.blobs[0].shape
        settings = {
            "Convolution": f"convolution_param {{ num_output: {sizes[0]} kernel_size: {sizes[-1]} }}",
            "InnerProduct": f"inner_product_param {{ num_output: {sizes[-2:][0]} }}",
        }.get(layer.kind, "")
        text += f'layer {{ name: "{layer.name}" type: "{layer.kind}" bottom: "data" top: "{layer.name}" {settings} }}\n'
    return text.encode()


@pytest.mark.parametrize(
    "file", ["squeezenet_v1.0", "lenet_v1", "mtcnn_det1", "mtcnn_det2", "bvlc_alexnet_conv1-5"], ids=str
)
@pytest.mark.usefixtures("caffe_importer")
def test_real_files_are_read_as_by_opencv(file, shared_weights):
    path = shared_weights / f"{file}.caffemodel"
    model = read_caffemodel(path)
    net = cv2.dnn.readNetFromCaffe(np.frombuffer(prototxt(model), np.uint8), np.fromfile(path, np.uint8))
    for layer in model.layers:
        for i, blob in enumerate(layer.blobs):
            assert np.array_equal(np.ravel(net.getParam(layer.name, i)), blob.ravel()), (layer.name, i)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.caffemodel"


def reading(path, data, read=read_caffemodel):
    path.write_bytes(data)
    return read(path)


@pytest.mark.parametrize("form", [V1, V2], ids=["V1", "V2"])
def test_both_forms(form, path):
    data, tensors = write.tiny(form)
    read = reading(path, data, open_weights).tensors
    assert list(read) == list(tensors)
    for name, values in tensors.items():
        assert read[name].shape == values.shape and torch.equal(read[name], torch.from_numpy(values))
    read["conv1.bias"].add_(1)  # memory of its own


def test_a_network_is_filled_and_told_what_does_not_fit(path):
    data, tensors = write.tiny(V1)
    read = reading(path, data, open_weights).tensors
    network = nn.ModuleDict({"conv1": nn.Conv2d(3, 2, 2), "fc/8": nn.Linear(8, 3)})
    load_into(network, read)
    assert np.array_equal(network["fc/8"].bias.detach(), tensors["fc/8.bias"])
    other = nn.ModuleDict({"conv1": nn.Conv2d(3, 2, 3), "fc7": nn.Linear(8, 3)})
    with pytest.raises(WeightsError) as error:
        load_into(other, read, source=str(path))
    for part in (
        "- fc7.weight (3, 8)",
        "+ fc/8.bias (3,)",
        "~ conv1.weight expected (2, 3, 3, 3), but got (2, 3, 2, 2)",
    ):
        assert part in str(error.value)
    assert "recipe.backbone.skip_weights=\"['conv1.*','fc/8.*','fc7.*']\"" in str(error.value)


VALUES = np.arange(6, dtype=np.float32).reshape(2, 3) / 7
PACKED = VALUES.astype("<f4").tobytes()
DOUBLES = VALUES.astype("<f8")


def in_layer(*blobs, kind="InnerProduct"):
    return write.net(write.layer(V2, "fc", kind, *blobs))


@pytest.mark.parametrize(
    "blob",
    [
        write.shape((2, 3)) + write.field(5, PACKED[:4]) + write.field(5, PACKED[4:]),  # in two pieces
        write.unpacked(VALUES),
        write.unpacked(VALUES) + write.field(5, b""),
        write.field(6, PACKED) + write.blob(VALUES),  # with the gradients of a snapshot
        write.shape_of_old((2, 3)) + write.field(5, PACKED),
        write.field(7, write.field(1, 2) + write.field(1, 3)) + write.field(5, PACKED),  # sizes one by one
        write.shape((2, 3)) + write.field(10, 1) + write.field(12, PACKED),  # NVIDIA's single precision
    ],
)
def test_ways_to_write_the_same_numbers(blob, path):
    model = reading(path, in_layer(blob))
    assert model.notes == () and np.array_equal(caffe_tensors(model)["fc.weight"], VALUES)


@pytest.mark.parametrize("blob", [write.shape((2, 3)) + write.field(8, DOUBLES.tobytes()), write.unpacked(DOUBLES, 8)])
def test_double_precision_is_rounded_with_a_note(blob, path):
    model = reading(path, in_layer(blob))
    assert np.array_equal(model.layers[0].blobs[0], VALUES) and model.layers[0].blobs[0].dtype == np.float32
    assert model.notes == ("double precision numbers of fc rounded to single",)


def test_other_layers_keep_numbers(path):
    model = reading(path, in_layer(write.blob(VALUES), write.blob(VALUES[0]), kind=b"Scale"))
    assert {name: tuple(t.shape) for name, t in caffe_tensors(model).items()} == {"fc.0": (2, 3), "fc.1": (3,)}


def test_single_values_keep_their_shape(path):
    weight, bias = np.ones((1, 5), np.float32), np.ones(1, np.float32)
    tensors = caffe_tensors(reading(path, in_layer(write.blob(weight, old=True), write.blob(bias, old=True))))
    assert {name: tuple(t.shape) for name, t in tensors.items()} == {"fc.weight": (1, 5), "fc.bias": (1,)}


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (write.shape((2, 4)) + write.field(5, PACKED), r"blob 0 of layer 'fc' has the shape \(2, 4\), 8 .* holds 6"),
        (write.shape((2, 3)), "holds no numbers"),
        (write.field(5, PACKED), "blob 0 of layer 'fc' has no shape"),
        (write.shape((2, -3)) + write.field(5, PACKED), r"shape \(2, -3\)"),
        (write.shape((0, 3)) + write.field(5, b""), r"shape \(0, 3\)"),
        (write.shape((2**62, 2**62)) + write.field(5, PACKED), "holds 6 numbers"),
        (write.shape_of_old((2**31 - 1,) * 4) + write.field(5, PACKED), "holds 6 numbers"),
        (write.shape((1,) * 33) + write.field(5, PACKED[:4]), "at most 32"),
        (write.shape((1,) * 600) + write.field(5, PACKED[:4]), "field shape of .* has 603 bytes"),
        (write.shape((2, 3)) + write.field(5, PACKED[:-1]), "23 bytes of numbers .* no whole count of 4 bytes"),
        (write.shape((2, 3)) + write.field(5, PACKED) + write.field(8, DOUBLES.tobytes()), "holds 6 and 6"),
        (write.shape((2, 3)) * 2 + write.field(5, PACKED), "2 shapes"),
        (write.shape((2, 3)) + write.field(10, 2) + write.field(12, PACKED[:12]), r"\(2, 3\) holds half \(fp16\)"),
        (write.shape((2, 3)) + write.field(10, -1) + write.field(12, PACKED), "holds type -1"),
        (write.shape((2, 3)) + write.field(8, (DOUBLES * 1e300).tobytes()), "beyond what single precision"),
        (write.shape((2, 3)) + write.field(5, 24), "field data of a BlobProto .* wire type 0"),
        (write.field(7, b"\x0b") + write.field(5, PACKED), "are no BlobProto"),
    ],
)
def test_blobs_that_cannot_be(blob, message, path):
    with pytest.raises(WeightsError, match=f"^Expected a .caffemodel in .*x.caffemodel, but .*{message}"):
        reading(path, in_layer(blob))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b'name: "AlexNet"\nlayer {\n  name: "conv1"\n}\n', "a .prototxt describes a network"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5"),
        (b"PK\x03\x04" + bytes(99), "a zip archive"),
        (bytes(999), "field 0 at byte 0"),
        (b"\xff" * 99, "a number at byte 0 has more than 10 bytes"),
        (b"\xa2\x06\xff", "is cut off"),
        (write.net(), "none of its 0 layers"),
        (write.net(write.layer(V2, "data", b"Data")), "none of its 1 layers .* upgrade_net_proto_binary"),
        (in_layer(write.blob(VALUES)) * 2, "layer 'fc' stands there twice"),
        (write.mean_image()[0], "field name of a NetParameter"),
        (write.tiny(V2)[0][:-1], "needs .* bytes, but .* are left"),
    ],
)
def test_files_that_are_something_else(data, message, path):
    with pytest.raises(WeightsError, match=f"^Expected a .caffemodel in .*x.caffemodel, but .*{message}"):
        reading(path, data, open_weights)


@pytest.mark.usefixtures("caffe_importer")
def test_half_precision_as_opencv_writes_it(path, shared_weights):
    cv2.dnn.shrinkCaffeModel(str(shared_weights / "mtcnn_det1.caffemodel"), str(path), ["Convolution"])
    with pytest.raises(
        WeightsError, match=r"blob 0 of layer 'conv1' \(10, 3, 3, 3\) holds half .* Give the float32 file"
    ):
        read_caffemodel(path)


def test_every_cut_is_noticed(path):
    for form in (V1, V2):
        data = write.tiny(form)[0]
        whole = [at for at in range(len(data)) if data[at:].startswith(b"\x12" if form is V1 else b"\xa2\x06")]
        for end in set(range(len(data))) - set(whole):  # between two layers nothing shows that there was one more
            with pytest.raises(WeightsError, match=r"x\.caffemodel"):
                reading(path, data[:end])
                pytest.fail(f"read {end} of {len(data)} bytes")


def test_mean_image(path):
    data, values = write.mean_image()
    assert np.array_equal(reading(path, data, read_mean), values)
    assert np.array_equal(reading(path, write.blob(values), read_mean), values)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (write.mean_image(channels=1)[0], r"3 channels, .* but got shape \(1, 1, 3, 4\)"),
        (write.blob(np.ones((2, 3, 4, 4), np.float32)), r"shape \(2, 3, 4, 4\)"),
        (write.blob(np.ones((3, 4), np.float32)), r"shape \(3, 4\)"),
        (write.blob(np.full((3, 4, 4), 256, np.float32)), "0..255, but got 256 to 256"),
        (write.blob(np.full((3, 4, 4), np.nan, np.float32)), "0..255, but got nan"),
        (write.tiny(V2)[0], "field num of a BlobProto"),
        (b'name: "AlexNet"\n', "text"),
    ],
)
def test_means_that_are_none(data, message, path):
    with pytest.raises(WeightsError, match=f"Expected a mean image .*{message}"):
        reading(path, data, read_mean)


@pytest.mark.parametrize("read", [read_caffemodel, read_mean])
def test_missing_file_and_folder(read, tmp_path):
    for missing in (tmp_path / "none.caffemodel", tmp_path):
        with pytest.raises(WeightsError, match=r"Expected .* but got: .*Check the path"):
            read(missing)
