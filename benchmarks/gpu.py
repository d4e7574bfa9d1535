"""Measure latentia on a GPU: steps as they are and as CUDA graphs, their bits, and whole commands.

It has not been run whole: no GPU was at hand when it was written.

python benchmarks/gpu.py --mnist ../shared/data/mnist [--photos FOLDER] [--minutes 3] [--repeats 5]

Both kinds of step alternate in one process. `share` is that of the bfloat16 matrix product
(8192 x 8192) that the same GPU is measured to do.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from peers import make_loop
from speed import COMMAND, is_complete, time_until
from torch.utils.flop_counter import FlopCounterMode
from turns import format_spread

STEPS = 50  # in a turn
# recipe, channels, side, options
STEP_CASES = [
    ("mnist_mlp_vae", 1, 28, {}),
    ("mnist_conv_vae", 1, 28, {}),
    ("mnist_hvae", 1, 28, {}),
    ("mnist_gan", 1, 28, {}),
    ("pixel_diffusion", 1, 28, {}),
    ("photo_vae", 3, 64, {"features": "none", "batch": 64}),
    ("conv_vae", 3, 64, {}),
    ("vaegan", 1, 256, {"batch": 16, "latent": 128}),
    ("vaegan", 1, 256, {"batch": 64, "latent": 128}),
]


def measure_peak_flops(side: int = 8192, repeats: int = 10) -> float:
    a = torch.randn(side, side, device="cuda", dtype=torch.bfloat16)
    return 2 * side**3 / time_on_gpu(lambda: a @ a, repeats)


def time_on_gpu(work, repeats: int) -> float:
    """Return the seconds of one of `repeats` calls, after three that do not count."""
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


def digest(loop) -> str:
    parts = [v.detach().cpu().numpy().tobytes() for v in loop.plan.model.state_dict().values()]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]


def compare_steps(recipe, channels, side, options, repeats: int, peak_flops: float) -> str:
    """Return a row: milliseconds of both kinds of step, their ratio, and whether bits are equal."""
    n = 4 * options.get("batch", 128)
    images = np.random.default_rng(0).integers(0, 256, (n, channels, side, side), dtype=np.uint8)
    size = {"size": side} if side > 28 else {}
    plain, replayed = (make_loop(recipe, images, "bf16", **size, **options) for _ in range(2))
    plain.replay = None

    def step(loop):
        return lambda: loop.train_step(loop.step_context())

    times = [
        (time_on_gpu(step(plain), STEPS), time_on_gpu(step(replayed), STEPS))
        for _ in range(repeats)
    ]
    with FlopCounterMode(display=False) as counter:
        step(plain)()
    step(replayed)()
    flops = counter.get_total_flops() / min(b for _, b in times)
    kinds = [format_spread([1000 * pair[k] for pair in times]) for k in range(2)]
    ratio = format_spread([a / b for a, b in times])
    bits = "equal" if digest(plain) == digest(replayed) else "DIFFERENT"
    graphs = f"{len(replayed.replay.graphs)}" if replayed.replay.is_possible else "none possible"
    return (
        f"| `{recipe}` {side}x{side}, batch {plain.batch_size} | {kinds[0]} | {kinds[1]} | "
        f"**{ratio}** | {flops / peak_flops:.1%} | {bits} | {graphs} |"
    )


def run_command(*words: object) -> tuple[float, str]:
    start = time.perf_counter()
    process = subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True)
    if process.returncode:
        print(process.stdout[-1500:], process.stderr[-1500:])
    return time.perf_counter() - start, process.stdout


def measure_target(mnist: str, folder: Path, number: int) -> str:
    """Seconds from the start of `train mnist_fast` until its last weights, and their nats."""
    run = folder / f"fast{number}"
    words = ["train", "mnist_fast", "--data", mnist, "--validation", "0", "--run", str(run)]
    seconds = time_until([*COMMAND, *words], lambda: is_complete(run))
    rows = [json.loads(line) for line in (run / "timing.jsonl").read_text().splitlines()]
    nats = json.loads(run_command("evaluate", run, "--json")[1])["nelbo_nats"]
    steps = f"{rows[-1]['seconds']:.2f} s of steps"
    return f"mnist_fast: {seconds:.2f} s from its start, {steps}, {nats:.2f} nats"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist")
    parser.add_argument("--photos")
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    os.environ["LATENTIA_CUDA_GRAPHS"] = "1"  # of the commands, too
    folder, peak_flops = Path(tempfile.mkdtemp()), measure_peak_flops()
    print(
        f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, n = {args.repeats} turns of "
        f"{STEPS} steps: median (minimum to maximum); product {peak_flops / 1e12:.0f} TFLOP/s"
    )
    print(
        "| step | as it is, ms | as a graph, ms | ratio | share | bits | graphs |\n"
        + "|---" * 7
        + "|"
    )
    for case in STEP_CASES:
        print(compare_steps(*case, args.repeats, peak_flops), flush=True)
    if args.mnist:
        for number in range(3):
            print(measure_target(args.mnist, folder, number), flush=True)
        seconds, _ = run_command("encode", folder / "fast0", "--out", folder / "table.parquet")
        print(f"encode of 70,000 digits: {seconds:.1f} s from its start", flush=True)
    if args.photos:
        run = folder / "photos"
        words = ["--size", 128, "--minutes", args.minutes, "--run", run]
        seconds, text = run_command("fit", args.photos, *words)
        print(f"fit --size 128 --minutes {args.minutes:g}: {seconds:.0f} s", flush=True)
        print("\n".join(line for line in text.splitlines() if line.startswith("latentia train")))
        print(
            (run / "evaluation.json").read_text()[:1500]
            if (run / "evaluation.json").exists()
            else ""
        )


if __name__ == "__main__":
    sys.exit(main())
