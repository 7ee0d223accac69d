"""Thousands of damaged inputs of every kind: each is read, or refused by one of this package's own errors.

::

    python tests/fuzz.py --count 10000 --seed 0

An input fails if it raises anything else, takes more than five seconds, or takes more than a gigabyte of memory. A failing input
is kept under ``--keep``; those that were mended stand in ``tests/fuzzed/`` and are read again by every run of the tests.
"""

import argparse
import contextlib
import io
import json
import random
import signal
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from caffe_files import V1, V2, tiny
from safetensors.torch import save as save_safetensors

import fer_transfer.stages.recording
import fer_transfer.stages.runner  # noqa: F401  here, so that no input is charged with the time of the import
from fer_transfer.cli.train import main as fer_train
from fer_transfer.config import conf_dir
from fer_transfer.errors import FerTransferError

SECONDS, MEBIBYTES = 5, 1024
KEPT = Path(__file__).parent / "fuzzed"


def pictures() -> Iterator[bytes]:
    face = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    for ending in (".png", ".jpg", ".bmp", ".tif", ".webp", ".gif"):
        yield cv2.imencode(ending, face)[1].tobytes()
    yield cv2.imencode(".png", face[..., 0].astype(np.uint16) * 257)[1].tobytes()


def csvs() -> Iterator[bytes]:
    rows = [
        f"{i % 7},{' '.join(['12'] * 2304)},{u}" for i, u in enumerate(["Training", "PublicTest", "PrivateTest"] * 3)
    ]
    yield "\n".join(["emotion,pixels,Usage", *rows, ""]).encode()
    yield "\r\n".join(
        ['"emotion", "Usage", "pixels"', *(",".join([r[0], *r[2:].split(",")[::-1]]) for r in rows), ""]
    ).encode()


def members() -> Iterator[tuple[str, bytes]]:
    for i, (name, data) in enumerate(zip(["Happy", "Sad", "Fear"] * 3, pictures(), strict=False)):
        yield f"Train/{name}/Movie_{i:09}_00000001.png", data


def zips() -> Iterator[bytes]:
    for packed in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", packed) as archive:
            for name, data in members():
                archive.writestr(name, data)
        yield file.getvalue()


def tars(mode: str) -> Callable[[], Iterator[bytes]]:
    def samples() -> Iterator[bytes]:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=f"w{mode}") as archive:
            for name, data in members():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        yield file.getvalue()

    return samples


def tensors() -> dict[str, torch.Tensor]:
    return {"conv.weight": torch.arange(24.0).view(2, 3, 2, 2), "fc.bias": torch.ones(7), "n": torch.tensor(3)}


def safetensors() -> Iterator[bytes]:
    yield save_safetensors(
        tensors(), {"preprocessing": json.dumps({"mean": [0.5]}), "lineage": json.dumps({"version": 1})}
    )


def checkpoints() -> Iterator[bytes]:
    for old in (False, True):
        file = io.BytesIO()
        torch.save({"state_dict": tensors(), "epoch": 3}, file, _use_new_zipfile_serialization=not old)
        yield file.getvalue()


def caffemodels() -> Iterator[bytes]:
    for form in (V1, V2):
        yield tiny(form)[0]


def faces() -> Iterator[bytes]:
    """Each file of a folder of prepared faces, behind a line with its name."""
    from fer_transfer.faces.writer import FacesWriter

    with tempfile.TemporaryDirectory() as folder:
        with FacesWriter(Path(folder) / "faces", "fer2013", (8, 8), 6) as writer:
            for i in range(6):
                pixels, votes = np.full((8, 8), 40 * i, np.uint8), np.full(10, 1, np.uint8)
                writer.add(pixels, f"fer{i}", ("Training", "PublicTest", "PrivateTest")[i % 3], i, votes=votes)
        for path in sorted((Path(folder) / "faces").glob("[a-z]*")):
            yield f"{path.name}\n".encode() + path.read_bytes()


