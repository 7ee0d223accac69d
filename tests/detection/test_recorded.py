"""Pipelines made again from their settings."""

import json

import numpy as np
import pytest

from fer_transfer.detection.alignment import Alignment
from fer_transfer.detection.crop import BoxCrop
from fer_transfer.detection.detectors import ViolaJones
from fer_transfer.detection.landmarks import FaceMesh
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.detection.recorded import differences, pipeline_from
from fer_transfer.errors import ConfigError

PIPELINES = {
    "aligned": lambda: FacePipeline(ViolaJones(), FaceMesh(), Alignment()),
    "changed": lambda: FacePipeline(
        ViolaJones(0.2, 1.2, 2, "never"),
        FaceMesh(passes=4),
        Alignment(96, e2e="outer_corners", border="black"),
        0.4,
        "central",
        6.0,
    ),
    "box": lambda: FacePipeline(ViolaJones(), None, BoxCrop(64, False), choose="largest"),
}


def pipeline_of(name, request):
    """One of the pipelines; the test is skipped where its model is not at hand."""
    if name != "box":
        request.getfixturevalue("mesh_model")
    return PIPELINES[name]()


@pytest.mark.parametrize("name", PIPELINES)
def test_it_is_the_same_pipeline(name, request):
    settings = json.loads(json.dumps(pipeline_of(name, request).settings()))  # as it is kept
    again = pipeline_from(settings)
    assert again.settings() == settings and differences(settings, again.settings()) == []
    frame = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    assert (again.find(frame).pixels == PIPELINES[name]().find(frame).pixels).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"detector": {"name": "mine"}}, "found by 'mine'"),
        ({"detector": {"name": "YuNet", "model": "8f2383e4dd3c"}}, "detector_model=FILE"),
        ({"landmarker": {"name": "mine"}}, "landmarked by 'mine'"),
        ({"size": "large"}, "Expected the settings of a face pipeline"),
        ({"fit": None}, "Expected the settings of a face pipeline"),
    ],
)
def test_what_cannot_be_made_again_is_said(changed, message, request):
    settings = pipeline_of("aligned", request).settings()
    with pytest.raises(ConfigError, match=message):
        pipeline_from({**settings, **changed})


def test_another_model_of_landmarks_is_said(request):
    settings = pipeline_of("aligned", request).settings()
    settings["landmarker"] = {**settings["landmarker"], "model": "0" * 12}
    with pytest.raises(ConfigError, match=r"SHA-256 0{12}\.\.\."):
        pipeline_from(settings)
