"""Takes the README's pictures of ``make demo``'s page in headless Chromium: as on a laptop, and on a phone in the dark.

::

    python experiments/demo/pictures.py
"""

import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent

#: By picture: the window, the theme, and the part of the page at which it stands.
PICTURES = {
    "page.webp": ((1280, 860), "light", "header"),
    "page_curves.webp": ((1280, 700), "light", "#curves .group >> nth=4"),
    "page_phone.webp": ((390, 844), "dark", "header"),
}


def taken(browser: Browser, window: tuple[int, int], theme: str, part: str) -> Image.Image:
    width, height = window
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)  # type: ignore[arg-type]
    page.goto((ROOT / "demo" / "report" / "report.html").as_uri())
    page.locator("html[data-charts=drawn]").wait_for(state="attached", timeout=120_000)
    page.locator(part).evaluate("part => part.scrollIntoView()")
    picture = Image.open(io.BytesIO(page.screenshot()))
    page.close()
    return picture


def main() -> None:
    with sync_playwright() as started:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--hide-scrollbars"]
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        for name, (window, theme, part) in PICTURES.items():
            taken(browser, window, theme, part).convert("RGB").save(HERE / name, quality=85, method=6)
            print(f"{name}: {(HERE / name).stat().st_size / 1000:.0f} kB")
        browser.close()


if __name__ == "__main__":
    main()
