"""Files that a user brings: told apart, imported only if whole or said to be partial, written with their record."""

import dataclasses
import hashlib
import json
from pathlib import Path

import caffe_files as write
import cv2
import numpy as np
import pytest
import torch
from caffe_files import V1, V2
from folded_networks import fold, trained_like
from safetensors.torch import save_file

from fer_transfer.backbones import alexnet, importing
from fer_transfer.backbones.backbone import BackboneRecipe, describe
from fer_transfer.backbones.importing import Import, import_weights
from fer_transfer.backbones.model_zoo import ZOO, card, zoo_model
from fer_transfer.backbones.proof import prove
from fer_transfer.backbones.weights import LINEAGE_KEY, RECORD_KEY, open_weights, save_tensors, weights_digest
from fer_transfer.backbones.zoo_import import zoo_mean
from fer_transfer.errors import ConfigError, WeightsError

DATA, TENSORS = write.tiny(V1)
MEAN, PICTURE = write.mean_image(4, 4)


@pytest.fixture
def given(tmp_path, monkeypatch):
    """A known network of the size of the tiny file, which is its published one; files in the working directory."""
    known = dataclasses.replace(
        ZOO["bvlc_alexnet"], size=len(DATA), sha256=hashlib.sha256(DATA).hexdigest(), mean_side=4
    )
    monkeypatch.setitem(ZOO, "bvlc_alexnet", known)
    own = {name: torch.empty(values.shape, device="meta") for name, values in TENSORS.items()}
    monkeypatch.setattr(importing, "zoo_shapes", lambda network: own)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.caffemodel").write_bytes(DATA)
    (tmp_path / "mean.binaryproto").write_bytes(MEAN)
    return tmp_path


def imported(*arguments, **options):
    lines = []
    import_weights(Import("bvlc_alexnet", *arguments, **options), say=lines.append)
    return lines


def test_the_published_file(given):
    lines = imported("x.caffemodel", "mean.binaryproto", "x.safetensors")
    assert [line.split()[0] for line in lines[:4]] == ["taken"] * 4 and "conv1.weight  2x3x2x2" in lines[0]
    assert "the published bvlc_alexnet.caffemodel, by its digest; all layers" in lines[4]
    assert lines[5] == "licence: unrestricted use (BVLC)"
    assert (
        lines[6].startswith("mean of mean.binaryproto over its pixels: B ") and lines[7] == "written to x.safetensors"
    )
    record = open_weights("x.safetensors").record
    assert record == {
        "mean": pytest.approx(PICTURE.mean((1, 2)).tolist(), rel=1e-6),
        "std": [1, 1, 1],
        "scale": 1,
        "input_size": [3, 227, 227],
        "crop_pct": pytest.approx(227 / 256),
        "interpolation": "bilinear",
        "channel_order": "BGR",
        "network": "bvlc_alexnet",
        "file": "x.caffemodel",
        "sha256": hashlib.sha256(DATA).hexdigest(),
        "holds": "all layers",
        "left_out": [],
        "licence": "unrestricted use (BVLC)",
    }
    read = open_weights("x.safetensors").tensors
    assert read.keys() == TENSORS.keys() and all(np.array_equal(read[n], v) for n, v in TENSORS.items())
    assert imported("x.caffemodel", "mean.binaryproto", "x.safetensors") == lines  # again, over it


def test_another_file_that_fits_is_only_checked(given):
    (given / "x.caffemodel").write_bytes(write.tiny(V2, seed=1)[0])
    assert "not the published bvlc_alexnet.caffemodel; all layers" in imported("x.caffemodel")[-3]
    assert sorted(path.name for path in given.iterdir()) == ["mean.binaryproto", "x.caffemodel"]
    imported("x.caffemodel", out="x.safetensors")
    assert open_weights("x.safetensors").record["licence"].startswith("unknown; that of bvlc_alexnet.caffemodel:")
    assert open_weights("x.safetensors").record["mean"] == [104.00699, 116.66877, 122.67891]  # the published picture's


def partial_file(given):
    layers = write.layer(V2, "conv1", "Convolution", *(write.blob(TENSORS[f"conv1.{n}"]) for n in ("weight", "bias")))
    (given / "x.caffemodel").write_bytes(write.net(layers))


