"""Opens prepared faces: what is read is what was written, or is named.

The manifest carries a digest of itself and of every array. Bytes are read again only where a file changed since it was last
compared with its digest, so that opening takes milliseconds.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import ConfigError, FacesError
from fer_transfer.faces.columns import COLUMN_TYPES, columns_of
from fer_transfer.faces.faces import COLUMNS, FERPLUS_COLUMNS, FORMAT_VERSION, INDEX, PIXELS, VOTES, Faces
from fer_transfer.faces.geometry import FILE as GEOMETRY
from fer_transfer.files.checked import checked_digest
from fer_transfer.files.document import DocumentError, read_document, without_digest
from fer_transfer.files.nearby import near_path
from fer_transfer.labels import EXPRESSIONS, UNLABELLED, LabelSet

_AGAIN = "Prepare them again (the same fer-prepare command does), or restore the files."

#: What may be there; columns were not kept at first, and geometry is told by some landmarkers only.
_FILES = [[PIXELS, INDEX, *rest] for rest in ([], [VOTES], [COLUMNS], [VOTES, COLUMNS])]
_FILES += [[*files, GEOMETRY] for files in _FILES if COLUMNS in files]

#: What the manifest holds at least.
_KINDS = {
    "name": str, "count": int, "size": list, "counts": dict, "caveats": list, "settings": dict, "report": dict,
    "duplicates": dict, "summary": list, "files": dict, "digest": str,
}  # fmt: skip

_INDEX_KINDS = {"id": "U", "split": "U", "label": "i", "found": "b", "duplicate_of": "i"}


def open_faces(folder: str | os.PathLike[str], digests: Mapping[str, str] | None = None) -> Faces:
    """Open prepared faces; pixels and ids stay on disk until used.

    Args:
        folder: of the faces.
        digests: of the arrays, of who has written them and read them back just now; None: they are read if they changed
            since they were read last.

    Raises:
        FacesError: if the folder is missing, was written by another version, or holds anything but what was written.
    """
    folder = Path(folder)
    manifest = _manifest(folder)
    files, known = dict(manifest["files"]), digests or {}
    if GEOMETRY in files:  # opened when it is asked for
        _compare(folder / GEOMETRY, files.pop(GEOMETRY), known.get(GEOMETRY))
    arrays = {name: _array(folder / name, expected, known.get(name)) for name, expected in files.items()}
    pixels, index, votes = arrays[PIXELS], arrays[INDEX], arrays.get(VOTES)
    if wrong := _wrong(manifest, pixels, index, votes):
        raise _damaged(folder, wrong)
    kept = COLUMNS in arrays
    names, columns = (tuple(manifest["splits"]), arrays[COLUMNS]) if kept else columns_of(index)
    if wrong := _wrong_columns(names, columns, index, len(_classes(manifest, folder))):
        raise _damaged(folder, wrong)
    splits, labels, found, first, subjects = (columns[name] for name in COLUMN_TYPES.names or ())
    of_subject = subjects if kept else None
    return Faces(folder, pixels, index["id"], names, splits, labels, found, first, of_subject, votes, manifest)


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        manifest = read_document(path)
    except FileNotFoundError:
        raise FacesError(
            f"Expected prepared faces in {folder}, but there is no manifest.json.{near_path(folder)} "
            "Make them with fer-prepare, or point runtime.faces.<name> to the folder."
        ) from None
    except DocumentError as error:
        manifest = without_digest(path)  # of a version before manifests carried one
        if manifest.get("format") not in range(FORMAT_VERSION):
            raise _damaged(folder, f"In {path}: {error}.") from None
    if not isinstance(version := manifest.get("format"), int):
        raise _damaged(folder, f"Expected a manifest of faces in {path}, but got another file.")
    if version != FORMAT_VERSION:
        raise FacesError(
            f"Expected faces of format {FORMAT_VERSION} in {folder}, but got {version}: another version of "
            "fer_transfer prepared them. Prepare again: the same fer-prepare command does."
        )
    if odd := [key for key, kind in _KINDS.items() if not isinstance(manifest.get(key), kind)]:
        raise _damaged(folder, f"Expected {', '.join(odd)} in {path}, but they are missing or of another kind.")
    if not isinstance(colour := manifest.get("colour", False), bool):
        raise _damaged(folder, f"Expected colour to be true or false in {path}, but got {colour!r}.")
    names, digests = list(manifest["files"]), manifest["files"].values()
    if names not in _FILES or not all(isinstance(of, str) for of in digests):
        raise _damaged(folder, f"Expected the digests of {PIXELS}, {INDEX}, perhaps {VOTES}, and {COLUMNS} in {path}.")
    if COLUMNS in names and not isinstance(manifest.get("splits"), list):
        raise _damaged(folder, f"Expected the names of the splits in {path}.")
    return manifest


def _classes(manifest: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    classes = manifest.get("classes", list(EXPRESSIONS))
    try:
        if isinstance(classes, list) and all(isinstance(name, str) for name in classes):
            return LabelSet(tuple(classes)).classes
        said = f"Expected classes to be a list of names, but got {classes!r}."
    except ConfigError as error:
        said = str(error)
    raise _damaged(folder, said)


def _array(path: Path, expected: str, known: str | None) -> NDArray[Any]:
    """An array whose file has the digest expected; pixels and index as read-only memory maps."""
    _compare(path, expected, known)
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r" if path.name in (PIXELS, INDEX) else None)
    except OSError as error:
        raise _damaged(path.parent, f"Expected {path}, but got: {error.strerror or error}.") from None
    except (
        Exception
    ) as error:  # a header that was damaged is parsed as Python: numpy raises tokenize's errors and others
        raise _damaged(path.parent, f"Expected an array in {path}, but got: {type(error).__name__}: {error}.") from None
    return array


def _compare(path: Path, expected: str, known: str | None) -> None:
    """Whether a file has the digest expected."""
    try:
        found = known or checked_digest(path)
    except OSError as error:
        raise _damaged(path.parent, f"Expected {path}, but got: {error.strerror or error}.") from None
    if found != expected:
        raise _damaged(path.parent, f"Expected in {path} the bytes of digest {expected[:12]}, but got {found[:12]}.")


def _wrong(
    manifest: Mapping[str, Any], pixels: NDArray[Any], index: NDArray[Any], votes: NDArray[Any] | None
) -> str | None:
    """What about arrays does not fit the format, the manifest or each other; None: nothing."""
    count, colour = manifest["count"], manifest.get("colour", False)
    shape = (count, *manifest["size"], *([3] if colour else []))
    if pixels.dtype != np.uint8 or pixels.shape != shape:
        says = f" The manifest says {'RGB (colour)' if colour else 'grey'}." if pixels.ndim != len(shape) else ""
        return f"Expected uint8 pixels {shape}, but got {pixels.dtype} {pixels.shape}.{says}"
    kinds = {column: index.dtype[column].kind for column in index.dtype.names or ()}
    if kinds != _INDEX_KINDS or index.shape != (count,):
        return f"Expected an index of {', '.join(_INDEX_KINDS)} for {count} faces, but got {index.dtype} {index.shape}."
    if votes is not None and (votes.dtype != np.uint8 or votes.shape != (count, len(FERPLUS_COLUMNS))):
        return f"Expected uint8 votes {(count, len(FERPLUS_COLUMNS))}, but got {votes.dtype} {votes.shape}."
    return None


def _wrong_columns(names: Sequence[Any], columns: NDArray[Any], index: NDArray[Any], classes: int) -> str | None:
    """What about columns cannot be. That ids are distinct was seen to when they were written, and they are as written."""
    if columns.dtype != COLUMN_TYPES or columns.shape != index.shape:
        return f"Expected columns {COLUMN_TYPES} {index.shape}, but got {columns.dtype} {columns.shape}."
    labels, rows = columns["label"], np.arange(len(index))
    for what, odd in (
        (f"labels {UNLABELLED}..{classes - 1}", (labels < UNLABELLED) | (labels >= classes)),
        ("duplicate_of to name a row before", _later(columns["duplicate_of"], rows)),
        ("subject_of to name a row before", _later(columns["subject_of"], rows)),
        (f"numbers of {len(names)} splits", columns["split"] >= len(names)),
    ):
        if odd.any():
            ids = ", ".join(map(str, index["id"][np.flatnonzero(odd)[:3]]))
            return f"Expected {what}, but {int(odd.sum())} faces have others, first {ids}."
    return None


def _later(first: NDArray[np.integer], rows: NDArray[np.integer]) -> NDArray[np.bool_]:
    later: NDArray[np.bool_] = (first < 0) | (first > rows)
    return later


def _damaged(folder: Path, what: str) -> FacesError:
    return FacesError(f"{what} The faces in {folder} are damaged. {_AGAIN}")
