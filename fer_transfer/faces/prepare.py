"""From a release to a folder of prepared faces, with progress; nothing is done twice and nothing is left half done."""

import json
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from fer_transfer.bar import bar
from fer_transfer.config import override
from fer_transfer.detection.reader import FrameReader, available_processes
from fer_transfer.errors import ConfigError, FacesError, ReleaseError
from fer_transfer.faces.aside import remove_ownerless
from fer_transfer.faces.beside import write_beside
from fer_transfer.faces.duplicates import duplicate_lines
from fer_transfer.faces.faces import COLUMNS, INDEX, PIXELS, VOTES, Faces
from fer_transfer.faces.geometry import FILE as GEOMETRY
from fer_transfer.faces.opening import open_faces
from fer_transfer.faces.shards import Parts, Shard, remove_parts
from fer_transfer.faces.source import FramesSource, Release, face_shape, in_colour, label_set_of, may_be_shown
from fer_transfer.faces.writer import FacesWriter, with_permission
from fer_transfer.files.checked import CHECKED
from fer_transfer.files.journal import Journal
from fer_transfer.files.names import shown
from fer_transfer.files.nearby import near_path
from fer_transfer.labels import SEVEN

#: What ``fer-prepare`` leaves in a folder, and nothing else.
_OURS = frozenset({
    "manifest.json", PIXELS, INDEX, VOTES, COLUMNS, GEOMETRY, CHECKED, "frames.csv", "sheet.jpg", "crops.jpg", "beside.jpg",
})  # fmt: skip


def prepare(
    release: Release,
    folder: str | os.PathLike[str],
    console: Console | None = None,
    workers: int | str = "auto",
    beside: str | os.PathLike[str] | None = None,
    replace: bool = False,
    again: str = "fer-prepare",
) -> Faces:
    """Prepare a release, unless the folder already holds the faces of the same files and settings.

    Frames that were read before an interruption are not read again: ``.<folder>.parts`` keeps them until the folder
    is complete. What else an interruption left is removed. Shards (``prepare_shard``) that are there are joined.

    Args:
        release: what to read.
        folder: the folder to make; faces that are there are replaced once the new ones are complete, if they were made
            with the same settings from a release that has changed since, or are damaged.
        workers: processes that read frames, or ``auto``: one for each core. The faces are the same for any number.
        beside: prepared faces to show these beside (``beside.jpg``), where they are there.
        replace: also replace faces that were made with other settings, or by a version that did not keep whose they are.
        again: the command that makes the faces, for messages.
        console: where progress goes, standard error by default: bars in a terminal, otherwise a line at the start and
            one at the end. The summary goes to standard output.

    Raises:
        ReleaseError: if the release is damaged; nothing was written.
        FacesError: if the folder cannot be written, or holds something else or faces that were made with other settings;
            if a shard is missing.
    """
    console, reading = console or Console(stderr=True, markup=False), _processes(workers)
    small = _beside(beside, Path(folder).expanduser().absolute())
    folder, settings, faces = _begun(release, Path(folder).expanduser(), replace)
    if faces is not None:
        console.print(f"{folder} already holds these faces; nothing to do", soft_wrap=True)
        return _summarise(faces, small)
    count = _scanned(release, console)
    with (
        _journal(Parts(folder, release.name, settings, (count, *face_shape(release)), again), release) as journal,
        bar(console, f"preparing {count} faces", "faces/s", 1) as advance,
        FacesWriter(
            folder, release.name, release.size, count, None if journal is None else journal.array, in_colour(release)
        ) as writer,
    ):
        _tell_done(console, journal, count)
        writer.settings, writer.may_be_shown = settings, may_be_shown(release)
        writer.classes = label_set_of(release).classes
        for done, face in enumerate(release.faces(FrameReader(reading, journal)), start=1):
            writer.add(
                face.pixels,
                face.id,
                face.split,
                face.label,
                face.found,
                face.votes,
                face.subject,
                face.geometry,
                face.mark,
            )
            advance(done, count)
        writer.caveats, writer.report, writer.summary = release.caveats(), release.report(), release.summary()
        release.write_extras(writer.aside)
    remove_parts(folder, release.name, settings)
    return _summarise(open_faces(folder, writer.digests), small)


