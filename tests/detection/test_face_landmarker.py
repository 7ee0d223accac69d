"""MediaPipe's FaceLandmarker as detector and landmarker; what is wrong with its model or its library is told in a line."""

import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from starting import run

import fer_transfer
from fer_transfer.detection import task_answers, tasks
from fer_transfer.detection.alignment import Alignment
from fer_transfer.detection.detectors import ViolaJones
from fer_transfer.detection.face_landmarker import FaceLandmarker
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.detection.recorded import pipeline_from
from fer_transfer.detection.task_answers import asking
from fer_transfer.errors import ConfigError, FacesError
from fer_transfer.faces.opening import open_faces
from fer_transfer.files.picture import decode
from fer_transfer.synthetic.drawing import Pose, draw_face
from fer_transfer.synthetic.person import random_muscles, random_person
from fer_transfer.synthetic.releases import write_sfew

#: Of google.protobuf, where MediaPipe 0.10 reads an answer; FaceLandmarker silences it outside of tests.
pytestmark = pytest.mark.filterwarnings("ignore:SymbolDatabase.GetPrototype:UserWarning")


@pytest.fixture(scope="module")
def model(shared_weights):
    return str(shared_weights / "face_landmarker_v2_with_blendshapes.task")


@pytest.fixture(scope="module")
def finder(model):
    return FacePipeline(None, FaceLandmarker(model), Alignment(size=32))


def _portrait(seed=1, centres=((150.0, 90.0),), scale=40.0):
    """A picture of drawn faces, and the eye centres [2, 2] of each."""
    rng = np.random.default_rng(seed)
    picture = np.full((240, 640, 3), 90, np.uint8)
    return picture, [
        draw_face(picture, random_person(rng), random_muscles(rng, 6), Pose(centre, scale)) for centre in centres
    ]


def _off(found, eyes):
    """Mean distance from true eyes, in eye-to-eye distances."""
    return np.linalg.norm(found - eyes, axis=1).mean() / np.linalg.norm(eyes[1] - eyes[0])


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = write_sfew(
        tmp_path_factory.mktemp("release") / "sfew", {"Train": 7, "Val": 7, "Test": 7}, 3, size=(288, 360)
    )
    (folder / "Train" / "Happy" / "nothing.png").write_bytes(
        cv2.imencode(".png", np.full((90, 120, 3), 80, np.uint8))[1].tobytes()
    )
    return folder


def _prepare(release, out, *overrides):
    words = "release=frames", f"release.path={release}", f"out={out}", "pipeline=mediapipe"
    ended = run("prepare", *words, *overrides, light=True)
    return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture(scope="module")
def prepared(release, model, tmp_path_factory):
    """Faces made by a command with two processes, and what it said."""
    out = tmp_path_factory.mktemp("faces") / "out"
    code, said, errors = _prepare(release, out, f"pipeline.landmarker.model={model}", "workers=2")
    assert code == 0, errors
    return out, said, errors


def test_faces_are_prepared_with_what_is_known_of_each(prepared, tmp_path):
    out, said, errors = prepared
    assert "Train: found" in said
    assert not [line for line in errors.splitlines() if "preparing" not in line and "reading" not in line], errors
    faces = open_faces(out)
    assert faces.manifest["settings"]["landmarker"]["model"] == "b261925d4aad"
    assert faces.pipeline["detector"] == {"name": "MediaPipe FaceLandmarker"} and "MediaPipe" in faces.preparation
    assert faces.found.sum() >= 17 and not faces.found[list(faces.ids).index("Train/Happy/nothing.png")]
    known = faces.geometry
    assert isinstance(known, np.memmap) and not known.flags.writeable
    assert (np.isfinite(known["points"]).all(axis=(1, 2)) == faces.found).all()
    lost = known[~faces.found]
    assert np.isnan(lost["pose"]).all() and np.isnan(lost["blendshapes"]["jawOpen"]).all()
    open_mouths = known["blendshapes"]["jawOpen"][faces.found]
    assert ((open_mouths >= 0) & (open_mouths <= 1)).all() and open_mouths.max() > open_mouths.min()
    turns = np.linalg.det(known["pose"][faces.found][:, :3, :3].astype(float))
    assert (turns > 0).all()  # no face is mirrored

    damaged = shutil.copytree(out, tmp_path / "damaged")
    data = bytearray((damaged / "geometry.npy").read_bytes())
    data[5000] ^= 1
    (damaged / "geometry.npy").write_bytes(data)
    with pytest.raises(FacesError, match=r"geometry\.npy the bytes of digest"):
        open_faces(damaged)


