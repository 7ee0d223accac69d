"""A machine that lacks a library of the system: the loader of a process of its own fails, and a command says what to install."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs the loader of Linux")

PREPARE = "from fer_transfer.cli.prepare import main; main()"


def _prepared(folder: Path, *words: str, **environment: str) -> tuple[int, str]:
    """Exit code and stderr of fer-prepare over one frame."""
    (folder / "frames").mkdir()
    cv2.imwrite(str(folder / "frames" / "a.png"), np.zeros((64, 64, 3), np.uint8))
    args = [sys.executable, "-c", PREPARE, "release=frames", f"release.path={folder / 'frames'}", *words]
    ended = subprocess.run(
        [*args, f"out={folder / 'out'}"], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )
    assert not (folder / "out").exists() and not ended.stdout
    return ended.returncode, ended.stderr


def _broken(folder: Path, *names: str) -> str:
    """A folder that the loader looks into first, where these libraries are no libraries."""
    for name in names:
        (folder / name).touch()
    return str(folder)


def _without_its_libraries(folder: Path) -> dict[str, str]:
    """The environment of a process whose MediaPipe does not find libEGL and libGLESv2: its wheel's own, or the system's."""
    package = Path(find_spec("mediapipe").submodule_search_locations[0])
    if not (package.parent / "mediapipe.libs").is_dir():
        return {"LD_LIBRARY_PATH": _broken(folder, "libEGL.so.1", "libGLESv2.so.2")}
    copy = folder / "mediapipe"
    (copy / "python").mkdir(parents=True)
    for inside, here in ((package, copy), (package / "python", copy / "python")):
        for path in inside.iterdir():
            if path.name.startswith("_framework_bindings"):
                shutil.copy(path, here)  # what it is linked with is looked for beside it
            elif not (here / path.name).exists():
                (here / path.name).symlink_to(path)
    return {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}


def test_mediapipe_without_libegl(shared_weights, tmp_path):
    model = shared_weights / "face_landmarker_v2_with_blendshapes.task"
    words = "pipeline=mediapipe", f"pipeline.landmarker.model={model}"
    code, errors = _prepared(tmp_path, *words, **_without_its_libraries(tmp_path))
    assert code == 1 and len(errors.splitlines()) == 1, errors
    assert ("libEGL" in errors or "libGLES" in errors) and "apt-get install libgl1 libegl1" in errors


def test_opencv_without_libgl(tmp_path):
    (tmp_path / "lacking").mkdir()
    where = _broken(tmp_path / "lacking", "libGL.so.1")
    code, errors = _prepared(tmp_path, LD_LIBRARY_PATH=where)
    if code == 0 or "libGL.so.1" not in errors:
        pytest.skip("this OpenCV needs no libGL")
    assert code == 1 and len(errors.splitlines()) == 1 and "apt-get install libgl1" in errors
