"""Seconds and memory of opening prepared faces, and what it takes to write them; ids are read when asked for.

Random faces are written through ``FacesWriter`` with ids as long as those of a release of pictures; then a new process opens
them once, which reads them all, and five times again, each in a process of its own: that is what is bounded. Bounds: 0.2 s, and
50 MB more than the process had with the same modules imported, at the peak.

::

    python benchmarks/opening.py --check
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

SECONDS, MEGABYTES = 0.2, 50.0


def resident() -> tuple[float, float]:
    """Resident memory of this process now and at its peak, in MB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return tuple(int(lines[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value]


def write(folder: Path, count: int, side: int) -> None:
    from fer_transfer.faces.writer import FacesWriter

    draw, start, before = np.random.default_rng(0), time.perf_counter(), resident()[0]
    with FacesWriter(folder, "many", (side, side), count) as writer:
        for first in range(0, count, 1000):
            pixels = draw.integers(0, 256, (1000, side, side), np.uint8)
            for i in range(first, min(first + 1000, count)):
                split = "Val" if i % 10 == 0 else "Train"
                writer.add(pixels[i - first], f"train/Happy/{i:09}_aligned.jpg", split, i % 7, subject=f"s{i // 20}")
    seconds, more = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3 - before
    print(f"written in {seconds:.0f} s; at the peak {more:.0f} MB more than before, {more / count * 1e6:.0f} B a face")


def opened(folder: Path) -> dict[str, Any]:
    """Open in this process."""
    from fer_transfer.faces.opening import open_faces

    before, start = resident()[0], time.perf_counter()
    faces = open_faces(folder)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "megabytes": resident()[1] - before, "faces": len(faces), "id": str(faces.ids[-1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000, help="faces (default: %(default)s)")
    parser.add_argument("--side", type=int, default=16, help="of a face in pixels (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)  # inside a fresh process
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.open or options.write:
        return (
            print(json.dumps(opened(options.open)))
            if options.open
            else write(options.write, options.count, options.side)
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "faces"
        own = [sys.executable, __file__, f"--count={options.count}", f"--side={options.side}"]
        subprocess.run([*own, f"--write={folder}"], check=True)
        time.sleep(3)  # until the times of the files can tell whether they change
        runs = [json.loads(subprocess.check_output([*own, f"--open={folder}"])) for _ in range(6)]
    first, *again = runs
    print(f"first opening, which reads {first['faces']} faces: {first['seconds']:.1f} s")
    seconds, megabytes = (sorted(run[name] for run in again)[2] for name in ("seconds", "megabytes"))
    print(
        f"again, median of 5: {seconds:.3f} s (bound {SECONDS}), {megabytes:.1f} MB more at the peak (bound {MEGABYTES:.0f})"
    )
    if options.check and (seconds >= SECONDS or megabytes >= MEGABYTES):
        sys.exit("a bound is missed")


if __name__ == "__main__":
    main()
