"""``fer-weights`` as it is called: from the command line, on the real part of AlexNet and on files with its shapes."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import caffe_files as write
import numpy as np
import pytest
import timm
import torch
from starting import Runs

from fer_transfer.backbones.backbone import BackboneRecipe, describe
from fer_transfer.backbones.preprocessing import Preprocessing
from fer_transfer.backbones.weights import open_weights

SHAPES = {"conv1": (96, 3, 11, 11), "conv2": (256, 48, 5, 5), "conv3": (384, 256, 3, 3)}
FULL = "partial=[conv4.*,conv5.*,fc6.*,fc7.*,fc8.*]"


@pytest.fixture
def fer_weights(here: Runs) -> Runs:
    return partial(here, "weights")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    blobs = {name: (np.ones(size, np.float32), np.zeros(size[0], np.float32)) for name, size in SHAPES.items()}
    layers = (write.layer(write.V1, name, "Convolution", *map(write.blob, pair)) for name, pair in blobs.items())
    (tmp_path / "x.caffemodel").write_bytes(write.net(*layers))
    return tmp_path / "x.caffemodel"


def test_says_where_the_weights_are(tmp_path: Path, fer_weights: Runs) -> None:
    done = fer_weights()
    assert done.returncode == 0 and "bvlc_alexnet.caffemodel" in done.stdout and "VGG_CNN_M_2048" in done.stdout
    done = fer_weights("net=vgg_cnn_m_2048")
    assert done.returncode == 0 and "bvlc" not in done.stdout.partition("published")[0]
    assert not list(tmp_path.iterdir())


def test_imports_what_is_there(file: Path, tmp_path: Path, fer_weights: Runs) -> None:
    arguments = ["net=bvlc_alexnet", "file=x.caffemodel"]
    refused = fer_weights(*arguments, "out=x.safetensors")
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    assert "missing      fc6.weight    4096x9216  not in the file" in refused.stdout
    assert "- conv4.weight (384, 192, 3, 3)" in refused.stderr
    done = fer_weights(*arguments, FULL, "mean=[104,117,123]", "out=x.safetensors")
    assert done.returncode == 0, done.stderr
    assert "conv1-3 only" in done.stdout and "written to x.safetensors" in done.stdout
    record = open_weights(tmp_path / "x.safetensors").record
    assert record is not None and record["holds"] == "conv1-3 only" and record["mean"] == [104, 117, 123]
    assert open_weights(tmp_path / "x.safetensors").tensors["conv2.weight"].shape == SHAPES["conv2"]


def test_another_network_is_refused(file: Path, tmp_path: Path, fer_weights: Runs) -> None:
    done = fer_weights("net=vgg_cnn_m_2048", "file=x.caffemodel")
    assert done.returncode == 1
    assert "~ conv1.weight expected (96, 3, 7, 7), but got (96, 3, 11, 11)" in done.stderr


def test_mistakes_are_one_message(file: Path, tmp_path: Path, fer_weights: Runs) -> None:
    for overrides, expected in (
        (["net=alexnet"], "Expected net=bvlc_alexnet or net=vgg_cnn_m_2048, but got 'alexnet'"),
        (["file=x.caffemodel"], "Expected net=bvlc_alexnet"),
        (["out=x.safetensors"], "Expected file=FILE with out"),
        (
            ["net=bvlc_alexnet", "file=none.caffemodel"],
            "at none.caffemodel, but there is nothing. Did you mean 'x.caffemodel'?",
        ),
        (["net=bvlc_alexnet", "file=1"], "Expected weights at 1, but there is nothing"),
    ):
        done = fer_weights(*overrides)
        assert done.returncode == 1 and expected in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_help_and_descriptions_need_no_torch(tmp_path: Path, fer_weights: Runs) -> None:
    code = (
        "import sys; sys.argv = ['fer-weights']; from fer_transfer.cli.weights import main; main();"
        "print(sorted({'torch', 'cv2', 'timm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"
    shown = fer_weights("--help")
    assert len(shown.stdout.splitlines()) <= 40 and max(map(len, shown.stdout.splitlines())) <= 130
    assert shown.returncode == 0 and "nothing else ever does" in shown.stdout
    assert "  partial=[]\n" in fer_weights("--settings", "partial").stdout


def test_any_networks_file_is_written_with_what_it_needs(tmp_path: Path, fer_weights: Runs) -> None:
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "x.pth")
    given = ["mean=[0.1,0.2,0.3]", "std=[0.4,0.5,0.6]", "scale=1", "size=96", "crop_pct=0.9", "interpolation=bicubic"]
    given += ["channel_order=BGR", "+kwargs.act_layer=relu6", "+kwargs.output_stride=16"]
    done = fer_weights("net=test_resnet", "file=x.pth", "out=x.safetensors", *given)
    assert done.returncode == 0, done.stderr
    assert "built with: act_layer relu6, output_stride 16" in done.stdout and "recipe.batch_norm=unfold" in done.stdout
    backbone = describe(BackboneRecipe("test_resnet", str(tmp_path / "x.safetensors"), ["fc.*"]))
    expected = Preprocessing((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 1.0, 96, 0.9, "bicubic", "BGR")
    assert backbone.preprocessing == expected and backbone.kwargs == {"act_layer": "relu6", "output_stride": 16}


def test_mistakes_with_any_network_are_one_message(tmp_path: Path, fer_weights: Runs) -> None:
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "x.pth")
    for overrides, expected in (
        (["net=test_resnets", "file=x.pth"], "got 'test_resnets'. Did you mean 'test_resnet'?"),
        (["net=test_resnet", "file=x.pth", "kwargs=same"], "Expected kwargs to be a mapping"),
        (["net=test_resnet", "size=96"], "Expected file=FILE with out, size"),
    ):
        done = fer_weights(*overrides, "out=x.safetensors")
        assert done.returncode == 1 and expected in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not (tmp_path / "x.safetensors").exists()


def test_the_real_part_of_alexnet(shared_weights: Path, tmp_path: Path, fer_weights: Runs) -> None:
    file = f"file={shared_weights / 'bvlc_alexnet_conv1-5.caffemodel'}"
    mean = f"mean={shared_weights / 'imagenet_mean.binaryproto'}"
    out = ["partial=[fc6.*,fc7.*,fc8.*]", "out=x.safetensors"]
    done = fer_weights("net=bvlc_alexnet", file, mean, *out)
    assert done.returncode == 0, done.stderr
    assert "not the published bvlc_alexnet.caffemodel; conv1-5 only" in done.stdout
    record = open_weights(tmp_path / "x.safetensors").record
    assert record is not None and record["mean"] == pytest.approx([104.007, 116.669, 122.679], abs=1e-3)
    assert len(open_weights(tmp_path / "x.safetensors").tensors) == 10