def prepare_shard(
    release: Release,
    folder: str | os.PathLike[str],
    shard: Shard,
    console: Console | None = None,
    workers: int | str = "auto",
    replace: bool = False,
    again: str = "fer-prepare",
) -> None:
    """Prepare a part of the frames of a release, for ``prepare`` to join with the others, unless that is done.

    Shards may be prepared in any order, at the same time, and on any machine that sees the same files.

    Args:
        release: what to read; of one that is not made of frames ``prepare`` reads all.
        folder: the folder that the faces will be in.
        shard: which part.
        console: as for ``prepare``, likewise the others.
        workers: processes that read frames.
        replace: also prepare faces that differ in their settings from those that are there.
        again: the command that makes the faces.

    Raises:
        ReleaseError: if the release is damaged.
        FacesError: as ``prepare``; if another process is at work on this shard, or there are shards of another number.
    """
    console, reading = console or Console(stderr=True, markup=False), _processes(workers)
    folder, settings, faces = _begun(release, Path(folder).expanduser(), replace)
    if faces is not None or not isinstance(release, FramesSource):
        why = (
            f"{folder} already holds these faces"
            if faces is not None
            else f"{release.name} is read in one go at the end"
        )
        console.print(f"{why}; nothing to do for shard {shard}", soft_wrap=True)
        return
    count = _scanned(release, console)
    rows, parts = shard.rows(count), Parts(folder, release.name, settings, (count, *face_shape(release)), again)
    with parts.open(shard) as journal, bar(console, f"preparing shard {shard}", "faces/s", 1) as advance:
        _tell_done(console, journal, len(rows))
        for done, _ in enumerate(release.frames(FrameReader(reading, journal), rows), start=1):
            advance(done, len(rows))
        journal.sync()
    _tell_missing(parts, shard, len(rows))


@contextmanager
def _journal(parts: Parts, release: Release) -> Iterator[Journal | None]:
    """What is done of the frames of a release; None where it has none."""
    if not isinstance(release, FramesSource):
        yield None
        return
    with parts.whole() as journal:
        yield journal


def _begun(release: Release, given: Path, replace: bool) -> tuple[Path, dict[str, Any], Faces | None]:
    """The absolute folder, what the faces are made with, and the faces if they are there; otherwise they may be made."""
    folder = given.absolute()
    chosen = {
        **release.settings(),
        **_other_labels(release),
        "size": release.size,
        "sources": fingerprint(release.sources),
    }
    settings = json.loads(json.dumps(chosen))
    may_be_shown(release)  # a mistake is met before any work
    remove_ownerless(folder, ("manifest.json", PIXELS))
    _check_target(folder, release)
    faces = _there(folder)
    kept = faces is not None and (
        faces.subject_of is not None or not replace
    )  # of before it was kept whose face each is
    if faces is not None and kept and (faces.name, faces.manifest["settings"]) == (release.name, settings):
        remove_parts(folder, release.name, settings)
        return folder, settings, with_permission(faces, may_be_shown(release))
    if faces is not None and not replace:
        _check_same(faces, release.name, settings, given)
    return folder, settings, None


def _other_labels(release: Release) -> dict[str, Any]:
    """The label set among the settings; nothing of the seven expressions, for which folders of before were made."""
    labels = label_set_of(release)
    return {} if labels == SEVEN else {"labels": {"classes": list(labels.classes), "names": dict(labels.names)}}


def _scanned(release: Release, console: Console) -> int:
    with bar(console, f"reading {release.name}", "MB/s", 1e6) as advance:
        return release.scan(advance)


def _tell_done(console: Console, journal: Journal | None, count: int) -> None:
    if journal is not None and len(journal):
        console.print(f"{len(journal)} of {count} were done before", soft_wrap=True)


def _tell_missing(parts: Parts, shard: Shard, count: int) -> None:
    missing = parts.missing(shard.of)
    left = f"{len(missing)} of {shard.of} are to do" if missing else f"all are done: {parts.again} joins them"
    print(shown(f"shard {shard} is done, {count} frames; {left}"), file=sys.stdout, flush=True)


def _beside(beside: str | os.PathLike[str] | None, folder: Path) -> Faces | None:
    """The faces to show others beside, if they are there and not these themselves; opened first: they may be damaged."""
    there = beside is not None and (Path(beside) / "manifest.json").exists()
    return open_faces(beside) if beside is not None and there and Path(beside).absolute() != folder else None


def _processes(workers: int | str) -> int:
    if workers == "auto":
        return available_processes()
    if not isinstance(workers, int) or workers < 1:
        raise ConfigError(f"Expected a whole number of at least 1, or auto, for workers, but got {workers!r}.")
    return workers


def fingerprint(paths: list[Path]) -> list[dict[str, Any]]:
    """Name, number of files, bytes and newest time of change (ns) of each source, without reading any.

    Raises:
        ReleaseError: if a source does not exist.
    """
    found = []
    for path in paths:
        if not path.exists():
            raise ReleaseError(
                f"Expected a release at {path}, but there is nothing.{near_path(path)} Check release.path."
            )
        files = size = changed = 0
        for state in _states(path):
            files, size, changed = files + 1, size + state.st_size, max(changed, state.st_mtime_ns)
        found.append({"name": path.resolve().name, "files": files, "bytes": size, "changed": changed})
    return found


