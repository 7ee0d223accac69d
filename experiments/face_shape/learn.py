"""Learn the averages that synthetic faces are rendered from, and write ``fer_transfer/synthetic/face_shape.npz``.

::

    python experiments/face_shape/learn.py sfew_like.zip faces/fer2013

MediaPipe's mesh is fitted to photographs; pose is undone by a 3-D similarity on points that expressions hardly move;
what is kept is made symmetric and averaged. Nothing is written that is not an average over at least 100 photographs of
different people. Run it from the root of the project; it takes about a minute on one core.
"""

import argparse
import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.optimize import linear_sum_assignment

from fer_transfer.faces.opening import open_faces
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.synthetic.face_shape import DATA, DELTA_GRID, GRID, LEFT_EYE, RIGHT_EYE, grid_places, unwrapped

Array = NDArray[np.float64]

#: Fewer photographs than this are no average.
FEWEST = 100
#: FER+ votes (of ten) that make an example clear, and their columns; Disgust and Fear have few unanimous ones.
VOTES = {"Angry": (4, 6), "Disgust": (5, 3), "Fear": (6, 5), "Happy": (1, 8), "Sad": (3, 6), "Surprise": (2, 8)}
VOTES["Neutral"] = (0, 8)
#: Forehead, bridge and tip of the nose, corners of the eyes, temples: what expressions hardly move.
RIGID = [10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 33, 133, 362, 263, 127, 356, 234, 454, 93, 323, 21, 251, 54, 284, 2, 1]
COMPONENTS = 8


def sfew_like(path: Path) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Grey photographs of a zip in SFEW's layout; label -1 where the class folder is withheld."""
    with zipfile.ZipFile(path) as archive:
        for name in sorted(n for n in archive.namelist() if n.endswith((".jpg", ".png"))):
            picture = cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_GRAYSCALE)
            folder = name.split("/")[-2]
            yield picture, EXPRESSIONS.index(folder) if folder in EXPRESSIONS else -1


def fer2013(folder: Path, most: int = 700) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Clear examples of every expression: the taggers agree with the label. Enlarged, with a margin for the detector."""
    faces = open_faces(folder)
    if faces.votes is None:
        raise SystemExit(f"Expected FER+ votes in {folder}: prepare it with release.ferplus.")
    taken = [0] * len(EXPRESSIONS)
    for i in np.flatnonzero(faces.duplicate_of == np.arange(len(faces))):
        label = int(faces.labels[i])
        column, least = VOTES[EXPRESSIONS[label]]
        if faces.votes[i, column] < least or taken[label] == most:
            continue
        taken[label] += 1
        large = cv2.resize(faces.pixels[i], (240, 240), interpolation=cv2.INTER_CUBIC)
        yield cv2.copyMakeBorder(large, 60, 60, 60, 60, cv2.BORDER_REPLICATE), label


class Mesh:
    """MediaPipe's face mesh, quiet; one fit for each picture."""

    def __init__(self) -> None:
        null, stderr = os.open(os.devnull, os.O_WRONLY), os.dup(2)
        os.dup2(null, 2)  # its lines on stderr cannot be silenced otherwise
        import mediapipe

        self._mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, max_num_faces=1)
        self._mesh.process(np.zeros((64, 64, 3), np.uint8))
        os.dup2(stderr, 2)

    def fit(self, grey: NDArray[np.uint8]) -> Array | None:
        """Float64 [468, 3], x y z in pixels, or None."""
        answer = self._mesh.process(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)).multi_face_landmarks
        if not answer:
            return None
        height, width = grey.shape
        return np.array([(p.x * width, p.y * height, p.z * width) for p in answer[0].landmark[:468]])


def triangles(mean: Array) -> NDArray[np.uint16]:
    """The mesh's triangles, all turned the same way round: the 3-cycles of its edges."""
    from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION as edges

    after: dict[int, set[int]] = {}
    for a, b in edges:
        after.setdefault(a, set()).add(b)
        after.setdefault(b, set()).add(a)
    found = {tuple(sorted((a, b, c))) for a, b in edges for c in after[a] & after[b]}
    sides = Counter(frozenset(side) for t in found for side in combinations(t, 2))
    # A vertex with three neighbours makes a false cycle around it: each of its sides has a third triangle.
    true = [t for t in found if not all(sides[frozenset(side)] == 3 for side in combinations(t, 2))]
    return turned_alike(true, unwrapped(mean))


