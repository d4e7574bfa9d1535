"""Drawing of samples and reconstructions, behind the commands of image_commands.py."""

from collections.abc import Mapping, Sequence
from typing import Any

from latentia.cli.arguments import require_at_least
from latentia.cli.opened_run import OpenedRun
from latentia.cli.options import Inputs
from latentia.report.rendered_images import render_reconstructions, render_samples


def draw_samples(
    inputs: Inputs, n: int, seed: int, cond: str | None, options: Mapping[str, Any]
) -> None:
    require_at_least("-n", n, 1)
    opened = OpenedRun(inputs, ".png", ".npy")
    options = {name: value for name, value in options.items() if value is not None}
    run, model = opened.folder, opened.folder.model()
    opened.save(render_samples(run, model, n, seed, options, cond, inputs.data).encoders)


def draw_reconstructions(inputs: Inputs, names: Sequence[str], n: int) -> None:
    require_at_least("-n", n, 1)
    opened = OpenedRun(inputs, ".png", ".npy")
    model = opened.autoencoder
    if names:
        images, title = opened.load_images(names), "images"
    else:
        split = opened.load_split()
        images, title = split.get_batch(slice(0, n)).image, f"{split.name} images"
    opened.save(render_reconstructions(opened.folder, model, images, title).encoders)
