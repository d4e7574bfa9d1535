"""Options of the commands that draw images: sample, reconstruct, complete."""

from typing import Annotated

from tyro.conf import Positional

from latentia.cli import options
from latentia.diffusion.registry import SAMPLERS


def sample(
    run: options.RunName,
    n: options.Count = 64,
    seed: options.Seed = 0,
    cond: str | None = None,
    out: options.Samples = "samples.png",
    *,
    sampler: Annotated[str | None, SAMPLERS] = None,
    steps: int | None = None,
    guidance: float | None = None,
    temperature: float | None = None,
    latents_out: str | None = None,
    data: str | None = None,
    beta: options.Beta = None,
) -> None:
    """Draw new images.

    Parameters
    ----------
    cond : CLASS,...|IMAGE
        condition of the images, for a conditional model: classes by name or number, such as 3 or
        3,5; numbers of a column; or an image file, or the row number (from 0) of a test image
    sampler
        solver with which a learned prior draws; the default is that of its recipe
    steps : N
        number of steps of a learned prior from noise to latent, at least 1; the default is that of
        its recipe
    guidance : FLOAT
        strength of classifier-free guidance in a learned prior, at least 0; 1 is the model as
        trained, and a larger value follows the condition more closely; the default is that of its
        recipe
    temperature : FLOAT
        factor of the standard deviations of the prior of a VAE or GAN, at least 0; below 1 the
        images are more alike and closer to the mean image (default 1)
    latents_out : FILE
        also write the latents of the images, a table (.csv or .parquet) that latentia decode reads
    data : DATA
        folder, file or dataset that has the image of row number N in --cond N; the default is the
        run's test images
    """


def reconstruct(
    run: options.RunName,
    images: Positional[tuple[str, ...]] = (),
    n: options.Count = 10,
    split: options.Split = None,
    cond: str | None = None,
    out: options.Picture = "pairs.png",
    *,
    data: options.Data = None,
    beta: options.Beta = None,
) -> None:
    """Draw originals above their reconstructions (decoded posterior means).

    Parameters
    ----------
    images : [IMAGE ...]
        image files, keys in the table that latentia encode writes, or row numbers (from 0) among
        all images or in --split; the default are images of --split drawn by
        seed, each class in turn
    cond : LABEL,...
        labels, for a run of --cond: each is a row of the images decoded with it, such as
        0,1,2; by default the own label of each image, and an image without a label is encoded
        with the first too
    """


def complete(
    run: options.RunName,
    images: Positional[tuple[str, ...]],
    mask: str | None = None,
    samples: int = 8,
    out: options.Picture = "completed.png",
    *,
    steps: int | None = None,
    seed: options.Seed = 0,
    split: options.RowSplit = None,
    data: options.Data = None,
    cond: options.Target = None,
    beta: options.Beta = None,
) -> None:
    """Draw the hidden pixels of images, several times each, by a VAE or a diffusion of pixels.

    Each row of the picture has an image without its hidden pixels, then its completions, which
    differ where the other pixels do not determine them.

    Parameters
    ----------
    images : IMAGE ...
        image files, keys in the table that latentia encode writes, or row numbers (from 0)
    mask : FILE
        picture of the mask of all images: white where pixels are observed, black where they are to
        be drawn; by default the missing pixels of each image, for a run of --missing
    samples : N
        number of completions of each image, at least 1
    steps : N
        rounds of a VAE between latents and hidden pixels, at least 1 (default 20); or steps of a
        diffusion from noise to image, by default those of its recipe
    """


IMAGE_COMMANDS = (sample, reconstruct, complete)
