"""Latents as a user writes them: numbers, arrays, or a table such as `latentia encode` writes."""

import io
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from latentia.core.errors import Error, summarize_exception
from latentia.core.files import require_file
from latentia.core.text import list_cuts
from latentia.data.label_tables import decode_text, find_delimiter
from latentia.data.sources.arrays import to_numpy
from latentia.latents.encoding import identify_encoder, name_dims

MAX_MAGNITUDE = 1e6  # standard deviations of the prior: float32 decodes no image from more
ARRAY_NAMES = ("mu", "latents", "z", "arr_0")  # names of latents in .npz files
TEXT_COLUMNS = ("key", "encoder")
LATENT_COLUMN = re.compile(r"mu(_\d+)+")


def read_latents(
    latents: Any, shape: Sequence[int], encoder: str = ""
) -> tuple[Float[Tensor, "n *latent"], list[str]]:
    """Read latents, and their keys if a table has some.

    latents: a row such as "0.5,-1.2", the path of a file, a data frame, an array, or rows.

    encoder: the model's own; a table may name that of its latents.

    Raises: Error if the file cannot be read, or a row has not one finite number for each dimension,
    or the latents are those of another encoder.
    """
    source, keys = "z", []
    if isinstance(latents, str | Path):
        path, source = Path(latents).expanduser(), str(latents)
        if path.suffix.lower() in FILE_READERS:
            latents = read_file(path)
        else:
            latents, source = [source.split(",")], "--latents"
    if isinstance(latents, pd.DataFrame):
        keys = latents["key"].astype(str).to_list() if "key" in latents else []
        names: Any = latents.get("encoder", ())
        others = {*map(str, names)} - {encoder}
        if encoder and others:
            raise Error(
                f"{source} holds latents of another encoder ({min(others)}) than this run's"
                f" ({encoder}); give the run that encoded them, or leave out the column encoder."
            )
        latents = select_latent_columns(latents, shape)
    elif hasattr(latents, "shape"):
        latents = flatten_latents(to_numpy(latents))
    return rows_to_latents(latents, shape, source), keys


def is_latent_row(name: Any) -> bool:
    """Whether a name is FILE:ROW, a row of a table of latents, which may be missing."""
    file, row = split_row(name) if isinstance(name, str) else ("", "")
    path = Path(file).expanduser()
    is_row = path.suffix.lower() in FILE_READERS and bool(row)
    return is_row and (row.isdecimal() or path.is_file())


def split_row(name: str) -> tuple[str, str]:
    """Split FILE:ROW at the first colon behind a file, else at the last; a key may hold colons."""
    pairs = list_cuts(name, ":") or [("", name)]
    return next((pair for pair in pairs if Path(pair[0]).expanduser().is_file()), pairs[-1])


def read_latent_row(name: str, decoder: Any) -> Float[Tensor, "1 *latent"]:
    """Read FILE:ROW, where ROW is a number from 0, or a key.

    Raises: Error if the file holds no such latents, or no such row.
    """
    file, row = split_row(name)
    z, keys = read_latents(file, decoder.latent_shape, identify_encoder(decoder))
    number = keys.index(row) if row in keys else int(row) if row.isdecimal() else len(z)
    if number >= len(z):
        raise Error(f"There is no row {row} in {file}; it has {len(z)}, from 0.")
    return z[number : number + 1]


def read_file(path: Path) -> Any:
    """Read a data frame, an array or rows. Raises: Error if the file cannot be read as such."""
    try:
        require_file(path)
        return FILE_READERS[path.suffix.lower()](path)
    except (OSError, EOFError, ValueError, BadZipFile) as error:
        # numpy's own message advises to load an object, which would run its code
        is_object = "allow_pickle" in str(error)
        reason = "no array of numbers" if is_object else summarize_exception(error)
        raise Error(f"{path} cannot be read ({reason}); give rows of numbers.") from None


def read_json(path: Path) -> Any:
    """Read rows, {"latents": rows}, or a table: objects of a row, or of a column, each."""
    content = json.loads(path.read_text("utf-8"))
    rows = content.get("latents", content) if isinstance(content, dict) else content
    columns = rows if isinstance(rows, list) else [rows]
    return pd.DataFrame(rows) if all(isinstance(each, dict) for each in columns) else rows


def read_archive(path: Path) -> pd.DataFrame:
    """Read the array of latents, or else the first array, and the arrays `key` and `encoder`."""
    with np.load(path) as arrays:
        name = next((name for name in ARRAY_NAMES if name in arrays), arrays.files[0])
        frame = pd.DataFrame(flatten_latents(arrays[name]))
        names = [name for name in TEXT_COLUMNS if name in arrays]
        return frame.assign(**{name: arrays[name] for name in names})


def read_text_table(path: Path) -> pd.DataFrame:
    """Read a table as text, so that every digit counts; a first line of numbers is no header."""
    text, delimiter = find_delimiter(decode_text(path.read_bytes()))
    header = 0 if re.search(r"[a-df-zA-DF-Z]", text.partition("\n")[0]) else None
    options: Any = {"sep": delimiter, "header": header, "dtype": object, "keep_default_na": False}
    frame = pd.read_csv(io.StringIO(text), **options)
    if delimiter == ",":
        return frame
    numbers = [name for name in frame if name not in TEXT_COLUMNS]
    frame[numbers] = frame[numbers].apply(lambda cells: cells.str.replace(",", "."))  # decimal
    return frame


FILE_READERS: dict[str, Callable[[Path], Any]] = {
    ".csv": read_text_table,
    ".tsv": read_text_table,
    ".parquet": pd.read_parquet,
    ".npy": np.load,
    ".npz": read_archive,
    ".json": read_json,
}


def flatten_latents(array: np.ndarray) -> np.ndarray:
    """Return rows (n, d) of latents (n, *latent); one of one dimension is a row."""
    array = np.atleast_2d(array)
    return array.reshape(len(array), math.prod(array.shape[1:]))


def select_latent_columns(frame: Any, shape: Sequence[int]) -> pd.DataFrame:
    """Return the columns mu_* in the order of the dimensions, or all but `key` if none is so named.

    Those of another model are returned as they are.
    """
    expected = [f"mu_{k}" for k in name_dims(tuple(shape))]
    columns = [name for name in frame if LATENT_COLUMN.fullmatch(str(name))]
    if {*columns} == {*expected}:
        return frame[expected]
    return frame[columns or [name for name in frame if name not in TEXT_COLUMNS]]


def rows_to_latents(rows: Any, shape: Sequence[int], source: str) -> Float[Tensor, "n *latent"]:
    """Convert rows of numbers, one a latent dimension in the order of `name_dims`, to latents.

    Raises: Error if a row has not one finite number for each dimension.
    """
    d = math.prod(shape)
    try:
        z: Any = np.array(rows, np.float64)
    except (TypeError, ValueError):
        z = np.empty(0)
    if z.ndim != 2 or z.shape[1] != d or not len(z) or not (np.abs(z) <= MAX_MAGNITUDE).all():
        actual = f", but of {z.shape[1]}" if z.ndim == 2 and z.shape[1] != d else ""
        raise Error(
            f"{source} is not rows of {d} finite numbers each, one a latent dimension{actual}; "
            f"give such rows, or a file ({', '.join(FILE_READERS)}) that latentia encode wrote."
        )
    return torch.from_numpy(z.astype(np.float32)).view(-1, *shape)


def format_latents(z: Tensor) -> list[float]:
    """Return a row of numbers, with as few digits as give the same float32 when parsed."""
    return [float(str(value)) for value in z.flatten().float().cpu().numpy()]
