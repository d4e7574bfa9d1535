"""Time training steps in float32 and in bfloat16, and what "auto" takes: docs/benchmarks/speed.md.

python benchmarks/precision_speed.py --data mnist --threads 2 --out docs/benchmarks/speed.md

The two loops of a recipe take turns of the same number of steps in one process, so that other work
on the machine slows both. The layers that "auto" has timed stand below.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from page import write_section
from peers import make_loop
from turns import format_spread, time_turns

from latentia.core.tensors import to_bytes
from latentia.data import open_images
from latentia.training.precision import (
    MIN_SPEEDUP,
    describe_processor,
    find_precision,
    get_timings,
)

RECIPES = {"mnist_mlp_vae": 200, "mnist_conv_vae": 40}  # steps of a turn


def format_recipe(recipe: str, images: np.ndarray, repeats: int) -> str:
    fp32, bf16 = (make_loop(recipe, images, precision) for precision in ("fp32", "bf16"))
    steps = RECIPES[recipe]
    turns = time_turns(fp32, bf16, repeats, steps)
    ratios = [a / b for a, b in turns]
    milliseconds = [[1000 * s / steps for s in seconds] for seconds in zip(*turns, strict=True)]
    choice = find_precision("auto", torch.device("cpu"), fp32.plan.model)
    cells = [f"`{recipe}`", *map(format_spread, [*milliseconds, ratios]), choice]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    load = os.getloadavg()[0]
    train = open_images(args.data, size=28, channels=1).split("train").get_batch(slice(None))
    images = to_bytes(train.image).numpy()
    lines = [
        "| step of 128 images | float32, ms | bfloat16, ms | times as fast | `auto` takes |",
        "|---" * 5 + "|",
        *(format_recipe(recipe, images, args.repeats) for recipe in RECIPES),
        *(
            f"| one {kind} | {timing.fp32:.2f} | {timing.bf16:.2f} | {timing.speedup:.2f} | |"
            for kind, timing in get_timings().items()
        ),
        "",
        f"Median (minimum to maximum) of n = {args.repeats} turns; {describe_processor()}; load at "
        f"the start {load:.1f}. `auto` takes bfloat16 from {MIN_SPEEDUP:g} times as fast on.",
    ]
    print("\n".join(lines))
    if args.out:
        write_section(args.out, "precision speed", "\n".join(lines))


if __name__ == "__main__":
    main()
