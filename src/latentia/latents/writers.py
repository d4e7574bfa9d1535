"""Writers of a latent table, batch by batch: .parquet, .csv and .npz."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from latentia.latents.encoding import name_dims

ROW_GROUP_SIZE = 4096  # rows held in memory before they are written as a row group


class ArrowWriter:
    """Writer of parquet and csv."""

    def __init__(self, open_writer: Callable, path: Path, _: tuple[int, ...]):
        self.open_writer, self.path = open_writer, path
        self.writer: Any = None
        self.batches: list[pa.RecordBatch] = []

    def write(self, batch: pa.RecordBatch) -> None:
        if sum(map(len, self.batches)) + len(batch) > ROW_GROUP_SIZE:
            self.flush()
        self.batches.append(batch)

    def flush(self) -> None:
        if self.batches:
            table = pa.Table.from_batches(self.batches).combine_chunks()
            self.writer = self.writer or self.open_writer(self.path, table.schema)
            self.writer.write_table(table)
            self.batches = []

    def __enter__(self) -> "ArrowWriter":
        return self

    def __exit__(self, exception_type: Any, *_: object) -> None:
        if exception_type is None:
            self.flush()
        if self.writer is not None:
            self.writer.close()


class NpzWriter:
    """Writer of npz: mu and sd are arrays (n, *latent); all is held in memory until the end."""

    def __init__(self, path: Path, shape: tuple[int, ...]):
        self.path, self.shape = path, shape
        self.batches: list[pa.RecordBatch] = []
        self.write = self.batches.append

    def __enter__(self) -> "NpzWriter":
        return self

    def __exit__(self, exception_type: Any, *_: object) -> None:
        if exception_type is not None:
            return
        table, arrays = pa.Table.from_batches(self.batches), {}
        for name in ("mu", "sd"):
            arrays[name] = stack_dims(table, name, self.shape).reshape(-1, *self.shape)
            table = table.drop_columns([f"{name}_{k}" for k in name_dims(self.shape)])
        for name in table.column_names:
            values = table[name].to_numpy()
            arrays[name] = values.astype(str) if values.dtype == object else values
        with self.path.open("wb") as file:  # with a path, savez would append .npz to its name
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]


def stack_dims(table: pa.Table, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the columns of all dimensions of mu or sd as one array (n, d)."""
    return np.stack([table[f"{name}_{k}"].to_numpy() for k in name_dims(shape)], 1)


WRITERS: dict[str, Callable[[Path, tuple[int, ...]], Any]] = {
    ".parquet": partial(ArrowWriter, parquet.ParquetWriter),
    ".csv": partial(ArrowWriter, csv.CSVWriter),
    ".npz": NpzWriter,
}
