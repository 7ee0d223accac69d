"""Whether the fit score of MediaPipe's FaceLandmarker sorts doubtful faces first, with one look at a face and with two.

Frames are rendered (SYNTHETIC; their eyes are known) or photographs (their eyes are taken to be where both looks put them in the
undamaged photograph). Each is looked at as it is and damaged in several ways: blurred, moved, noisy, compressed, small, dark,
covered in part. An error is the mean distance of the eye centres from the truth, in per cent of the eye-to-eye distance (e2e);
faces found elsewhere (over half of it away) are left out. For each score: Spearman's rank correlation of 1 - score with the
error; how often a face of the tenth with the largest errors has a lower score than another one (AUC; 0.5 is chance); and the mean
error of the tenth with the lowest scores, and of the others.

::

    python benchmarks/fit_score.py face_landmarker_v2_with_blendshapes.task --photographs sfew_like.zip
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from alignment import truths
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from fer_transfer.detection.face_landmarker import FaceLandmarker
from fer_transfer.detection.landmarks import Landmarks
from fer_transfer.detection.symmetry import asymmetry
from fer_transfer.files.archive import Archive
from fer_transfer.files.picture import decode

Frame = NDArray[np.uint8]
Eyes = NDArray[np.float64]
Random = np.random.Generator


def blurred(frame: Frame, eyes: Eyes, random: Random) -> Frame:
    return cv2.GaussianBlur(frame, (0, 0), _e2e(eyes) * random.uniform(0.03, 0.12))


def moved(frame: Frame, eyes: Eyes, random: Random) -> Frame:
    side = max(3, int(_e2e(eyes) * random.uniform(0.1, 0.4)) | 1)
    line = np.zeros((side, side), np.float32)
    line[side // 2] = 1
    turned = cv2.warpAffine(
        line, cv2.getRotationMatrix2D((side // 2, side // 2), random.uniform(0, 180), 1), (side, side)
    )
    return cv2.filter2D(frame, -1, turned / turned.sum())


def noisy(frame: Frame, eyes: Eyes, random: Random) -> Frame:
    return np.clip(frame + random.normal(0, random.uniform(20, 70), frame.shape), 0, 255).astype(np.uint8)


def compressed(frame: Frame, eyes: Eyes, random: Random) -> Frame:
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(2, 15))]
    return decode(cv2.imencode(".jpg", frame, quality)[1].tobytes())


def small(frame: Frame, eyes: Eyes, random: Random) -> Frame:
    scale = min(1.0, random.uniform(6, 18) / _e2e(eyes))
    shrunk = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, frame.shape[1::-1], interpolation=cv2.INTER_CUBIC)


def dark(frame: Frame, eyes: Eyes, random: Random) -> Frame:
    return np.clip(frame * random.uniform(0.05, 0.2) + random.normal(0, 3, frame.shape), 0, 255).astype(np.uint8)


def an_eye_covered(frame: Frame, eyes: Eyes, random: Random) -> Frame:
    return _covered(frame, eyes, random, (random.choice([-0.5, 0.5]), 0), (random.uniform(0.15, 0.4), 0.2))


def half_covered(frame: Frame, eyes: Eyes, random: Random) -> Frame:
    return _covered(frame, eyes, random, (random.choice([-1, 1]) * random.uniform(0.7, 1.1), 0.3), (0.8, 1.6))


def mouth_covered(frame: Frame, eyes: Eyes, random: Random) -> Frame:
    return _covered(frame, eyes, random, (0, 1.1), (random.uniform(0.4, 0.9), random.uniform(0.2, 0.5)))


DAMAGES: tuple[Callable[[Frame, Eyes, Random], Frame], ...] = (
    blurred, moved, noisy, compressed, small, dark, an_eye_covered, half_covered, mouth_covered,
)  # fmt: skip


def _covered(frame: Frame, eyes: Eyes, random: Random, place: tuple[float, float], half: tuple[float, float]) -> Frame:
    """A rectangle of one colour laid over a face; place from between the eyes and half its sides in e2e, along the eyes."""
    across = eyes[1] - eyes[0]
    axes = np.stack([across, (-across[1], across[0])])
    signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    corners = eyes.mean(0) + (signs * half + place) @ axes
    return cv2.fillConvexPoly(frame.copy(), np.rint(corners).astype(np.int32), random.integers(0, 256, 3).tolist())


def _e2e(eyes: Eyes) -> float:
    return float(np.linalg.norm(eyes[1] - eyes[0]))


def rendered(count: int, seeds: list[int]) -> Iterator[tuple[Frame, Eyes]]:
    for seed in seeds:
        with TemporaryDirectory() as folder:
            for path, eyes in truths(Path(folder), count, seed).items():
                yield cv2.imread(str(path), cv2.IMREAD_COLOR), eyes


def photographs(release: Path, count: int, landmarker: FaceLandmarker) -> Iterator[tuple[Frame, Eyes]]:
    """Those with one face, and where the two looks put its eyes on average."""
    with Archive(release) as archive:
        names = [name for name in archive.names if name.endswith((".png", ".jpg"))]
        for name in names[:: max(1, len(names) // count)]:
            frame = decode(archive.read(name))
            straight, mirrored = landmarker.find(frame), landmarker.find(np.ascontiguousarray(frame[:, ::-1]))
            if len(straight) == len(mirrored) == 1:
                back = mirrored[0].eyes[::-1] * (-1, 1) + (frame.shape[1] - 1, 0)
                yield frame, (straight[0].eyes + back) / 2


def judged(landmarker: FaceLandmarker, frame: Frame, eyes: Eyes) -> tuple[float, float, float] | None:
    """Error in % of e2e, score of one look and of two; None where no face is found there."""

    def off(face: Landmarks) -> float:
        return float(np.linalg.norm(face.eyes - eyes, axis=1).mean() / _e2e(eyes))

    face = min(landmarker.find(frame), key=off, default=None)
    if face is None or face.geometry is None or off(face) > 0.5:
        return None
    one = landmarker.doubt / (landmarker.doubt + asymmetry(face.geometry["points"]))
    return 100 * off(face), one, face.score


def tell(title: str, scores: NDArray[np.float64], errors: NDArray[np.float64]) -> None:
    doubt = 1 - scores
    worst = errors > np.quantile(errors, 0.9)
    ranks = rankdata(doubt)
    count, others = worst.sum(), (~worst).sum()
    auc = (ranks[worst].sum() - count * (count + 1) / 2) / (count * others)
    order = np.argsort(scores, kind="stable")
    low, high = errors[order[: len(order) // 10]].mean(), errors[order[len(order) // 10 :]].mean()
    print(
        f"{title}: rank correlation {spearmanr(doubt, errors)[0]:.2f}, AUC {auc:.2f}, mean error of the lowest tenth "
        f"{low:.1f} %, of the others {high:.1f} %",
        flush=True,
    )


def compare(title: str, frames: Iterator[tuple[Frame, Eyes]], landmarker: FaceLandmarker, damages: int) -> None:
    random, found, looked = np.random.default_rng(0), [], 0
    for frame, eyes in frames:
        chosen = [DAMAGES[number] for number in random.choice(len(DAMAGES), damages, replace=False)]
        for seen in [frame, *(damage(frame, eyes, random) for damage in chosen)]:
            looked += 1
            if (face := judged(landmarker, seen, eyes)) is not None:
                found.append(face)
    errors, one, two = np.array(found).T
    print(f"{title}, as they are and damaged in {damages} ways: a face in {len(errors)} of {looked}")
    tell("  one look, asymmetry", one, errors)
    tell("  two looks, agreement", two, errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--photographs", type=Path, help="folder or archive of photographs with one face each")
    parser.add_argument("--frames", type=int, default=100, help="rendered frames a seed (default: %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 11, 2015], help="(default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=300, help="photographs (default: %(default)s)")
    parser.add_argument("--damages", type=int, default=2, help="of each frame (default: %(default)s)")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    landmarker = FaceLandmarker(options.model, looks=2)
    compare("rendered frames", rendered(options.frames, options.seeds), landmarker, options.damages)
    if options.photographs:
        seen = photographs(options.photographs, options.pictures, landmarker)
        compare("photographs", seen, landmarker, options.damages)


if __name__ == "__main__":
    main()
