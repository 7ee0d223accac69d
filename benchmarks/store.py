"""How long ``fer-store list`` takes in a store of 1,000 stages, as a process from start to end.

The stages are small, for their sizes are only asked for; every result and record is as long as a true one. Bound: 2 seconds.

::

    PYTHONPATH=tests python benchmarks/store.py --check
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fake_store import add_trained

BOUND = 2.0
PLANS = ("fer28_emotiw", "fer32_emotiw", "emotiw", "fer28", "fer32")
SETTINGS = {name: {f"part{i}": i for i in range(8)} for name in ("augment", "optimizer", "scheduler", "labelling")}


def seconds(store: Path, *words: str) -> float:
    line = [sys.executable, "-m", "fer_transfer.cli.store", *words, f"store={store}"]
    start = time.perf_counter()
    subprocess.run(line, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", type=int, default=1000, help="how many (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="of each (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if the bound is missed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        store, stages, rows = Path(name) / "store", 0, 0
        while stages < options.stages:
            plan, seed = PLANS[rows % len(PLANS)], rows // len(PLANS)
            add_trained(store, plan, seed, splits=("emotiw/Val",), **SETTINGS)
            stages, rows = sum(1 for path in store.iterdir() if len(path.name) == 16), rows + 1
        median = statistics.median(seconds(store, "list") for _ in range(options.runs))
        print(f"fer-store list of {stages} stages and {rows} rows: {median:.2f} s (bound {BOUND:g})")
        print(f"fer-store verify of them: {seconds(store, 'verify'):.2f} s")
    if options.check and median > BOUND:
        sys.exit("the bound is missed")


if __name__ == "__main__":
    main()
