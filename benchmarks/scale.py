"""What 1,000, 10,000 and 100,000 images cost: seconds and memory of decoding, training, encoding.

python benchmarks/scale.py [--numbers 1000 10000 100000] [--write]    # --numbers alone: constants

Folders of 128x128 grey PNGs are drawn beforehand. Each stage runs in a process of its own, whose
memory is read from /proc while it works (Linux). --write puts the tables into docs/scale.md.
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
PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
MARKS = "<!-- {}: made by benchmarks/scale.py -->\n", "<!-- end of {} -->\n"
DECODE = "import latentia.data as d; d.open_images({data!r}).spec()"
COMMAND = "import sys; from latentia.cli.main import main; sys.exit(main({words}))"
STAGES = {
    "decode": [],
    "train": ["train", "{recipe}", "--data", "{data}", "--run", "{run}", "--threads", "1"],
    "encode": ["encode", "{run}", "--out", "{table}"],
}


def flat(data: str = "digits", latent: int = 4, batch: int = 100, epochs: int = 1):
    """A recipe so small that a step costs what its images cost."""
    from latentia import Adam, Plan
    from latentia.data import open_images
    from latentia.losses.likelihoods import Bernoulli
    from latentia.models.vae import VAE
    from latentia.nets.mlp import MLPDecoder, MLPEncoder

    images = open_images(data)
    nets = MLPEncoder(images.shape, latent, (4,)), MLPDecoder(latent, images.shape, (4,))
    return Plan(VAE(*nets, Bernoulli()), images, {"vae": Adam(1e-3)}, batch, epochs)


class Cost(NamedTuple):
    """Seconds, and megabytes at their highest: a process's own, and with what it maps of files."""

    seconds: float
    own: float
    resident: float


def draw(folder: Path, n: int) -> None:
    """n pictures of a bar on grey, no two alike, a thousand in a folder."""
    from PIL import Image

    for k in range(n):
        if k % 1000 == 0:
            (folder / f"{k // 1000:03}").mkdir(parents=True)
        pixels = np.full((SIDE, SIDE), k % 251, np.uint8)
        pixels[k % 127 :, k // 127 % 128] = 255 - k % 251
        path = folder / f"{k // 1000:03}" / f"{k:06}.png"
        Image.fromarray(pixels).save(path, compress_level=1)


def cost(code: str, cache: Path) -> Cost:
    env = {**os.environ, "LATENTIA_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    own = resident = 0
    began = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.DEVNULL)
    while child.poll() is None:
        try:
            lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
        except OSError:
            break
        found = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
        if found:
            own = max(own, int(found["RssAnon"]))
            resident = max(resident, sum(map(int, found.values())))
        time.sleep(0.01)
    if child.wait():
        raise SystemExit(f"failed: {code}")
    return Cost(time.perf_counter() - began, own * 1024 / 1e6, resident * 1024 / 1e6)


def costs(n: int, folder: Path) -> dict[str, Cost]:
    draw(folder / "photos", n)
    names = {
        k: str(folder / v) for k, v in (("data", "photos"), ("run", "run"), ("table", "t.csv"))
    }
    names["recipe"] = f"{Path(__file__).resolve()}:flat"
    found = {}
    for stage, words in STAGES.items():
        command = COMMAND.format(words=[word.format(**names) for word in words])
        found[stage] = cost(command if words else DECODE.format(**names), folder / "cache")
    return found


def constants(n: int = 1_000_000) -> dict[str, str]:
    """What one process pays for each image's name, order and fingerprint; processor time."""
    import torch

    tracemalloc.start()
    keys = [f"{k // 1000:04}/{k:08}.png" for k in range(n)]
    name = tracemalloc.get_traced_memory()[0] / n
    tracemalloc.stop()
    assert len(keys) == n
    pixels = np.zeros(2**28, np.uint8)
    clock, began = time.process_time, time.process_time()
    hashlib.blake2b(pixels.data, digest_size=16).digest()
    fingerprint = len(pixels) / (clock() - began) / 1e9
    began = clock()
    order = torch.randperm(10 * n)
    seconds = (clock() - began) / len(order)
    return {
        "a name in memory": f"{name:.0f} bytes an image",
        "an epoch's order": f"8 bytes and {1e9 * seconds:.0f} ns an image",
        "the fingerprint": f"{fingerprint:.1f} GB/s",
    }


def put(name: str, rows: list[str]) -> None:
    text = PAGE.read_text()
    first, last = (mark.format(name) for mark in MARKS)
    before, after = text.index(first) + len(first), text.index(last)
    PAGE.write_text(text[:before] + "\n".join(rows) + "\n" + text[after:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--numbers", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    rows = ["| constant | |", "|---|---|"]
    rows += [f"| {name} | {value} |" for name, value in constants().items()]
    print("\n".join(rows))
    if given.write:
        put("constants", rows)
    rows = [
        "| images | stage | s | ms an image | MB, own | MB, resident |",
        "|---|---|---|---|---|---|",
    ]
    for n in given.numbers:
        with tempfile.TemporaryDirectory() as folder:
            for stage, found in costs(n, Path(folder)).items():
                each = 1000 * found.seconds / n
                memory = f"{found.own:,.0f} | {found.resident:,.0f}"
                rows.append(f"| {n:,} | {stage} | {found.seconds:.1f} | {each:.2f} | {memory} |")
                print(rows[-1], flush=True)
    if given.write and given.numbers:
        put("stages", rows)


if __name__ == "__main__":
    main()
