"""Options of the command that writes a table of latents; its action imports no figure."""

from latentia.cli import options


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
        table to write (.parquet, .csv or .npz), or files for TensorBoard's projector (.tsv)
    thumbnails
        add each image and two plot coordinates (x, y) for embedding-atlas; .parquet only
    """