def test_one_process_gives_what_several_give(prepared, release, model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("fer_transfer.faces.prepare._processes", lambda workers: 0)  # none but this one
    words = "release=frames", f"release.path={release}", f"out={tmp_path / 'out'}", "pipeline=mediapipe"
    for part in ("shard=1/2", "shard=2/2"):
        fer_transfer.prepare([*words, f"pipeline.landmarker.model={model}", part])
    fer_transfer.prepare([*words, f"pipeline.landmarker.model={model}"])
    capsys.readouterr()
    fer_transfer.prepare([*words, f"pipeline.landmarker.model={model}"])
    assert "nothing to do" in capsys.readouterr().err
    several, one = open_faces(prepared[0]), open_faces(tmp_path / "out")
    assert one.digest == several.digest
    assert (tmp_path / "out" / "geometry.npy").read_bytes() == (prepared[0] / "geometry.npy").read_bytes()


def test_of_several_faces_the_larger_is_taken_and_all_are_found(finder):
    frame, eyes = _portrait(2, centres=((120.0, 100.0), (330.0, 110.0)), scale=42.0)
    draw_face(
        frame,
        random_person(np.random.default_rng(9)),
        random_muscles(np.random.default_rng(9), 6),
        Pose((520.0, 110.0), 60.0),
    )
    faces = finder.find_all(frame)
    assert len(faces) == 3 and sum(_off(face.eyes, eyes[0]) < 0.1 for face in faces) == 1
    assert abs(finder.find(frame).eyes[:, 0].mean() - 520) < 30


def test_eyes_and_scores(finder):
    frame, (eyes,) = _portrait()
    face = finder.find(frame)
    assert face.points.shape == (478, 2) and _off(face.eyes, eyes) < 0.06 and face.score > 0.5
    irises = face.points[[468, 473]]
    assert _off(irises, eyes) < 0.12  # the person's right one first
    mirrored = finder.find(np.ascontiguousarray(frame[:, ::-1]))
    back = np.stack([frame.shape[1] - 1 - mirrored.eyes[::-1, 0], mirrored.eyes[::-1, 1]], axis=1)
    assert _off(back, face.eyes) < 0.03  # neither side is favoured


def test_small_faces_are_looked_at_from_nearer(finder, monkeypatch):
    portraits = [_portrait(seed) for seed in range(1, 7)]

    def error():
        return np.mean([_off(finder.find(frame).eyes, eyes) for frame, (eyes,) in portraits])

    nearer = error()
    monkeypatch.setattr("fer_transfer.detection.face_landmarker.SMALL", 0.0)
    assert nearer < 0.9 * error() and nearer < 0.05


def test_a_face_that_its_model_doubts_is_found_by_a_lesser_presence(model, shared_data):
    """Three quarters turned away. MediaPipe 0.10 would give its model the detector's least score for the least presence."""
    with zipfile.ZipFile(shared_data / "sfew_like.zip") as archive:
        frame = decode(archive.read("sfew_like/Test/test_0061.jpg"))
    assert not FaceLandmarker(model, presence=0.5).find(frame)
    assert not FaceLandmarker(model, presence=0.5, detection=0.3).find(frame)
    landmarker = FaceLandmarker(model)
    (face,) = landmarker.find(frame)
    assert _off(face.eyes, np.array([[105.0, 107.5], [148.5, 108.5]])) < 0.15 and not face.mirrored
    (elsewhere,) = pickle.loads(pickle.dumps(landmarker)).find(frame)
    np.testing.assert_array_equal(elsewhere.points, face.points)


def test_faces_whose_settings_tell_no_presence_are_found_as_they_were(model, finder):
    settings = finder.settings()
    del settings["landmarker"]["presence"]
    assert pipeline_from(settings, model).landmarker.presence == 0.5


@pytest.mark.parametrize("looks", [1, 2])
def test_a_covered_face_is_doubted(model, looks):
    frame, _ = _portrait()
    covered = frame.copy()
    covered[60:160, 150:210] = 90  # half of it
    landmarker = FaceLandmarker(model, looks=looks)
    (seen,), doubtful = landmarker.find(frame), landmarker.find(covered)
    assert 0.5 < seen.score < 1
    assert all(face.score < seen.score - 0.05 for face in doubtful)


def test_behind_a_detector_it_looks_where_that_one_points(model):
    landmarker = FaceLandmarker(model)
    frame, eyes = _portrait(2, centres=((150.0, 100.0), (450.0, 110.0)))
    for true in eyes:
        middle, across = true.mean(0), np.linalg.norm(true[1] - true[0])
        fit = landmarker.fit(frame, np.array([*(middle - across), 2 * across, 2.4 * across]))
        assert _off(fit.eyes, true) < 0.1 and fit.score > 0.3
    nothing = landmarker.fit(frame, np.array([270, 10, 40, 40]))
    assert nothing.score == 0 and nothing.points.shape == (478, 2) and nothing.geometry is None


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (1, 5000), (5000, 1), (30, 3000), (64, 64), (40000, 8), (1, 70000)])
def test_odd_frames_hold_no_face(finder, size):
    for grey in (0, 255):
        frame = np.full((*size, 3), grey, np.uint8)
        assert finder.find(frame).reason == "no face detected"
        assert finder.landmarker.fit(frame, np.array([-5, -5, 10000, 10])).score == 0


