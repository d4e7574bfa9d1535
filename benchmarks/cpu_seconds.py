"""CPU seconds of `encode`, `import latentia`, `latentia report` and `latentia doctor`.

python benchmarks/cpu_seconds.py [--repeats 5] [--only encode import report]

All on one thread, in CPU time, which other work on the machine hardly changes. `encode` alternates
with a forward pass of the same model over the same images (benchmarks/peers.py), at 64x64 and
256x256, and may take 1.1 times as long. An import may take 0.2 s, report and doctor together 10 s.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from peers import Work, encode_images
from turns import format_spread

SIZES = {64: 768, 256: 48}  # side of the images, and their number
TRAIN = "--size 64 --batch 64 --epochs 3 --threads 1 --precision fp32"


def time_work(work: Work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def time_command(words: list[str]) -> float:
    """Return the CPU seconds of a process."""
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return end.ru_utime - start.ru_utime + end.ru_stime - start.ru_stime


def measure_encode(repeats: int) -> None:
    for side, n in SIZES.items():
        images = np.random.default_rng(0).integers(0, 256, (n, 3, side, side), dtype=np.uint8)
        forward, table = (encode_images(is_table, "conv_vae")(images) for is_table in (False, True))
        for work in (forward, table):  # the first call takes longer
            work()
        pairs = [(time_work(forward), time_work(table)) for _ in range(repeats)]
        seconds = [statistics.median(column) / n for column in zip(*pairs, strict=True)]
        print(
            f"encode, {n} images of {side}x{side}: {format_spread([b / a for a, b in pairs])} "
            "times a forward pass ({:.4f}, {:.4f} s an image)".format(*seconds)
        )


def measure_import(repeats: int) -> None:
    for name in ("latentia", "sys"):
        seconds = [time_command(["-c", f"import {name}"]) for _ in range(repeats)]
        print(f"import {name}: {format_spread(seconds)} s")


def measure_report(repeats: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder) / "run")
        train = ["train", "conv_vae", "--data", "vehicles:600", *TRAIN.split(), "--run", run]
        subprocess.run([sys.executable, "-m", "latentia", *train], check=True, capture_output=True)
        seconds = {
            name: [time_command(["-m", "latentia", name, run]) for _ in range(repeats)]
            for name in ("doctor", "report")
        }
    for name, values in seconds.items():
        print(f"latentia {name}: {format_spread(values)} s")
    together = [sum(pair) for pair in zip(*seconds.values(), strict=True)]
    print(f"together: {format_spread(together)} s")


MEASURES = {"encode": measure_encode, "import": measure_import, "report": measure_report}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=MEASURES, default=[*MEASURES])
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes
    torch.set_num_threads(1)
    for name in args.only:
        MEASURES[name](args.repeats)


if __name__ == "__main__":
    main()
