"""Time training steps in float32 and in bfloat16, and what "auto" takes: docs/benchmarks/speed.md.

python benchmarks/precision_speed.py --data mnist --threads 2 --out docs/benchmarks/speed.md

The two loops of a recipe take turns of the same number of steps in one process, so that other work
on the machine slows both. The layers that "auto" has timed stand below.

python benchmarks/precision_speed.py --data mnist --parts 9 [--recipes photo_vae]

prints the parts of a float32 step, in CPU time of one thread, and its floor: the layers' forward
and backward passes, each alone and in its faster memory format.
"""

import argparse
import os
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from page import write_section
from peers import make_loop
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
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


PHOTOS = 256  # smooth noise of 64x64: their content does not matter
PARTS = {  # of a path of profiled events, the first that fits
    "batch": r"^step/data",
    "averaged weights": r"/average",
    "gradient norm": r"/optimizer.*(norm|stack)",
    "optimizer": r"/optimizer/",
    "convolutions, backward": r"convolution_backward",
    "convolutions, forward": r"conv",
    "matrix products": r"mm|linear|matmul",
    "gradients of biases and other sums": r"aten::sum$",
    "random numbers": r"normal_|uniform_|random_|randperm",
    "Python and autograd": r"(^|/)(step|forward|backward|optimizer|waiting)$|autograd::[^/]*$",
    "other kernels": "",
}


def make_recipe_loop(recipe: str, images: np.ndarray) -> Any:
    if recipe == "latent_prior":
        parent = make_loop("mnist_conv_vae", images[:5120], "fp32").run.path
        knobs = {"data": images[:5120], "autoencoder": str(parent), "batch": 512}
        return make_loop(recipe, images, "fp32", **knobs)
    if recipe == "photo_vae":
        coarse = torch.rand(PHOTOS, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        photos = nn.functional.interpolate(coarse, (64, 64), mode="bicubic").clamp(0, 1)
        return make_loop(recipe, to_bytes(photos).numpy(), "fp32", batch=64, features="none")
    return make_loop(recipe, images, "fp32")


def time_cpu(work: Callable[[], object], repeats: int) -> float:
    """Return the median milliseconds of CPU time, after three calls that do not count."""
    seconds = []
    for _ in range(repeats + 3):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return 1000 * statistics.median(seconds[3:])


def measure_shares(loop: Any, steps: int) -> Counter[str]:
    """Return the share of each part of a step."""
    update = loop.state.ema.update if loop.state.ema else None
    if update:
        loop.state.ema.update = torch.profiler.record_function("average")(update)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(steps):
            with torch.profiler.record_function("step"):
                loop.train_step(loop.step_context())
    if update:
        loop.state.ema.update = update
    times: Counter[str] = Counter()
    for event in profiler.events() or ():
        names, parent = [event.name], event.cpu_parent
        while parent:
            names, parent = [parent.name, *names], parent.cpu_parent
        path = "/".join(names)
        part = next(name for name, pattern in PARTS.items() if re.search(pattern, path))
        times[part] += event.self_cpu_time_total
    return Counter({name: value / times.total() for name, value in times.items()})


def measure_floor(loop: Any, repeats: int) -> float:
    """Return the milliseconds of all layers, each alone in its faster memory format."""
    calls: list[tuple[nn.Module, Tensor]] = []

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calls.append((layer, inputs[0].detach().requires_grad_(inputs[0].requires_grad)))

    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    layers = [m for m in loop.plan.model.modules() if isinstance(m, kinds)]
    hooks = [layer.register_forward_pre_hook(keep) for layer in layers]
    loop.train_step(loop.step_context())
    for hook in hooks:
        hook.remove()
    return sum(min(time_layer_alone(*call, repeats)) for call in calls)


def time_layer_alone(layer: nn.Module, x: Tensor, repeats: int) -> list[float]:
    milliseconds = []
    for memory_format in (torch.contiguous_format, torch.channels_last)[: 2 if x.ndim == 4 else 1]:
        given = x.detach().contiguous(memory_format=memory_format).requires_grad_(x.requires_grad)
        with torch.no_grad():
            gradient = torch.randn_like(layer(given))
        weights = [w for w in layer.parameters() if w.requires_grad]
        inputs = [given, *weights] if given.requires_grad else weights
        work = (
            (lambda: torch.autograd.grad(layer(given), inputs, gradient))  # noqa: B023
            if inputs
            else lambda: layer(given)  # noqa: B023
        )
        milliseconds.append(time_cpu(work, repeats))
    return milliseconds


def format_parts(recipe: str, images: np.ndarray, repeats: int) -> str:
    loop = make_recipe_loop(recipe, images)
    step = time_cpu(lambda: loop.train_step(loop.step_context()), repeats)
    shares, floor = measure_shares(loop, repeats), measure_floor(loop, repeats)
    images_per_second = 1000 * loop.batch_size / step
    rows = [f"| {k} | {step * share:.2f} | {share:.0%} |" for k, share in shares.most_common()]
    return "\n".join(
        [
            f"\n| `{recipe}`, step of {loop.batch_size} images | CPU ms | share |",
            "|---" * 3 + "|",
            *rows,
            f"| whole step | {step:.2f} | {images_per_second:.0f} images/s |",
            f"| floor: layers alone | {floor:.2f} | {floor / step:.0%} |",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--parts", type=int, help="steps from which the parts are measured")
    parser.add_argument("--recipes", nargs="*", default=[*RECIPES, "photo_vae", "latent_prior"])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1 if args.parts else args.threads)
    load = os.getloadavg()[0]
    train = open_images(args.data, size=28, channels=1).split("train").get_batch(slice(None))
    images = to_bytes(train.image).numpy()
    if args.parts:
        for recipe in args.recipes:
            print(format_parts(recipe, images, args.parts), flush=True)
        return
    processor = describe_processor()
    machine = f"{processor['processor']}, {processor['instructions']}, PyTorch {processor['torch']}"
    lines = [
        "| step of 128 images | float32, ms | bfloat16, ms | times as fast | `auto` takes |",
        "|---" * 5 + "|",
        *(format_recipe(recipe, images, args.repeats) for recipe in RECIPES),
        *(
            f"| one {kind} | {timing.fp32:.2f} | {timing.bf16:.2f} | {timing.speedup:.2f} | |"
            for kind, timing in get_timings().items()
        ),
        "",
        f"Median (minimum to maximum) of n = {args.repeats} turns on {machine}; load at the start "
        f"{load:.1f}. `auto` takes bfloat16 if it is at least {MIN_SPEEDUP:g} times as fast.",
    ]
    print("\n".join(lines))
    if args.out:
        write_section(args.out, "precision speed", "\n".join(lines))


if __name__ == "__main__":
    main()
