"""Many frames: the same bytes for any number of processes, nothing done twice, damage stops nobody else."""

import io
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from failing_detectors import Broken, Crashing, Deadly, Hanging, Slow
from rich.console import Console
from starting import run

from fer_transfer.cli.demo import pipeline_at_hand
from fer_transfer.detection.crop import BoxCrop
from fer_transfer.detection.detectors import ViolaJones
from fer_transfer.detection.frame_process import FrameJob, FrameProcess
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.detection.reader import FrameReader
from fer_transfer.errors import ConfigError, FacesError, ReleaseError
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.prepare import prepare
from fer_transfer.files.journal import Journal
from fer_transfer.files.limits import Limits
from fer_transfer.releases.frames import FramesRelease
from fer_transfer.synthetic.releases import write_sfew

pytestmark = pytest.mark.usefixtures("quick_processes")

PIPELINE = FacePipeline(ViolaJones(), None, BoxCrop(16))
JOBS = [FrameJob(f"{i:02}.png", False, None) for i in range(9)]


def _load(name):
    picture = np.random.default_rng(int(name[:2])).integers(0, 256, (60, 80, 3), np.uint8)
    return cv2.imencode(".png", picture)[1].tobytes()


def _pixels(faces):
    return [face.pixels.tobytes() for face in faces]


def test_any_number_of_processes_gives_the_same():
    def load(name):
        if name == "04.png":
            raise ReleaseError("a bad member")
        return _load(name)

    alone = list(FrameReader().read(PIPELINE, JOBS, load))
    assert [face.reason for face in alone].count("unreadable: damaged in the archive") == 1
    assert len(set(_pixels(alone))) == 9
    for workers in (1, 2, 3):
        together = list(FrameReader(workers).read(PIPELINE, JOBS, load))
        assert _pixels(together) == _pixels(alone)
        assert [(face.kind, face.reason) for face in together] == [(face.kind, face.reason) for face in alone]


def test_an_interrupted_run_goes_on(tmp_path):
    loaded = []

    def load(name):
        loaded.append(name)
        if name == "05.png" and loaded.count(name) == 1:
            raise KeyboardInterrupt
        return _load(name)

    with pytest.raises(KeyboardInterrupt), Journal(tmp_path / "done", {"a": 1}, (9, 16, 16)) as journal:
        list(FrameReader(0, journal).read(PIPELINE, JOBS, load))
    with Journal(tmp_path / "done", {"a": 1}, (9, 16, 16)) as journal:
        assert len(journal) == 5
        faces = list(FrameReader(0, journal).read(PIPELINE, JOBS, load))
    alone = _pixels(FrameReader().read(PIPELINE, JOBS, _load))
    assert _pixels(faces) == alone
    assert [face.tobytes() for face in np.load(tmp_path / "done.npy")] == alone
    assert [loaded.count(job.name) for job in JOBS] == [1, 1, 1, 1, 1, 2, 1, 1, 1]


def test_a_dying_process_is_one_error():
    with pytest.raises(FacesError, match="repeat the command"):
        list(FrameReader(2).read(FacePipeline(Deadly(), None, BoxCrop(16)), JOBS, _load))


