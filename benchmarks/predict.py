r"""Faces a second of fer-predict beside the mtcnn package with a network of the same size, same pictures, in one run.

A: ``fer_transfer``'s ``model.predict`` over a folder of photographs, all faces of each: what the command does.
B: the mtcnn package (``predict_package.py``): its defaults on the CPU, every face turned by its eyes and cut by the same formula,
   then a convolutional network in TensorFlow with as many parameters as A's and the same input.

Both use all cores, as they do by default; the cores that were busy are shown. Starting up does not count. Rounds go A B; the best
round of each counts. A face counts where it was found: the two do not find the same ones, so pictures a second stand beside.
Also, in fresh processes: ``import fer_transfer``; the first face of ``fer-predict`` beside ``python -c "import torch"``.
With ``--yunet`` A is measured twice: with the detector of the row's own faces, and with YuNet, which finds small and turned ones.
Bounds: A/B >= 5 faces a second; import under 0.2 s; the first face within 3 times ``import torch``.

::

    python3.11 -m venv ../mtcnn
    ../mtcnn/bin/pip install mtcnn==1.0.0 tensorflow-cpu==2.21.0 "opencv-python-headless<5"
    python benchmarks/predict.py scenes --store demo/store --row fer28_emotiw --python ../mtcnn/bin/python \
        --yunet face_detection_yunet_2023mar.onnx --check

Without ``--python`` only A is measured.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import fer_transfer
from fer_transfer.detection.detectors import YuNet

TIMES_PACKAGE, IMPORT_SECONDS, TIMES_TORCH = 5.0, 0.2, 3.0


def pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))


def ours(model: Any, folder: Path) -> dict[str, float]:
    """A: one round over the folder."""
    start, busy = time.perf_counter(), time.process_time()
    predicted = model.predict(folder)
    elapsed, busy = time.perf_counter() - start, time.process_time() - busy
    count = len(predicted.pictures)
    return {
        "faces": len(predicted) / elapsed,
        "pictures": count / elapsed,
        "found": len(predicted),
        "cores": busy / elapsed,
    }


def package(python: str, paths: list[Path], model: Any) -> dict[str, Any]:
    """B: one round over the same files, in its own environment."""
    first = model.model.members[0] if isinstance(model.model, fer_transfer.Ensemble) else model.model
    parameters, side = sum(tensor.numel() for tensor in first.network.parameters()), first.transform.crop
    script = Path(__file__).with_name("predict_package.py")
    done = subprocess.run(
        [python, str(script), str(parameters), str(side)],
        input="\n".join(map(str, paths)),
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if done.returncode:
        sys.exit(f"{script} failed:\n{done.stdout}\n{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def seconds(code: str, *arguments: str) -> float:
    """Of a fresh process."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    elapsed = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{code} {arguments} failed:\n{done.stdout}\n{done.stderr}")
    return elapsed


def import_seconds() -> float:
    """Of the package alone, without starting Python."""
    code = "import time; start = time.perf_counter(); import fer_transfer; print(time.perf_counter() - start)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def starting(row: str, store: Path, picture: Path, runs: int) -> tuple[float, float, float]:
    """Medians, in turns: importing the package, importing torch, and the first face of the command."""
    predict = "from fer_transfer.cli.predict import main; main()"
    words = (f"row={row}", f"store={store}", f'input="{picture}"')
    times = [(import_seconds(), seconds("import torch"), seconds(predict, *words)) for _ in range(runs + 1)][1:]
    own, torch, first = (statistics.median(of) for of in zip(*times, strict=True))
    return own, torch, first


def best(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return max(rounds, key=lambda of: of["faces"])


def shown(title: str, of: dict[str, Any]) -> str:
    return f"{title:<15} {of['faces']:7.1f} faces/s {of['pictures']:7.1f} pictures/s  {of['found']} faces {of['cores']:.2f} cores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of photographs")
    parser.add_argument("--store", type=Path, default=Path("store"))
    parser.add_argument("--row", required=True)
    parser.add_argument("--python", help="of the environment with mtcnn")
    parser.add_argument("--yunet", help="YuNet's model file; without it that line is left out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=5, help="of the processes that are timed from their start")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed")
    options = parser.parse_args()
    paths = pictures(options.folder)
    model = fer_transfer.open_store(options.store).load(options.row, seeds="all")
    model.predict(paths[0])  # warms up
    ways = {"A  fer-predict": model}
    if options.yunet:
        pipeline = fer_transfer.face_pipeline()
        pipeline.detector = YuNet(options.yunet)
        ways["A  with YuNet"] = fer_transfer.open_store(options.store).load(options.row, seeds="all", pipeline=pipeline)
    own: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    theirs = []
    for _ in range(options.rounds):
        for name, of in ways.items():
            own[name].append(ours(of, options.folder))
        if options.python:
            theirs.append(package(options.python, paths, model))
    missed = []
    if theirs:
        print(shown("B  mtcnn", best(theirs)), best(theirs)["versions"])
    for name, rounds in own.items():
        print(shown(name, best(rounds)))
        if theirs:
            ratio = best(rounds)["faces"] / best(theirs)["faces"]
            print(f"   over B: {ratio:.2f} times the faces a second (bound {TIMES_PACKAGE})")
            missed += [f"{name} over B"] if ratio < TIMES_PACKAGE else []
    imported, torch, first = starting(options.row, options.store, paths[0], options.runs)
    print(f"import fer_transfer: {imported:.3f} s (bound {IMPORT_SECONDS})")
    print(f"first face: {first:.2f} s, {first / torch:.2f} times import torch, {torch:.2f} s (bound {TIMES_TORCH})")
    missed += ["import"] * (imported >= IMPORT_SECONDS) + ["first face"] * (first > TIMES_TORCH * torch)
    if options.check and missed:
        sys.exit(f"bounds missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
