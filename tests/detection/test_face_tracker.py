"""Faces followed through videos: MediaPipe's video mode, and what prediction makes of it."""

import csv
import threading

import cv2
import numpy as np
import pytest
from trained import ROW

from fer_transfer.detection.alignment import Alignment
from fer_transfer.detection.face_landmarker import FaceLandmarker
from fer_transfer.detection.landmarks import LEFT_EYE, MOUTH, RIGHT_EYE, Landmarks
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.inference.finding import find_faces
from fer_transfer.inference.pictures import Picture
from fer_transfer.synthetic.drawing import Pose, draw_face
from fer_transfer.synthetic.person import random_muscles, random_person


@pytest.fixture
def model(shared_weights):
    return str(shared_weights / "face_landmarker_v2_with_blendshapes.task")


def _video(count, heads=1, start=150.0, step=3.0, seed=1):
    """Frames of heads that move to the right, and their eyes [count, heads, 2, 2]."""
    rng = np.random.default_rng(seed)
    people = [(random_person(rng), random_muscles(rng, 6)) for _ in range(heads)]
    frames, eyes = [], []
    for number in range(count):
        frame = np.full((240, 520, 3), 90, np.uint8)
        places = [(start + 200 * head + step * number, 110.0) for head in range(heads)]
        eyes.append([draw_face(frame, *who, Pose(at, 45.0)) for who, at in zip(people, places, strict=True)])
        frames.append(frame)
    return frames, np.array(eyes)


def _off(found, eyes):
    """Mean distance of eye centres from true ones, in eye-to-eye distances; of the nearest face."""
    return min(np.linalg.norm(face.eyes - eyes, axis=1).mean() for face in found) / np.linalg.norm(eyes[1] - eyes[0])


def test_faces_are_followed_though_frames_are_left_out_and_another_video_begins(model):
    tracker = FacePipeline(None, FaceLandmarker(model), Alignment(size=32)).following()
    frames, eyes = _video(12, heads=2)
    for number in (0, 1, 2, 3, 8, 11):  # where frames are missing, heads have gone on
        found = tracker.find_all(frames[number], number / 25)
        assert len(found) == 2 and max(_off(found, of) for of in eyes[number]) < 0.1, number
        assert all(face.geometry is not None for face in found)
    first = tracker._tracker._task
    assert tracker.find_all(np.zeros_like(frames[0]), 0.5) == []
    other, elsewhere = _video(2, start=400.0, seed=5)
    for number in range(2):  # time goes back
        assert _off(tracker.find_all(other[number], number / 25), elsewhere[number, 0]) < 0.1
    assert tracker._tracker._task is not first
    assert len(tracker.find_all(other[1], 1 / 25 + 1e-5)) == 1  # within the same millisecond


def test_a_frame_that_the_library_fails_on_is_one_lost_frame(model, monkeypatch):
    landmarker = FaceLandmarker(model)
    pipeline, (frames, eyes) = FacePipeline(None, landmarker, Alignment(size=32)).following(), _video(4)
    pictures = [Picture(str(number), frame, number / 25) for number, frame in enumerate(frames)]
    begun = landmarker.video_task

    def breaks_once():
        task = begun()
        if (detect := task._ask) and not failed:
            failed.append(1)

            def broken(picture, at):
                if at > 30:
                    raise RuntimeError("its graph broke\nand more")
                return detect(picture, at)

            monkeypatch.setattr(task, "_ask", broken)
        return task

    failed = []
    monkeypatch.setattr(landmarker, "video_task", breaks_once)
    found = list(find_faces(pipeline, pictures, every=True))
    assert [len(of.faces) for of in found] == [1, 0, 1, 1] and "its graph broke" in found[1].reason
    assert _off(found[3].faces, eyes[3, 0]) < 0.1


class Noting:
    """A finder that notes what it is given, and can follow."""

    def __init__(self):
        self.given = []

    def settings(self):
        return {"landmarker": {"name": "noting"}}

    def fit(self, frame, box):
        raise AssertionError("no detector before it")

    def find(self, frame):
        self.given.append(None)
        return []

    def tracker(self):
        return self

    def follow(self, frame, seconds):
        self.given.append((int(frame[0, 0, 0]), seconds, threading.get_ident()))
        points = np.zeros((478, 2), np.float32)
        for places, point in ((RIGHT_EYE, (20, 30)), (LEFT_EYE, (44, 30)), (MOUTH, (32, 48))):
            points[list(places)] = point
        return [Landmarks(points, 1.0)]


def test_frames_come_in_their_order_with_their_times_on_one_thread():
    finder = Noting()
    pipeline = FacePipeline(None, finder, Alignment(size=32))
    pictures = [Picture(str(n), np.full((64, 64, 3), n, np.uint8), n / 10) for n in range(20)]
    pictures[7] = pictures[7]._replace(content="damaged")
    found = list(find_faces(pipeline.following(), pictures, every=True, threads=4))
    assert [number for number, *_ in finder.given] == [n for n in range(20) if n != 7]
    assert all(seconds == number / 10 for number, seconds, _ in finder.given)
    assert len({thread for *_, thread in finder.given}) == 1
    assert [len(of.faces) for of in found] == [int(n != 7) for n in range(20)]
    list(find_faces(pipeline, pictures[:3], every=True, threads=1))
    assert finder.given[-3:] == [None] * 3  # without following, every frame by itself


def test_what_has_a_detector_before_it_follows_nothing():
    class Nowhere:
        def detect(self, frame):
            raise AssertionError

        def settings(self):
            return {"detector": {"name": "nowhere"}}

    assert FacePipeline(Nowhere(), Noting(), Alignment(size=32)).following() is None


def test_fer_predict_follows_faces_through_a_video_that_ends_early(trained, command, model, tmp_path):
    whole = tmp_path / "whole.avi"
    writer = cv2.VideoWriter(str(whole), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (520, 240))
    frames, eyes = _video(12)
    for frame in frames:
        writer.write(frame)
    writer.release()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    words = (f"store={trained.store}", f"row={ROW}", "seeds=0", f"input={cut}", "pipeline=mediapipe")
    given = (*words, f"pipeline.landmarker.model={model}", "annotate=false", "device=cpu")
    for follow in (True, False):
        out = tmp_path / f"out{follow}"
        code, said, errors = command("predict", *given, f"out={out}", f"follow={str(follow).lower()}")
        assert code == 0, errors
        assert "ended early" in said and ("followed from frame to frame by MediaPipe" in said) == follow
        with (out / "faces.csv").open(newline="") as file:
            lines = list(csv.DictReader(file))
        assert 4 <= len(lines) < 12 and {line["track"] for line in lines} == {"0"}
        for number, line in enumerate(lines):
            right = float(line["right_eye_x"]), float(line["right_eye_y"])
            assert np.hypot(*(right - eyes[number, 0, 0])) < 5, (follow, number)
