"""A folder of JPEGs, decoded and resized once: ours on two cores, a plain Pillow loop on one.

python benchmarks/decoding.py [--number 20000] [--side 256] [--size 64] [--repeats 3] [--cores 2]

Each run is a process of its own, they take turns, and files are read once beforehand, so that all
come from the page cache. Seconds are from the first listing to an array that holds every image;
ours also survey the headers, take a fingerprint and write the cache. The bar is a ratio of 1.6.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def draw(folder: Path, n: int, side: int) -> None:
    """Smooth noise in colour, side x 3/4 side, at quality 90: files as large as photographs'."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for k in range(n):
        coarse = draw.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((side, side * 3 // 4), Image.Resampling.BICUBIC)
        picture.save(folder / f"{k:06}.jpg", quality=90)


def plain(folder: Path, size: int) -> np.ndarray:
    from PIL import Image

    paths = sorted(folder.glob("*.jpg"))
    out = np.empty((len(paths), size, size, 3), np.uint8)
    for row, path in enumerate(paths):
        with Image.open(path) as image:
            out[row] = image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    return out


def ours(folder: Path, size: int) -> np.ndarray:
    from latentia.data import open_images

    images = open_images(str(folder), size=size)
    images.to_metadata()
    return images.split("all").pixels.permute(0, 2, 3, 1).numpy()


def one(who: str, folder: Path, size: int) -> None:
    import latentia.data  # noqa: F401 (torch is imported before the clock starts)

    began = time.perf_counter()
    out = {"plain": plain, "ours": ours}[who](folder, size)
    print(time.perf_counter() - began, int(out[::97].astype(np.int64).sum()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (
        ("number", 20_000),
        ("side", 256),
        ("size", 64),
        ("repeats", 3),
        ("cores", 2),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.one[0], Path(given.one[1]), given.size)
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.cores])
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        photos.mkdir()
        draw(photos, given.number, given.side)
        seconds: dict[str, list[float]] = {"plain": [], "ours": []}
        for repeat in range(given.repeats):
            for who, found in seconds.items():
                env = {**os.environ, "LATENTIA_CACHE": f"{folder}/cache{repeat}"}
                words = [sys.executable, __file__, "--one", who, str(photos)]
                done = subprocess.run(
                    [*words, "--size", str(given.size)], env=env, stdout=subprocess.PIPE, check=True
                )
                took, pixels = done.stdout.split()
                found.append(float(took))
                print(f"{who}: {found[-1]:.2f} s, sum of pixels {int(pixels):,}", flush=True)
    for who, found in seconds.items():
        print(f"{who}: median {given.number / statistics.median(found):,.0f} images/s")
    ratios = [a / b for a, b in zip(seconds["plain"], seconds["ours"], strict=True)]
    print(f"ratio, pair by pair: {', '.join(f'{r:.2f}' for r in ratios)}")
    print(f"median {statistics.median(ratios):.2f} (n = {len(ratios)}), bar 1.6")


if __name__ == "__main__":
    main()