def turned_alike(triangles: list[tuple[int, ...]], uv: Array) -> NDArray[np.uint16]:
    """Every triangle turned as its neighbours are, most of them clockwise on the unwrapped face, [T, 3] sorted.

    The nostrils fold over on the unwrapped face, so that its areas alone do not tell.
    """
    beside: dict[frozenset[int], list[int]] = {}
    for number, triangle in enumerate(triangles):
        for side in combinations(triangle, 2):
            beside.setdefault(frozenset(side), []).append(number)
    turned, waiting = {0: triangles[0]}, [0]
    while waiting:
        a, b, c = turned[number := waiting.pop()]
        for side in ((a, b), (b, c), (c, a)):
            for other in set(beside[frozenset(side)]) - set(turned):
                (third,) = set(triangles[other]) - set(side)
                turned[other] = (side[1], side[0], third)
                waiting.append(other)
    out = np.array(list(turned.values()))
    first, second = uv[out[:, 1]] - uv[out[:, 0]], uv[out[:, 2]] - uv[out[:, 0]]
    if np.median(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) < 0:
        out = out[:, ::-1]
    out = np.stack([np.roll(row, -int(row.argmin())) for row in out])
    assert len(out) == len(triangles)
    return out[np.lexsort(out.T[::-1])].astype(np.uint16)


def without_pose(points: Array, mean: Array) -> tuple[Array, Array]:
    """The points [468, 3] moved, turned and scaled onto the mean, and the face's direction (yaw, pitch) in degrees."""
    p, q = points[RIGID], mean[RIGID]
    p0, q0 = p.mean(0), q.mean(0)
    u, d, v = np.linalg.svd((p - p0).T @ (q - q0))
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ v))])
    turn = u * sign @ v
    scale = (d * sign).sum() / ((p - p0) ** 2).sum()
    front = turn[:, 2]
    return scale * (points - p0) @ turn + q0, np.degrees(np.arctan2(front[:2], front[2]))


def normed(points: Array) -> Array:
    """Origin between the eyes, eye distance 1."""
    eyes = np.stack([points[list(RIGHT_EYE)].mean(0), points[list(LEFT_EYE)].mean(0)])
    return (points - eyes.mean(0)) / np.linalg.norm(eyes[1] - eyes[0])


def upright(points: Array) -> Array:
    """Nodded so that forehead (10) and chin (152) are as far from the viewer."""
    _, y, z = points[152] - points[10]
    angle = np.arctan2(z, y)
    c, s = np.cos(angle), np.sin(angle)
    return normed(points @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]))


def mirror_of(mean: Array) -> NDArray[np.int64]:
    """The vertex on the other side of each."""
    away = ((mean[:, None] * [-1, 1, 1] - mean[None]) ** 2).sum(2)
    mirror = linear_sum_assignment(away)[1]
    assert (mirror[mirror] == np.arange(len(mean))).all()
    return mirror


def mean_shape(fits: Array) -> tuple[Array, Array, Array, NDArray[np.int64]]:
    """The symmetric mean, all fits without their pose, their (yaw, pitch), and the mirror."""
    mean = normed(fits[np.argmin(np.abs(fits[:, 33, 2] - fits[:, 263, 2]))])
    for _ in range(6):
        aligned, angles = (np.array(x) for x in zip(*(without_pose(fit, mean) for fit in fits), strict=True))
        near = (np.abs(angles - np.median(angles, 0)) < (20, 15)).all(1)
        mirror = mirror_of(normed(aligned[near].mean(0)))
        mean = normed(aligned[near].mean(0))
        mean = upright((mean + mean[mirror] * [-1, 1, 1]) / 2)
    return mean, aligned, angles, mirror


def average(values: Array) -> Array:
    """The mean over at least FEWEST people."""
    if len(values) < FEWEST:
        raise SystemExit(f"Expected at least {FEWEST} photographs for an average, but got {len(values)}.")
    return values.mean(0)


def brightness(pictures: list[NDArray[np.uint8]], fits: Array, mean: Array, grid: tuple[int, int]) -> Array:
    """For each photograph the brightness over the face, in units of its median: float64 [N, *grid], nan off the face."""
    face, weights = grid_places(unwrapped(mean), triangles(mean), grid)
    maps = np.einsum("kc,nkcx->nkx", weights, fits[:, face[..., :], :2]).astype(np.float32)
    out = np.full((len(fits), grid[0] * grid[1]), np.nan)
    on = (weights >= -1e-6).all(1)
    for row, picture, places in zip(out, pictures, maps, strict=True):
        value = cv2.remap(picture, places[None, on, 0], places[None, on, 1], cv2.INTER_LINEAR)[0].astype(float)
        row[on] = np.clip(value / max(20.0, float(np.median(value))), 0, 2)
    return out.reshape(-1, *grid)


