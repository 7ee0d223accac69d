"""A model's file: what is run is what the digest names, in every process."""

import pickle

import cv2
import pytest

from fer_transfer.detection.model_file import ModelFile
from fer_transfer.errors import ConfigError


def load(data: bytes) -> str:
    if data == b"of OpenCV":
        raise cv2.error("(-215:Assertion failed) a long story")
    if not data.startswith(b"model"):
        raise ValueError("it does not begin as one")
    return data.decode()


def test_it_is_loaded_once_and_again_where_it_travels(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"model A")
    model = ModelFile(str(path), "a model", load, "Get one.")
    assert model.network == "model A" and model.network is model.network
    other = pickle.loads(pickle.dumps(model))
    assert other.network == "model A" and other.digest == model.digest
    late = pickle.loads(pickle.dumps(model))
    path.write_bytes(b"model B")
    with pytest.raises(ConfigError, match=r"a\.onnx to stay as it was"):
        _ = late.network
    assert other.network == "model A"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"a model at .*a\.onnx', but it cannot be read \(No such file or directory\)\. Get one\."),
        (b"", r"a\.onnx \(0 bytes\) is none that OpenCV [\d.]+ can run: it does not begin as one\. Get one\."),
        (b"of OpenCV", r"a\.onnx \(9 bytes\) is none that OpenCV [\d.]+ can run\. Get one\."),
    ],
)
def test_what_is_no_model_is_refused_at_once(tmp_path, content, message):
    if content is not None:
        (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        ModelFile(str(tmp_path / "a.onnx"), "a model", load, "Get one.")


def test_none_given():
    with pytest.raises(ConfigError, match=r"Expected the path of a model, but none is given\. Get one\."):
        ModelFile(None, "a model", load, "Get one.")
