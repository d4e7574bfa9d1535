"""Writers of a latent table, chunk by chunk: .parquet, .csv and .npz."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from latentia.latents.encoding import name_dims

ROW_GROUP_SIZE = 4096  # rows held in memory before they are written as a row group
Chunk = dict[str, Any]  # column -> its values in row order; mu and sd (b, d)


class ArrowWriter:
    """Writer of parquet and csv: mu and sd are one column a dimension.

    A table with images also has mu as a column of vectors.
    """

    def __init__(self, open_writer: Callable, path: Path, shape: tuple[int, ...], _: int):
        self.open_writer, self.path, self.shape = open_writer, path, shape
        self.writer: Any = None
        self.buffer = ColumnBuffer(ROW_GROUP_SIZE)

    def write(self, chunk: Chunk) -> None:
        n = len(chunk["key"])
        if self.buffer.row_count + n > self.buffer.capacity:
            self.flush()
            self.buffer = ColumnBuffer(max(ROW_GROUP_SIZE, n))
        self.buffer.write(chunk)

    def make_table(self, chunk: Chunk) -> pa.Table:
        columns: Chunk = {}
        for name, values in chunk.items():
            if name in ("mu", "sd"):
                dims = name_dims(self.shape)
                columns |= {f"{name}_{k}": values[:, j] for j, k in enumerate(dims)}
            else:
                columns[name] = values
        if "image" in chunk:
            vectors = pa.array(chunk["mu"].ravel())
            columns["mu"] = pa.FixedSizeListArray.from_arrays(vectors, chunk["mu"].shape[1])
        return pa.table(columns)

    def flush(self) -> None:
        n = self.buffer.row_count
        if not n:
            return
        table = self.make_table({k: values[:n] for k, values in self.buffer.columns.items()})
        self.writer = self.writer or self.open_writer(self.path, table.schema)
        self.writer.write_table(table)

    def __enter__(self) -> "ArrowWriter":
        return self

    def __exit__(self, exception_type: Any, *_: object) -> None:
        if exception_type is None:
            self.flush()
        if self.writer is not None:
            self.writer.close()


class ColumnBuffer:
    """Columns of a table in memory; arrays are allocated at once, as in `encode_split`."""

    def __init__(self, capacity: int):
        self.capacity, self.row_count = capacity, 0
        self.columns: Chunk = {}

    def write(self, chunk: Chunk) -> None:
        rows = slice(self.row_count, self.row_count + len(chunk["key"]))
        self.row_count = rows.stop
        for name, values in chunk.items():
            if isinstance(values, list):
                self.columns.setdefault(name, []).extend(values)
                continue
            if name not in self.columns:
                self.columns[name] = np.empty((self.capacity, *values.shape[1:]), values.dtype)
            self.columns[name][rows] = values

    def iterate_chunks(self, size: int) -> Iterator[tuple[slice, Chunk]]:
        for start in range(0, self.capacity, size):
            rows = slice(start, min(self.capacity, start + size))
            yield rows, {name: values[rows] for name, values in self.columns.items()}


class NpzWriter:
    """Writer of npz: mu and sd are arrays (n, *latent); all is held in memory until the end."""

    def __init__(self, path: Path, shape: tuple[int, ...], n: int):
        self.path, self.shape = path, shape
        self.buffer = ColumnBuffer(n)
        self.write = self.buffer.write

    def __enter__(self) -> "NpzWriter":
        return self

    def __exit__(self, exception_type: Any, *_: object) -> None:
        if exception_type is not None:
            return
        columns = self.buffer.columns
        for name in {"mu", "sd"} & columns.keys():
            columns[name] = columns[name].reshape(-1, *self.shape)
        with self.path.open("wb") as file:  # with a path, savez would append .npz to its name
            np.savez(file, **columns)  # pyright: ignore[reportArgumentType]


WRITERS: dict[str, Callable[[Path, tuple[int, ...], int], Any]] = {
    ".parquet": partial(ArrowWriter, parquet.ParquetWriter),
    ".csv": partial(ArrowWriter, csv.CSVWriter),
    ".npz": NpzWriter,
}