def symmetric_grid(values: Array) -> Array:
    """The left half of a map, mean of both sides; off the face (nan) the nearest value."""
    both = (values + values[:, ::-1]) / 2
    nearest = distance_transform_edt(np.isnan(both), return_distances=False, return_indices=True)
    return both[tuple(nearest)][:, : values.shape[1] // 2]


def differences(values: Array) -> NDArray[np.int8]:
    """Steps from one value to the next along the first axis, which pack well."""
    return np.diff(np.rint(values), axis=0, prepend=0).astype(np.int8)


def learn(pictures: list[NDArray[np.uint8]], fits: Array, labels: NDArray[np.int64], grey: NDArray[np.bool_]) -> None:
    """Average and write. ``grey`` marks the rows of FER-2013, the only ones that expressions are learned from."""
    mean, aligned, angles, mirror = mean_shape(fits)
    half = np.flatnonzero(mirror >= np.arange(len(mean)))
    centred = np.abs(angles - np.median(angles, 0))
    near = (centred < (20, 15)).all(1)
    symmetric = np.array([normed((a + a[mirror] * [-1, 1, 1]) / 2) for a in aligned])
    neutral = EXPRESSIONS.index("Neutral")
    rest = average(symmetric[near & (labels == neutral) & grey])
    moved, shade = [], []
    flat = near & (centred[:, 0] < 14)
    base = brightness([pictures[i] for i in np.flatnonzero(flat & ~grey)], fits[flat & ~grey], mean, GRID)
    of = np.flatnonzero(flat & grey)
    tones = brightness([pictures[i] for i in of], fits[of], mean, DELTA_GRID)
    for k, name in enumerate(EXPRESSIONS[:neutral]):
        chosen = (near & grey & (labels == k)).nonzero()[0]
        moved.append(average(symmetric[chosen]) - rest)
        shade.append(symmetric_grid(average(tones[labels[of] == k]) - average(tones[labels[of] == neutral])))
        print(f"{name:<10} {len(chosen):5} photographs, shading {np.sum(labels[of] == k):5}, ", end="")
        print(f"largest movement {np.linalg.norm(moved[-1], axis=1).max():.3f} eye distances")
    own = symmetric[near & (labels == neutral)]
    start = average(own)
    _, size, axes = np.linalg.svd((own - start)[:, half].reshape(len(own), -1), full_matrices=False)
    modes = (axes[:COMPONENTS] * size[:COMPONENTS, None] / np.sqrt(len(own))).reshape(COMPONENTS, -1, 3)
    print(f"neutral shape over {len(own)}, brightness over {len(base)} photographs; shares of variance", end=" ")
    print(np.round(size[:COMPONENTS] ** 2 / (size**2).sum(), 3))
    np.savez_compressed(
        DATA,
        triangles=triangles(mean),
        mirror=mirror.astype(np.uint16),
        mean=np.rint(start[half] * 1e4).astype(np.int16),
        modes=np.rint(modes * 500).astype(np.int8),
        moved=np.rint(np.array(moved)[:, half] * 500).astype(np.int8),
        tone=differences(symmetric_grid(average(base)) * 50),
        shade=np.stack([differences(s * 50) for s in shade]),
    )
    print(f"{DATA}: {DATA.stat().st_size} bytes")


def main() -> None:
    """Read the photographs, fit, learn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sfew", type=Path, help="a zip of photographs in SFEW's layout")
    parser.add_argument("fer2013", type=Path, help="FER-2013 as fer-prepare leaves it, with FER+ votes")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    mesh, pictures, fits, labels, grey = Mesh(), [], [], [], []
    for source in (sfew_like(args.sfew), fer2013(args.fer2013)):
        small = len(grey) > 0
        for picture, label in source:
            if (fit := mesh.fit(picture)) is not None:
                pictures.append(picture)
                fits.append(fit)
                labels.append(label)
                grey.append(small)
    learn(pictures, np.array(fits), np.array(labels), np.array(grey))


if __name__ == "__main__":
    main()
