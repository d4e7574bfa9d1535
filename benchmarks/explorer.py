"""Measure the time from a move of a slider to its picture, and draw the explorer for the README.

python benchmarks/explorer.py runs/digits_vae [--picture docs/images/explorer.png]

The script starts `latentia explore` and Debian's Chromium, and moves the first slider 40 times. The
page's own clock measures from the input event to the load event of the picture.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "explorer"))

from driver import DRAG, browser, ready  # noqa: E402  # pyright: ignore


def main(run: str, picture: str | None) -> None:
    command = [sys.executable, "-m", "latentia", "explore", run, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        with browser(viewport={"width": 1280, "height": 1010}) as (page, console):
            ready(page, address)
            dim = page.get_attribute(".track input >> nth=0", "data-dim")
            times = page.evaluate(DRAG, dim)
            print(f"slider to picture: median {statistics.median(times):.1f} ms, n = {len(times)}")
            print(f"slowest {times[-1]:.1f} ms")
            if picture:
                page.fill("#index", "25")
                page.press("#index", "Enter")
                page.hover("#canvas", position={"x": 200, "y": 200})
                page.wait_for_timeout(800)
                page.screenshot(path=picture)
                print(picture)
            assert console == [], console
    finally:
        server.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--picture")
    args = parser.parse_args()
    main(args.run, args.picture)
