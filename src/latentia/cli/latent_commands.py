"""Options of the commands that draw latents, or measure what they say about labels."""

from typing import Literal

from tyro.conf import Positional

from latentia.cli import options


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
    features: Literal["efficientnet"] | None = None,
    beta: options.Beta = None,
) -> None:
    """Find which latent dimensions carry information about which label.

    Parameters
    ----------
    out : FILE
        figure to write (.png or .svg); by default the result is only printed
    k : N
        nearest neighbours read a label from all dimensions, and from the first 1, 2, ... up to N
        dimensions by rate (KL)
    permutations : N
        number of random permutations of each label from which p-values are computed
    features : {efficientnet}
        also predict labels from a PCA of the features of a pretrained network, fitted to the
        training images with as many dimensions as the run has
    """


def traverse(
    run: options.RunName,
    image: options.Point,
    dims: options.Dims = None,
    steps: int = 9,
    out: options.Animation = "traversal.png",
    *,
    axes: Literal["own", "principal"] = "own",
    toward: str | None = None,
    labels: options.LabelFile = None,
    split: options.RowSplit = None,
    data: options.Data = None,
    cond: options.Target = None,
    beta: options.Beta = None,
) -> None:
    """Change one latent dimension of an image at a time, over the range of the training images.

    With --toward the image moves along the direction of a label, found by a linear probe. The
    command prints how well that direction predicts the label, and what else moves with it.

    Parameters
    ----------
    steps : N
        number of values of each latent dimension
    axes : {own,principal}
        dimensions of the model, or principal axes of the aggregate posterior, which have no
        correlation (0 has the largest variance)
    toward : COLUMN[=VALUE]
        label to move toward, in the place of --dims: a column of numbers or of two classes, or one
        class of a column against its others
    """


def interpolate(
    run: options.RunName,
    images: Positional[tuple[str, ...]],
    steps: int = 10,
    spherical: bool = False,
    out: options.Animation = "strip.png",
    *,
    split: options.RowSplit = None,
    data: options.Data = None,
    cond: options.Target = None,
    beta: options.Beta = None,
) -> None:
    """Interpolate from image to image in latent space.

    Parameters
    ----------
    images : IMAGE IMAGE ...
        two or more image files, keys in the table that latentia encode writes, row numbers (from
        0), or FILE:ROW, latents in a table that latentia encode or sample wrote
    steps : N
        number of pictures from each image to the next, both ends included
    spherical
        interpolate along arcs (slerp) instead of straight lines
    """


def nearest(
    run: options.RunName,
    image: options.Point,
    n: options.Count = 8,
    split: options.Split = None,
    out: options.Picture = "nearest.png",
    table: options.TableFile = None,
    *,
    features: Literal["efficientnet"] | None = None,
    data: options.Data = None,
    beta: options.Beta = None,
) -> None:
    """Find the images of a split whose latents are nearest to those of an image.

    Parameters
    ----------
    features : {efficientnet}
        search by the features of a pretrained network instead of the latents
    """


def outliers(
    run: options.RunName,
    n: options.Count = 24,
    by: Literal["error", "distance", "excess"] = "error",
    split: str | None = None,
    out: options.Picture = "outliers.png",
    table: options.TableFile = None,
    *,
    data: options.Data = None,
    beta: options.Beta = None,
) -> None:
    """Find images that the model reconstructs badly, or whose latents are unusual.

    An image unlike all others may still have usual latents, and a common image a large error where
    it has much detail: look at both orders.

    Parameters
    ----------
    by
        order of the images: error for the squared error of the reconstruction (decoded posterior
        mean), distance for the Mahalanobis distance of the posterior mean from the aggregate
        posterior of training images (at most 5,000)
    split : SPLIT
        train, validation, test or all (the default); images of the training are often
        reconstructed better than others
    """


def decode(
    run: options.RunName,
    latents: str,
    out: options.Samples = "decoded.png",
    *,
    cond: options.Target = None,
    beta: options.Beta = None,
) -> None:
    """Decode latents: a table that latentia encode wrote, an array, or numbers.

    From a table the columns mu_* are decoded, and the column key gives the captions.

    Parameters
    ----------
    latents : LATENTS
        file of rows (.csv, .tsv, .parquet, .npy, .npz or .json), or one row such as
        --latents=0.5,-1.2, with a number for every latent dimension
    """


def project(
    run: options.RunName,
    images: Positional[tuple[str, ...]],
    starts: int | None = None,
    steps: int = 300,
    out: options.Picture = "projected.png",
    *,
    latents_out: str | None = None,
    sigma: float = 0.05,
    seed: options.Seed = 0,
    split: options.RowSplit = None,
    data: options.Data = None,
    cond: options.Target = None,
    beta: options.Beta = None,
) -> None:
    """Find latents of images by optimisation, also for a GAN, which has no encoder.

    The picture has the images above what the model draws from these latents, with the mean squared
    error per pixel. The other commands take the latents as FILE:ROW.

    Parameters
    ----------
    images : IMAGE ...
        image files, keys in the table that latentia encode writes, or row numbers (from 0)
    starts : N
        number of random starts of each image, at least 1, of which the best result is kept; the
        default is one start at the encoder's posterior mean, or 4 of a GAN
    steps : N
        number of steps of Adam from each start, at least 1
    latents_out : FILE
        also write the latents, a table (.csv or .parquet) that latentia decode reads
    sigma : FLOAT
        standard deviation of a pixel about the drawn image, more than 0: with a larger one the
        latents stay nearer to the prior's mean, and the error is larger (default 0.05)
    """


def attribute(
    run: options.RunName,
    image: Positional[str],
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
    image : IMAGE
        image file, key in the table that latentia encode writes, or row number (from 0)
    out : FILE
        figure (.png or .svg) or array (.npy) to write
    """


def map(
    run: options.RunName,
    image: Positional[str],
    column: str,
    latents: str | None = None,
    out: str = "map.png",
    *,
    data: options.MovedData = None,
    beta: options.Beta = None,
) -> None:
    """Draw a column of the table of latents over a large image, for a run of --tiles.

    Parameters
    ----------
    image : IMAGE
        image file, or its path in the run's images
    column : COLUMN
        column of the table that latentia encode writes, such as mu_0, mse (the error of the
        reconstruction), rate or a label; cluster groups all tiles of the run
    latents : FILE
        table (.parquet or .csv) that latentia encode wrote; by default the tiles of the image are
        encoded
    out : FILE
        figure (.png or .svg) to write
    """


def compare(
    run: options.RunName,
    other: Positional[str],
    split: options.Split = None,
    json_: options.Json = False,
    *,
    features: Literal["auto", "efficientnet", "none"] = "auto",
    data: options.MovedData = None,
    beta: options.Beta = None,
) -> None:
    """Say how well the coordinates of two runs agree, such as two seeds of one training.

    Canonical correlations compare the spaces of all coordinates, whatever their rotation. The best
    match of each dimension says whether single coordinates mean the same in both runs.

    Parameters
    ----------
    other : RUN
        second run, trained on the same images
    features : {auto,efficientnet,none}
        whether squared errors and labels are also compared with those of PCAs of pixels and of a
        pretrained network's features; auto does so for photographs with labels, where the network
        is installed
    """


LATENT_COMMANDS = (
    *(relate, traverse, interpolate, nearest, outliers, decode, project, attribute, map, compare),
)
