"""Decode and resize a folder of JPEGs: latentia against Pillow in a loop or in several threads.

python benchmarks/decoding.py [--number 20000] [--side 256] [--size 64] [--repeats 3] [--cores 2]
    [--pillow-threads 1] [--cpu]

Each run is a process of its own, and the two alternate. Files are read once beforehand, so that
all come from the page cache. Seconds count from the first listing to an array that holds every
image. latentia also reads the headers, computes a fingerprint and writes the cache. The target is
a ratio of 1.6 to the loop. With --cpu seconds are those of all threads, which other work on the
machine hardly changes; then the ratio is that of the work.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np


def write_photos(folder: Path, n: int, side: int) -> None:
    """Write n JPEGs of smooth colour noise, side x 3/4 side, at quality 90, as in photographs."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for k in range(n):
        coarse = rng.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((side, side * 3 // 4), Image.Resampling.BICUBIC)
        picture.save(folder / f"{k:06}.jpg", quality=90)


def decode_with_pillow(folder: Path, size: int, threads: int) -> np.ndarray:
    from PIL import Image

    paths = sorted(folder.glob("*.jpg"))
    out = np.empty((len(paths), size, size, 3), np.uint8)

    def decode(row: int, path: Path) -> None:
        with Image.open(path) as image:
            out[row] = image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)

    with ThreadPoolExecutor(threads) as pool:
        for _ in (map if threads == 1 else pool.map)(decode, range(len(paths)), paths):
            pass
    return out


def decode_with_latentia(folder: Path, size: int, threads: int) -> np.ndarray:
    from latentia.data import open_images

    images = open_images(str(folder), size=size)
    images.to_metadata()
    return images.split("all").pixels.permute(0, 2, 3, 1).numpy()


PROGRAMS = {"pillow": decode_with_pillow, "latentia": decode_with_latentia}


def measure_once(program: str, folder: Path, size: int, threads: int, cpu: bool) -> None:
    import latentia.data  # noqa: F401 (torch is imported before the clock starts)

    read_clock = time.process_time if cpu else time.perf_counter
    start = read_clock()
    out = PROGRAMS[program](folder, size, threads)
    print(read_clock() - start, int(out[::97].astype(np.int64).sum()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (
        ("number", 20_000),
        ("side", 256),
        ("size", 64),
        ("repeats", 3),
        ("cores", 2),
        ("pillow-threads", 1),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--measure-once", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure_once:
        program, photos = args.measure_once
        measure_once(program, Path(photos), args.size, args.pillow_threads, args.cpu)
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.cores])
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        photos.mkdir()
        write_photos(photos, args.number, args.side)
        seconds: dict[str, list[float]] = {program: [] for program in PROGRAMS}
        for repeat in range(args.repeats):
            for program, times in seconds.items():
                env = {**os.environ, "LATENTIA_CACHE": f"{folder}/cache{repeat}"}
                command = [sys.executable, __file__, "--measure-once", program, str(photos)]
                command += ["--size", str(args.size), "--pillow-threads", str(args.pillow_threads)]
                process = subprocess.run(
                    command + ["--cpu"] * args.cpu,
                    env=env,
                    stdout=subprocess.PIPE,
                    check=True,
                )
                duration, pixels = process.stdout.split()
                times.append(float(duration))
                print(f"{program}: {times[-1]:.2f} s, sum of pixels {int(pixels):,}", flush=True)
    for program, times in seconds.items():
        print(f"{program}: median {args.number / statistics.median(times):,.0f} images/s")
    ratios = [a / b for a, b in zip(seconds["pillow"], seconds["latentia"], strict=True)]
    print(f"ratio, pair by pair: {', '.join(f'{r:.2f}' for r in ratios)}")
    print(f"median {statistics.median(ratios):.2f} (n = {len(ratios)}), target 1.6")


if __name__ == "__main__":
    main()
