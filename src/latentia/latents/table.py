"""Latent table of a set of images, one row each: posterior, rate, distortion and labels."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from latentia.core import distributed
from latentia.core.contract import HasLatents
from latentia.core.errors import Error, catch_write_errors
from latentia.core.progress import print_note, show_progress
from latentia.data import Images, Split
from latentia.data.labels import Labels
from latentia.data.reader import Classes
from latentia.latents.encoding import (
    MAX_BATCH_SIZE,
    SAMPLE,
    LatentTable,
    encode_split,
    identify_encoder,
    name_dims,
    to_flat_array,
)
from latentia.latents.principal_axes import PrincipalAxes
from latentia.latents.projector import write_projector_files
from latentia.latents.thumbnails import encode_thumbnail, to_pillow
from latentia.latents.writers import FILE_OPENERS, WriteBatch, project_principal, stack_dims
from latentia.nets.column_condition import use_columns
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import atomic_path
from latentia.training.launch import rank0_first, run_on_rank0

RESERVED_NAMES = (
    *("key", "split", "rate", "distortion", "excess", "mse", "mu", "sd", "image"),
    *("x", "y", "encoder"),
)


def open_labelled_split(
    run: RunFolder, images: Images, name: str | None, labels: Labels
) -> tuple[Split, list[str]]:
    """Return a split, by default all images, with labels, and the run's split of each image."""
    split = rank0_first(lambda: run.split(name, images, default="all", labels=labels))
    print_note(split.note)
    return split, run.membership(split, images)


def encode_training_images(run: RunFolder, model: HasLatents, images: Images) -> LatentTable:
    """Encode the run's own training images, also if `images` are others; at most 5,000.

    Raises: Error if they cannot be read.
    """
    own = images if run.is_training_data(images) else None
    try:
        split = run.split("train", own)
    except Error as error:
        raise Error(f"This needs the images of the training: {error}") from None
    return encode_split(model, split, SAMPLE)


def write_table(
    path: Path | str,
    model: HasLatents,
    split: Split,
    split_names: Sequence[str] | None = None,
    *,
    axes: PrincipalAxes | None = None,
    thumbnails: bool = False,
    add_columns: Callable[[pa.Table], pa.Table] | None = None,
) -> Path:
    """Write the latent table of a split to a file, one row an image in its order.

    The suffix is .parquet, .csv, .npz or .h5ad, or .tsv for the files of TensorBoard's projector.

    Columns: key, split, mu_* and sd_* of the posterior (mu_channel_row_column for a latent map;
    no sd_* if the posterior defines none), rate (KL to the prior) and distortion (-log p(image |
    posterior mean), so below that of `latentia evaluate`, which draws z), both in nats, mse (per
    pixel, of the decoded posterior mean), float32, encoder (of which the latents are), and the
    labels. A label with class names is
    text, with its numbers as NAME_code. An image without a label has no text and -1, or NaN for a
    number. In .npz mu and sd are (n, *latent).

    split_names: the split that each image belongs to (default: this one). axes: columns pc_* hold
    the posterior means along them too. thumbnails: a .parquet
    file also has image (PNG), mu (a vector), and x and y (the first two principal components of
    mu). add_columns: what rank 0 adds to the whole table. Memory holds a few thousand rows, or the
    whole table without pixels for .npz, .tsv, thumbnails and such columns. Several processes share
    the batches and rank 0 writes.

    Raises: Error if the suffix is another or the path cannot be written.
    """
    path, shape = Path(path).expanduser(), model.latent_shape
    if path.suffix not in FILE_OPENERS:
        raise Error(
            f"--out {path} ends in {path.suffix or 'nothing'}; give .parquet, .csv or .npz, or .tsv"
            " for TensorBoard's projector, or .h5ad for anndata."
        )
    if thumbnails and path.suffix != ".parquet":
        raise Error(f"--thumbnails does not fit into {path.suffix}; give --out a .parquet file.")
    n, is_projector = len(split), path.suffix == ".tsv"
    with catch_write_errors(path, "give another --out"), ExitStack() as stack:

        def open_file() -> WriteBatch:
            with catch_write_errors(path, "give another --out"):
                path.parent.mkdir(parents=True, exist_ok=True)
                partial_path = stack.enter_context(atomic_path(path))
                partial_path.touch()  # fails before any image is encoded
                file = FILE_OPENERS[path.suffix](partial_path, shape)
                return stack.enter_context(file)

        write, encoded = run_on_rank0(open_file), []  # None on other ranks
        needs_all = thumbnails or is_projector or add_columns is not None
        keep = encoded.append if write and needs_all else write
        batches = encode_batches(model, split, split_names or [split.name] * n, axes)
        _write_batches(batches, keep, n, "encoding")
        table = pa.Table.from_batches(encoded) if write and needs_all else None
        if table is not None and add_columns:
            table = add_columns(table)
        if write and table is not None and thumbnails:
            _write_batches(add_thumbnails(table, split, shape), write, n, "thumbnails")
        elif write and table is not None:
            for batch in [table] if is_projector else table.to_batches():
                write(batch)
            if is_projector:
                write_projector_files(path, table, split, shape)
    return path


