"""A table of a set of images, one row each: its posterior, rate, distortion and labels."""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latentia.core import distributed
from latentia.core.contract import HasLatents
from latentia.core.errors import Error
from latentia.core.progress import show_progress
from latentia.core.tensors import to_bytes, to_display_channels
from latentia.data import Split
from latentia.latents.encoding import MAX_BATCH_SIZE, to_flat_array
from latentia.latents.writers import WRITERS, Chunk, ColumnBuffer
from latentia.training.checkpoint import atomic_path
from latentia.training.launch import run_on_rank0

THUMBNAIL_SIDE = 96  # pixels, at most, of a thumbnail
RESERVED_NAMES = ("key", "split", "rate", "distortion", "mu", "sd", "image", "x", "y")


def write_table(
    path: Path | str,
    model: HasLatents,
    split: Split,
    split_names: Sequence[str] | None = None,
    *,
    thumbnails: bool = False,
    batch_size: int | None = None,
) -> Path:
    """.parquet, .csv or .npz with one row an image, in the split's order, without randomness.

    Columns: key, split, mu_* and sd_* of the posterior, rate (KL to N(0, I)), distortion
    (-log p(image | posterior mean), so below `evaluate`'s, which draws z), both in nats, float32;
    and the labels: text where classes have names, and their numbers as NAME_code; of an image
    without a label, no text and -1, or NaN for a number. Of a latent map
    the columns are mu_channel_row_column. In .npz mu and sd are arrays (n, *latent).
    membership: the split that each image belongs to; default: this one.
    thumbnails: parquet also carries image (PNG), mu (a vector), x and y (the first two principal
    components of mu). Memory: a few thousand rows; the whole table, without pixels, for .npz and
    thumbnails. Several processes encode batches in turn; the first one writes.

    Raises: Error if the ending is another or the path can't be written.
    """
    path = Path(path)
    if path.suffix not in WRITERS:
        raise Error(
            f"--out {path} ends in {path.suffix or 'nothing'}; give .parquet, .csv or .npz."
        )
    if thumbnails and path.suffix != ".parquet":
        raise Error(f"--thumbnails does not fit into {path.suffix}; give --out a .parquet file.")
    n = len(split)
    with catch_write_errors(path), ExitStack() as stack:

        def open_writer() -> Any:
            with catch_write_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                partial_path = stack.enter_context(atomic_path(path))
                partial_path.touch()  # what cannot be written is said before anything is encoded
                return stack.enter_context(
                    WRITERS[path.suffix](partial_path, model.latent_shape, n)
                )

        writer, buffer = run_on_rank0(open_writer), ColumnBuffer(n)
        write_chunk = (buffer if thumbnails else writer).write if writer else lambda chunk: None
        _write_chunks(
            iterate_chunks(model, split, split_names or [split.name] * n, batch_size),
            write_chunk,
            n,
            "encoding",
        )
        if thumbnails and writer:
            _write_chunks(add_thumbnails(buffer, split), writer.write, n, "thumbnails")
    return path


@contextmanager
def catch_write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Error(f"{path} cannot be written ({error.strerror}); give another --out.") from None


def _write_chunks(
    chunks: Iterator[Chunk], write_chunk: Callable[[Chunk], None], n: int, description: str
) -> None:
    def write_and_count() -> Iterator[int]:
        for chunk in chunks:
            write_chunk(chunk)
            yield len(chunk["key"])

    for _ in show_progress(write_and_count(), n, description):
        pass


@torch.no_grad()
def iterate_chunks(
    model: HasLatents, split: Split, split_names: Sequence[str], batch_size: int | None = None
) -> Iterator[Chunk]:
    """The table a batch at a time."""
    chunk_size = batch_size or split.max_batch_size(MAX_BATCH_SIZE)

    def encode_chunk(number: int) -> Chunk:
        chunk_rows = slice(number * chunk_size, (number + 1) * chunk_size)
        batch = split.get_batch(chunk_rows)
        posterior = model.encode(batch.image)
        return {
            "key": split.keys[chunk_rows],
            "split": list(split_names[chunk_rows]),
            "mu": to_flat_array(posterior.mean),
            "sd": to_flat_array(posterior.sd),
            "rate": posterior.kl().float().cpu().numpy(),
            "distortion": model.distortion(posterior.mean, batch.image).float().cpu().numpy(),
            **make_label_columns(batch.columns, split.classes),
        }

    yield from distributed.map_round_robin(math.ceil(len(split) / chunk_size), encode_chunk)


def make_label_columns(columns: dict[str, Tensor], classes: dict[str, list[str] | None]) -> Chunk:
    """Named classes as text and as numbers; a name that the table needs itself gets `_label`."""
    label_columns: Chunk = {}
    for name, values in columns.items():
        if values.ndim > 1:  # images beside the image
            continue
        column_name = (
            f"{name}_label" if name in RESERVED_NAMES or name.startswith(("mu_", "sd_")) else name
        )
        class_names, numbers = classes.get(name), values.cpu().numpy()
        if class_names:
            label_columns[column_name] = [
                class_names[k] if 0 <= k < len(class_names) else "" for k in numbers.tolist()
            ]
            label_columns[f"{column_name}_code"] = numbers
        else:
            label_columns[column_name] = numbers
    return label_columns


def add_thumbnails(buffer: ColumnBuffer, split: Split) -> Iterator[Chunk]:
    """The rows with their images and their place on the map."""
    from sklearn.decomposition import PCA

    means = buffer.columns["mu"]
    coordinates = np.zeros((len(means), 2), np.float32)
    component_count = min(2, *means.shape)
    coordinates[:, :component_count] = PCA(
        component_count, svd_solver="covariance_eigh"
    ).fit_transform(means.astype(np.float64))
    for chunk_rows, chunk in buffer.iterate_chunks(split.max_batch_size(MAX_BATCH_SIZE)):
        images = (
            to_bytes(to_display_channels(split.get_batch(chunk_rows).image))
            .permute(0, 2, 3, 1)
            .numpy()
        )
        yield {
            **chunk,
            "x": coordinates[chunk_rows, 0],
            "y": coordinates[chunk_rows, 1],
            "image": [encode_thumbnail(image) for image in images],
        }


def encode_thumbnail(image: np.ndarray) -> bytes:
    pillow_image = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    pillow_image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    file = io.BytesIO()
    pillow_image.save(file, "png")
    return file.getvalue()
