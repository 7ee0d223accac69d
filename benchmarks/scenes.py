"""How well detectors and landmarkers do on real photographs: recall, false boxes, eye centres, fit score.

The folder holds photographs, ``SOURCES.csv`` with the faces counted by eye, and ``dlib_landmarks.csv`` with boxes and 68
landmarks of every face in some of them. A box is right if its intersection over union with a true box is at least 0.3,
each true box taking the best one; eye errors are those of both eyes, in per cent of the true eye-to-eye distance.

::

    python benchmarks/scenes.py scenes --yunet face_detection_yunet_2023mar.onnx --check
    python benchmarks/scenes.py scenes --yunet YUNET --mediapipe face_landmarker_v2_with_blendshapes.task
"""

import argparse
import csv
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.detectors import Detections, Detector, Frame, ViolaJones, YuNet
from fer_transfer.detection.face_landmarker import FaceLandmarker
from fer_transfer.detection.landmarks import FaceMesh, Landmarker, Landmarks

FIT = 0.3  # the paper's threshold
IOU = 0.3
RECALL, EYES = 0.9, 5.0  # bounds, for the best detector: share of the true faces; median error in % of e2e


@dataclass
class Scene:
    """A photograph, faces counted by eye (None: not counted), true boxes [K, 4] and eyes [K, 2, 2] (None: unknown)."""

    name: str
    frame: NDArray[np.uint8]
    counted: int | None
    boxes: NDArray[np.float64] | None
    eyes: NDArray[np.float64] | None


@dataclass
class Outcome:
    """What one detector, with the mesh after it, did on all scenes."""

    hits: int = 0
    hits_fit: int = 0
    false: int = 0
    false_fit: int = 0
    errors: list[float] = field(default_factory=list)
    fit_faces: list[float] = field(default_factory=list)
    fit_others: list[float] = field(default_factory=list)
    found: list[tuple[int, int, int]] = field(default_factory=list)  # by eye, boxes, boxes that fit
    milliseconds: list[float] = field(default_factory=list)
    score_and_error: list[tuple[float, float]] = field(default_factory=list)


class Alone:
    """MediaPipe's FaceLandmarker as a detector: the rectangles that its points fill; they are fitted again."""

    def __init__(self, landmarker: FaceLandmarker) -> None:
        self.landmarker = landmarker

    def detect(self, frame: Frame) -> Detections:
        """See ``Detector.detect``."""
        fits = self.landmarker.find(frame)
        corners = [(fit.points.min(0), fit.points.max(0)) for fit in fits]
        boxes = np.array([[*low, *(high - low)] for low, high in corners], np.float32).reshape(-1, 4)
        return Detections(boxes, np.array([fit.score for fit in fits], np.float32))

    def settings(self) -> dict[str, object]:
        """Those of the landmarker."""
        return self.landmarker.settings()


def read_scenes(folder: Path) -> list[Scene]:
    truth: dict[str, list[dict[str, str]]] = defaultdict(list)
    with (folder / "dlib_landmarks.csv").open() as file:
        for row in csv.DictReader(file):
            truth[row["file"]].append(row)
    scenes = []
    with (folder / "SOURCES.csv").open() as file:
        for row in csv.DictReader(file):
            frame = cv2.imread(str(folder / row["file"]), cv2.IMREAD_COLOR)
            counted = int(row["faces_by_eye"]) if row["faces_by_eye"] else None
            faces = truth[row["file"]]
            boxes = np.array([[float(face[key]) for key in ("left", "top", "width", "height")] for face in faces])
            points = np.array([face["points_xy"].split() for face in faces], float).reshape(len(faces), 68, 2)
            eyes = np.stack([points[:, 36:42].mean(1), points[:, 42:48].mean(1)], 1) if faces else None
            scenes.append(Scene(row["file"], frame, counted, boxes if faces else None, eyes))
    return scenes


