"""Synthetic releases, rendered from parameters, in the true on-disk layouts: ``fer2013.csv`` and SFEW's folders.

========  ==============================================================================================================
What      Drawn heads with seven expressions: grey 48x48 as FER-2013's, coloured frames of invented movies as SFEW's.
          They let every command run without data that may not be handed on; a score on them says nothing of people
Made by   This package, into ``release.path``, from a seed: the same options give the same pictures
Licence   This package's (MIT). The head's shape is learned from averages over people (``experiments/face_shape``)
To get    ``release=synthetic_fer2013`` and ``release=synthetic_emotiw``: drawn once, about 100 faces a second
Size      4500 faces (Training 3600, PublicTest 450, PrivateTest 450); 884 frames of 192x240 (Train 480, Val 218, Test
          186); ``release.counts`` changes both
Classes   FER-2013's order; shares as in the real releases, so Disgust is rare
Splits    The owners' names; no movie stands in two splits, Test is unlabelled
Forms     ``fer2013.csv``; ``Train/<Class>/Movie_timecode_frame.png``, ``Val/<Class>/``, ``Test/``
Faults    Wrong labels on purpose (``release.wrong_labels``: 0.1 and 0.05 of the faces). ``synthetic.json`` marks the
          release and keeps the expression drawn and the places of the eyes of each face, also where the label is wrong
          or withheld. Everything made from them says "synthetic"
Sources   The class counts of ``releases.fer2013`` and ``releases.sfew``; action units: Ekman and Friesen 1978
========  ==============================================================================================================
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.errors import ConfigError, ReleaseError
from fer_transfer.faces.source import SYNTHETIC_MARK
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.releases.fer2013 import FER2013Release
from fer_transfer.releases.pixel_csv import USAGES
from fer_transfer.releases.sfew import SFEWRelease
from fer_transfer.releases.sfew_layout import SPLITS
from fer_transfer.synthetic.camera import Movie, draw_frame, draw_photograph

#: Changed whenever the same options would draw other pictures.
VERSION = 2

#: Class shares as in the real releases (FER-2013: 547 of 35887 are Disgust), in canonical order.
_FER_SHARES = (4953, 547, 5121, 8989, 6077, 4002, 6198)
_SFEW_SHARES = (178, 66, 98, 198, 172, 96, 150)

_ADJECTIVES = ("Amber", "Broken", "Crimson", "Distant", "Electric", "Frozen", "Golden", "Hollow", "Iron", "Quiet")
_NOUNS = ("Harbour", "Orchard", "Paradise", "Railway", "Summer", "Theatre", "Umbrella", "Voyage", "Winter", "Letter")

Json = dict[str, Any]


def write_fer2013(
    folder: str | os.PathLike[str], counts: Mapping[str, int], seed: int = 0, wrong_labels: float = 0.1
) -> Path:
    """Write ``folder/fer2013.csv`` (emotion,pixels,Usage; 48x48 grey) and ``folder/synthetic.json``.

    Args:
        folder: made new; it appears when it is complete.
        counts: number of faces of Training, PublicTest and PrivateTest; the rows stand in this order.
        seed: the same seed and options give the same bytes.
        wrong_labels: share of faces whose label is another than was drawn, in every split.

    Returns:
        The csv.

    Raises:
        ReleaseError: if the folder exists already or cannot be written.
    """

    def fill(aside: Path) -> Json:
        faces: Json = {}
        with (aside / "fer2013.csv").open("w", newline="", encoding="utf-8") as file:
            file.write("emotion,pixels,Usage\n")
            for split, i, drawn, given, rng in _draws(counts, _FER_SHARES, seed, wrong_labels):
                pixels, eyes = draw_photograph(rng, drawn, 48)
                file.write(f"{given},{' '.join(map(str, pixels.ravel().tolist()))},{split}\n")
                faces[f"fer{i:07d}"] = _truth(drawn, eyes)
        return faces

    _publish(Path(folder), _options("fer2013", counts, seed, wrong_labels, [48, 48]), fill)
    return Path(folder) / "fer2013.csv"


def write_sfew(
    folder: str | os.PathLike[str],
    counts: Mapping[str, int],
    seed: int = 0,
    wrong_labels: float = 0.05,
    size: tuple[int, int] = (192, 240),
) -> Path:
    """Write frames of invented movies as SFEW 2.0 lays them out, and ``folder/synthetic.json``.

    ``Train/<Class>/Movie_timecode_frame.png`` and ``Val/<Class>/...`` are labelled, ``Test/...`` is flat. No movie
    stands in two splits.

    Args:
        folder: made new; it appears when it is complete.
        counts: number of frames of Train, Val and Test.
        seed: the same seed and options give the same pictures.
        wrong_labels: share of frames whose class folder is another than was drawn.
        size: (height, width) of a frame; SFEW's own is (576, 720).

    Returns:
        The folder.

    Raises:
        ReleaseError: if the folder exists already or cannot be written.
    """

    def fill(aside: Path) -> Json:
        faces: Json = {}
        movies = _movies(counts, seed)
        for split, i, drawn, given, rng in _draws(counts, _SFEW_SHARES, seed, wrong_labels):
            movie, start = movies[split][int(rng.integers(len(movies[split])))], 40_000 + 1_000 * i
            name = f"{movie.title}_{start + int(rng.integers(1_000)):09d}_{int(rng.integers(1, 80)):08d}.png"
            frame, eyes = draw_frame(rng, drawn, movie, size)
            place = aside / split if split == "Test" else aside / split / EXPRESSIONS[given]
            place.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(_png(frame))
            faces[name] = _truth(drawn, eyes)
        return faces

    _publish(Path(folder), _options("sfew", counts, seed, wrong_labels, list(size)), fill)
    return Path(folder)


def synthetic_fer2013(
    path: str = "releases/synthetic_fer2013",
    counts: Mapping[str, int] | None = None,
    seed: int = 2015,
    wrong_labels: float = 0.1,
    name: str = "fer2013",
    may_be_shown: bool = True,
) -> FER2013Release:
    """The synthetic stand-in of FER-2013, drawn into ``path`` unless it is there already (about 100 faces a second).

    Raises:
        ReleaseError: if ``path`` holds anything else, or was drawn with other options.
    """
    counts = _mapping(counts, {"Training": 3600, "PublicTest": 450, "PrivateTest": 450})
    if not _is_there(Path(path), _options("fer2013", counts, seed, wrong_labels, [48, 48])):
        write_fer2013(path, counts, seed, wrong_labels)
    return FER2013Release(str(Path(path) / "fer2013.csv"), name=name, may_be_shown=may_be_shown)


def synthetic_emotiw(
    path: str,
    pipeline: FacePipeline,
    counts: Mapping[str, int] | None = None,
    seed: int = 2015,
    wrong_labels: float = 0.05,
    frame_size: tuple[int, int] = (192, 240),
    name: str = "emotiw",
    may_be_shown: bool = True,
) -> SFEWRelease:
    """The synthetic stand-in of SFEW 2.0, drawn into ``path`` unless it is there already.

    Args:
        path: the release's folder.
        pipeline: how frames become faces.
        counts: number of frames of Train, Val and Test.
        seed: decides every picture.
        wrong_labels: share of wrong class folders.
        frame_size: (height, width) of a frame in pixels.
        name: the word that plans use for the faces.
        may_be_shown: whether pictures of its faces may stand in reports and be sent to trackers.

    Raises:
        ReleaseError: if ``path`` holds anything else, or was drawn with other options.
    """
    counts = _mapping(counts, {"Train": 480, "Val": 218, "Test": 186})
    if len(list(frame_size) if isinstance(frame_size, list | tuple) else []) != 2:
        raise ConfigError(f"Expected release.frame_size=[height,width] in pixels, but got {frame_size!r}.")
    height, width = frame_size
    if not _is_there(Path(path), _options("sfew", counts, seed, wrong_labels, [height, width])):
        write_sfew(path, counts, seed, wrong_labels, (height, width))
    return SFEWRelease(path, pipeline, name=name, may_be_shown=may_be_shown)


def _mapping(counts: Mapping[str, int] | None, default: dict[str, int]) -> dict[str, int]:
    if counts is not None and not isinstance(counts, Mapping):
        raise ConfigError(
            f"Expected release.counts={{SPLIT: NUMBER, ...}} for {', '.join(default)}, but got {counts!r}."
        )
    return dict(counts or default)


def _options(kind: str, counts: Mapping[str, int], seed: int, wrong_labels: float, size: list[int]) -> Json:
    splits = SPLITS if kind == "sfew" else USAGES
    counts_fit = set(counts) == set(splits) and all(int(n) >= 1 for n in counts.values())
    if not counts_fit or seed < 0 or not 0 <= wrong_labels <= 1 or min(size) < 48:
        raise ConfigError(
            f"Expected at least 1 face for each of {', '.join(splits)}, seed >= 0, wrong_labels in 0..1 and pictures of "
            f"48 pixels or more, but got counts={dict(counts)}, seed={seed}, wrong_labels={wrong_labels}, size={size}."
        )
    return {
        "layout": kind,
        "version": VERSION,
        "seed": int(seed),
        "wrong_labels": float(wrong_labels),
        "counts": {split: int(count) for split, count in counts.items()},
        "size": [int(side) for side in size],
    }


def _is_there(folder: Path, options: Json) -> bool:
    """Whether the folder holds the release that these options would draw."""
    if not folder.exists():
        return False
    try:
        found = json.loads((folder / SYNTHETIC_MARK).read_text(encoding="utf-8"))["options"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseError(
            f"Expected a synthetic release in {folder} or nothing there, but its {SYNTHETIC_MARK} cannot be read "
            f"({type(error).__name__}). Give another path for it."
        ) from None
    if found != options:
        differ = [
            f"{key} {found.get(key)!r} there, {options[key]!r} asked"
            for key in options
            if found.get(key) != options[key]
        ]
        raise ReleaseError(
            f"Expected the synthetic release in {folder} to be drawn as asked, but it differs: {'; '.join(differ)}. "
            "Remove the folder to draw it anew, or give another path."
        )
    return True


def _draws(
    counts: Mapping[str, int], shares: tuple[int, ...], seed: int, wrong_labels: float
) -> Iterator[tuple[str, int, int, int, np.random.Generator]]:
    """For each face its split, row, the expression to draw, the label to give, and a source of chance of its own."""
    order = [
        (split, int(label)) for k, (split, n) in enumerate(counts.items()) for label in _labels(n, shares, [seed, k])
    ]
    hidden = not Console(stderr=True).is_terminal
    for i, (split, drawn) in enumerate(
        track(order, "Drawing faces", console=Console(stderr=True), disable=hidden, transient=True)
    ):
        rng = np.random.default_rng([seed, len(order), i])
        # By class share: with all classes alike, half of the rare Disgust would be wrong labels.
        others = np.where(np.arange(len(shares)) == drawn, 0.0, shares)
        other = int(rng.choice(len(shares), p=others / others.sum()))
        yield split, i, drawn, other if rng.random() < wrong_labels else drawn, rng


def _labels(count: int, shares: tuple[int, ...], seed: list[int]) -> NDArray[np.int64]:
    """``count`` expressions in the given shares, shuffled; each occurs if there is room for it."""
    exact = count * np.array(shares) / sum(shares)
    each = np.maximum(np.floor(exact).astype(int), 1 if count >= len(shares) else 0)
    while each.sum() != count:
        step = 1 if each.sum() < count else -1
        each[np.argmax(step * (exact - each))] += step
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(shares)), each))


def _movies(counts: Mapping[str, int], seed: int) -> dict[str, list[Movie]]:
    """Invented movies, each in one split only; about 24 frames come from one."""
    rng = np.random.default_rng([seed, len(counts)])
    titles = iter(rng.permutation([a + b for a in _ADJECTIVES for b in _NOUNS]).tolist())
    share = len(_ADJECTIVES) * len(_NOUNS) // max(1, len(counts))
    return {
        split: [Movie.random(rng, next(titles)) for _ in range(max(1, min(share, n // 24)))]
        for split, n in counts.items()
    }


def _truth(drawn: int, eyes: NDArray[np.float64]) -> Json:
    return {"expression": EXPRESSIONS[drawn], "eyes": np.round(eyes, 2).tolist()}


def _png(picture: NDArray[np.uint8]) -> bytes:
    done, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    assert done
    return bytes(data)


def _rename(aside: Path, folder: Path, options: Json) -> None:
    try:
        aside.rename(folder)
    except OSError:  # another process was faster
        if not _is_there(folder, options):
            raise


def _publish(folder: Path, options: Json, fill: Callable[[Path], Json]) -> None:
    """Let ``fill`` write aside, add the side file, and move the whole to its name."""
    if folder.exists():
        raise ReleaseError(
            f"Expected nothing at {folder} to write a synthetic release to, but it exists. Remove it first."
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            faces = fill(aside)
            note = (
                "rendered, not photographed; eyes are the means of six mesh points each, (x, y) in pixels of the picture, "
                "the picture's left one first"
            )
            (aside / SYNTHETIC_MARK).write_text(
                json.dumps({"note": note, "options": options, "faces": faces}), encoding="utf-8"
            )
            aside.chmod(0o755)
            _rename(aside, folder, options)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise ReleaseError(
            f"Cannot write a synthetic release to {folder}: {error}. Free space or give another path."
        ) from None
