"""The paper's alignment through each finder, side by side: faces found, eye centres, and what a frame costs.

A finder is what finds faces and fits landmarks to them: a detector and the mesh of ``pipeline=aligned``, MediaPipe's
FaceLandmarker behind a detector, or that alone. Each looks at three sets:

- rendered frames of 720x576 with one face whose eyes are known (several seeds; SYNTHETIC);
- the photographs in which dlib's landmarks of 43 faces are known, most of them under 40 pixels wide;
- photographs with one large face each, of which nothing is known: there the distance from the eye centres of ``pipeline=aligned``
  is told, which is agreement with it, not error.

A face is found if one that passes has its middle between the eyes within half an eye-to-eye distance (e2e) of the true one.
Distances are of both eyes, in per cent of e2e. Milliseconds are the least of the rounds, of all decoded frames of a set, on one
thread but for MediaPipe's own, cutting included.

::

    python benchmarks/finders.py scenes sfew_like.zip --yunet YUNET --mediapipe face_landmarker_v2_with_blendshapes.task
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from alignment import truths
from numpy.typing import NDArray
from scenes import read_scenes

from fer_transfer.config import build, plain
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.files.archive import Archive
from fer_transfer.files.picture import decode
from fer_transfer.settings import compose

Eyes = NDArray[np.float64]


@dataclass
class Seen:
    """A frame and the true eye centres [K, 2, 2] of faces in it; None: nothing is known."""

    frame: NDArray[np.uint8]
    eyes: Eyes | None


def finders(yunet: str, landmarker: str) -> dict[str, FacePipeline]:
    """Pipelines by what a table calls them; the first is the default of fer-prepare."""
    mediapipe = ["pipeline=mediapipe", f"pipeline.landmarker.model={landmarker}"]
    behind_yunet = ["pipeline/detector=yunet", f"pipeline.detector.model={yunet}"]
    words = {
        "Viola-Jones, mesh": [],
        "YuNet, mesh": behind_yunet,
        "FaceLandmarker": mediapipe,
        "Viola-Jones, FaceLandmarker": [*mediapipe, "pipeline/detector=viola_jones"],
        "YuNet, FaceLandmarker": [*mediapipe, *behind_yunet],
    }
    return {name: pipeline(*overrides) for name, overrides in words.items()}


def pipeline(*overrides: str) -> FacePipeline:
    settings = compose("prepare", ["release=frames", "release.path=.", *overrides])
    made: FacePipeline = build("pipeline", plain(settings.pipeline))
    return made


def rendered(count: int, seeds: list[int]) -> Iterator[Seen]:
    for seed in seeds:
        with TemporaryDirectory() as folder:
            for path, eyes in truths(Path(folder), count, seed).items():
                yield Seen(cv2.imread(str(path), cv2.IMREAD_COLOR), eyes[None])


def photographs(release: Path, count: int) -> list[Seen]:
    with Archive(release) as archive:
        names = [name for name in archive.names if name.endswith((".png", ".jpg"))]
        chosen = names[:: max(1, len(names) // count)] if count else names
        return [Seen(decode(archive.read(name)), None) for name in chosen]


def taken(eyes: Eyes, found: Eyes) -> Eyes | None:
    """Of the faces found [N, 2, 2] the one that is at true eyes [2, 2]."""
    if not len(found):
        return None
    apart = np.linalg.norm(found.mean(1) - eyes.mean(0), axis=1)
    return found[apart.argmin()] if apart.min() < 0.5 * np.linalg.norm(eyes[1] - eyes[0]) else None


def tried(finder: FacePipeline, seen: list[Seen], rounds: int) -> tuple[list[Eyes], float]:
    """Eye centres [N, 2, 2] of the faces of each frame, and milliseconds a frame."""
    times, found = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        faces = [finder.find_all(one.frame) for one in seen]
        times.append(1000 * (time.perf_counter() - start) / len(seen))
        found = [np.array([face.eyes for face in of], np.float64).reshape(-1, 2, 2) for of in faces]
    return found, min(times)


def row(seen: list[Seen], found: list[Eyes]) -> tuple[int, int, NDArray[np.float64]]:
    """Faces there, faces found, distances in % of e2e."""
    distances = []
    known = [(true, faces) for one, faces in zip(seen, found, strict=True) if one.eyes is not None for true in one.eyes]
    for true, faces in known:
        if (face := taken(true, faces)) is not None:
            distances += (100 * np.linalg.norm(face - true, axis=1) / np.linalg.norm(true[1] - true[0])).tolist()
    return len(known), len(distances) // 2, np.array(distances)


def compare(title: str, seen: list[Seen], by: dict[str, FacePipeline], rounds: int) -> None:
    print(
        f"\n{title}\n\n| finder | found | median % of e2e | 95th percentile | ms a frame |\n|---|---:|---:|---:|---:|"
    )
    for name, finder in by.items():
        found, milliseconds = tried(finder, seen, rounds)
        if seen[0].eyes is None:  # its answers are what the others are compared with
            for one, faces in zip(seen, found, strict=True):
                one.eyes = faces[np.argsort(-np.linalg.norm(faces[:, 1] - faces[:, 0], axis=1))[:1]]  # the largest face
        there, count, distances = row(seen, found)
        median, p95 = np.quantile(distances, [0.5, 0.95])
        print(
            f"| {name} | {count} of {there} | {median:.2f} | {p95:.2f} | {milliseconds:.1f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path, help="folder with dlib_landmarks.csv")
    parser.add_argument("release", type=Path, help="folder or archive of photographs with one face each")
    parser.add_argument("--yunet", required=True)
    parser.add_argument("--mediapipe", required=True)
    parser.add_argument("--frames", type=int, default=200, help="rendered frames a seed (default: %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 11, 2015], help="(default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=0, help="an even choice of photographs; 0: all (default)")
    parser.add_argument("--rounds", type=int, default=1, help="(default: %(default)s)")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    by = finders(options.yunet, options.mediapipe)
    scenes = [Seen(scene.frame, scene.eyes) for scene in read_scenes(options.scenes) if scene.eyes is not None]
    drawn = list(rendered(options.frames, options.seeds))
    compare(f"{len(drawn)} rendered frames", drawn, by, options.rounds)
    compare(f"{len(scenes)} photographs with dlib's landmarks", scenes, by, options.rounds)
    seen = photographs(options.release, options.pictures)
    compare(f"{len(seen)} photographs: distance from the first finder's eyes", seen, by, options.rounds)


if __name__ == "__main__":
    main()
