"""Drawing of samples and reconstructions, behind the commands of image_commands.py."""

from collections.abc import Mapping, Sequence
from typing import Any

from latentia.cli.opened_run import open_inputs
from latentia.cli.options import Inputs


def draw_samples(
    inputs: Inputs, n: int, seed: int, cond: str | None, options: Mapping[str, Any]
) -> None:
    run = open_inputs(inputs, ".png", ".npy")
    print(run.plot_samples(n, seed=seed, cond=cond, **options).save(inputs.out))


def draw_reconstructions(inputs: Inputs, names: Sequence[str], n: int) -> None:
    run = open_inputs(inputs, ".png", ".npy")
    print(run.plot_reconstructions(names or None, n=n, split=inputs.split).save(inputs.out))
