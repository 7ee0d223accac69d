import zipfile

import numpy as np
import pytest
from fake_store import make_predictions

from fer_transfer.errors import ConfigError, StoreError
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.reports.emotiw_zip import write_submission_zip


def test_one_text_file_per_image_with_one_word(tmp_path):
    predictions = make_predictions("emotiw/Test", 0.4, 0, labelled=False)
    path = write_submission_zip(predictions, tmp_path / "new", "Team_1", "SYNTHETIC")
    assert path == tmp_path / "new" / "Team_1.zip" and list(path.parent.iterdir()) == [path]
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None and archive.comment == b"SYNTHETIC"
        assert archive.namelist() == sorted(i.replace(".png", ".txt") for i in predictions.ids.tolist())
        for image, expression in zip(predictions.ids, predictions.predicted, strict=True):
            assert archive.read(image.replace(".png", ".txt")).decode() == EXPRESSIONS[expression]


def test_the_same_predictions_give_the_same_bytes_in_any_order(tmp_path):
    p = make_predictions("emotiw/Test", 0.4, 0)
    turned = Predictions(p.ids[::-1], p.labels[::-1], p.found[::-1], p.probabilities[::-1])
    first, second = (write_submission_zip(x, tmp_path / str(i), "T").read_bytes() for i, x in enumerate((p, turned)))
    assert first == second


@pytest.mark.parametrize("team", ["", "../T", "a/b", ".hidden", "Team!", "Ünï"])
def test_a_team_that_cannot_name_a_file_is_refused(tmp_path, team):
    with pytest.raises(ConfigError, match="team name"):
        write_submission_zip(make_predictions("emotiw/Test", 0.4, 0), tmp_path, team)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ids", [["a.png", "A/a.jpg"], []])
def test_clashing_or_no_images_are_refused(tmp_path, ids):
    p = Predictions(
        np.array(ids, str), np.zeros(len(ids), np.int8), np.ones(len(ids), bool), np.ones((len(ids), 7)) / 7
    )
    with pytest.raises(StoreError, match="Expected"):
        write_submission_zip(p, tmp_path, "T")
    assert not list(tmp_path.iterdir())


def test_a_name_with_dots_loses_only_its_ending(tmp_path):
    p = Predictions(np.array(["a.b_00.5"]), np.zeros(1, np.int8), np.ones(1, bool), np.ones((1, 7)) / 7)
    with zipfile.ZipFile(write_submission_zip(p, tmp_path, "T")) as archive:
        assert archive.namelist() == ["a.b_00.5.txt"]
