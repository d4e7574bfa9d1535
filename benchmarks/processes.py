"""Compare steps of several processes with those of DistributedDataParallel.

python benchmarks/processes.py --data mnist --processes 2 [--repeats 5] [--recipes mnist_mlp_vae]

The processes, connected by gloo, have two loops of each recipe, which take turns of the same number
of steps. One averages its gradients as latentia does, in one message at the end of the backward
pass. In the other, DistributedDataParallel around each player's module averages them in buckets
while the backward pass goes on; terms, optimizer and the rest of the step are the same. The script
prints the milliseconds of a step of each, and of the ratio of each pair; below 1, latentia is the
faster. Both have the same weights after the first steps, which is checked.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peers import make_loop
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from turns import format_spread, time_steps

from latentia.core import distributed
from latentia.core.tensors import to_bytes
from latentia.data import open_images
from latentia.training.launch import init_distributed

WARM_UP = 5  # steps, after which both loops must have the same weights
STEPS = {"mnist_mlp_vae": 100, "mnist_conv_vae": 10, "vaegan": 10}  # of a turn


class PlayerTerms(nn.Module):
    """The terms of a player as a forward pass, so that DistributedDataParallel can wrap it."""

    def __init__(self, player: Any):
        super().__init__()
        self.module, self.compute_terms = player.module, player.terms

    def forward(self, *arguments: Any) -> Any:
        return self.compute_terms(*arguments)


def wrap_players(loop: Any) -> None:
    for name, player in loop.state.players.items():
        wrapped = DistributedDataParallel(
            PlayerTerms(player), broadcast_buffers=False, gradient_as_bucket_view=True
        )
        loop.state.players[name] = player._replace(terms=wrapped)


@contextmanager
def leave_gradients_alone(model: nn.Module) -> Iterator[None]:
    """Leave the gradients to DistributedDataParallel inside the block."""
    average, buffers = distributed.all_reduce_mean, {id(buffer) for buffer in model.buffers()}

    def average_others(tensors: Any) -> None:
        average([tensor for tensor in tensors if tensor.ndim == 0 or id(tensor) in buffers])

    distributed.all_reduce_mean = average_others
    try:
        yield
    finally:
        distributed.all_reduce_mean = average


def compare_steps(recipe: str, images: Any, repeats: int) -> None:
    knobs = {"size": 32, "channels": 1} if recipe == "vaegan" else {}
    ours, wrapped = (make_loop(recipe, images, "fp32", **knobs) for _ in range(2))
    wrap_players(wrapped)
    models = ours.plan.model, wrapped.plan.model
    times: list[tuple[float, float]] = []
    for steps in (WARM_UP, *[STEPS[recipe]] * repeats):
        mine = time_steps(ours, steps)
        with leave_gradients_alone(wrapped.plan.model):
            theirs = time_steps(wrapped, steps)
        if not times:  # later, an optimizer makes rounding errors large
            one, other = (torch.cat([p.flatten() for p in model.parameters()]) for model in models)
            assert (one - other).norm() < 1e-4 * one.norm()
        times.append((theirs, mine))
    if distributed.rank() == 0:
        cells = [[1000 * s / STEPS[recipe] for s in each] for each in zip(*times[1:], strict=True)]
        ratios = [mine / theirs for theirs, mine in times[1:]]
        row = [f"`{recipe}`", str(distributed.world_size()), *map(format_spread, [*cells, ratios])]
        print(f"| {' | '.join(row)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--recipes", nargs="*", default=[*STEPS])
    parser.add_argument("--worker", action="store_true")
    args = parser.parse_args()
    if not args.worker:
        launch = ["-m", "torch.distributed.run", "--nproc_per_node", str(args.processes)]
        words = [sys.executable, *launch, __file__, *sys.argv[1:], "--worker"]
        print(
            "| recipe | processes | DDP, ms | latentia, ms | latentia / DDP |\n" + "|---" * 5 + "|"
        )
        sys.exit(subprocess.run(words, check=False).returncode)
    torch.set_num_threads(1)
    train = open_images(args.data, size=28, channels=1).split("train").get_batch(slice(None, 5120))
    images = to_bytes(train.image).numpy()
    with init_distributed():
        for recipe in args.recipes:
            compare_steps(recipe, images, args.repeats)


if __name__ == "__main__":
    main()
