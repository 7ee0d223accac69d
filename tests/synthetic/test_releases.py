import csv
import json

import numpy as np
import pytest

from fer_transfer.detection.crop import BoxCrop
from fer_transfer.detection.detectors import ViolaJones
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.detection.reader import FrameReader
from fer_transfer.errors import ConfigError, ReleaseError
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.releases.sfew_layout import movie_of
from fer_transfer.synthetic.camera import draw_frame, draw_photograph
from fer_transfer.synthetic.releases import synthetic_emotiw, synthetic_fer2013, write_fer2013, write_sfew

FER = {"Training": 60, "PublicTest": 14, "PrivateTest": 14}
SFEW = {"Train": 21, "Val": 14, "Test": 5}
FEW = {"Training": 9, "PublicTest": 2, "PrivateTest": 2}
BOXES = FacePipeline(ViolaJones(), None, BoxCrop(64))


@pytest.fixture(scope="module")
def fer(tmp_path_factory):
    return write_fer2013(tmp_path_factory.mktemp("fer") / "release", FER, seed=3, wrong_labels=0.2)


@pytest.fixture(scope="module")
def sfew(tmp_path_factory):
    return write_sfew(tmp_path_factory.mktemp("sfew") / "release", SFEW, seed=3, size=(96, 120))


def _no_progress(done, of):
    pass


def test_fer_csv_is_in_the_published_form(fer):
    with fer.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["emotion", "pixels", "Usage"]
    assert [row["Usage"] for row in rows] == [split for split, n in FER.items() for _ in range(n)]
    for row in rows:
        pixels = [int(value) for value in row["pixels"].split(" ")]
        assert len(pixels) == 48 * 48 and min(pixels) >= 0 and max(pixels) <= 255
    assert {int(row["emotion"]) for row in rows} == set(range(7))


def test_fer_labels_are_wrong_at_about_the_stated_rate(fer):
    truth = json.loads((fer.parent / "synthetic.json").read_text())["faces"]
    given = [int(line.split(",", 1)[0]) for line in fer.read_text().splitlines()[1:]]
    wrong = [EXPRESSIONS[label] != truth[f"fer{i:07d}"]["expression"] for i, label in enumerate(given)]
    assert len(truth) == len(given) and 6 <= sum(wrong) <= 32  # 88 faces at 0.2: 17.6 +- 3.8


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path):
    once, again, other = (write_fer2013(tmp_path / str(n), FEW, seed, 0.2) for n, seed in enumerate((3, 3, 4)))
    assert again.read_bytes() == once.read_bytes() != other.read_bytes()


def test_sfew_folders_names_and_movies(sfew):
    pictures = [path.relative_to(sfew) for path in sfew.rglob("*.png")]
    assert {path.parts[0]: 0 for path in pictures} == dict.fromkeys(SFEW, 0)
    for split, count in SFEW.items():
        own = [path for path in pictures if path.parts[0] == split]
        assert len(own) == count
        assert all(len(path.parts) == 2 if split == "Test" else path.parts[1] in EXPRESSIONS for path in own)
    movies = {split: {movie_of(path.name) for path in pictures if path.parts[0] == split} for split in SFEW}
    assert None not in set.union(*movies.values())
    assert sum(map(len, movies.values())) == len(set.union(*movies.values()))
    assert set(json.loads((sfew / "synthetic.json").read_text())["faces"]) == {path.name for path in pictures}


@pytest.mark.parametrize("expression", range(7))
def test_eyes_lie_in_the_picture_and_are_darker_than_the_cheeks(expression):
    darker = 0
    for seed in range(8):
        picture, eyes = draw_photograph(np.random.default_rng([seed, expression]), expression, 48)
        assert picture.shape == (48, 48) and picture.dtype == np.uint8
        assert ((eyes > 0) & (eyes < 48)).all() and eyes[0, 0] < eyes[1, 0]
        between = np.linalg.norm(eyes[1] - eyes[0])
        assert 12 < between < 26
        down = np.array([eyes[0, 1] - eyes[1, 1], eyes[1, 0] - eyes[0, 0]]) * 0.55
        darker += _mean(picture, eyes) < _mean(picture, eyes + down)
    assert darker >= 6