def overlaps(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union, [len(boxes), len(others)]."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, :2] + boxes[:, None, 2:], others[None, :, :2] + others[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    return shared / (boxes[:, 2:].prod(1)[:, None] + others[:, 2:].prod(1)[None] - shared)


def match(truth: NDArray[np.float64], boxes: NDArray[np.float64]) -> dict[int, int]:
    """From the index of a box to that of the true one it found; the best pairs first."""
    pairs: dict[int, int] = {}
    table = overlaps(truth, boxes)
    while table.size and table.max() >= IOU:
        true, box = np.unravel_index(table.argmax(), table.shape)
        pairs[int(box)] = int(true)
        table[true, :] = table[:, box] = -1
    return pairs


def try_detector(detector: Detector, mesh: Landmarker, scenes: list[Scene]) -> Outcome:
    outcome = Outcome()
    for scene in scenes:
        start = time.perf_counter()
        boxes = detector.detect(scene.frame).boxes
        outcome.milliseconds.append(1000 * (time.perf_counter() - start))
        fits = [mesh.fit(scene.frame, box) for box in boxes]
        good = sum(fit.score >= FIT for fit in fits)
        if scene.counted is not None:
            outcome.found.append((scene.counted, len(fits), good))
        if scene.counted == 0:
            outcome.fit_others += [fit.score for fit in fits]
        if scene.boxes is not None:
            compare(outcome, scene, boxes.astype(np.float64), fits)
    return outcome


def compare(outcome: Outcome, scene: Scene, boxes: NDArray[np.float64], fits: list[Landmarks]) -> None:
    assert scene.boxes is not None and scene.eyes is not None
    pairs = match(scene.boxes, boxes)
    for i, fit in enumerate(fits):
        if i not in pairs:
            outcome.false += 1
            outcome.false_fit += fit.score >= FIT
            outcome.fit_others.append(fit.score)
            continue
        outcome.hits += 1
        outcome.fit_faces.append(fit.score)
        if fit.score >= FIT:
            outcome.hits_fit += 1
            true = scene.eyes[pairs[i]]
            between = np.hypot(*(true[1] - true[0]))
            errors = 100 * np.hypot(*(fit.eyes - true).T) / between
            outcome.errors += errors.tolist()
            outcome.score_and_error.append((fit.score, float(errors.mean())))


def squares_of_nothing(scenes: list[Scene], each: int) -> Iterator[tuple[Frame, NDArray[np.float64]]]:
    """Random squares, a tenth to a half of the shorter side, in scenes without a face."""
    random = np.random.default_rng(0)
    for scene in scenes:
        if scene.counted == 0:
            height, width = scene.frame.shape[:2]
            for _ in range(each):
                side = min(height, width) * random.uniform(0.1, 0.5)
                corner = random.uniform(0, 1, 2) * (width - side, height - side)
                yield scene.frame, np.array([*corner, side, side])


def found_in_nothing(landmarker: FaceLandmarker, scenes: list[Scene], each: int) -> str:
    """In how many squares without a face it finds one that fits."""
    found = []
    for frame, box in squares_of_nothing(scenes, each):
        x, y, side, _ = box.astype(int)
        found.append(any(fit.score >= FIT for fit in landmarker.find(frame[y : y + side, x : x + side])))
    return f"{sum(found)} of {len(found)}"


def quantiles(values: list[float]) -> str:
    if not values:
        return "none"
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return f"{low:.3f} {middle:.3f} {high:.3f} ({np.mean(np.array(values) >= FIT):.0%} of {len(values)} >= {FIT})"


def sorting(pairs: list[tuple[float, float]]) -> str:
    """Mean error of the fifth of the faces with the lowest scores, and of the others."""
    errors = [error for _, error in sorted(pairs)]
    few = max(1, len(errors) // 5)
    return f"{np.mean(errors[:few]):.2f} % of e2e, of the others {np.mean(errors[few:]):.2f} %"


def show(name: str, outcome: Outcome, faces: int) -> None:
    eye, boxes, good = np.array(outcome.found).T
    errors = np.quantile(outcome.errors, [0.5, 0.95]) if outcome.errors else (np.nan, np.nan)
    print(f"{name}")
    print(f"  true faces found      {outcome.hits} of {faces}, with fit >= {FIT} {outcome.hits_fit}")
    print(f"  false boxes there     {outcome.false}, with fit >= {FIT} {outcome.false_fit}")
    print(f"  eye centre error      median {errors[0]:.2f} %, 95th percentile {errors[1]:.2f} % of e2e")
    for title, count in (("boxes", boxes), ("boxes that fit", good)):
        print(
            f"  {title:<15} {count.sum()} where {eye.sum()} faces by eye; {int((count == eye).sum())} of {len(eye)} scenes "
            f"right, {int(np.clip(eye - count, 0, None).sum())} too few, {int(np.clip(count - eye, 0, None).sum())} too many"
        )
    print(f"  fit, 5 50 95 %: faces {quantiles(outcome.fit_faces)}; false boxes {quantiles(outcome.fit_others)}")
    if len(outcome.score_and_error) > 1:
        print(f"  eyes of the fifth with the lowest scores: mean error {sorting(outcome.score_and_error)}")
    print(f"  detection             median {np.median(outcome.milliseconds):.1f} ms a photograph, one thread")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--yunet", help="YuNet's model file; without it YuNet is left out")
    parser.add_argument("--mediapipe", help="the model of MediaPipe's FaceLandmarker; without it that is left out")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    detectors: dict[str, Detector] = {
        "Viola-Jones, defaults": ViolaJones(),
        "Viola-Jones, small faces, profiles always": ViolaJones(smallest=0.05, profile="always"),
    }
    if options.yunet:
        detectors["YuNet, 320 px"] = YuNet(options.yunet, longest=320)
        detectors["YuNet, defaults"] = YuNet(options.yunet)
        detectors["YuNet, enlarged"] = YuNet(options.yunet, longest=1600, enlarge=3)
    scenes, mesh = read_scenes(options.folder), FaceMesh()
    faces = sum(len(scene.boxes) for scene in scenes if scene.boxes is not None)
    outcomes = {name: try_detector(detector, mesh, scenes) for name, detector in detectors.items()}
    if options.mediapipe:
        landmarker = FaceLandmarker(options.mediapipe)
        detectors = {**detectors, "FaceLandmarker's own": Alone(landmarker)}
        outcomes |= {
            f"{name}, with MediaPipe's FaceLandmarker": try_detector(detector, landmarker, scenes)
            for name, detector in list(detectors.items())[2:]
        }
    for name, outcome in outcomes.items():
        show(name, outcome, faces)
    fits = [mesh.fit(frame, box).score for frame, box in squares_of_nothing(scenes, 40)]
    print(f"fit of random squares in scenes without a face, 5 50 95 %: {quantiles(fits)}")
    if options.mediapipe:
        print(f"FaceLandmarker finds a face in {found_in_nothing(landmarker, scenes, 40)} of these squares as frames")
    best = max(outcomes.values(), key=lambda outcome: outcome.hits_fit)
    share, error = best.hits_fit / faces, float(np.median(best.errors))
    print(f"best: {share:.1%} of the faces (bound {RECALL:.0%}), median error {error:.2f} % of e2e (bound {EYES} %)")
    if options.check and (share < RECALL or error > EYES):
        sys.exit("a bound is missed")


if __name__ == "__main__":
    main()
