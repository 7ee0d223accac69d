r"""The paper's whole grid on a machine without network, in pieces of minutes.

::

    python experiments/paper_gpu/grid.py pack --fer faces/fer2013 --crop aligned=faces/emotiw --crop outer=faces/emotiw_outer \
        --weights bvlc_alexnet=alexnet.safetensors --wheels wheels --out carried
    python experiments/paper_gpu/grid.py piece --carried carried --work /tmp/grid --out back  # there, until it says "all rows"
    python experiments/paper_gpu/grid.py collect back --store store_gpu                       # here

``pack`` writes parts under 60 MB; they may go one by one, each with ``parts.json``: a piece that lacks some says which. A piece
trains for so many minutes, from where the last one was stopped or killed, and leaves all rows that are finished as parts too.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]  # the package need not be installed

#: Bytes of a part that is carried there, and of one that comes back.
THERE, BACK = 55_000_000, 15_000_000

#: Exit code of a piece that the same command goes on with (EX_TEMPFAIL).
GOES_ON = 75


def pack(given: argparse.Namespace) -> int:
    """Faces, weights and wheels, as parts."""
    from parts import write_parts

    crops, weights, lacks = (
        dict(word.split("=", 1) for word in words) for words in (given.crop, given.weights, given.lacks)
    )
    files = {f"crops/{name}": Path(path) for name, path in crops.items()} | {"fer2013": Path(given.fer)}
    files |= {f"weights/{network}{Path(path).suffix}": Path(path) for network, path in weights.items()}
    files |= {f"wheels/{path.name}": path for path in sorted(Path(given.wheels).glob("*.whl"))} if given.wheels else {}
    told = {"crops": list(crops), "lacks": {name: text.split(",") for name, text in lacks.items()}}
    with tempfile.TemporaryDirectory() as folder:
        about = Path(folder, "about.json")
        about.write_text(json.dumps(told))
        for path in write_parts({"about.json": about, **files}, Path(given.out), given.part):
            print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    return 0


def piece(given: argparse.Namespace) -> int:
    """Train until the time is up, and leave what is finished in ``out``."""
    from parts import read_parts, take_parts

    until = time.monotonic() + 60 * given.minutes - given.reserve
    work = Path(given.work)
    if missing := take_parts(Path(given.carried), work / "parts"):
        print(f"still to be carried: {', '.join(missing)}")
        return GOES_ON
    if not (work / "carried").exists():
        read_parts(work / "parts", work / "carried")
    _install(work)
    codes = []
    for words in _runs(work, given):
        left = until - time.monotonic()
        codes.append(_train(words, left) if left > 1 else GOES_ON)
    _bring_back(work, Path(given.out))
    stopped = [code for code in codes if code in (GOES_ON, 128 + signal.SIGTERM)]
    if stopped:
        print("time is up: the same command goes on")
        return GOES_ON
    print("rows failed, see above" if any(codes) else "all rows")
    return max(codes)


def collect(given: argparse.Namespace) -> int:
    """Take what a piece left into a store here."""
    from parts import read_parts

    from fer_transfer.cli import store

    back = Path(given.back).resolve()  # of "." too
    unpacked = back.with_name(f"{back.name}.unpacked")
    read_parts(back, unpacked)
    store.run(["import", str(unpacked / "store"), f"store={given.store}"])
    print(f"fer-report store={given.store}")
    return 0


def _install(work: Path) -> None:
    """The wheels that were carried, into a folder of their own, once; nothing is fetched."""
    site, wheels = work / "site", sorted((work / "carried" / "wheels").glob("*.whl"))
    if wheels and not site.exists():
        aside = work / "site.new"
        options = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check", "--upgrade"]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", aside, *wheels], check=True)
        aside.rename(site)
    sys.path.append(str(site))  # behind what the machine has itself


def _runs(work: Path, given: argparse.Namespace) -> Iterator[list[str]]:
    """Words of fer-train for each crop and network: the paper's schedule is the default recipe."""
    about = json.loads((work / "carried" / "about.json").read_text())
    for crop in about["crops"]:
        for network in given.network:
            weights = next((work / "carried" / "weights").glob(f"{network}.*"), None)
            lacks = about["lacks"].get(network)
            yield [
                "-m", "study=ng2015", f"backbone={network}", f"recipe.seed={given.seeds}",
                *([f"recipe.backbone.weights={weights}"] if weights else []),
                *([f"recipe.backbone.skip_weights={json.dumps(lacks)}"] if lacks else []),
                f"runtime.store={work / 'store'}", f"runtime.faces.fer2013={work / 'carried' / 'fer2013'}",
                f"runtime.faces.emotiw={work / 'carried' / 'crops' / crop}", "runtime.checkpoint_minutes=1", *given.words,
            ]  # fmt: skip


def _train(words: Sequence[str], seconds: float) -> int:
    """fer-train in this process; SIGTERM after so many seconds makes it write a checkpoint and end with 143."""
    from fer_transfer.cli.train import main

    before, sys.argv = sys.argv, ["fer-train", *words]
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # until fer-train listens, and after
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        main()
        return 0
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.argv = before


def _bring_back(work: Path, out: Path) -> None:
    """All rows that are finished, without their weights, which are gigabytes: a store for reports."""
    from parts import write_parts

    from fer_transfer.cli import store

    if not (work / "store" / "submissions").exists():
        print("no row is finished yet")
        return
    store.run(["merge", str(work / "store"), f"store={work / 'light'}", "weights=false"])
    write_parts({"store": work / "light"}, out, BACK)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    packing = verbs.add_parser("pack", help="what the other machine needs, as parts")
    packing.set_defaults(run=pack)
    packing.add_argument("--fer", required=True, help="prepared faces of FER-2013")
    packing.add_argument(
        "--crop",
        action="append",
        required=True,
        metavar="NAME=FACES",
        help="prepared faces of EmotiW; again for another crop",
    )
    packing.add_argument("--weights", action="append", default=[], metavar="NETWORK=FILE", help="initial weights")
    packing.add_argument(
        "--lacks", action="append", default=[], metavar="NETWORK=fc6.*,fc7.*", help="layers that they lack"
    )
    packing.add_argument("--wheels", help="a folder of wheels that the machine lacks")
    packing.add_argument("--out", default="carried")
    packing.add_argument("--part", type=int, default=THERE, help="bytes of a part, at most")
    training = verbs.add_parser("piece", help="train for so many minutes")
    training.set_defaults(run=piece)
    training.add_argument("--carried", default="carried", help="parts that have arrived")
    training.add_argument("--work", required=True, help="a folder that stays between pieces")
    training.add_argument("--out", required=True, help="where finished rows are left, as parts")
    training.add_argument("--minutes", type=float, default=9.0)
    training.add_argument(
        "--reserve", type=float, default=60.0, help="seconds of these for the last checkpoint and the parts"
    )
    training.add_argument("--network", action="append", help="instead of the paper's two; again for another")
    training.add_argument("--seeds", default="0,1,2")
    training.add_argument("words", nargs="*", help="settings of fer-train for all rows")
    collecting = verbs.add_parser("collect", help="take finished rows into a store")
    collecting.set_defaults(run=collect)
    collecting.add_argument("back", help="parts that a piece left")
    collecting.add_argument("--store", default="store_gpu")
    given = parser.parse_args()
    if hasattr(given, "network"):
        given.network = given.network or ["bvlc_alexnet", "vgg_cnn_m_2048"]
    from fer_transfer.errors import FerTransferError

    try:
        code = given.run(given)
    except FerTransferError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
