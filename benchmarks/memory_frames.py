"""Peak resident memory of ``fer-prepare`` on 10,000 frames against 100: it must stay flat.

A few rendered frames stand under many names. Each run is a process of its own, measured by the kernel (``ru_maxrss``);
with ``--workers`` over 1 the largest process counts. Bound: 10,000 frames take no more than 200 MiB above 100.

::

    python benchmarks/memory_frames.py --check
"""

# Nothing big may be imported or allocated here: a new process counts what its parent held when it was started.
import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from memory import command, peak

BOUND = 200  # MiB
DRAW = """
from fer_transfer.synthetic.releases import write_sfew
write_sfew({folder!r}, {{"Train": 14, "Val": 7, "Test": 3}}, size=(192, 240))
"""


def spread(frames: list[Path], folder: Path, count: int) -> Path:
    """A folder of ``count`` names, each a hard link to one of the frames."""
    folder.mkdir()
    for i in range(count):
        os.link(frames[i % len(frames)], folder / f"{i:06d}.png")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--many", type=int, default=10_000, help="frames of the large run (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes of fer-prepare (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if the bound is missed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-c", DRAW.format(folder=str(folder / "drawn"))], check=True)
        frames = sorted((folder / "drawn").rglob("*.png"))
        peaks = []
        for count in (100, options.many):
            release = spread(frames, folder / str(count), count)
            out = f"out={folder / f'faces{count}'}"
            arguments = command(
                "prepare", "release=frames", f"release.path={release}", out, f"workers={options.workers}"
            )
            peaks.append(peak(f"{count} frames", arguments, folder))
    print(f"{options.many} frames take {peaks[1] - peaks[0]:.0f} MiB more than 100 (bound {BOUND})")
    if options.check and peaks[1] - peaks[0] > BOUND:
        sys.exit("the bound is missed")


if __name__ == "__main__":
    main()
