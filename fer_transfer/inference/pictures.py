"""What is put in, as pictures one by one: arrays, a picture, a folder or archive of them. Videos are in ``video``."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import ReleaseError
from fer_transfer.files.archive import Archive, is_archive
from fer_transfer.files.names import shown
from fer_transfer.files.nearby import near_path
from fer_transfer.files.regular import open_regular
from fer_transfer.labels import SEVEN, UNLABELLED, LabelSet
from fer_transfer.releases.sfew_layout import is_picture, read_any_layout

#: What the files of pictures begin with; a file that begins otherwise is tried as a video.
_PICTURE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"GIF8")

_MOST_BYTES = 64 << 20


class Picture(NamedTuple):
    """One picture.

    Attributes:
        name: of its file, or its number.
        content: the file's bytes; or uint8 [H, W, 3], BGR; or the reason why there are none.
        time: seconds from the beginning of a video, or None.
        label: of the class that its folder names, or UNLABELLED.
    """

    name: str
    content: bytes | NDArray[np.uint8] | str
    time: float | None = None
    label: int = UNLABELLED


@dataclass
class Source:
    """Pictures in their order.

    Attributes:
        kind: ``pictures``, ``video`` or ``camera``.
        name: for a reader.
        count: how many there are, or None where nobody knows.
        pictures: gives them, once.
        rate: pictures a second, of a video.
        labelled: how many lie in a folder named after a class.
        notes: what must be said when all are read: a video that ended early. Filled on the way.
        folder: that was read, of which folders are named after classes; or None.
    """

    kind: str
    name: str
    count: int | None
    pictures: Callable[[], Iterator[Picture]]
    rate: float | None = None
    labelled: int = 0
    notes: list[str] = field(default_factory=list)
    folder: Path | None = None

    def labelled_as(self, classes: Sequence[str]) -> "Source":
        """The same pictures, labelled where their folders are named after other classes than the seven expressions."""
        return self if self.folder is None or tuple(classes) == SEVEN.classes else from_path(self.folder, classes)


def from_path(path: str | os.PathLike[str], classes: Sequence[str] = SEVEN.classes) -> Source:
    """A picture, a folder or archive of pictures, or a video.

    Args:
        path: where.
        classes: that folders may be named after.

    Raises:
        ReleaseError: if there is nothing, or nothing of these.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise ReleaseError(
            f"Expected a picture, a folder or a video in {path}, but there is nothing.{near_path(path)} Check the path."
        )
    if path.is_dir() or is_archive(path):
        return _from_folder(path, LabelSet(tuple(classes)))
    if _is_picture(path):
        return _from_file(path)
    from fer_transfer.inference.video import video

    return video(path)


def from_arrays(frames: Iterable[NDArray[np.uint8]]) -> Source:
    """Pictures in memory: uint8 [H, W, 3] each, RGB.

    Raises:
        ReleaseError: if one is none, when it is reached.
    """
    count = len(frames) if isinstance(frames, Sequence | np.ndarray) else None
    return Source("pictures", "arrays", count, lambda: (_of_array(n, frame) for n, frame in enumerate(frames)))


def _of_array(number: int, frame: Any) -> Picture:
    if (
        not isinstance(frame, np.ndarray)
        or frame.dtype != np.uint8
        or frame.ndim != 3
        or frame.shape[2] != 3
        or not frame.size
    ):
        got = f"{frame.dtype} {list(frame.shape)}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise ReleaseError(
            f"Expected uint8 pictures [H, W, 3], RGB, but number {number} is {got}. Of a grey one: np.dstack([grey] * 3)."
        )
    return Picture(f"{number:06d}", np.ascontiguousarray(frame[..., ::-1]))


def _from_file(path: Path) -> Source:
    return Source("pictures", shown(path.name), 1, lambda: iter([Picture(shown(path.name), _read(path))]))


def _from_folder(path: Path, labels: LabelSet) -> Source:
    with Archive(path) as archive:
        names = archive.names
    if not any(map(is_picture, names)):
        found = (
            f"none of its {len(names)} files is one (first: {', '.join(map(shown, names[:3]))})"
            if names
            else "it is empty"
        )
        raise ReleaseError(
            f"Expected pictures in {shown(str(path))}, but {found}. Pictures are "
            "png, jpg, bmp, tif and webp files; a video is given by itself."
        )
    layout = read_any_layout(path, names, "Test", labels)

    def pictures() -> Iterator[Picture]:
        with Archive(path) as archive:
            _ = archive.names  # a tar opens only what was walked past
            for picture in layout.pictures:
                try:
                    content: bytes | str = archive.read(picture.path)
                except ReleaseError:
                    content = "damaged in the archive"
                yield Picture(picture.id, content, label=picture.label)

    labelled = sum(picture.label != UNLABELLED for picture in layout.pictures)
    source = Source("pictures", shown(str(path)), len(layout.pictures), pictures, labelled=labelled, folder=path)
    if layout.ignored:
        others = ", ".join(f"{count} {kind}" for kind, count in layout.ignored.items())
        source.notes.append(f"passed over, no pictures: {others}")
    return source


def _is_picture(path: Path) -> bool:
    head = _read(path, 16)
    return head.startswith(_PICTURE_STARTS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or is_picture(path.name)


def _read(path: Path, most: int = _MOST_BYTES) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(most)
    except OSError as error:
        raise ReleaseError(f"Cannot read {shown(str(path))}: {error.strerror or error}.") from None
