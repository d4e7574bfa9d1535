"""Measure the time from a move of a slider to its picture, and draw explorer beside report.

python benchmarks/explorer.py RUN [--picture docs/images/explorer.png] [--image 25]

The script starts `latentia explore` and Debian's Chromium, and moves the first slider 40 times. The
page's own clock measures from the input event to the load event of the picture.
"""

import argparse
import io
import statistics
import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "explorer"))

from driver import DRAG, browser, ready  # noqa: E402  # pyright: ignore

VIEW = {"width": 1180, "height": 1010}
GAP = 24  # pixels between the two pages


def main(run: str, picture: str | None, image: str) -> None:
    command = [sys.executable, "-m", "latentia", "explore", run, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        with browser(viewport=VIEW) as (page, console):
            ready(page, address)
            dim = page.get_attribute(".track input >> nth=0", "data-dim")
            times = page.evaluate(DRAG, dim)
            print(f"slider to picture: median {statistics.median(times):.1f} ms, n = {len(times)}")
            print(f"slowest {times[-1]:.1f} ms")
            if picture:
                page.fill("#index", image)
                page.press("#index", "Enter")
                page.hover("#canvas", position={"x": 200, "y": 200})
                page.wait_for_timeout(800)
                explorer = page.screenshot()
                page.goto((Path(run) / "report.html").resolve().as_uri())
                page.wait_for_timeout(800)
                join_pages(explorer, page.screenshot()).save(picture, optimize=True)
                print(picture)
            assert console == [], console
    finally:
        server.kill()


def join_pages(*pages: bytes) -> Image.Image:
    """Put screenshots of one size side by side, in 256 colours."""
    views = [Image.open(io.BytesIO(page)).convert("RGB") for page in pages]
    width, height = views[0].size
    sheet = Image.new("RGB", (len(views) * (width + GAP) - GAP, height), "white")
    for k, view in enumerate(views):
        sheet.paste(view, (k * (width + GAP), 0))
    return sheet.quantize(256)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--picture")
    parser.add_argument("--image", default="25", help="key or row number of the image")
    args = parser.parse_args()
    main(args.run, args.picture, args.image)