def test_a_partial_file_only_if_it_is_said(given):
    partial_file(given)
    with pytest.raises(WeightsError, match=r"2 missing(.|\n)*- fc/8.weight \(3, 8\)(.|\n)*partial=.\['fc/8.\*'\]"):
        imported("x.caffemodel", out="x.safetensors")
    assert not (given / "x.safetensors").exists()
    lines = imported("x.caffemodel", out="x.safetensors", partial=["fc/8.*"])
    assert (
        lines[2].split()
        == ["left", "out", "fc/8.weight", "3x8", "'fc/8.*'", "names", "it;", "not", "in", "the", "file"]
        and "conv1 only" in lines[4]
    )
    record = open_weights("x.safetensors").record
    assert (record["holds"], record["left_out"]) == ("conv1 only", ["fc/8.*"])
    assert list(open_weights("x.safetensors").tensors) == ["conv1.bias", "conv1.weight"]


def test_layers_of_another_shape_and_unknown_ones(given):
    fc = write.layer(V2, "fc/8", "InnerProduct", write.blob(np.ones((7, 8))), write.blob(np.ones(7)))
    scale = write.layer(V2, "scale", b"Scale", write.blob(np.ones(2)))
    partial_file(given)
    with (given / "x.caffemodel").open("ab") as file:
        file.write(fc + scale)
    lines = []
    with pytest.raises(
        WeightsError, match=r"\+ scale.0 \(2,\)(.|\n)*~ fc/8.weight expected \(3, 8\), but got \(7, 8\)"
    ):
        import_weights(Import("bvlc_alexnet", "x.caffemodel"), say=lines.append)
    assert [line.split() for line in (lines[2], lines[4])] == [
        ["other", "shape", "fc/8.weight", "3x8", "7x8", "in", "the", "file"],
        ["unknown", "scale.0", "2", "not", "in", "the", "network"],
    ]
    lines = imported("x.caffemodel", partial=["fc/8.*", "scale.*"])
    assert "; conv1 only" in lines[-3]
    assert lines[4].endswith("'scale.*' names it; in the file")


def test_double_precision_is_told(given):
    pieces = [
        write.shape(v.shape) + write.field(8, v.astype("<f8").tobytes()) for n, v in TENSORS.items() if "conv1" in n
    ]
    (given / "x.caffemodel").write_bytes(write.net(write.layer(V2, "conv1", "Convolution", *pieces)))
    lines = imported("x.caffemodel", partial=["fc/8.*"])
    assert "double precision numbers of conv1 rounded to single" in lines


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"partial": ["fc9.*"]}, WeightsError, r"\['fc9.\*'\] match no name"),
        ({"partial": ["*"]}, WeightsError, "leaves nothing"),
        ({"out": "x.pth"}, ConfigError, "out=NAME.safetensors"),
        ({"out": "nowhere/x.safetensors"}, ConfigError, "in a folder that exists"),
        ({"mean": "none.binaryproto"}, WeightsError, "mean image .* got: No such file"),
        ({"mean": "x.caffemodel"}, WeightsError, "Expected a mean image"),
        ({"mean": [1, 2]}, ConfigError, r"mean=\[B,G,R\]"),
        ({"mean": [1, 2, 256]}, ConfigError, r"mean=\[B,G,R\]"),
        ({"mean": ["a", "b", "c"]}, ConfigError, r"mean=\[B,G,R\]"),
        ({"mean": 104}, ConfigError, r"mean=\[B,G,R\]"),
        ({"input": {"scale": 255}, "kwargs": {"img_size": 67}}, ConfigError, "no scale, kwargs with a Caffe file"),
    ],
)
def test_options_that_cannot_be(options, error, message, given):
    with pytest.raises(error, match=message):
        imported("x.caffemodel", **options)
    assert len(list(given.iterdir())) == 2


def test_a_mean_of_another_size_says_how_it_could_be_meant(given):
    data, picture = write.mean_image(5, 6)
    (given / "mean.binaryproto").write_bytes(data)
    with pytest.raises(WeightsError, match=r"3x4x4 \(imagenet_mean.binaryproto\).* but got 3x5x6.*mean=\[") as error:
        imported("x.caffemodel", "mean.binaryproto")
    means = [float(value) for value in str(error.value).rpartition("mean=[")[2].rstrip("]").split(",")]
    assert means == pytest.approx(picture.mean((1, 2)), abs=1e-3)
    imported("x.caffemodel", means, "x.safetensors")
    assert open_weights("x.safetensors").record["mean"] == means


