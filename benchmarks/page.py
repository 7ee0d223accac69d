"""What ``report.html`` costs: 13 rows with 5 seeds each, written in a fresh process and opened in headless Chromium.

Bounds: 20 s to write, 15 MB, first paint after 2 s. Beside the clock stands the time of the processor, which other work on the
machine hardly changes; ``--check`` holds the clock's.

::

    PYTHONPATH=tests python benchmarks/page.py --check
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from fake_store import SPLITS, add_trained

WRITE, SIZE, PAINT = 20.0, 15.0, 2000.0  # s, MB, ms
SEEDS, EPOCHS = range(5), 20
PLANS = {"emotiw": 0.37, "fer28": 0.45, "fer32": 0.44, "fer32+emotiw": 0.46, "fer28_emotiw": 0.5, "fer32_emotiw": 0.47}
ROWS = [
    *((backbone, plan) for backbone in ("bvlc_alexnet", "vgg_cnn_m_2048") for plan in PLANS),
    ("resnet18", "emotiw"),
]

_WRITE = """
import sys, time
from pathlib import Path
started = time.perf_counter()
from fer_transfer.config import plain
from fer_transfer.reports.page.page import write_page
from fer_transfer.reports.report import load_report
from fer_transfer.settings import compose
from fer_transfer.study import study_from
write_page(load_report(Path(sys.argv[1]), study_from(plain(compose("report").study)), 0.95), Path(sys.argv[2]))
print(time.perf_counter() - started, time.process_time())
"""


def write_store(root: Path) -> None:
    for backbone, plan in ROWS:
        splits = tuple(split for split in SPLITS if "32" not in plan or split != "fer2013/PublicTest")
        for seed in SEEDS:
            add_trained(root, plan, seed, splits=splits, backbone=backbone, accuracy=PLANS[plan], epochs=EPOCHS)


def written(store: Path, out: Path) -> tuple[float, float]:
    """Seconds by the clock and of the processor, imports and reading the store included."""
    done = subprocess.run(
        [sys.executable, "-c", _WRITE, str(store), str(out)], capture_output=True, text=True, check=True
    )
    clock, processor = map(float, done.stdout.split())
    return clock, processor


def opened(path: Path) -> dict[str, float]:
    """Milliseconds to the first paint and until the last chart is drawn, and of the page's thread; and the number of charts."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        page.goto(path.as_uri())
        page.locator("html[data-charts=drawn]").wait_for(state="attached", timeout=300_000)
        busy = {of["name"]: of["value"] for of in session.send("Performance.getMetrics")["metrics"]}
        found = {
            "paint": page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"),
            "drawn": page.evaluate("performance.now()"),
            "thread": 1000 * busy["TaskDuration"],
            "charts": page.locator("[data-chart]").count(),
        }
        browser.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail above a bound")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_store(root / "store")
        clock, processor = written(root / "store", root)
        size = (root / "report.html").stat().st_size / 1e6
        found = opened(root / "report.html")
    print(
        f"{len(ROWS)} rows, {len(SEEDS)} seeds each: written in {clock:.1f} s ({processor:.1f} s of the processor), {size:.1f} MB"
    )
    print(
        f"first paint after {found['paint']:.0f} ms; {found['charts']} charts drawn after {found['drawn'] / 1000:.1f} s "
        f"({found['thread'] / 1000:.1f} s of the page's thread)"
    )
    if check and (clock > WRITE or size > SIZE or found["paint"] > PAINT):
        sys.exit(f"expected at most {WRITE:g} s, {SIZE:g} MB and {PAINT:g} ms to the first paint")


if __name__ == "__main__":
    main()