def _write_batches(
    batches: Iterator[pa.RecordBatch], write: WriteBatch | None, n: int, description: str
) -> None:
    def write_and_count() -> Iterator[int]:
        for batch in batches:
            if write:
                write(batch)
            yield len(batch)

    for _ in show_progress(write_and_count(), n, description):
        pass


@torch.no_grad()
def encode_batches(
    model: HasLatents,
    split: Split,
    split_names: Sequence[str],
    axes: PrincipalAxes | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the table batch by batch: mu and sd are one column a dimension."""
    size = split.max_batch_size(MAX_BATCH_SIZE)
    dims, encoder = name_dims(model.latent_shape), identify_encoder(model)

    def encode_batch(number: int) -> pa.RecordBatch:
        rows = slice(number * size, (number + 1) * size)
        batch = split.get_batch(rows)
        with use_columns(model, batch.columns):
            posterior: Any = model.encode(batch.image)
            scores = model.score_latents(posterior.mean, batch.image)
        columns: dict[str, Any] = {"key": split.keys[rows], "split": list(split_names[rows])}
        parts = {"mu": posterior.mean}
        if hasattr(posterior, "sd"):
            parts["sd"] = posterior.sd
        for name, values in parts.items():
            columns |= zip([f"{name}_{k}" for k in dims], to_flat_array(values).T, strict=True)
        if hasattr(posterior, "tokens"):
            tokens = posterior.tokens.flatten(1).T.cpu().numpy()
            names = name_dims(posterior.tokens.shape[1:])
            columns |= zip([f"token_{k}" for k in names], tokens, strict=True)
        if axes:
            values = to_flat_array(axes.rotate(posterior.mean, None)[0]).T
            columns |= {f"pc_{k}": each for k, each in enumerate(values)}
        columns["rate"] = posterior.kl().float().cpu().numpy()
        for name, values in scores.items():
            columns[name] = values.float().cpu().numpy()
        columns["encoder"] = [encoder] * len(batch.image)
        columns |= make_label_columns(batch.columns, split.classes)
        return pa.RecordBatch.from_pydict(columns)

    yield from distributed.map_round_robin(math.ceil(len(split) / size), encode_batch)


def collect_table(
    model: HasLatents,
    split: Split,
    split_names: Sequence[str] | None = None,
    axes: PrincipalAxes | None = None,
) -> pa.Table:
    """Return the latent table of a split; columns as in the file that `write_table` writes."""
    encoded, n = [], len(split)
    batches = encode_batches(model, split, split_names or [split.name] * n, axes)
    _write_batches(batches, encoded.append, n, "encoding")
    return pa.Table.from_batches(encoded)


def tabulate_images(split: Split, rows: Tensor, values: dict[str, Any]) -> pd.DataFrame:
    """Return key, row, values and labels of some images of a split, without class numbers."""
    chosen = split.select(rows)
    table: dict[str, Any] = {"key": chosen.keys, "row": rows.numpy(), **values}
    for name, values in make_label_columns(chosen.columns, chosen.classes).items():
        if name.removesuffix("_code") not in {*chosen.columns} - {name}:
            table[f"{name}_label" if name in table else name] = values
    return pd.DataFrame(table)


def tabulate_latents(z: Tensor, keys: Sequence[str], decoder: Any) -> pd.DataFrame:
    """Return a table of latents without images, as `read_latents` reads it."""
    table = pd.DataFrame(to_flat_array(z), columns=[f"mu_{k}" for k in name_dims(z.shape[1:])])
    table.insert(0, "key", list(keys))
    return table.assign(encoder=identify_encoder(decoder))


def make_label_columns(columns: dict[str, Tensor], classes: Classes) -> dict[str, Any]:
    """Return named classes as text and as numbers; a reserved name gets the suffix _label."""
    labels: dict[str, Any] = {}
    for name, values in columns.items():
        if values.ndim > 1:  # a column of images
            continue
        is_reserved = name in RESERVED_NAMES or name.startswith(("mu_", "sd_", "pc_", "token_"))
        column, numbers = f"{name}_label" if is_reserved else name, values.cpu().numpy()
        if names := classes.get(name):
            labels[column] = [names[k] if 0 <= k < len(names) else "" for k in numbers.tolist()]
            labels[f"{column}_code"] = numbers
        else:
            labels[column] = numbers
    return labels


def add_thumbnails(
    table: pa.Table, split: Split, shape: tuple[int, ...]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows with two principal components of mu, thumbnails and mu as a vector."""
    table = table.combine_chunks()
    means = stack_dims(table, "mu", shape)
    xy = project_principal(means)
    size, start = split.max_batch_size(MAX_BATCH_SIZE), 0
    for batch in table.to_batches(size):
        rows = slice(start, start + len(batch))
        start = rows.stop
        images = [encode_thumbnail(image) for image in to_pillow(split.get_batch(rows).image)]
        vectors = pa.FixedSizeListArray.from_arrays(means[rows].ravel(), means.shape[1])
        columns = {"x": xy[rows, 0], "y": xy[rows, 1], "image": images, "mu": vectors}
        for name, values in columns.items():
            batch = batch.append_column(name, pa.array(values))
        yield batch
