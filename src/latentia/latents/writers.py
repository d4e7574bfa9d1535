"""Writers of a latent table, batch by batch: .parquet, .csv, .npz, .h5ad and .tsv."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from pyarrow import csv, parquet

from latentia.core.errors import Error
from latentia.latents.encoding import name_dims

HIDDEN_COLUMN = re.compile(r"(mu|sd|token)(_\d+)+")  # no label has such a name
ROW_GROUP_SIZE = 4096  # rows held in memory before they are written as a row group
WriteBatch = Callable[[pa.RecordBatch], Any]


@contextmanager
def open_arrow_file(
    open_writer: Callable, path: Path, shape: tuple[int, ...]
) -> Iterator[WriteBatch]:
    """Yield a function that writes batches to a parquet or csv file."""
    batches: list[pa.RecordBatch] = []
    writers: list[Any] = []

    def flush() -> None:
        table = pa.Table.from_batches(batches).combine_chunks()
        if not writers:
            writers.append(stack.enter_context(open_writer(file, table.schema)))
        writers[0].write_table(table)
        batches.clear()

    def write(batch: pa.RecordBatch) -> None:
        if batches and sum(map(len, batches)) + len(batch) > ROW_GROUP_SIZE:
            flush()
        batches.append(batch)

    with path.open("wb") as file, ExitStack() as stack:
        yield write
        if batches:
            flush()


@contextmanager
def open_npz_file(path: Path, shape: tuple[int, ...]) -> Iterator[WriteBatch]:
    """Yield a function that takes batches, which are written at the end.

    mu and sd are arrays (n, *latent), tokens are (n, h, w).
    """
    batches: list[pa.RecordBatch] = []
    yield batches.append
    table, arrays = pa.Table.from_batches(batches), {}
    hidden = filter(None, map(HIDDEN_COLUMN.fullmatch, table.column_names))
    for name in sorted({match[1] for match in hidden}):
        part = shape[1:] if name == "token" else shape
        arrays[name] = stack_dims(table, name, part).reshape(-1, *part)
        table = table.drop_columns([f"{name}_{k}" for k in name_dims(part)])
    for name in table.column_names:
        values = table[name].to_numpy()
        arrays[name] = values.astype(str) if values.dtype == object else values
    with path.open("wb") as file:  # with a path, savez would append .npz to its name
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]


@contextmanager
def open_anndata_file(path: Path, shape: tuple[int, ...]) -> Iterator[WriteBatch]:
    """Yield a function that takes batches, which are written at the end for single-cell tools.

    X is mu (n, d) and layers["sd"] its standard deviations; obs has the other columns by key, text
    as categories, and obsm["X_pca"] the first two principal components of mu, or pc_* if they are
    there.

    Raises: Error if anndata is not installed
    """
    try:
        import h5py  # pyright: ignore[reportMissingImports]
        from anndata import AnnData  # pyright: ignore[reportMissingImports]
        from anndata.io import write_elem  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError:
        raise Error('.h5ad needs anndata; pip install "latentia[h5ad]", or give .csv.') from None
    import pandas as pd

    batches: list[pa.RecordBatch] = []
    yield batches.append
    table, dims = pa.Table.from_batches(batches), name_dims(shape)
    frame = table.to_pandas().set_index("key")
    own = [name for name in frame if re.fullmatch(r"pc_\d+", name)]
    mu, plane = stack_dims(table, "mu", shape), frame[own].to_numpy()
    hidden = [f"{part}_{k}" for part in ("mu", "sd") for k in dims]
    layers = {"sd": stack_dims(table, "sd", shape)} if hidden[-1] in frame else {}
    obs = frame.drop(columns=[name for name in (*hidden, *own) if name in frame])
    for name in obs:
        if obs[name].dtype.kind == "O":
            obs[name] = obs[name].replace("", None).astype("category")
        elif re.fullmatch("(latent_)*cluster", name):
            obs[name] = obs[name].astype("category").cat.rename_categories(str)
    obs.columns = make_hdf_names(list(obs))
    data = AnnData(mu, obs, pd.DataFrame(index=[f"mu_{k}" for k in dims]), layers=layers)
    data.obsm["X_pca"] = plane if own else project_principal(mu)
    with h5py.File(path, "w", locking=False) as file:  # `path` is locked already
        write_elem(file, "/", data)


@contextmanager
def open_vector_file(path: Path, shape: tuple[int, ...]) -> Iterator[WriteBatch]:
    """Yield a function that writes rows of posterior means, without a header."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        yield lambda table: np.savetxt(file, stack_dims(table, "mu", shape), "%.9g", "\t")


def stack_dims(table: pa.Table, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the columns of all dimensions of mu, sd or token as one array (n, d)."""
    return np.stack([table[f"{name}_{k}"].to_numpy() for k in name_dims(shape)], 1)


def make_hdf_names(names: list[str]) -> list[str]:
    """Return names of columns without a slash, and without those of HDF5 and anndata."""
    for k in range(len(names)):
        name, names[k] = names[k].replace("/", "_"), ""
        while name in ("_index", ".", "..", *names):
            name += "_label"
        names[k] = name
    return names


def project_principal(mean: np.ndarray) -> Float[np.ndarray, "n 2"]:
    """Project posterior means (n, d) to their first two principal components."""
    from sklearn.decomposition import PCA

    plane, components = np.zeros((len(mean), 2), np.float32), min(2, *mean.shape)
    pca = PCA(components, svd_solver="covariance_eigh")
    plane[:, :components] = pca.fit_transform(mean.astype(np.float64))
    return plane


FILE_OPENERS: dict[str, Callable] = {
    ".parquet": partial(open_arrow_file, parquet.ParquetWriter),
    ".csv": partial(open_arrow_file, csv.CSVWriter),
    ".npz": open_npz_file,
    ".h5ad": open_anndata_file,
    ".tsv": open_vector_file,
}
