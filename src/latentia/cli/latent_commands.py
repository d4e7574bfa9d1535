"""The commands on latents: encode, relate, traverse, interpolate, nearest, decode, attribute."""

from typing import Annotated

from typing_extensions import Doc
from tyro.conf import Positional, arg

from latentia.cli.options import (
    IMAGE,
    AnimationFile,
    Beta,
    Count,
    Data,
    Dims,
    Image,
    Inputs,
    Json,
    LabelColumns,
    LabelFile,
    PictureFile,
    RunName,
    SplitName,
)


def encode(
    run: RunName,
    data: Data = None,
    split: Annotated[
        str | None,
        arg(metavar="SPLIT"),
        Doc("train, validation or test; the default is all images"),
    ] = None,
    labels: LabelFile = None,
    label_cols: LabelColumns = None,
    out: Annotated[
        str, arg(metavar="FILE"), Doc("table to write (.parquet, .csv or .npz)")
    ] = "latents.parquet",
    *,
    thumbnails: Annotated[
        bool,
        Doc("add each image and two plot coordinates (x, y) for embedding-atlas; .parquet only"),
    ] = False,
    beta: Beta = None,
) -> None:
    """Write a table of latents: a row per image, with its name, posterior, rate (KL) and labels.

    Several processes share the images: torchrun --nproc_per_node 2 -m -- latentia encode RUN.
    """
    from latentia.cli.latent_actions import write_latents

    write_latents(Inputs(run, data, split, beta, out), labels, label_cols, thumbnails)


def relate(
    run: RunName,
    data: Data = None,
    split: SplitName = None,
    labels: LabelFile = None,
    label_cols: LabelColumns = None,
    out: Annotated[
        str | None,
        arg(metavar="FILE"),
        Doc("figure to write (.png or .svg); by default the result is only printed"),
    ] = None,
    json_: Json = False,
    *,
    k: Annotated[
        int,
        Doc("predict each label from the 1 to N latent dimensions of highest rate, at least 1"),
    ] = 5,
    permutations: Annotated[
        int, Doc("number of random permutations of each label from which p-values are computed")
    ] = 200,
    beta: Beta = None,
) -> None:
    """Find which latent dimension carries which label."""
    from latentia.cli.latent_actions import report_associations

    inputs = Inputs(run, data, split, beta, out or "")
    report_associations(inputs, labels, label_cols, k, permutations, json_)


def traverse(
    run: RunName,
    image: Image,
    dims: Dims = None,
    steps: Annotated[int, Doc("number of values of each latent dimension")] = 9,
    out: AnimationFile = "traversal.png",
    *,
    split: SplitName = None,
    data: Data = None,
    beta: Beta = None,
) -> None:
    """Change one latent dimension of an image at a time, over the range of the training images."""
    from latentia.cli.latent_actions import draw_traversal

    draw_traversal(Inputs(run, data, split, beta, out), image, dims, steps)


def interpolate(
    run: RunName,
    images: Annotated[
        Positional[tuple[str, ...]], arg(metavar="IMAGE IMAGE ..."), Doc(f"two or more of: {IMAGE}")
    ],
    steps: Annotated[
        int, Doc("number of pictures from each image to the next, both ends included")
    ] = 10,
    spherical: Annotated[
        bool, Doc("interpolate along arcs (slerp) instead of straight lines")
    ] = False,
    out: AnimationFile = "strip.png",
    *,
    split: SplitName = None,
    data: Data = None,
    beta: Beta = None,
) -> None:
    """Interpolate between images in latent space."""
    from latentia.cli.latent_actions import draw_interpolation

    draw_interpolation(Inputs(run, data, split, beta, out), images, steps, spherical)


def nearest(
    run: RunName,
    image: Image,
    n: Count = 8,
    split: SplitName = None,
    out: PictureFile = "nearest.png",
    *,
    data: Data = None,
    beta: Beta = None,
) -> None:
    """Show the images of a split whose latents are nearest to those of an image."""
    from latentia.cli.latent_actions import draw_neighbors

    draw_neighbors(Inputs(run, data, split, beta, out), image, n)


def decode(
    run: RunName,
    latents: Annotated[
        str,
        arg(metavar="LATENTS"),
        Doc(
            "a .json file of rows, or one row such as --latents=0.5,-1.2, with a value for every "
            "latent dimension"
        ),
    ],
    out: PictureFile = "decoded.png",
    *,
    beta: Beta = None,
) -> None:
    """Decode latents that are given as numbers."""
    from latentia.cli.latent_actions import draw_decoded

    draw_decoded(Inputs(run, beta=beta, out=out), latents)


def attribute(
    run: RunName,
    image: Image,
    dims: Dims = None,
    out: Annotated[
        str, arg(metavar="FILE"), Doc("figure (.png or .svg) or array (.npy) to write")
    ] = "attribution.png",
    *,
    split: SplitName = None,
    data: Data = None,
    beta: Beta = None,
) -> None:
    """Map how much each pixel changes with each latent dimension."""
    from latentia.cli.latent_actions import draw_attribution

    draw_attribution(Inputs(run, data, split, beta, out), image, dims)
