"""Options of the command that writes a table of latents; its action imports no figure."""

from typing import Literal

from latentia.cli import options


def encode(
    run: options.RunName,
    data: options.Data = None,
    split: str | None = None,
    labels: options.LabelFile = None,
    label_cols: options.LabelColumns = None,
    out: str = "latents.parquet",
    *,
    axes: Literal["own", "principal"] = "own",
    thumbnails: bool = False,
    clusters: int | Literal["auto"] | None = None,
    sheet: str | None = None,
    copy_to: str | None = None,
    beta: options.Beta = None,
) -> None:
    """Write a table of latents: a row per image, with its name, posterior, rate (KL) and labels.

    --out v.tsv writes files for TensorBoard's embedding projector: the posterior means (v.tsv),
    key, split, rate, distortion, mse and labels (v_metadata.tsv), thumbnails (v_sprite.png, at most
    8192 x 8192 pixels) and their configuration (projector_config.pbtxt). To see them: tensorboard
    --logdir FOLDER.

    Several processes share the images: torchrun --nproc_per_node 2 -m -- latentia encode RUN.

    Parameters
    ----------
    split : SPLIT
        train, validation or test; the default is all images
    out : FILE
        table to write (.parquet, .csv, .npz, or .h5ad of anndata for scanpy and other single-cell
        tools), or files for TensorBoard's projector (.tsv)
    axes : {own,principal}
        principal adds columns pc_0, ...: the posterior means along the principal axes of the
        training images' latents, which have no correlation (pc_0 has the largest variance)
    thumbnails
        add each image and two plot coordinates (x, y) for embedding-atlas; .parquet only
    clusters : {K,auto}
        number of groups of similar images, found by k-means of the latents; auto chooses the number
        by the gap statistic, and says so where there is one group. The table has the group of each
        image as the column cluster, 0 the largest, and the command prints how stable the groups are
    sheet : FILE
        picture (.png) of the most typical and the strangest images of each group of --clusters
    copy_to : DIR
        new folder for copies of the image files, in one folder for each group of --clusters; the
        table is written too, to --out
    """