def test_it_is_made_again_from_its_settings(model, finder):
    settings = finder.settings()
    assert pipeline_from(settings, model).settings() == settings
    both = FacePipeline(ViolaJones(), FaceLandmarker(model, looks=2, doubt=0.2), Alignment()).settings()
    assert both["detector"]["name"] == "Viola-Jones"
    assert pipeline_from(both, [model]).settings() == both
    with pytest.raises(ConfigError, match="detector_model=FILE"):
        pipeline_from(settings)
    with pytest.raises(ConfigError, match="SHA-256"):
        pipeline_from(settings, __file__)


def test_a_training_in_the_same_process_does_not_end_it(finder):
    """The library's timers send a signal that it ignores; what sets signals again as Python knows them must ignore it too."""
    finder.find(_portrait()[0])
    assert signal.getsignal(signal.SIGPROF) is signal.SIG_IGN
    signal.signal(signal.SIGPROF, signal.getsignal(signal.SIGPROF))  # what Lightning does when a training has ended
    signal.raise_signal(signal.SIGPROF)


def test_what_the_library_fails_on_is_one_lost_frame(finder, monkeypatch):
    def fail(picture, at):
        raise RuntimeError("its graph broke\nand more")

    monkeypatch.setattr(finder.landmarker.model.network, "_ask", fail)
    face = finder.read(cv2.imencode(".png", _portrait()[0])[1].tobytes())
    assert (face.kind, face.reason) == ("lost", "unreadable: 640x240: its graph broke")


def _eyes_elsewhere(pipeline, frame, pipe):
    pipe.send(pipeline.find(frame).eyes)


def _forked(landmarker, frame, pipe):
    try:
        landmarker.find(frame)
    except ConfigError as error:
        pipe.send(str(error))


def test_it_travels_to_a_spawned_process_and_says_so_in_a_forked_one(finder):
    frame, _ = _portrait()
    eyes = finder.find(frame).eyes
    assert len(pickle.dumps(finder)) < 3000
    answers = {}
    for method, target, what in (("spawn", _eyes_elsewhere, finder), ("fork", _forked, finder.landmarker)):
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context(method).Process(target=target, args=(what, frame, theirs))
        process.start()
        answers[method] = ours.recv() if ours.poll(60) else None
        process.kill()
        process.join()
    np.testing.assert_array_equal(answers["spawn"], eyes)
    assert "spawn" in answers["fork"]


