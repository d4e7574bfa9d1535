"""Compare the speed of latentia with its peers on the same work; write docs/benchmarks/speed.md.

python benchmarks/speed.py --data ../shared/data/mnist [--pythae PYTHON] [--keras PYTHON]
    [--repeats 5] [--images 60000] [--only WORD ...] --out docs/benchmarks/speed.md

--pythae and --keras are the Python of an environment with that library; `make bench` makes both.
benchmarks/peers.py and vaegan_step.py serve the work, each piece in a process of its own. Ratios
are reliable on an idle machine only, so the page states the load of the machine.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from page import read_section, write_section
from peers import make_loop
from torch.utils.flop_counter import FlopCounterMode
from turns import TurnTimes, Worker, compare, format_spread, time_process

from latentia.core.tensors import to_bytes
from latentia.data import open_images
from latentia.training.checkpoint import read_metadata
from latentia.training.log import read_rows
from latentia.training.precision import describe_processor, find_precision, get_timings

HERE = Path(__file__).parent
TARGET = 105.3  # nats on the test images, the example program's after ten epochs
COMMAND = [sys.executable, "-m", "latentia"]


class Bench(NamedTuple):
    """A row of the table; `bar` is the target: a least speed ratio, or a largest time ratio."""

    work: str
    peer: str
    bar: float
    at_most: bool
    measure: "Measure"
    recipe: str = ""  # whose epoch latentia's seconds measure


class Setting(NamedTuple):
    """Data, environments of the peers, number of turns, and the working folder."""

    data: str
    images: str
    pythons: dict[str, str | None]
    repeats: int
    folder: Path
    precision: Literal["auto", "bf16", "fp32"]


Measure = Callable[[Setting], TurnTimes]


def compare_workers(ours: list[str], peer: list[str], python: str = "") -> Measure:
    """Compare two scripts of this folder; `python` names the environment of the peer."""

    def measure(setting: Setting) -> TurnTimes:
        executable = setting.pythons[python] if python else sys.executable
        if executable is None:
            raise LookupError(f"needs an environment with {python} (--{python})")
        commands = [
            [str(setting.images) if w == "IMAGES" else w for w in each] for each in (peer, ours)
        ]
        peer_worker = Worker([executable, str(HERE / commands[0][0]), *commands[0][1:]])
        own_command = [*commands[1], "--precision", setting.precision]
        own_worker = Worker([sys.executable, str(HERE / own_command[0]), *own_command[1:]])
        try:
            return compare(peer_worker.seconds, own_worker.seconds, setting.repeats)
        finally:
            peer_worker.stop()
            own_worker.stop()

    return measure


def compare_peers(ours: str, peer: str, python: str = "") -> Measure:
    return compare_workers(["peers.py", ours, "IMAGES"], ["peers.py", peer, "IMAGES"], python)


def measure_target(setting: Setting) -> TurnTimes:
    """Compare ten epochs of the example program with `mnist_fast` until its weights are saved.

    Raises: SystemExit if a run of mnist_fast does not reach the target.
    """

    with np.load(setting.images) as arrays:
        if len(arrays["train"]) < 60_000:
            raise LookupError("needs epochs of 60,000 images")

    def ours() -> float:
        run = setting.folder / f"fast-{len(list(setting.folder.iterdir()))}"
        words = ["train", "mnist_fast", "--data", setting.data, "--validation", "0"]
        words += ["--precision", setting.precision]
        seconds = time_until([*COMMAND, *words, "--run", str(run)], lambda: is_complete(run))
        process = subprocess.run(
            [*COMMAND, "evaluate", str(run), "--json"], check=True, capture_output=True, text=True
        )
        nats = json.loads(process.stdout)["nelbo_nats"]
        print(f"mnist_fast: {seconds:.1f} s, {nats:.2f} nats")
        if nats > TARGET:
            raise SystemExit(f"mnist_fast reached {nats:.2f} nats; the target is {TARGET}")
        return seconds

    peer = [sys.executable, str(HERE / "peers.py"), "example-10", setting.images]
    return compare(time_process(peer), ours, setting.repeats)


def is_complete(run: Path) -> bool:
    """Whether the weights of the last step are saved."""
    weights, rows = run / "weights.safetensors", read_rows(run / "log.jsonl")
    return bool(rows) and weights.exists() and read_metadata(weights)["step"] == rows[0]["total"]


def measure_first_step(setting: Setting) -> TurnTimes:
    """Compare the time to the first row of the log with the time to import torch."""

    def ours() -> float:
        run = setting.folder / f"first-{len(list(setting.folder.iterdir()))}"
        words = ["train", "mnist_mlp_vae", "--data", setting.data, "--log-every", "1"]
        words += ["--precision", setting.precision]
        log = run / "log.jsonl"
        return time_until(
            [*COMMAND, *words, "--run", str(run)], lambda: log.exists() and log.stat().st_size > 0
        )

    return compare(time_process([sys.executable, "-c", "import torch"]), ours, setting.repeats)


def time_until(command: list[str], is_reached: Callable[[], bool]) -> float:
    """Return the seconds from the start of a process to a condition; then stop the process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not is_reached():
        if process.poll() is not None and not is_reached():
            raise SystemExit(f"{' '.join(command)} ended with code {process.returncode}")
        time.sleep(0.002)
    seconds = time.perf_counter() - start
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
        compare_peers("latentia-mlp", "example"),
        "mnist_mlp_vae",
    ),
    Bench(
        "the same",
        "pythae, same network",
        1.7,
        False,
        compare_peers("latentia-mlp", "pythae-mlp", "pythae"),
    ),
    Bench(
        "`mnist_conv_vae`, one epoch",
        "plain PyTorch, float32",
        3.0,
        False,
        compare_peers("latentia-conv", "plain-conv"),
        "mnist_conv_vae",
    ),
    Bench("the same", "Keras", 1.7, False, compare_peers("latentia-conv", "keras-conv", "keras")),
    Bench(
        "`vaegan` 256x256, 4 steps, batch 16",
        "the published steps, plain",
        6.0,
        False,
        compare_workers([*STEP, "latentia"], [*STEP, "plain"]),
    ),
    Bench(
        f"{TARGET} nats on MNIST, from process start",
        "the example program, 10 epochs",
        8.0,
        False,
        measure_target,
    ),
    Bench(
        "first step after `latentia train` starts",
        '`python -c "import torch"`',
        2.5,
        True,
        measure_first_step,
    ),
    Bench(
        "`encode`, 10,000 images",
        "a forward pass over resident data",
        1.25,
        True,
        compare_peers("encode", "forward"),
    ),
]


