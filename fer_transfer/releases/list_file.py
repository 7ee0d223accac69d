"""Reading files that list pictures, a CSV of one's own or a data set's lines; every row is checked."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from fer_transfer.errors import ReleaseError
from fer_transfer.files.archive import Archive, open_file, pretender
from fer_transfer.files.names import shown
from fer_transfer.files.packed import Packed, absent, distinct
from fer_transfer.releases.listing import Listed, by_kind, first_three
from fer_transfer.releases.sfew_layout import split_words

_COLUMNS = ("path", "label", "split", "subject")


def read_list(path: Path, inside: str | None, archive: Archive) -> Packed[Listed]:
    """The pictures that a CSV lists, in its order.

    Args:
        path: of the CSV, for messages, and to open it.
        inside: its path in the archive, where it lies there; None: ``path`` is opened.
        archive: what its paths are relative to.

    Raises:
        ReleaseError: if a column is missing, a row has too many or too few values, or paths are missing, twice, absolute or
            outside.
    """
    if inside is not None and inside not in archive.names:
        raise ReleaseError(
            f"Expected the list {shown(str(path))}, a file or a path inside {shown(str(archive.path))}, but there is neither. "
            "Check release.csv."
        )
    with archive.open(inside) if inside is not None else open_file(path, archive.limits) as member:
        data = member.read()
    if what := pretender(data):
        raise ReleaseError(f"Expected a list of pictures in {shown(str(path))}, but it is {what}. Get it again.")
    rows = _rows(path, data)
    listed = Packed(Listed(row["path"], row["label"], _split(row["split"]), row["subject"]) for row in rows)
    _refuse_paths(Packed(picture.path for picture in listed), path, archive)
    return listed


def find(archive: Archive, path: str) -> tuple[str, str]:
    """The file of an archive whose path ends so, and what stands before it: a folder above the layout, or nothing.

    Raises:
        ReleaseError: if there is none, or several.
    """
    found = [name for name in archive.names if f"/{name}".endswith(f"/{path}")]
    if len(found) != 1:
        what = (
            f"there are {len(found)} ({first_three(found)})" if found else f"of {len(archive.names)} files none is it"
        )
        raise ReleaseError(
            f"Expected {path} below {shown(str(archive.path))}, but {what}. Give the folder or archive that holds it, once."
        )
    return found[0], found[0].removesuffix(path)


def read_words(archive: Archive, path: str, count: int) -> list[list[str]]:
    """The lines of a text file of an archive, split at blanks; empty ones are left out.

    Raises:
        ReleaseError: naming lines of more or fewer words.
    """
    with archive.open(path) as member:
        data = member.read()
    if what := pretender(data):
        raise ReleaseError(
            f"Expected a list in {shown(str(archive.path))}: {shown(path)}, but it is {what}. Get it again."
        )
    lines = [words for line in data.decode("utf-8-sig", "replace").splitlines() if (words := line.split())]
    refuse_wrong(archive, path, [" ".join(words) for words in lines if len(words) != count], f"{count} words")
    return lines


def refuse_wrong(archive: Archive, path: str, wrong: list[str], expected: str, each: str = "line") -> None:
    """Refuse lines, files or folders that say something else than is expected, if there are any.

    Raises:
        ReleaseError: naming the first three.
    """
    if wrong:
        raise ReleaseError(
            f"Expected {expected} in each {each} of {shown(str(archive.path))}: {shown(path)}, but not in {len(wrong)} "
            f"({first_three([line[:60] for line in wrong])}). Get the release again."
        )


def refuse_absent(archive: Archive, path: str, pictures: list[str]) -> None:
    """Refuse a list that names pictures which are not there, or one twice.

    Raises:
        ReleaseError: naming the first three.
    """
    wrong = {
        "not there": absent(pictures, archive.names),
        "twice": [name for name, count in Counter(pictures).items() if count > 1],
    }
    if told := by_kind(wrong):
        packed = [
            name for name in archive.names if name.lower().endswith((".zip", ".rar", ".7z", ".tar", ".gz", ".tgz"))
        ]
        hint = f" It holds archives ({first_three(packed)}): unpack them there first." if packed else ""
        raise ReleaseError(
            f"Expected each of the {len(pictures)} pictures of {shown(path)} in {shown(str(archive.path))} once, but got {told}."
            f"{hint} Get the release again."
        )


def _split(word: str) -> str:
    """As folders are named: training is Train; any other word is kept."""
    return split_words(word)[0] if word.isalpha() and split_words(word) else word


def _rows(path: Path, data: bytes) -> Iterator[Mapping[str, str]]:
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", "replace", newline=""))
    try:
        header = [name.strip().casefold() for name in next(reader, [])]
        if not {"path", "label"} <= set(header) or len(set(header)) < len(header):
            raise ReleaseError(
                f"Expected the columns path and label, perhaps split and subject, in {shown(str(path))}, but got "
                f"{shown(','.join(header)[:80])!r}. Give the columns these names, each once."
            )
        for number, row in enumerate((row for row in reader if row), start=1):
            if len(row) != len(header):
                raise ReleaseError(
                    f"Expected {len(header)} values in row {number} of {shown(str(path))} (line {reader.line_num}), but got "
                    f"{len(row)}. Quote values that hold a comma."
                )
            values = dict(zip(header, map(str.strip, row), strict=True))
            yield {name: values.get(name, "") for name in _COLUMNS}
    except csv.Error as error:
        raise ReleaseError(f"Expected a CSV in {shown(str(path))}, but got: {error}. Write it again.") from None


def _refuse_paths(paths: Packed[str], path: Path, archive: Archive) -> None:
    """Refuse paths that lead out of the folder, are not there, or stand there twice."""
    leaving = [name for name in paths if _leaves(name)]
    counts = Counter(paths) if distinct(paths) < len(paths) else Counter[str]()
    wrong = {
        "absolute or outside": leaving,
        "not there": [name for name in absent(paths, archive.names) if not _leaves(name)],
        "twice": [name for name, count in counts.items() if count > 1],
    }
    if told := by_kind(wrong):
        raise ReleaseError(
            f"Expected each of the {len(paths)} paths of {shown(str(path))} once, relative to {shown(str(archive.path))}, but "
            f"got {told}.{_otherwise(wrong['not there'], archive.names)} Mend the list, or give the folder or archive that its "
            "paths are relative to (release.path)."
        )
    if not paths:
        raise ReleaseError(f"Expected pictures in {shown(str(path))}, but it lists none.")


def _otherwise(missing: list[str], there: Iterable[str]) -> str:
    """Those of the missing that are there in another case, or with other separators; empty where none is."""
    known = {name.casefold(): name for name in there}
    spelt = {name: known.get(str(PurePosixPath(name.replace("\\", "/"))).casefold()) for name in missing}
    found = [f"{name} is {other}" for name, other in spelt.items() if other]
    return f" There in another spelling: {first_three(found)}." if found else ""


def _leaves(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return not parts or parts[0] == "/" or ".." in parts or parts[0].endswith(":")
