"""The commands on latents: encode, relate, traverse, interpolate, nearest, decode, attribute."""

from tyro.conf import Positional

from latentia.cli import options
from latentia.cli.options import Inputs


def encode(
    run: options.RunName,
    data: options.Data = None,
    split: str | None = None,
    labels: options.LabelFile = None,
    label_cols: options.LabelColumns = None,
    out: str = "latents.parquet",
    *,
    thumbnails: bool = False,
    beta: options.Beta = None,
) -> None:
    """Write a table of latents: a row per image, with its name, posterior, rate (KL) and labels.

    Several processes share the images: torchrun --nproc_per_node 2 -m -- latentia encode RUN.

    Parameters
    ----------
    split : SPLIT
        train, validation or test; the default is all images
    out : FILE
        table to write (.parquet, .csv or .npz)
    thumbnails
        add each image and two plot coordinates (x, y) for embedding-atlas; .parquet only
    """
    from latentia.cli.latent_actions import write_latents

    write_latents(Inputs(run, data, split, beta, out, labels, label_cols), thumbnails)


def relate(
    run: options.RunName,
    data: options.Data = None,
    split: options.Split = None,
    labels: options.LabelFile = None,
    label_cols: options.LabelColumns = None,
    out: str | None = None,
    json_: options.Json = False,
    *,
    k: int = 5,
    permutations: int = 200,
    beta: options.Beta = None,
) -> None:
    """Find which latent dimensions carry which label.

    Parameters
    ----------
    out : FILE
        figure to write (.png or .svg); by default the result is only printed
    k : N
        largest number of latent dimensions, those of highest rate (KL), that predict a label
    permutations : N
        number of random permutations of each label from which p-values are computed
    """
    from latentia.cli.latent_actions import report_associations

    inputs = Inputs(run, data, split, beta, out or "", labels, label_cols)
    report_associations(inputs, k, permutations, json_)


def traverse(
    run: options.RunName,
    image: options.Image,
    dims: options.Dims = None,
    steps: int = 9,
    out: options.Animation = "traversal.png",
    *,
    split: options.RowSplit = None,
    data: options.Data = None,
    beta: options.Beta = None,
) -> None:
    """Change one latent dimension of an image at a time, over the range of the training images.

    Parameters
    ----------
    steps : N
        number of values of each latent dimension
    """
    from latentia.cli.latent_actions import draw_traversal

    draw_traversal(Inputs(run, data, split, beta, out), image, dims, steps)


def interpolate(
    run: options.RunName,
    images: Positional[tuple[str, ...]],
    steps: int = 10,
    spherical: bool = False,
    out: options.Animation = "strip.png",
    *,
    split: options.RowSplit = None,
    data: options.Data = None,
    beta: options.Beta = None,
) -> None:
    """Interpolate from image to image in latent space.

    Parameters
    ----------
    images : IMAGE IMAGE ...
        two or more image files, keys in the table that latentia encode writes, or row numbers
        (from 0)
    steps : N
        number of pictures from each image to the next, both ends included
    spherical
        interpolate along arcs (slerp) instead of straight lines
    """
    from latentia.cli.latent_actions import draw_interpolation

    draw_interpolation(Inputs(run, data, split, beta, out), images, steps, spherical)


def nearest(
    run: options.RunName,
    image: options.Image,
    n: options.Count = 8,
    split: options.Split = None,
    out: options.Picture = "nearest.png",
    *,
    data: options.Data = None,
    beta: options.Beta = None,
) -> None:
    """Show the images of a split whose latents are nearest to those of an image."""
    from latentia.cli.latent_actions import draw_neighbors

    draw_neighbors(Inputs(run, data, split, beta, out), image, n)


def decode(
    run: options.RunName,
    latents: str,
    out: options.Picture = "decoded.png",
    *,
    beta: options.Beta = None,
) -> None:
    """Decode latents that are given as numbers.

    Parameters
    ----------
    latents : LATENTS
        .json file of rows, or one row such as --latents=0.5,-1.2, with a number for every latent
        dimension
    """
    from latentia.cli.latent_actions import draw_decoded

    draw_decoded(Inputs(run, beta=beta, out=out), latents)


def attribute(
    run: options.RunName,
    image: options.Image,
    dims: options.Dims = None,
    out: str = "attribution.png",
    *,
    split: options.RowSplit = None,
    data: options.Data = None,
    beta: options.Beta = None,
) -> None:
    """Map how much each pixel changes with each latent dimension.

    Parameters
    ----------
    out : FILE
        figure (.png or .svg) or array (.npy) to write
    """
    from latentia.cli.latent_actions import draw_attribution

    draw_attribution(Inputs(run, data, split, beta, out), image, dims)
