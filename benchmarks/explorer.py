"""How long from a slider to its picture, and the picture of the explorer for the README.

python benchmarks/explorer.py runs/digits_vae [--picture docs/images/explorer.png]

Starts `latentia explore` and Debian's Chromium; 40 moves of the first slider, from the input event
to the load event of the picture, by the page's own clock.
"""

import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "web"))

from driver import DRAG, browser, ready  # noqa: E402  # pyright: ignore


def main(run: str, picture: str | None) -> None:
    words = [sys.executable, "-m", "latentia", "explore", run, "--port", "0"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        with browser(viewport={"width": 1280, "height": 1010}) as (page, said):
            ready(page, address)
            dim = page.get_attribute(".track input >> nth=0", "data-dim")
            took = page.evaluate(DRAG, dim)
            print(f"slider to picture: median {statistics.median(took):.1f} ms, n = {len(took)}")
            print(f"slowest {took[-1]:.1f} ms")
            if picture:
                page.fill("#index", "25")
                page.press("#index", "Enter")
                page.hover("#canvas", position={"x": 200, "y": 200})
                page.wait_for_timeout(800)
                page.screenshot(path=picture)
                print(picture)
            assert said == [], said
    finally:
        server.kill()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[3] if sys.argv[2:3] == ["--picture"] else None)