def test_a_network_without_a_digest_cannot_be_told(given, monkeypatch):
    monkeypatch.setitem(ZOO, "bvlc_alexnet", dataclasses.replace(ZOO["bvlc_alexnet"], sha256=None))
    assert "cannot be told, for no digest of it is known" in imported("x.caffemodel")[-3]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_no_network_can_use(given, value):
    broken = dict(TENSORS) | {"conv1.weight": np.full_like(TENSORS["conv1.weight"], value)}
    pieces = [write.blob(v) for v in broken.values()]
    layers = (
        write.layer(V2, "conv1", "Convolution", *pieces[:2]),
        write.layer(V2, "fc/8", "InnerProduct", *pieces[2:]),
    )
    (given / "x.caffemodel").write_bytes(write.net(*layers))
    with pytest.raises(WeightsError, match=r"finite numbers in x.caffemodel, but 1 tensors .*, first conv1.weight"):
        imported("x.caffemodel", out="x.safetensors")
    assert not (given / "x.safetensors").exists()
    imported("x.caffemodel", partial=["conv1.*"])  # not taken


def test_what_is_written_others_can_read(given):
    (given / "other").touch()
    imported("x.caffemodel", out="x.safetensors")
    assert (given / "x.safetensors").stat().st_mode == (given / "other").stat().st_mode


def test_a_file_of_another_kind_is_named(given):
    save_file({"a": torch.zeros(1)}, given / "x.caffemodel")
    with pytest.raises(WeightsError, match=r"but it is a .safetensors file, which fer-train takes as it is"):
        imported("x.caffemodel")


def test_what_is_known_of_the_two():
    text = "\n".join(line for known in ZOO.values() for line in card(known))
    for part in (
        "bvlc_alexnet.caffemodel",
        "243862414 bytes",
        "9116a64c0fbe4459d18f4bb6b56d647b63920377",
        "VGG_CNN_M_2048.caffemodel",
        "non-commercial use only",
        "size          not stated; its numbers alone take 369879456 bytes",
    ):
        assert part in text
    with pytest.raises(ConfigError, match="net=bvlc_alexnet or net=vgg_cnn_m_2048, but got 'alexnet'"):
        zoo_model("alexnet")


@pytest.mark.parametrize("network", ZOO)
def test_published_means_are_the_real_mean_images(network, shared_weights):
    known = ZOO[network]
    means, _ = zoo_mean(known, str(shared_weights / known.mean_file))
    assert means == pytest.approx(known.mean, abs=1e-3)


def brought(*arguments, **options):
    lines = []
    import_weights(Import("test_resnet", *arguments, **options), say=lines.append)
    return lines


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """A training checkpoint of another trainer in the working directory, batch normalisation folded away."""
    monkeypatch.chdir(tmp_path)
    state = fold(trained_like("test_resnet")).state_dict()
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}, "epoch": 3}, "x.pth")
    return state


def test_any_networks_file_is_written_with_its_record(checkpoint):
    own = {"std": [0.25] * 3, "input_size": [96], "channel_order": "BGR"}
    lines = brought("x.pth", [0.5, 0.4, 0.3], "x.safetensors", input=own, kwargs={"act_layer": "relu6"})
    assert lines == [
        "x.pth for test_resnet: all layers",
        "input: mean [0.5,0.4,0.3], std [0.25,0.25,0.25], scale 255, crop_pct 0.95, interpolation bilinear, "
        "channel_order BGR, input_size [3,96,96]",
        "built with: act_layer relu6",
        "batch normalisation is folded away in 15 layers: train with recipe.batch_norm=unfold",
        "written to x.safetensors",
    ]
    file = open_weights("x.safetensors")
    assert file.tensors.keys() == checkpoint.keys() and all(
        torch.equal(file.tensors[n], t) for n, t in checkpoint.items()
    )
    assert file.record == {
        "mean": [0.5, 0.4, 0.3],
        "std": [0.25] * 3,
        "scale": 255.0,
        "input_size": [3, 96, 96],
        "crop_pct": 0.95,
        "interpolation": "bilinear",
        "channel_order": "BGR",
        "kwargs": {"act_layer": "relu6"},
        "batch_norm": "folded",
        "network": "test_resnet",
        "file": "x.pth",
        "sha256": weights_digest("x.pth"),
        "holds": "all layers",
        "left_out": [],
    }


def test_what_a_file_says_of_itself_is_kept(checkpoint):
    """Also what its weights were made from: writing a record anew washes nothing clean."""
    record = {"mean": [0.1] * 3, "std": [0.2] * 3, "input_size": [3, 64, 64], "kwargs": {"act_layer": "relu6"}}
    metadata = {
        RECORD_KEY: json.dumps(record | {"caveat": "no pre-training"}),
        LINEAGE_KEY: json.dumps({"stages": ["a"]}),
    }
    save_tensors(Path("stage.safetensors"), checkpoint, metadata)
    brought("stage.safetensors", None, "x.safetensors", input={"std": [0.3] * 3}, kwargs={"output_stride": 16})
    file = open_weights("x.safetensors")
    assert (file.record["mean"], file.record["std"], file.record["input_size"]) == ([0.1] * 3, [0.3] * 3, [3, 64, 64])
    assert file.record["kwargs"] == {"act_layer": "relu6", "output_stride": 16}
    assert file.lineage == {"stages": ["a"]} and file.record["caveat"] == "no pre-training"


