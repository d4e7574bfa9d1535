"""Files that a table is written to, chunk by chunk: parquet, csv and npz."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from latentia.latents.codes import names

GROUP = 4096  # rows of a row group: what is held before it is written
Chunk = dict[str, Any]  # column -> its values in row order; mu and sd (b, d)


class Arrow:
    """mu and sd a column a dimension; beside an image mu also as a vector."""

    def __init__(self, kind: Callable, path: Path, shape: tuple[int, ...]):
        self.kind, self.path, self.shape = kind, path, shape
        self.writer: Any = None
        self.held: list[pa.Table] = []

    def write(self, chunk: Chunk) -> None:
        self.held.append(self.table(chunk))
        if sum(map(len, self.held)) >= GROUP:
            self.flush()

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
        if not self.held:
            return
        table = pa.concat_tables(self.held)
        self.writer = self.writer or self.kind(self.path, table.schema)
        self.writer.write_table(table)
        self.held = []

    def __enter__(self) -> "Arrow":
        return self

    def __exit__(self, failed: Any, *_: object) -> None:
        if failed is None:
            self.flush()
        if self.writer is not None:
            self.writer.close()


class Archive:
    """mu and sd as arrays (n, *latent); all is held and written at the end."""

    def __init__(self, path: Path, shape: tuple[int, ...]):
        self.path, self.shape = path, shape
        self.held: list[Chunk] = []

    def write(self, chunk: Chunk) -> None:
        self.held.append(chunk)

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, failed: Any, *_: object) -> None:
        if failed is not None:
            return
        whole = {name: np.concatenate([c[name] for c in self.held]) for name in self.held[0]}
        for name in ("mu", "sd"):
            whole[name] = whole[name].reshape(-1, *self.shape)
        with self.path.open("wb") as file:  # by its name, savez would append .npz
            np.savez(file, **whole)  # pyright: ignore[reportArgumentType]


SINKS: dict[str, Callable[[Path, tuple[int, ...]], Any]] = {
    ".parquet": partial(Arrow, parquet.ParquetWriter),
    ".csv": partial(Arrow, csv.CSVWriter),
    ".npz": Archive,
}
