"""Table of the images on the map: its columns, the search for keys, and a selection as CSV."""

import io
import math
import re
from collections.abc import Container, Sequence
from typing import NamedTuple
from unicodedata import normalize

import numpy as np
import pyarrow as pa
from pyarrow import csv

from latentia.core.contract import HasLatents
from latentia.core.errors import Error
from latentia.data import Split
from latentia.data.splits import evenly_spaced_rows
from latentia.latents.encoding import SAMPLE, LatentTable, name_dims
from latentia.latents.outliers import measure_mahalanobis
from latentia.latents.table import encode_batches
from latentia.latents.thumbnails import encode_thumbnail, to_pillow
from latentia.latents.writers import stack_dims

MAX_MAP_IMAGES, MAX_MAP_NUMBERS = 20_000, 2**24  # all images up to this, and up to 64 MiB of means
MAX_SCORED_DIMS = 2048  # beyond, the axes of their covariance take minutes
MAX_CELLS = 2**23  # of a selection, about 100 MB
# a text that a spreadsheet would run, unless it is a number such as -3
FORMULA, NUMBER = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]"), re.compile(r"[+-]\d+([.,]\d+)?")


class MapColumn(NamedTuple):
    """Values that colour the map (n,), NaN where there is none; with classes they are indices."""

    values: np.ndarray
    classes: list[str] | None


def encode_map(
    model: HasLatents, split: Split, split_names: Sequence[str], reference: LatentTable
) -> tuple[LatentTable, pa.Table]:
    """Return posterior means of the images on the map, and their table as `latentia encode`'s.

    It has one more column, `distance`: the outlier score, from the latents of training images.
    """
    n, d = len(split), math.prod(model.latent_shape)
    rows = evenly_spaced_rows(n, None if n <= min(MAX_MAP_IMAGES, MAX_MAP_NUMBERS // d) else SAMPLE)
    names = [str(split_names[row]) for row in rows.tolist()]
    table = pa.Table.from_batches(encode_batches(model, split.select(rows), names))
    mean = stack_dims(table, "mu", model.latent_shape)
    if d <= MAX_SCORED_DIMS:
        name, position = "distance", table.column_names.index("encoder")
        while name in table.column_names:  # a label's name
            name += "_score"
        scores = measure_mahalanobis(mean, reference).astype(np.float32)
        table = table.add_column(position, name, pa.array(scores))
    return LatentTable(mean, None, None), table


def list_map_columns(
    table: pa.Table, split: Split, latent_shape: tuple[int, ...], source_columns: Container[str]
) -> dict[str, MapColumn]:
    """Return the columns that can colour a map: labels of a user's file, other labels, scores."""
    names, columns = table.column_names, {}
    hidden = {"key", *(f"{part}_{k}" for k in name_dims(latent_shape) for part in ("mu", "sd"))}
    end = names.index("encoder")  # scores stand before it, labels behind
    labels = sorted(names[end + 1 :], key=lambda name: name in source_columns)
    for name in [*labels, *names[:end]]:
        is_code = name.removesuffix("_code") in {*names} - {name}
        if name not in hidden and not is_code:
            column = encode_column(table[name], split.classes.get(name))
            if np.isfinite(column.values).any():
                columns[name] = column
    return columns


def encode_column(cells: pa.ChunkedArray, classes: Sequence[str] | None) -> MapColumn:
    """Convert texts to indices of their classes, which are sorted unless they are given."""
    if not pa.types.is_string(cells.type):
        return MapColumn(cells.to_numpy().astype(np.float64), None)
    texts = cells.to_pylist()
    names = list(classes or sorted({*texts} - {""}))
    indices = {name: float(k) for k, name in enumerate(names)}
    return MapColumn(np.array([indices.get(text, np.nan) for text in texts]), names)


def find_keys(split: Split, text: str) -> list[int]:
    """Return rows of the images whose key contains the text in any case, exact keys first."""

    def fold(name: str) -> str:
        return normalize("NFC", name.replace("\\", "/")).casefold()

    part, keys = fold(text), [fold(key) for key in split.keys]
    rows = [row for row, key in enumerate(keys) if part in key]
    return sorted(rows, key=lambda row: not f"/{keys[row]}".endswith(f"/{part}"))


def render_thumbnails(split: Split, rows: Sequence[int]) -> list[bytes]:
    """Return PNG files of some images. Raises: Error if there is no such image"""
    if max(rows) >= len(split):
        raise Error(f"There is no image {max(rows)}; there are images 0 to {len(split) - 1:,}.")
    chosen = [slice(row, row + 1) for row in rows]
    return [encode_thumbnail(to_pillow(split[each])[0]) for each in chosen]


def write_selection(table: pa.Table, n: int, rows: Sequence[int]) -> bytes:
    """Write rows of the map's table as CSV, in their order among the n images of the split.

    Raises: Error if an image is not on the map
    """
    positions = {row: k for k, row in enumerate(evenly_spaced_rows(n, len(table)).tolist())}
    chosen = sorted({*rows})
    if missing := [row for row in chosen if row not in positions]:
        raise Error(f"Image {missing[0]} is not on the map; select images that are.")
    if (cells := len(chosen) * table.num_columns) > MAX_CELLS:
        text = f"The selection has {cells:,} cells; at most {MAX_CELLS:,} are saved here"
        raise Error(f"{text}. Select fewer images, or run latentia encode.")
    file = io.BytesIO()
    csv.write_csv(escape_formulas(table.take([positions[row] for row in chosen])), file)
    return file.getvalue()


def escape_formulas(table: pa.Table) -> pa.Table:
    """Put an apostrophe before each text that a spreadsheet would take for a formula."""

    def escape(text: str) -> str:
        is_formula = FORMULA.match(text) and not NUMBER.fullmatch(text)
        return f"'{text}" if is_formula else text

    for k, cells in enumerate(table.columns):
        if pa.types.is_string(cells.type):
            texts = [escape(text) for text in cells.to_pylist()]
            table = table.set_column(k, table.field(k), pa.array(texts))
    return table.rename_columns([escape(name) for name in table.column_names])
