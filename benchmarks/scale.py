"""Measure seconds and memory of decoding, training and encoding 1,000 to 100,000 images.

python benchmarks/scale.py [--numbers 1000 10000 100000] [--write]

Folders of 128x128 grey PNGs are written first. Each stage runs in a process of its own, whose
memory is read from /proc (Linux). --numbers without a number measures the constants only. --write
writes the tables to docs/benchmarks/scale.md.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import NamedTuple

import numpy as np

SIDE = 128
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "scale.md"
MARKS = "<!-- {}: made by benchmarks/scale.py -->\n", "<!-- end of {} -->\n"
DECODE = "import latentia.data as d; d.open_images({data!r}).to_metadata()"
FIXED = ["--threads", "1", "--precision", "fp32"]
COMMAND = "import sys; from latentia.cli.main import main; sys.exit(main({words}))"
STAGES = {
    "decode": [],
    "train": ["train", "{recipe}", "--data", "{data}", "--run", "{run}", *FIXED],
    "encode": ["encode", "{run}", "--out", "{table}"],
}


def flat(data: str = "digits", latent: int = 4, batch: int = 100, epochs: int = 1):
    """A VAE so small that most of a step is spent on its images."""
    from latentia import Adam, Plan
    from latentia.data import open_images
    from latentia.losses.likelihoods import Bernoulli
    from latentia.models.vae import VAE
    from latentia.nets.mlp import MLPDecoder, MLPEncoder

    images = open_images(data)
    nets = MLPEncoder(images.shape, latent, (4,)), MLPDecoder(latent, images.shape, (4,))
    return Plan(VAE(*nets, Bernoulli()), images, {"vae": Adam(1e-3)}, batch, epochs)


class Cost(NamedTuple):
    """Seconds, and the maximum of memory in MB: anonymous, and resident with mapped files."""

    seconds: float
    own: float
    resident: float


def write_images(folder: Path, n: int) -> None:
    """Write n different pictures of a bar on grey, a thousand in each folder."""
    from PIL import Image

    for k in range(n):
        if k % 1000 == 0:
            (folder / f"{k // 1000:03}").mkdir(parents=True)
        pixels = np.full((SIDE, SIDE), k % 251, np.uint8)
        pixels[k % 127 :, k // 127 % 128] = 255 - k % 251
        path = folder / f"{k // 1000:03}" / f"{k:06}.png"
        Image.fromarray(pixels).save(path, compress_level=1)


def measure_cost(code: str, cache: Path) -> Cost:
    env = {**os.environ, "LATENTIA_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    own = resident = 0
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.DEVNULL)
    while child.poll() is None:
        try:
            lines = Path(f"/proc/{child.pid}/status").read_text(encoding="utf-8").splitlines()
        except OSError:
            break
        sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
        if sizes:
            own = max(own, int(sizes["RssAnon"]))
            resident = max(resident, sum(map(int, sizes.values())))
        time.sleep(0.01)
    if child.wait():
        raise SystemExit(f"failed: {code}")
    return Cost(time.perf_counter() - start, own * 1024 / 1e6, resident * 1024 / 1e6)


def measure_costs(n: int, folder: Path) -> dict[str, Cost]:
    write_images(folder / "photos", n)
    names = {
        k: str(folder / v) for k, v in (("data", "photos"), ("run", "run"), ("table", "t.csv"))
    }
    names["recipe"] = f"{Path(__file__).resolve()}:flat"
    stage_costs = {}
    for stage, words in STAGES.items():
        command = COMMAND.format(words=[word.format(**names) for word in words])
        stage_costs[stage] = measure_cost(
            command if words else DECODE.format(**names), folder / "cache"
        )
    return stage_costs


def measure_constants(n: int = 1_000_000) -> dict[str, str]:
    """Measure the memory of an image's name, and processor times of order and fingerprint."""
    import torch

    tracemalloc.start()
    keys = [f"{k // 1000:04}/{k:08}.png" for k in range(n)]
    name = tracemalloc.get_traced_memory()[0] / n
    tracemalloc.stop()
    assert len(keys) == n
    pixels = np.zeros(2**28, np.uint8)
    clock, start = time.process_time, time.process_time()
    hashlib.blake2b(pixels.data, digest_size=16).digest()
    fingerprint = len(pixels) / (clock() - start) / 1e9
    start = clock()
    order = torch.randperm(10 * n)
    seconds = (clock() - start) / len(order)
    return {
        "a name in memory": f"{name:.0f} bytes an image",
        "an epoch's order": f"8 bytes and {1e9 * seconds:.0f} ns an image",
        "the fingerprint": f"{fingerprint:.1f} GB/s",
    }


def write_table(name: str, rows: list[str]) -> None:
    text = PAGE.read_text()
    first, last = (mark.format(name) for mark in MARKS)
    before, after = text.index(first) + len(first), text.index(last)
    PAGE.write_text(text[:before] + "\n".join(rows) + "\n" + text[after:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--numbers", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    rows = ["| constant | |", "|---|---|"]
    rows += [f"| {name} | {value} |" for name, value in measure_constants().items()]
    print("\n".join(rows))
    if args.write:
        write_table("constants", rows)
    rows = [
        "| images | stage | s | ms an image | MB, anonymous | MB, resident |",
        "|---|---|---|---|---|---|",
    ]
    for n in args.numbers:
        with tempfile.TemporaryDirectory() as folder:
            for stage, cost in measure_costs(n, Path(folder)).items():
                milliseconds = 1000 * cost.seconds / n
                memory = f"{cost.own:,.0f} | {cost.resident:,.0f}"
                rows.append(
                    f"| {n:,} | {stage} | {cost.seconds:.1f} | {milliseconds:.2f} | {memory} |"
                )
                print(rows[-1], flush=True)
    if args.write and args.numbers:
        write_table("stages", rows)


if __name__ == "__main__":
    main()
