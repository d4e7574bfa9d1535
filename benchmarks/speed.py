"""This project and its peers on the same work, in turn; writes docs/speed.md.

python benchmarks/speed.py --data ../shared/data/mnist [--pythae PYTHON] [--keras PYTHON]
    [--repeats 5] [--only WORD ...] --out docs/speed.md

--pythae, --keras: the Python of an environment that has it; `make bench` makes both. Works are
served by benchmarks/peers.py and vaegan_step.py, each in a process of its own. A quiet machine
gives true ratios; what else ran is said by the load that is written down.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from peers import loop_of
from torch.utils.flop_counter import FlopCounterMode
from turns import Compared, Worker, compare, spread, started

from latentia.core.tensors import to_bytes
from latentia.data import open_images
from latentia.training.checkpoint import read_metadata
from latentia.training.log import read_rows

HERE = Path(__file__).parent
TARGET = 105.3  # nats on the test images, the example program's after ten epochs
COMMAND = [sys.executable, "-m", "latentia"]


class Bench(NamedTuple):
    """A row of the table: at least `bar` times as fast as the peer, or at most so long."""

    work: str
    peer: str
    bar: float
    at_most: bool
    measure: Callable[["Place"], Compared]
    recipe: str = ""  # of which our seconds are an epoch


class Place(NamedTuple):
    """Where the benches run: data, the pythons of the peers, how often."""

    data: str
    images: str
    pythons: dict[str, str | None]
    repeats: int
    folder: Path


def served(ours: list[str], peer: list[str], python: str = "") -> Callable[[Place], Compared]:
    """Two works of a script of this folder; the peer in the environment `python`, if it has one."""

    def measure(place: Place) -> Compared:
        other = place.pythons[python] if python else sys.executable
        if other is None:
            raise LookupError(f"no environment with {python} was given (--{python})")
        words = [[str(place.images) if w == "IMAGES" else w for w in each] for each in (peer, ours)]
        theirs = Worker([other, str(HERE / words[0][0]), *words[0][1:]])
        mine = Worker([sys.executable, str(HERE / words[1][0]), *words[1][1:]])
        try:
            return compare(theirs.seconds, mine.seconds, place.repeats)
        finally:
            theirs.end()
            mine.end()

    return measure


def peers(ours: str, peer: str, python: str = "") -> Callable[[Place], Compared]:
    return served(["peers.py", ours, "IMAGES"], ["peers.py", peer, "IMAGES"], python)


def to_the_target(place: Place) -> Compared:
    """The example program's ten epochs, and `mnist_fast` until its weights lie in the run folder.

    Raises: SystemExit if a run of mnist_fast does not reach the target.
    """

    def ours() -> float:
        run = place.folder / f"fast-{len(list(place.folder.iterdir()))}"
        words = ["train", "mnist_fast", "--data", place.data, "--validation", "0"]
        seconds = until([*COMMAND, *words, "--run", str(run)], lambda: trained(run))
        told = subprocess.run(
            [*COMMAND, "evaluate", str(run), "--json"], check=True, capture_output=True, text=True
        )
        nats = json.loads(told.stdout)["nelbo_nats"]
        print(f"mnist_fast: {seconds:.1f} s, {nats:.2f} nats")
        if nats > TARGET:
            raise SystemExit(f"mnist_fast came to {nats:.2f} nats; the target is {TARGET}")
        return seconds

    peer = [sys.executable, str(HERE / "peers.py"), "example-10", place.images]
    return compare(started(peer), ours, place.repeats)


def trained(run: Path) -> bool:
    """Whether the weights of the last step are there."""
    weights, rows = run / "weights.safetensors", read_rows(run / "log.jsonl")
    return bool(rows) and weights.exists() and read_metadata(weights)["step"] == rows[0]["total"]


def first_step(place: Place) -> Compared:
    """From the command's start to the first row of the log; against importing torch."""

    def ours() -> float:
        run = place.folder / f"first-{len(list(place.folder.iterdir()))}"
        words = ["train", "mnist_mlp_vae", "--data", place.data, "--log-every", "1"]
        log = run / "log.jsonl"
        return until(
            [*COMMAND, *words, "--run", str(run)], lambda: log.exists() and log.stat().st_size > 0
        )

    return compare(started([sys.executable, "-c", "import torch"]), ours, place.repeats)