def measure_peak_flops(dtype: torch.dtype, side: int = 2048, repeats: int = 7) -> float:
    """Return the largest of `repeats` measured FLOP/s of a square matrix product."""
    a, b = (torch.randn(side, side).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - start)
    return 2 * side**3 / min(seconds)


def describe_use(recipe: str, setting: Setting, seconds: float) -> str:
    """Describe the arithmetic of an epoch that took so long, beside that of a matrix product.

    Both are of the number format that the training takes.
    """
    with np.load(setting.images) as arrays:
        loop = make_loop(recipe, arrays["train"], setting.precision)
    with FlopCounterMode(display=False) as counter:
        loop.train_step(loop.step_context())
    speed = counter.get_total_flops() * loop.steps_per_epoch / seconds
    precision = find_precision(setting.precision, loop.device, loop.plan.model)
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    share = speed / measure_peak_flops(kind)
    return f"{speed / 1e12:.3f} TFLOP/s, {share:.0%} of a product in {str(kind)[6:]}"


def measure_row(bench: Bench, setting: Setting) -> str:
    start = f"| {bench.work} | {bench.peer} |"
    try:
        times = bench.measure(setting)
    except LookupError as missing:
        return f"{start} | | | not measured: {missing} |"
    ratios = [1 / r for r in times.ratios] if bench.at_most else times.ratios
    middle = statistics.median(ratios)
    is_met = middle <= bench.bar if bench.at_most else middle >= bench.bar
    bar = f"at most {bench.bar:g}" if bench.at_most else f"{bench.bar:g}"
    seconds = f"{statistics.median(times.peer):.2f} s, {statistics.median(times.ours):.2f} s"
    notes = [] if is_met else ["missed"]
    if bench.recipe:
        notes.append(describe_use(bench.recipe, setting, statistics.median(times.ours)))
    return f"{start} **{format_spread(ratios)}** | {bar} | {seconds} | {'; '.join(notes)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--pythae")
    parser.add_argument("--keras")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--images", type=int, default=60_000, help="of an epoch; fewer for a slow processor"
    )
    parser.add_argument(
        "--precision",
        choices=["auto", "bf16", "fp32"],
        default="auto",
        help="of latentia, for the whole table",
    )
    parser.add_argument(
        "--only",
        nargs="*",
        default=[],
        help="measure only rows with these words",
    )
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    split = open_images(args.data, size=28, channels=1).split("all")
    train = to_bytes(split.get_batch(slice(0, args.images)).image).numpy()
    np.savez(folder / "mnist.npz", train=train)
    pythons = {"pythae": args.pythae, "keras": args.keras}
    setting = Setting(
        args.data, str(folder / "mnist.npz"), pythons, args.repeats, folder, args.precision
    )
    load, processor = os.getloadavg()[0], describe_processor()
    has_bf16 = "bf16" in {timing.choice for timing in get_timings().values()}
    formats = (torch.float32, torch.bfloat16) if has_bf16 else (torch.float32,)
    peaks = [f"{str(k)[6:]} {measure_peak_flops(k) / 1e12:.2f} TFLOP/s" for k in formats]
    lines = ["| work | peer | ratio | target | seconds: peer, latentia | notes |", "|---" * 6 + "|"]
    print(lines[0])
    for bench in BENCHES:
        if all(word in f"{bench.work} {bench.peer}" for word in args.only):
            lines.append(measure_row(bench, setting))
            print(lines[-1], flush=True)
    shutil.rmtree(folder)
    machine = f"{processor['processor']}, {processor['instructions']}"
    conditions = (
        f"{os.cpu_count()} cores, PyTorch {torch.__version__}, "
        f"latentia {version('latentia')}, --precision {args.precision}; "
        f"epochs of {args.images:,} images; load at the start {load:.1f}; medians of "
        f"n = {args.repeats} turns (minimum to maximum). Matrix product: {', '.join(peaks)}."
    )
    print(conditions)
    if args.out:
        name = f"speed of {machine}"
        old = [line for line in read_section(args.out, name).splitlines() if line.startswith("|")]
        rows = {tuple(line.split("|")[1:3]): line for line in [*old, *lines]}
        order = [tuple(line.split("|")[1:3]) for line in lines[:2]]
        order += [(f" {bench.work} ", f" {bench.peer} ") for bench in BENCHES]
        table = [rows[key] for key in order if key in rows]
        text = "\n".join([f"### {machine}", "", conditions, "", *table])
        write_section(args.out, name, text, before="<!-- machines end here -->\n")


if __name__ == "__main__":
    main()