def test_other_files_are_refused_before_anything_is_written(release, model, tmp_path):
    whole = Path(model).read_bytes()
    other = tmp_path / "other.task"
    with zipfile.ZipFile(other, "w") as bundle:
        bundle.writestr("hand_detector.tflite", b"x")
    damaged = tmp_path / "damaged.task"
    with zipfile.ZipFile(model) as bundle, zipfile.ZipFile(damaged, "w") as made:
        for name in bundle.namelist():
            made.writestr(name, bundle.read(name)[: 1000 if "landmarks" in name else None])
    files = {"missing.task": None, "text.task": b"not a model", "short.task": whole[: len(whole) // 2]}
    for name, data in files.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
    newer = tmp_path / "newer.task"
    with zipfile.ZipFile(model) as bundle, zipfile.ZipFile(newer, "w") as made:
        for name in bundle.namelist():
            made.writestr(name, bundle.read(name).replace(b"TFL3", b"TFL4"))
    for path, told in (
        ("null", "but none is given"),
        (newer, "is none that MediaPipe"),
        (tmp_path / "missing.task", "cannot be read"),
        (tmp_path / "text.task", "no .task bundle, or cut short"),
        (tmp_path / "short.task", "no .task bundle, or cut short"),
        (other, "bundle of another task (hand_detector.tflite)"),
        (damaged, "is none that MediaPipe"),
    ):
        code, said, errors = _prepare(release, tmp_path / "out", f"pipeline.landmarker.model={path}")
        assert code == 1 and not said and len(errors.splitlines()) == 1 and told in errors and "fer-weights" in errors
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))


def test_a_system_without_its_libraries_is_told(model, monkeypatch, tmp_path):
    (tmp_path / "mediapipe.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "mediapipe"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigError, match=r"libGL\.so\.1: cannot open.*apt-get install libgl1 libegl1"):
        FaceLandmarker(model)
    monkeypatch.setattr(tasks, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install mediapipe"):
        FaceLandmarker(model)


@pytest.mark.parametrize(
    "option", [{"faces": 0}, {"detection": 0}, {"presence": 0.6}, {"enlarge": 0.5}, {"looks": 3}, {"doubt": 1}]
)
def test_options_out_of_range_are_refused(option):
    with pytest.raises(ConfigError, match="Change the landmarker's options"):
        FaceLandmarker("anywhere", **option)


def test_a_landmarker_that_finds_nothing_needs_a_detector():
    class Ruler:
        def fit(self, frame, box):
            raise AssertionError

        def settings(self):
            return {}

    with pytest.raises(ConfigError, match="finds no faces"):
        FacePipeline(None, Ruler(), Alignment())


def test_nothing_of_the_library_reaches_the_terminal(model, capfd):
    FaceLandmarker(model).find(_portrait()[0])
    os.write(2, b"still open")
    assert capfd.readouterr() == ("", "still open")


@pytest.mark.parametrize("video", [False, True])
def test_answers_read_from_the_graph_are_those_of_its_method(model, video):
    """Of 0.10.14 alone the graph is asked, and its messages are read without MediaPipe's own objects."""
    portrait, _ = _portrait(2, centres=((120.0, 100.0), (330.0, 110.0)), scale=42.0)
    told = []
    for version in (tasks.version(), "another"):
        task = tasks.Tasks(3, 0.5, 0.1, Path(model).read_bytes(), video=video)
        picture = task._library.Image(
            image_format=task._library.ImageFormat.SRGB, data=cv2.cvtColor(portrait, cv2.COLOR_BGR2RGB)
        )
        told.append(asking(task._task, version, video)(picture, 40))
    assert len(told[0]) == 2
    for ours, theirs in zip(*told, strict=True):
        for one, another in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, another)


def test_a_model_of_other_points_is_told_once_not_frame_by_frame(finder, monkeypatch):
    monkeypatch.setattr(task_answers, "POINTS", 400)
    with pytest.raises(ConfigError, match="478 points, not 400"):
        finder.find(_portrait()[0])