def test_a_script_without_a_guard_is_told_what_to_write(tmp_path):
    (tmp_path / "frames").mkdir()
    cv2.imwrite(str(tmp_path / "frames" / "1.png"), np.zeros((40, 40, 3), np.uint8))
    words = ["release=frames", "release.path=frames", "pipeline=box", "out=faces", "beside=false", "workers=1"]
    (tmp_path / "script.py").write_text(f"import fer_transfer\nfer_transfer.prepare({words})\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert 'if __name__ == "__main__":' in last and "memory" not in last


@pytest.mark.parametrize("workers", [1, 2])
def test_a_frame_that_ends_its_process_costs_itself_only(workers):
    crashing = FacePipeline(Crashing(), None, BoxCrop(16))
    faces = list(FrameReader(workers).read(crashing, JOBS, _load_one_that_hangs))
    assert not multiprocessing.active_children()
    assert (faces[4].kind, faces[4].reason) == ("lost", "unreadable: ended its process (SIGSEGV)")
    others = [name for name in range(9) if name != 4]
    assert _pixels(faces[i] for i in others) == _pixels(
        list(FrameReader().read(PIPELINE, JOBS, _load))[i] for i in others
    )


HANGING = FacePipeline(Hanging(), None, BoxCrop(16))


def _load_one_that_hangs(name):
    if name != "04.png":
        return _load(name)
    return cv2.imencode(".png", np.zeros((61, 80, 3), np.uint8))[1].tobytes()


def test_a_frame_that_takes_too_long_costs_itself_only():
    began = time.monotonic()
    faces = list(FrameReader(2).read(HANGING, JOBS, _load_one_that_hangs, seconds=2))
    assert time.monotonic() - began < 30 and not multiprocessing.active_children()
    assert (faces[4].kind, faces[4].reason) == ("lost", "unreadable: took longer than 2 s")
    others = [name for name in range(9) if name != 4]
    assert _pixels(faces[i] for i in others) == _pixels(
        list(FrameReader().read(PIPELINE, JOBS, _load))[i] for i in others
    )


def test_whoever_stops_does_not_wait_for_a_frame_that_hangs():
    faces = FrameReader(1).read(HANGING, JOBS, _load_one_that_hangs)
    for _ in range(4):
        next(faces)
    began = time.monotonic()
    faces.close()
    assert time.monotonic() - began < 10 and not multiprocessing.active_children()


def test_a_release_with_a_frame_that_hangs_is_prepared(tmp_path, capsys):
    (tmp_path / "release").mkdir()
    for job in JOBS[3:6]:
        (tmp_path / "release" / job.name).write_bytes(_load_one_that_hangs(job.name))
    release = FramesRelease(str(tmp_path / "release"), HANGING, limits=Limits(frame_seconds=2))
    faces = prepare(release, tmp_path / "out", Console(file=io.StringIO()), workers=1)
    pixels = [face.tobytes() for face in faces.pixels]
    assert [pixels[0], pixels[2]] == _pixels(FrameReader().read(PIPELINE, [JOBS[3], JOBS[5]], _load))
    assert faces.manifest["report"]["reasons"]["lost, unreadable: took longer than 2 s"] == ["04.png"]
    assert "took longer than 2 s: 1 (04.png)" in capsys.readouterr().out
    assert (tmp_path / "out" / "sheet.jpg").exists()  # where it is not searched again


def test_a_mistake_in_the_code_is_shown_as_such():
    with pytest.raises(ZeroDivisionError, match="mine"):
        list(FrameReader(2).read(FacePipeline(Broken(), None, BoxCrop(16)), JOBS, _load))


def test_pictures_that_wait_are_few_where_they_are_large(monkeypatch):
    monkeypatch.setattr("fer_transfer.detection.reader._HELD", 100)
    loaded = []
    faces = FrameReader(1).read(PIPELINE, JOBS, lambda name: loaded.append(name) or _load(name))
    next(faces)
    assert len(loaded) == 1  # 4 where they are small
    faces.close()


@pytest.mark.parametrize("detector, least, most", [(ViolaJones(), 8, 64), (Slow(), 1, 1)])
def test_pictures_that_take_little_time_go_together(monkeypatch, detector, least, most):
    sent = []
    faces = FrameProcess.faces
    monkeypatch.setattr(
        FrameProcess, "faces", lambda self, pictures, row: sent.append(len(pictures)) or faces(self, pictures, row)
    )
    jobs = [FrameJob(f"{i % 7:02}.png", most > 1, None) for i in range(150 if most > 1 else 12)]
    together = list(FrameReader(1).read(FacePipeline(detector, None, BoxCrop(16)), jobs, _load))
    alone = list(FrameReader().read(PIPELINE, jobs, _load))
    assert _pixels(together) == _pixels(alone) and sum(sent) == len(jobs)
    assert least <= max(sent) <= most


def test_neighbours_that_end_their_process_cost_themselves_only():
    jobs = [FrameJob(f"{i % 7:02}.png" if i not in (70, 71) else "04.png", False, None) for i in range(80)]
    jobs = [
        job._replace(name="03.png") if job.name == "04.png" and i not in (70, 71) else job for i, job in enumerate(jobs)
    ]
    faces = list(FrameReader(1).read(FacePipeline(Crashing(), None, BoxCrop(16)), jobs, _load_one_that_hangs))
    assert [i for i, face in enumerate(faces) if face.reason == "unreadable: ended its process (SIGSEGV)"] == [70, 71]


def test_a_negative_number_of_processes_is_refused():
    with pytest.raises(ConfigError, match="number of processes"):
        FrameReader(-1)


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    folder = write_sfew(tmp_path_factory.mktemp("frames") / "sfew", {"Train": 7, "Val": 3, "Test": 2}, seed=7)
    (folder / "Val" / "Happy" / "cut_000000001_00000001.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


def _prepare(release, out, *overrides):
    return run("prepare", "release=emotiw", f"release.path={release}", f"out={out}", *overrides, light=True)


def test_the_command_with_one_and_two_processes(release, tmp_path):
    done = [
        _prepare(release, tmp_path / f"w{n}", f"workers={n}", "pipeline.crop.size=64", *pipeline_at_hand())
        for n in (1, 2)
    ]
    assert [run.returncode for run in done] == [0, 0], done[0].stderr + done[1].stderr
    one, two = (open_faces(tmp_path / f"w{n}") for n in (1, 2))
    assert one.digest == two.digest and len(one) == 13
    assert (tmp_path / "w1" / "frames.csv").read_bytes() == (tmp_path / "w2" / "frames.csv").read_bytes()
    assert "lost, unreadable: cut short: 1 (Val/Happy/cut_000000001_00000001.png)" in done[0].stdout
    assert one.found.mean() > 0.5 and not one.found[one.ids == "cut_000000001_00000001.png"].any()
    for picture in ("sheet.jpg",) if pipeline_at_hand() else ("sheet.jpg", "crops.jpg"):
        assert cv2.imread(str(tmp_path / "w1" / picture)).shape[1] > 200
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["w1", "w2"]  # no journal is left
    bad = _prepare(release, tmp_path / "bad", "workers=none", *pipeline_at_hand())
    assert bad.returncode == 1 and "whole number of at least 1, or auto" in bad.stderr


def test_any_folder_of_frames(release, tmp_path):
    pictures = sorted((release / "Train").rglob("*.png"))[:3]
    for name, picture in zip(("a.png", "b/Happy/c.png", "Val/d.png"), pictures, strict=True):
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_bytes(picture.read_bytes())
    (tmp_path / "mine" / "notes.txt").write_text("x")
    done = _prepare(tmp_path / "mine", tmp_path / "out", "release=frames", "pipeline=box", "pipeline.crop.size=32")
    assert done.returncode == 0, done.stderr
    faces = open_faces(tmp_path / "out")
    assert faces.name == "frames" and faces.pixels.shape == (3, 32, 32)
    assert dict(zip(faces.ids.tolist(), faces.splits.tolist(), strict=True)) == {
        "a.png": "Test", "b/Happy/c.png": "Test", "Val/d.png": "Val",
    }  # fmt: skip
    assert faces.labels.tolist() == [-1, -1, 3]
    (tmp_path / "none").mkdir()
    empty = _prepare(tmp_path / "none", tmp_path / "out2", "release=frames", *pipeline_at_hand())
    assert empty.returncode == 1 and "Expected pictures (.png" in empty.stderr


class Choosy(ViolaJones):
    """A detector that fails on frames of 40 pixels height."""

    def detect(self, frame):
        if frame.shape[0] == 40:
            raise cv2.error("out of luck")
        return super().detect(frame)


def test_what_the_pipeline_fails_on_stops_neither_the_frames_nor_the_sheets(tmp_path, capsys):
    folder = tmp_path / "frames"
    folder.mkdir()
    for i, shape in enumerate([(60, 80, 3), (40, 40, 3), (1, 20_000, 3), (300, 1, 3)]):
        cv2.imwrite(str(folder / f"{i}.png"), np.random.default_rng(i).integers(0, 256, shape, np.uint8))
    release = FramesRelease(str(folder), FacePipeline(Choosy(), None, BoxCrop(16)))
    for _ in range(2):
        faces = prepare(release, tmp_path / "out", Console(file=io.StringIO()), workers=1)
    assert len(faces) == 4 and not faces.found.any()
    assert cv2.imread(str(tmp_path / "out" / "sheet.jpg")).shape[1] < 2000
    assert "lost, unreadable: 40x40" in capsys.readouterr().out
    assert faces.manifest["duplicates"]["constant"] == 0  # the grey of a lost face is no picture


def test_bypassed_faces_say_so_in_tables(tmp_path):
    for i in range(2):
        _picture = np.random.default_rng(i).integers(0, 256, (18, 14, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{i}.png"), _picture)
    release = FramesRelease(str(tmp_path), PIPELINE, aligned_size=(18, 14))
    faces = prepare(release, tmp_path.with_name("bypassed"), Console(file=io.StringIO()), workers=1)
    assert faces.preparation == "faces already, not searched, 16 px"
    with pytest.raises(ConfigError, match=r"aligned_size=\[height,width\]"):
        FramesRelease(str(tmp_path), PIPELINE, aligned_size=[18])


def test_processes_write_pixels_in_their_places(tmp_path):
    with Journal(tmp_path / "done", {}, (9, 16, 16)) as journal:
        faces = list(FrameReader(2, journal).read(PIPELINE, JOBS, _load))
        alone = list(FrameReader().read(PIPELINE, JOBS, _load))
        assert _pixels(faces) == _pixels(alone) and [face.mark for face in faces] == [face.mark for face in alone]
        assert [journal.get(row, job.name).partition(b"\n")[2] for row, job in enumerate(JOBS)] == _pixels(alone)
    assert [face.tobytes() for face in np.load(tmp_path / "done.npy")] == _pixels(alone)