def _states(path: Path) -> Iterator[os.stat_result]:
    """Of the file, or of each file in the folder; links that lead nowhere have none."""
    if path.is_file():
        yield path.stat()
    for folder, _, files in os.walk(path):
        for name in files:
            with suppress(FileNotFoundError):
                yield os.stat(os.path.join(folder, name))


def _check_target(folder: Path, release: Release) -> None:
    """Refuse to replace anything but faces, and to write into the release."""
    for source in release.sources:
        inside = source.is_dir() and source.resolve() in (folder.resolve(), *folder.resolve().parents)
        if inside or source.resolve() == folder.resolve():
            raise FacesError(
                f"Expected a folder outside the release {source}, but got {folder}. Choose another (out=)."
            )
    if folder.exists() and not folder.is_dir():
        raise FacesError(f"Expected a folder at {folder}, but it is a file. Choose another (out=).")
    others = sorted(entry.name for entry in folder.iterdir() if entry.name not in _OURS) if folder.is_dir() else []
    if others:
        raise FacesError(
            f"Expected prepared faces or nothing in {folder}, but it holds {len(others)} other files "
            f"({', '.join(others[:3])}), which would be lost. Choose another folder (out=)."
        )


def _there(folder: Path) -> Faces | None:
    """The faces that are there, unless they are damaged or of another version: such are made again."""
    if not (folder / "manifest.json").exists():
        return None
    try:
        return open_faces(folder)
    except FacesError:
        return None


def _check_same(faces: Faces, name: str, settings: dict[str, Any], folder: Path) -> None:
    """Refuse to replace faces that were made with other settings; a release that changed on disk is no other setting."""
    there, asked = _chosen(faces.name, faces.manifest["settings"]), _chosen(name, settings)
    differ = [key for key in {**asked, **there} if there.get(key) != asked.get(key)]
    if not differ:
        return
    shown = "; ".join(f"{key} {_value(there, key)} there, {_value(asked, key)} asked" for key in differ[:3])
    crop = asked["crop"].split()[-1] if "crop" in differ and "crop" in asked else "2"
    other = f"{folder}_{'colour' if asked.get('colour') and 'colour' in differ else crop}"
    raise FacesError(
        f"Expected faces of {name} with these settings, or none, in {folder}, but those there differ in {len(differ)}: {shown}. "
        f"Keep both: {shlex.quote(override('out', other))}, which fer-train then takes by "
        f"{shlex.quote(override(f'++runtime.faces.{name}', other))}. Or give replace=true."
    )


def _value(settings: Mapping[str, Any], key: str) -> str:
    return repr(settings[key]) if key in settings else "not set"


def _chosen(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What was chosen, by dotted name, and of the sources their names alone.

    >>> _chosen("a", {"fit": 0.3, "detector": {"step": 1.1}, "sources": [{"name": "x", "bytes": 9}]})
    {'name': 'a', 'fit': 0.3, 'detector.step': 1.1, 'sources': ['x']}
    """
    flat: dict[str, Any] = {"name": name}
    for key, value in settings.items():
        if key == "sources":
            flat[key] = [source["name"] for source in value]
        elif isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": content for inner, content in value.items()}
        else:
            flat[key] = value
    return flat


def _summarise(faces: Faces, small: Faces | None) -> Faces:
    """Show faces of frames beside others; print what the reader counted, duplicates, lost faces, caveats and the digest."""
    if small is not None and (faces.folder / "frames.csv").exists() and not (faces.folder / "beside.jpg").exists():
        write_beside(faces.folder / "beside.jpg", small, faces)
    for line in [*faces.manifest["summary"], *duplicate_lines(faces.manifest["duplicates"]), *_closing(faces)]:
        print(shown(line), file=sys.stdout, flush=True)
    return faces


def _closing(faces: Faces) -> list[str]:
    lost = int((~faces.found).sum())
    lines = [f"{lost} {'face is' if lost == 1 else 'faces are'} lost"] if lost else []
    if faces.votes is not None:
        lines.append("FER+ votes are joined by row")
    lines += [f"caveat: {caveat}" for caveat in faces.caveats]
    shown = "may stand" if faces.may_be_shown else "do not stand"
    lines.append(f"pictures of these faces {shown} in reports and on trackers (release.may_be_shown)")
    return [*lines, f"{len(faces)} faces in {faces.folder}, digest {faces.digest[:12]}"]