def _mean(picture, places):
    values = []
    for x, y in np.rint(places).astype(int):
        values.append(picture[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].mean())
    return np.mean(values)


def test_frames_are_coloured_and_of_any_size():
    from fer_transfer.synthetic.camera import Movie

    movie = Movie.random(np.random.default_rng(0), "Movie")
    for size in ((96, 120), (576, 720)):
        frame, eyes = draw_frame(np.random.default_rng(1), 3, movie, size)
        assert frame.shape == (*size, 3) and (eyes < size[::-1]).all() and (eyes > 0).all()
        assert frame.std(axis=2).mean() > 1


def test_expressions_can_be_told_apart():
    """The mean mouth of seven expressions: no two alike, so that there is something to learn."""
    means = []
    for expression in range(7):
        draws = [draw_photograph(np.random.default_rng([9, i]), expression, 48)[0] for i in range(20)]
        means.append(np.mean(draws, axis=0))
    gaps = [np.abs(a - b).max() for i, a in enumerate(means) for b in means[:i]]
    assert min(gaps) > 8  # the same 20 seeds: differences are the expression's


def test_release_is_drawn_once_and_says_synthetic(tmp_path):
    path = tmp_path / "release"
    release = synthetic_fer2013(str(path), FEW, seed=1)
    before = (path / "fer2013.csv").stat().st_mtime_ns
    assert synthetic_fer2013(str(path), FEW, seed=1).name == release.name == "fer2013"
    assert (path / "fer2013.csv").stat().st_mtime_ns == before
    assert release.scan(_no_progress) == sum(FEW.values())
    assert len(list(release.faces(FrameReader()))) == sum(FEW.values())
    assert release.caveats() == ["synthetic"]


def test_emotiw_release_reads_what_was_drawn(tmp_path):
    release = synthetic_emotiw(str(tmp_path / "release"), BOXES, SFEW, seed=1, frame_size=(144, 180))
    assert release.scan(_no_progress) == sum(SFEW.values())
    faces = list(release.faces(FrameReader()))
    assert {face.pixels.shape for face in faces} == {(64, 64)}
    assert np.mean([face.found for face in faces]) > 0.6
    assert release.caveats() == ["synthetic"] and release.report()["movies in two splits"] == {}
    assert release.name == "emotiw" and {face.label for face in faces if face.split == "Test"} == {-1}


def test_other_options_or_other_contents_are_refused(tmp_path):
    synthetic_fer2013(str(tmp_path / "release"), FEW, seed=1)
    with pytest.raises(ReleaseError, match="seed 1 there, 2 asked"):
        synthetic_fer2013(str(tmp_path / "release"), FEW, seed=2)
    (tmp_path / "mine").mkdir()
    with pytest.raises(ReleaseError, match="another path"):
        synthetic_emotiw(str(tmp_path / "mine"), BOXES, SFEW)
    with pytest.raises(ReleaseError, match="exists"):
        write_sfew(tmp_path / "mine", SFEW)
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize(
    "options", [{"counts": {"Train": 5}}, {"counts": {**FER, "PublicTest": 0}}, {"seed": -1}, {"wrong_labels": 1.5}]
)
def test_impossible_options_are_refused_before_anything_is_written(tmp_path, options):
    with pytest.raises(ConfigError, match="Expected at least 1 face"):
        synthetic_fer2013(str(tmp_path / "new" / "release"), **options)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fer_transfer.synthetic.releases.draw_photograph", full_disk)
    with pytest.raises(ReleaseError, match="No space left"):
        write_fer2013(tmp_path / "release", FER)
    assert list(tmp_path.iterdir()) == []
