"""What a .tar or a .parquet file holds: an index, and the encoded images of each of its shards."""

import posixpath
import tarfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from latentia.core.errors import Error
from latentia.core.text import counted
from latentia.data.decode import SUFFIXES, Header, headers
from latentia.data.image_files import some
from latentia.data.sources.table import image_column, quiet

Columns = dict[str, tuple[list[float], list[str] | None]]  # one number an image; class names


class Index(NamedTuple):
    """What the shards of one file hold, in order."""

    rows: list[int]  # images of each
    sizes: list[int]  # bytes of each
    keys: list[str]
    columns: Columns
    first: Sequence[Any]  # the first image's `Header`
    notes: list[str]


def tar_index(files: Any, path: str, name: str) -> Index:
    """One shard of NAME.jpg, or another image; NAME.cls beside each is its class."""
    keys, told, first, others = [], {}, Header(1, 1, False, False), 0
    for key, suffix, read in members(files, path):
        if suffix in SUFFIXES:
            if not keys:
                first = headers(read(), suffix)[0]
            keys.append(key)
        elif suffix == ".cls":
            told[key] = whole_number(read(), f"{name}: {key}.cls")
        elif not suffix:
            others += 1
    notes = [f"{counted(others, 'image')} not used, named with several dots or twice."]
    bare = sum(key not in told for key in keys)
    if told and bare:
        notes.append(f"classes not used: {counted(bare, 'image')} without.")
    columns: Columns = {"label": ([told[key] for key in keys], [])} if told and not bare else {}
    sizes = [files.size(path) or 0]
    return Index([len(keys)], sizes, keys, columns, first, notes if others else notes[1:])


def whole_number(text: bytes, what: str) -> int:
    try:
        return int(text)
    except ValueError:
        said = text.decode(errors="replace").strip()[:40]
        raise Error(f"{what} holds {said!r}; a class is a whole number: write 0, 1, ...") from None


def tar_images(files: Any, path: str, at: int) -> list[bytes]:
    return [read() for _, suffix, read in members(files, path) if suffix in SUFFIXES]


def members(files: Any, path: str) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """(key, suffix, read) of each file of a .tar; the suffix of an image that is not used: ""."""
    seen = set()
    with files.open(path, "rb") as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        for member in tar:
            folder, base = posixpath.split(member.name)
            stem, _, suffix = base.partition(".")
            key, suffix = posixpath.join(folder, stem), f".{suffix.lower()}"
            if not member.isfile() or not stem:
                continue
            if suffix in SUFFIXES and key not in seen:
                seen.add(key)
            elif posixpath.splitext(suffix)[1] in SUFFIXES or suffix in SUFFIXES:
                suffix = ""
            inside = tar.extractfile(member)
            assert inside is not None  # a file's is there
            yield key, suffix, inside.read


def parquet_index(files: Any, path: str, name: str) -> Index:
    """A shard each row group; numbers and classes stand beside the images."""
    import datasets
    import pyarrow.parquet

    with files.open(path, "rb") as stream, quiet():
        table = pyarrow.parquet.ParquetFile(stream)
        groups = [table.metadata.row_group(k) for k in range(table.num_row_groups)]
        features = datasets.Features.from_arrow_schema(table.schema_arrow)
        image = image_column(features, name)
        columns: Columns = {}
        for column, meant in features.items():
            if isinstance(meant, datasets.ClassLabel | datasets.Value) and numeric(meant.dtype):
                values = table.read(columns=[column])[column]
                if not values.null_count:
                    names = list(meant.names) if isinstance(meant, datasets.ClassLabel) else None
                    columns[column] = (values.to_pylist(), names)
        rows, sizes = [g.num_rows for g in groups], [g.total_byte_size for g in groups]
        first = Header(1, 1, False, False)
        for batch in table.iter_batches(1, columns=[image]) if sum(rows) else ():
            first = headers(files_of(batch[image])[0])[0]
            break
    dropped = [each for each in features if each not in (*columns, image)]
    notes = [f"columns not used: {some(dropped)}."] if dropped else []
    return Index(rows, sizes, [str(k) for k in range(sum(rows))], columns, first, notes)


def parquet_images(files: Any, path: str, at: int) -> list[bytes]:
    import datasets
    import pyarrow.parquet

    with files.open(path, "rb") as stream:
        table = pyarrow.parquet.ParquetFile(stream)
        column = image_column(datasets.Features.from_arrow_schema(table.schema_arrow), path)
        return files_of(table.read_row_group(at, columns=[column])[column])


def files_of(cells: Any) -> list[bytes]:
    """A null is an image of 0 bytes: it will be named as unreadable."""
    found = cells.to_pylist()
    return [(cell["bytes"] if isinstance(cell, dict) else cell) or b"" for cell in found]


def numeric(dtype: str) -> bool:
    return dtype.startswith(("int", "uint", "float", "bool"))


class Kind(NamedTuple):
    """index(files, path, name); images(files, path, shard): the encoded images."""

    index: Callable[[Any, str, str], Index]
    images: Callable[[Any, str, int], list[bytes]]


KINDS = {".tar": Kind(tar_index, tar_images), ".parquet": Kind(parquet_index, parquet_images)}


def kind(path: str) -> Any:
    """Of a file's name; None: it holds no shards."""
    return KINDS.get(posixpath.splitext(path)[1].lower())
