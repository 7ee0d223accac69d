"""Memory that ``fer-prepare`` takes for each picture of a large release: it must stay flat.

Random pictures of 8x8 pixels in class folders, faces already (``release.aligned``). What counts is the anonymous memory of the
process at its peak (RssAnon of Linux, looked at ten times a second): what the system keeps of files it can give back. Bound: a
picture of the large release takes at most 200 bytes.

::

    python benchmarks/memory_pictures.py --check                 # 100,000 pictures
    python benchmarks/memory_pictures.py --count 1000000
    python benchmarks/memory_pictures.py --csv                   # listed in a CSV
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from memory import command

BOUND = 200  # bytes
FEW = 1000
DRAW = """
import csv, cv2, numpy, sys
from pathlib import Path
from fer_transfer.labels import EXPRESSIONS
folder, draw = Path(sys.argv[1]), numpy.random.default_rng(0)
for i in range(int(sys.argv[2])):
    path = folder / ("Train" if i % 10 else "Val") / EXPRESSIONS[i % 7] / f"picture_{i:08}.bmp"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".bmp", draw.integers(0, 256, (8, 8), numpy.uint8))[1].tobytes())
with open(f"{folder}.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["path", "split", "label"])
    table.writerows((str(path.relative_to(folder)), *path.parts[-3:-1]) for path in sorted(folder.rglob("*.bmp")))
"""


def anonymous(process: int) -> int:
    """Bytes of anonymous memory of a process; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


def peak(release: Path, folder: Path, workers: int, csv: bool) -> int:
    """Bytes of anonymous memory of ``fer-prepare`` at its peak."""
    own = [
        "release=folders",
        f"release.path={release}",
        "release.aligned=true",
        "release.size=16",
        f"workers={workers}",
        *([f"release.csv={release}.csv"] if csv else []),
    ]
    with (folder / "log").open("w") as log:
        arguments = command("prepare", *own, f"out={release}_faces")
        process = subprocess.Popen([sys.executable, *arguments], stdout=log, stderr=log)
        most = 0
        while process.poll() is None:
            most = max(most, anonymous(process.pid))
            time.sleep(0.1)
    if process.returncode:
        sys.exit((folder / "log").read_text())
    return most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--count", type=int, default=100_000, help="pictures of the large release (default: %(default)s)"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that read (default: %(default)s)")
    parser.add_argument("--csv", action="store_true", help="have the pictures listed in a CSV")
    parser.add_argument("--check", action="store_true", help="exit with 1 if the bound is missed")
    options = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as name:
        for count in (FEW, options.count):
            release = Path(name) / str(count)
            subprocess.run([sys.executable, "-c", DRAW, str(release), str(count)], check=True)
            peaks.append(peak(release, Path(name), options.workers, options.csv))
            print(f"{count:>9} pictures: {peaks[-1] / 2**20:.0f} MiB", flush=True)
    each = (peaks[1] - peaks[0]) / (options.count - FEW)
    print(f"each picture more takes {each:.0f} bytes (bound {BOUND})")
    if options.check and each > BOUND:
        sys.exit("the bound is missed")


if __name__ == "__main__":
    main()