def read_faces(path: Path) -> None:
    """The folder with one file exchanged: as it is, and with digests that fit it, so that more than they is tried."""
    from fer_transfer.faces.opening import open_faces
    from fer_transfer.files.digest import file_digest
    from fer_transfer.files.document import write_document

    name, _, data = path.read_bytes().partition(b"\n")
    whole = dict(sample.split(b"\n", 1) for sample in WHOLE_FACES)
    for fitting in (False, True):
        (folder := path.parent / f"faces{fitting}").mkdir(exist_ok=True)
        for other, content in {**whole, (name if name in whole else b"pixels.npy"): data}.items():
            (folder / other.decode()).write_bytes(content)
        if fitting:
            with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
                manifest = json.loads((folder / "manifest.json").read_bytes())
                manifest["files"] = {
                    other: file_digest([folder / other]) for other in manifest["files"] if "/" not in other
                }
                write_document(folder / "manifest.json", manifest)
        with contextlib.suppress(FerTransferError):
            open_faces(folder)


WHOLE_FACES = list(faces())


def yamls(group: str) -> Callable[[], Iterator[bytes]]:
    return lambda: (path.read_bytes() for path in sorted((conf_dir() / group).glob("*.yaml")))


OVERRIDES = (
    "plan=fer28_emotiw", "recipe.epochs=3", "recipe.seed=0,1", "+stages.emotiw.optimizer.lr=1e-4", "study=ng2015",
    "recipe.backbone.kwargs={img_size: 32}", "recipe.frozen=[a,b]", "~logger", "runtime.faces.emotiw=x", "backbone=timm",
    "recipe.labelling.labels=release", "++plan.stages.emotiw.init_from=null", "recipe.augment._target_=os.system", "note='x'",
    "recipe.scheduler.warmup={_target_: os.system, command: x}", "plan.stages.emotiw.data.train.emotiw=[Train]", "allow=[x]",
    "recipe.optimizer._target_=torch.optim.SGD", "recipe.class_weights=balanced", "submission=sub3", "repair=true",
)  # fmt: skip


def overrides() -> Iterator[bytes]:
    yield from (text.encode() for text in OVERRIDES)


def read_picture(path: Path) -> None:
    from fer_transfer.files.picture import decode

    decode(path.read_bytes())


def read_csv(path: Path) -> None:
    from fer_transfer.detection.reader import FrameReader
    from fer_transfer.releases.fer2013 import FER2013Release

    release = FER2013Release(str(path))
    release.scan(lambda done, total: None)
    for _ in release.faces(FrameReader(0)):
        pass
    release.summary()


def read_archive(path: Path) -> None:
    from fer_transfer.files.archive import Archive

    with Archive(path) as archive:
        for name in archive.names:
            with contextlib.suppress(FerTransferError):
                archive.read(name)


def read_weights(path: Path) -> None:
    from fer_transfer.backbones.weights import open_weights

    open_weights(path)


def command(*arguments: str) -> None:
    """fer-train in this process; anything but a clean end or one line of error is a failure."""
    before, err = sys.argv, io.StringIO()
    sys.argv = ["fer-train", *arguments]
    try:
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
            fer_train()
    except SystemExit:
        text = err.getvalue()
        if "Traceback" in text or not text.strip():
            raise RuntimeError(f"exit without a clear word: {text[-2000:]}") from None
    finally:
        sys.argv = before


def read_override(path: Path) -> None:
    text = path.read_bytes().decode("utf-8", "replace")
    nowhere = [f"runtime.faces.{name}={path.parent}/none" for name in ("fer2013", "emotiw")]
    if "\0" not in text and not text.startswith("-"):
        command(f"runtime.store={path.parent}/store", *nowhere, text)


def read_yaml(group: str) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        folder = path.parent / group
        folder.mkdir(exist_ok=True)
        (folder / "mutated.yaml").write_bytes(path.read_bytes())
        nowhere = [f"runtime.faces.{name}={path.parent}/none" for name in ("fer2013", "emotiw")]
        command("--config-dir", str(path.parent), f"{group}=mutated", f"runtime.store={path.parent}/store", *nowhere)

    return read


