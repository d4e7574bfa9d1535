"""Files that a table is written to, chunk by chunk: parquet, csv and npz."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from latentia.latents.encoding import names

GROUP = 4096  # rows of a row group: what is held before it is written
Chunk = dict[str, Any]  # column -> its values in row order; mu and sd (b, d)


class Arrow:
    """mu and sd a column a dimension; beside an image mu also as a vector."""

    def __init__(self, kind: Callable, path: Path, shape: tuple[int, ...], _: int):
        self.kind, self.path, self.shape = kind, path, shape
        self.writer: Any = None
        self.held = Held(GROUP)

    def write(self, chunk: Chunk) -> None:
        if self.held.first + len(chunk["key"]) > self.held.n:
            self.flush()
            self.held = Held(max(GROUP, len(chunk["key"])))
        self.held.write(chunk)

    def table(self, chunk: Chunk) -> pa.Table:
        columns: Chunk = {}
        for name, values in chunk.items():
            if name in ("mu", "sd"):
                columns |= {f"{name}_{k}": values[:, j] for j, k in enumerate(names(self.shape))}
            else:
                columns[name] = values
        if "image" in chunk:
            vectors = pa.array(chunk["mu"].ravel())
            columns["mu"] = pa.FixedSizeListArray.from_arrays(vectors, chunk["mu"].shape[1])
        return pa.table(columns)

    def flush(self) -> None:
        if not self.held.first:
            return
        table = self.table(
            {k: values[: self.held.first] for k, values in self.held.columns.items()}
        )
        self.writer = self.writer or self.kind(self.path, table.schema)
        self.writer.write_table(table)

    def __enter__(self) -> "Arrow":
        return self

    def __exit__(self, failed: Any, *_: object) -> None:
        if failed is None:
            self.flush()
        if self.writer is not None:
            self.writer.close()


class Held:
    """n rows in arrays made beforehand; see `codes` for why."""

    def __init__(self, n: int):
        self.n, self.first = n, 0
        self.columns: Chunk = {}

    def write(self, chunk: Chunk) -> None:
        here = slice(self.first, self.first + len(chunk["key"]))
        self.first = here.stop
        for name, values in chunk.items():
            if isinstance(values, list):
                self.columns.setdefault(name, []).extend(values)
                continue
            if name not in self.columns:
                self.columns[name] = np.empty((self.n, *values.shape[1:]), values.dtype)
            self.columns[name][here] = values

    def rows(self, size: int) -> Iterator[tuple[slice, Chunk]]:
        for first in range(0, self.n, size):
            here = slice(first, min(self.n, first + size))
            yield here, {name: values[here] for name, values in self.columns.items()}


class Archive:
    """mu and sd as arrays (n, *latent); all is held and written at the end."""

    def __init__(self, path: Path, shape: tuple[int, ...], n: int):
        self.path, self.shape = path, shape
        self.held = Held(n)
        self.write = self.held.write

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, failed: Any, *_: object) -> None:
        if failed is not None:
            return
        whole = self.held.columns
        for name in ("mu", "sd"):
            whole[name] = whole[name].reshape(-1, *self.shape)
        with self.path.open("wb") as file:  # by its name, savez would append .npz
            np.savez(file, **whole)  # pyright: ignore[reportArgumentType]


SINKS: dict[str, Callable[[Path, tuple[int, ...], int], Any]] = {
    ".parquet": partial(Arrow, parquet.ParquetWriter),
    ".csv": partial(Arrow, csv.CSVWriter),
    ".npz": Archive,
}