def test_only_what_is_not_taken_is_listed(checkpoint):
    for name in [name for name in checkpoint if name.startswith("layer4.")]:
        del checkpoint[name]
    torch.save(checkpoint | {"extra.weight": torch.zeros(2)}, "x.pth")
    with pytest.raises(WeightsError, match=r"15 missing, 1 unknown(.|\n)*partial=.\['extra.\*','layer4.\*'\]"):
        brought("x.pth", out="x.safetensors")
    assert not Path("x.safetensors").exists()
    lines = brought("x.pth", out="x.safetensors", partial=["extra.*", "layer4.*"])
    assert all(line.startswith("left out") for line in lines[:-5]) and len(lines[:-5]) == 19
    assert lines[-5] == "x.pth for test_resnet: 74 of 92 tensors only"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mean": "mean.binaryproto"}, ConfigError, "mean=mean.binaryproto with a Caffe file"),
        ({"prove": True}, ConfigError, "prove=True with a Caffe file"),
        ({"mean": [0.5]}, ConfigError, "settings of the input with some of mean"),
        ({"input": {"channel_order": "GBR"}}, ConfigError, "none of RGB, BGR"),
        ({"input": {"input_size": [0]}}, ConfigError, "settings of the input"),
        ({"kwargs": {"act_layer": "zelu"}}, ConfigError, "Cannot build backbone 'test_resnet' with .*zelu"),
        ({"partial": ["fc9.*"]}, WeightsError, r"\['fc9.\*'\] match no name"),
        ({"out": "x.pth"}, ConfigError, "out=NAME.safetensors"),
    ],
)
def test_settings_that_do_not_go_with_any_network(options, error, message, checkpoint):
    with pytest.raises(error, match=message):
        brought("x.pth", **{"out": "x.safetensors"} | options)
    assert not Path("x.safetensors").exists()


def test_other_files_of_the_papers_networks_are_as_any(tmp_path, monkeypatch):
    """Their weights in PyTorch's format, as others have converted them; the record is in the network's own units."""
    monkeypatch.chdir(tmp_path)
    network = describe(BackboneRecipe("bvlc_alexnet", kwargs={"img_size": 67})).network()
    torch.save(network.state_dict(), "x.pth")
    asked = Import("bvlc_alexnet", "x.pth", [104, 117, 123], "x.safetensors", input={"std": [1, 1, 1], "scale": 1})
    import_weights(dataclasses.replace(asked, kwargs={"img_size": 67}), say=str)
    got = describe(BackboneRecipe("bvlc_alexnet", "x.safetensors"))
    assert (got.preprocessing.mean, got.preprocessing.size) == ((104, 117, 123), 67)
    assert got.preprocessing.channel_order == "BGR" and got.caveat is None and got.network() is not None


def test_tensors_that_share_memory_or_lie_otherwise_are_written(checkpoint):
    checkpoint["bn1.running_mean"] = checkpoint["layer1.0.bn1.running_mean"]
    checkpoint["conv1.0.weight"] = checkpoint["conv1.0.weight"].contiguous(memory_format=torch.channels_last)
    torch.save(checkpoint, "x.pth")
    brought("x.pth", out="x.safetensors")
    assert torch.equal(open_weights("x.safetensors").tensors["conv1.0.weight"], checkpoint["conv1.0.weight"])


def test_a_full_disk_is_one_message(checkpoint, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(importing, "save_tensors", full)
    with pytest.raises(WeightsError, match=r"Cannot write x\.safetensors: .*No space left.*out="):
        brought("x.pth", out="x.safetensors")


def test_an_opencv_without_caffes_reader_says_what_to_install(monkeypatch):
    """As OpenCV 5."""
    monkeypatch.delattr(cv2.dnn, "readNetFromCaffe", raising=False)
    network = alexnet.bvlc_alexnet(img_size=67)
    with pytest.raises(WeightsError, match=r"Expected OpenCV 4, .* to prove x.caffemodel.*contrib-python>=4.10,<5"):
        prove(network, network.state_dict(), "x.caffemodel")