#: Kind: its whole samples, the ending of its files, how it is read, and its share of the inputs.
KINDS: dict[str, tuple[Callable[[], Iterator[bytes]], str, Callable[[Path], None], int]] = {
    "picture": (pictures, ".bin", read_picture, 30),
    "csv": (csvs, ".csv", read_csv, 15),
    "zip": (zips, ".zip", read_archive, 15),
    "tar": (tars(""), ".tar", read_archive, 10),
    "tar.gz": (tars(":gz"), ".tar.gz", read_archive, 3),
    "tar.xz": (tars(":xz"), ".tar.xz", read_archive, 3),
    "safetensors": (safetensors, ".safetensors", read_weights, 10),
    "checkpoint": (checkpoints, ".pth", read_weights, 10),
    "caffemodel": (caffemodels, ".caffemodel", read_weights, 10),
    "faces": (lambda: iter(WHOLE_FACES), ".bin", read_faces, 15),
    "override": (overrides, ".txt", read_override, 3),
    "plan": (yamls("plan"), ".yaml", read_yaml("plan"), 1),
    "study": (yamls("study"), ".yaml", read_yaml("study"), 1),
}


def mutated(sample: bytes, other: bytes, rng: random.Random) -> bytes:
    """A sample after one to four small damages."""
    data = bytearray(sample)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, length = rng.randrange(len(data) + 1), rng.choice((1, 2, 4, 16, 200))
        how = rng.randrange(8)
        if how == 0 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif how == 1:
            data[at : at + length] = rng.randbytes(length)
        elif how == 2:
            del data[at : at + length]
        elif how == 3:
            data[at:at] = data[max(0, at - length) : at] * rng.choice((1, 3, 100))
        elif how == 4:
            del data[at:]
        elif how == 5:
            start = rng.randrange(len(other) + 1)
            data[at : at + length] = other[start : start + length]
        elif how == 6:
            data[at : at + 4] = rng.choice(
                (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\0\0\0\x80", b"9999")
            )
        else:
            data[at : at + 1] = rng.choice(
                (b"\0", b"\n", b"'", b'"', b"{", b"}", b"[", b"]", b":", b",", b"-", b"=", b"${", b"\xff")
            )
    return bytes(data)


class TooLongError(BaseException):
    """An input that hangs."""


def _too_long(*_: object) -> None:
    raise TooLongError


def peak() -> float:
    """Peak of resident memory since ``forget_peak``, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def verdict(kind: str, data: bytes, folder: Path) -> str:
    """ "" for an input that was read or refused; else what went wrong."""
    _, ending, read, _ = KINDS[kind]
    path = folder / f"input{ending}"
    path.write_bytes(data)
    forget_peak()
    before, started = peak(), time.monotonic()
    signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        read(path)
    except FerTransferError:
        pass
    except TooLongError:
        return f"more than {SECONDS} s"
    except BaseException:
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if time.monotonic() - started > SECONDS:
        return f"{time.monotonic() - started:.1f} s"
    grown = peak() - before
    return f"{grown:.0f} MiB" if grown > MEBIBYTES else ""


def fuzz(count: int, seed: int, keep: Path | None = None) -> dict[str, list[str]]:
    """What went wrong by kind; every kind is there."""
    rng, shares = random.Random(seed), [share for *_, share in KINDS.values()]
    kinds = rng.choices(list(KINDS), shares, k=count)
    samples = {kind: list(KINDS[kind][0]()) for kind in KINDS}
    wrong: dict[str, list[str]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        for number, kind in enumerate(kinds):
            data = mutated(rng.choice(samples[kind]), rng.choice(samples[rng.choice(list(KINDS))]), rng)
            if said := verdict(kind, data, Path(folder)):
                wrong[kind].append(said)
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{kind.replace(' ', '_')}-{seed}-{number}").write_bytes(data)
    for kind in KINDS:
        print(f"{kind:12} {kinds.count(kind):6} inputs  {len(wrong[kind]):4} wrong", flush=True)
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz"))
    options = parser.parse_args()
    started = time.monotonic()
    wrong = fuzz(options.count, options.seed, options.keep)
    print(f"{options.count} inputs, seed {options.seed}, {time.monotonic() - started:.0f} s")
    for kind, texts in wrong.items():
        for text in list(dict.fromkeys(text.strip().splitlines()[-1] for text in texts))[:10]:
            print(f"{kind}: {text}")
    sys.exit(any(wrong.values()))


if __name__ == "__main__":
    main()
