"""``fer-demo``: the whole path on synthetic faces, from two rendered releases to the paper's table, into one folder."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fer_transfer.cli.front import front
from fer_transfer.config import override
from fer_transfer.signals import Stopped, listening

HELP = """\
fer-demo: the whole path on synthetic faces. No data, no GPU; minutes.

  fer-demo                 into ./demo: releases, faces, a store, the report
  fer-demo out=FOLDER      into another folder

Given again, it does nothing that is done already. Where the mesh model of
pipeline=aligned is not at hand (Python 3.13 on), faces are cut by pipeline=box.
It runs, and prints, four commands: two releases are rendered and their faces
prepared, the six plans of the paper trained with a tiny network, each shared
stage once, and the tables printed. With what it leaves in ./demo:

  fer-store list store=demo/store              what was trained
  fer-report store=demo/store out=demo/report  the tables again
  fer-train experiment=demo backbone=timm plan=fer28_emotiw recipe.seed=1
                                               another seed of one plan
"""


def steps(out: Path) -> Iterator[tuple[str, list[str]]]:
    """The commands, each with what it is told."""
    faces = {"fer2013": out / "faces" / "fer2013", "emotiw": out / "faces" / "emotiw"}
    pipeline = pipeline_at_hand()
    for name, release in (("fer2013", "fer2013"), ("emotiw", "sfew")):
        path = override("release.path", out / "releases" / release)
        yield "prepare", [f"release=synthetic_{name}", path, override("out", faces[name]), *pipeline]
    where = [override("runtime.store", out / "store"), *(override(f"runtime.faces.{n}", of) for n, of in faces.items())]
    yield "train", ["-m", "study=ng2015", "experiment=demo", "backbone=timm", *where]
    shown = [
        "published=false",
        "submission_zip=demo",
        "figures=true",
        *(override(f"faces.{n}", of) for n, of in faces.items()),
    ]
    yield "report", [override("store", out / "store"), override("out", out / "report"), *shown]


def pipeline_at_hand() -> list[str]:
    """Nothing where the default's mesh model is at hand, otherwise the pipeline that needs no model."""
    from fer_transfer.detection.landmarks import FaceMesh
    from fer_transfer.errors import ConfigError

    try:
        FaceMesh()
    except ConfigError:
        return ["pipeline=box"]
    return []


def run(arguments: Sequence[str]) -> int:
    """Run the commands one after the other; the exit code of the first that fails, otherwise 0."""
    out = Path("demo")
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key != "out" or not value:
            print(f"error: Expected out=FOLDER, but got {argument!r}. fer-demo --help shows it.", file=sys.stderr)
            return 1
        out = Path(value).expanduser()
    for name, words in steps(out):
        print(f"$ {shlex.join([f'fer-{name}', *words])}", flush=True)
        if code := _run(name, words):
            return code
    return 0


def _run(name: str, words: Sequence[str]) -> int:
    code = f"from fer_transfer.cli.{name} import main; main()"
    # A session of its own: a signal comes to it once, from here, wherever it was sent.
    with subprocess.Popen([sys.executable, "-c", code, *words], start_new_session=os.name == "posix") as child:
        try:
            return child.wait()
        except Stopped as stop:
            child.send_signal(stop.number)
            raise


def main() -> None:
    """Entry point of the command."""
    front("fer-demo", HELP)
    with listening():
        try:
            sys.exit(run(sys.argv[1:]))
        except Stopped as stop:
            sys.exit(stop.exit_code)


if __name__ == "__main__":
    main()
