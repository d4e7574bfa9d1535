"""The commands that draw images: sample, reconstruct."""

from typing import Annotated

from typing_extensions import Doc
from tyro.conf import Positional, arg

from latentia.cli.options import (
    IMAGE,
    Beta,
    Count,
    Data,
    Inputs,
    PictureFile,
    RunName,
    Seed,
    SplitName,
)


def sample(
    run: RunName,
    n: Count = 64,
    seed: Seed = 0,
    cond: Annotated[
        str | None,
        arg(metavar="CLASS,...|IMAGE"),
        Doc(
            "condition of the images, for a conditional model: classes by name or number, such as "
            "3 or 3,5; or an image file, or the row number (from 0) of a test image"
        ),
    ] = None,
    out: PictureFile = "samples.png",
    *,
    sampler: Annotated[
        str | None,
        arg(metavar="{ddpm,ddim,euler,heun}"),
        Doc("solver that a learned prior samples with; the default is that of its recipe"),
    ] = None,
    steps: Annotated[
        int | None,
        Doc(
            "number of steps of a learned prior from noise to latent, at least 1; the default is "
            "that of its recipe"
        ),
    ] = None,
    guidance: Annotated[
        float | None,
        Doc(
            "weight of the condition in a learned prior: 1 is the model as trained, more follows "
            "the condition more closely; the default is that of its recipe"
        ),
    ] = None,
    data: Annotated[
        str | None,
        arg(metavar="DATA"),
        Doc("images among which --cond N is a row number; the default is the run's test images"),
    ] = None,
    beta: Beta = None,
) -> None:
    """Draw new images."""
    from latentia.cli.image_actions import draw_samples

    options = {"sampler": sampler, "steps": steps, "guidance": guidance}
    draw_samples(Inputs(run, data, beta=beta, out=out), n, seed, cond, options)


def reconstruct(
    run: RunName,
    images: Annotated[
        Positional[tuple[str, ...]],
        arg(metavar="[IMAGE ...]"),
        Doc(f"{IMAGE}; the default is the first images of the split"),
    ] = (),
    n: Count = 10,
    split: SplitName = None,
    out: PictureFile = "pairs.png",
    *,
    data: Data = None,
    beta: Beta = None,
) -> None:
    """Draw originals above their reconstructions (decoded posterior means)."""
    from latentia.cli.image_actions import draw_reconstructions

    draw_reconstructions(Inputs(run, data, split, beta, out), images, n)