def until(command: list[str], there: Callable[[], bool]) -> float:
    """Seconds from a process's start until something is there; then it is stopped."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not there():
        if process.poll() is not None and not there():
            raise SystemExit(f"{' '.join(command)} ended with code {process.returncode}")
        time.sleep(0.002)
    seconds = time.perf_counter() - begun
    process.terminate()
    process.wait()
    return seconds


STEP = ["vaegan_step.py", "--serve"]
BENCHES = [
    Bench(
        "`mnist_mlp_vae`, one epoch, batch 128",
        "the example program",
        3.0,
        False,
        peers("ours-mlp", "example"),
        "mnist_mlp_vae",
    ),
    Bench(
        "the same", "pythae, same network", 1.7, False, peers("ours-mlp", "pythae-mlp", "pythae")
    ),
    Bench(
        "`mnist_conv_vae`, one epoch",
        "plain PyTorch, float32",
        3.0,
        False,
        peers("ours-conv", "plain-conv"),
        "mnist_conv_vae",
    ),
    Bench("the same", "Keras", 1.7, False, peers("ours-conv", "keras-conv", "keras")),
    Bench(
        "`vaegan` 256x256, 4 steps, batch 16",
        "the published steps, plain",
        6.0,
        False,
        served([*STEP, "ours"], [*STEP, "plain"]),
    ),
    Bench(
        f"{TARGET} nats on MNIST, from process start",
        "the example program, 10 epochs",
        8.0,
        False,
        to_the_target,
    ),
    Bench(
        "first step after `latentia train` starts",
        '`python -c "import torch"`',
        2.5,
        True,
        first_step,
    ),
    Bench(
        "`encode`, 10,000 images",
        "a forward pass over resident data",
        1.25,
        True,
        peers("encode", "forward"),
    ),
]


def ceiling(dtype: torch.dtype, side: int = 2048, repeats: int = 7) -> float:
    """Floating-point operations a second of a square matrix product, the best of `repeats`."""
    a, b = (torch.randn(side, side).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - begun)
    return 2 * side**3 / min(seconds)


def work(recipe: str, place: Place) -> float:
    """Floating-point operations of an epoch's matrix products and convolutions."""
    with np.load(place.images) as held:
        loop = loop_of(recipe, held["train"])
    with FlopCounterMode(display=False) as counter:
        loop.train_step(loop.step_context())
    return counter.get_total_flops() * loop.steps_per_epoch


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def row(bench: Bench, place: Place, ceilings: dict[torch.dtype, float]) -> str:
    start = f"| {bench.work} | {bench.peer} |"
    try:
        found = bench.measure(place)
    except LookupError as missing:
        return f"{start} | | | not measured: {missing} |"
    ratios = [1 / r for r in found.ratios] if bench.at_most else found.ratios
    middle = statistics.median(ratios)
    held = middle <= bench.bar if bench.at_most else middle >= bench.bar
    bar = f"at most {bench.bar:g}" if bench.at_most else f"{bench.bar:g}"
    times = f"{statistics.median(found.peer):.2f} s, {statistics.median(found.ours):.2f} s"
    told = [] if held else ["missed"]
    if bench.recipe:
        speed = work(bench.recipe, place) / statistics.median(found.ours)
        shares = ", ".join(f"{speed / full:.0%} of {str(k)[6:]}" for k, full in ceilings.items())
        told.append(f"{speed / 1e12:.3f} TFLOP/s, {shares}")
    return f"{start} **{spread(ratios)}** | {bar} | {times} | {'; '.join(told)} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--pythae")
    parser.add_argument("--keras")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--only", nargs="*", default=[], help="words that a row must hold; the others stay"
    )
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    train = open_images(given.data, size=28, channels=1).split("all").get_batch(slice(0, 60_000))
    np.savez(folder / "mnist.npz", train=to_bytes(train.image).numpy())
    pythons = {"pythae": given.pythae, "keras": given.keras}
    place = Place(given.data, str(folder / "mnist.npz"), pythons, given.repeats, folder)
    load = os.getloadavg()[0]
    ceilings = {kind: ceiling(kind) for kind in (torch.float32, torch.bfloat16)}
    lines = ["| work | against | times as fast | bar | seconds: theirs, ours | |", "|---" * 6 + "|"]
    print(lines[0])
    for bench in BENCHES:
        if all(word in f"{bench.work} {bench.peer}" for word in given.only):
            lines.append(row(bench, place, ceilings))
            print(lines[-1], flush=True)
    shutil.rmtree(folder)
    tops = [f"{str(kind)[6:]} {value / 1e12:.2f} TFLOP/s" for kind, value in ceilings.items()]
    about = (
        f"{os.cpu_count()} cores of an {processor()}, PyTorch {torch.__version__}, "
        f"latentia {version('latentia')}; load before the start {load:.1f}; "
        f"medians of n = {given.repeats} turns (least to most). Matrix product: {', '.join(tops)}."
    )
    print(about)
    if given.out:
        text = given.out.read_text()
        begin, end = "<!-- measured -->", "<!-- end -->"
        (before, rest), after = text.split(begin), text.split(end)[1]
        kept = [line for line in rest.split(end)[0].splitlines() if line.startswith("|")]
        rows = {tuple(line.split("|")[1:3]): line for line in [*kept, *lines]}
        middle = "\n".join([begin, "", about, "", *rows.values(), "", end])
        given.out.write_text(before + middle + after)


if __name__ == "__main__":
    main()
