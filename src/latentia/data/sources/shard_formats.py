"""Formats of shards, .tar and .parquet: an index of each file, and the images of each shard."""

import posixpath
import tarfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from latentia.core.errors import Error
from latentia.core.text import abbreviate_list, pluralize
from latentia.data.headers import ImageHeader
from latentia.data.levels import Depth
from latentia.data.pages import IMAGE_SUFFIXES
from latentia.data.read_files import read_headers
from latentia.data.reading import Reading
from latentia.data.sources.table import find_image_column, silence_hub

ShardColumns = dict[str, tuple[list[float], list[str] | None]]  # one number an image; class names


class ShardIndex(NamedTuple):
    """Contents of the shards of one file, in order."""

    row_counts: list[int]  # images of each shard
    byte_sizes: list[int]  # of each shard
    keys: list[str]
    columns: ShardColumns
    first_header: Sequence[Any]  # the `ImageHeader` of the first image
    notes: list[str]


def index_tar(fs: Any, path: str, name: str, reading: Reading) -> ShardIndex:
    """Index a .tar as one shard of images NAME.jpg, .png etc., with their classes NAME.cls."""
    keys, labels, header, unused = [], {}, ImageHeader(1, 1, 1, Depth.BYTE), 0
    others: dict[str, None] = {}  # suffixes
    for key, suffix, read in iterate_members(fs, path):
        if suffix in IMAGE_SUFFIXES and suffix != ".tga":  # known by its name alone, not stored
            if not keys:
                header = read_headers(read(), reading)[0]
            keys.append(key)
        elif suffix == ".cls":
            labels[key] = parse_class_number(read(), f"{name}: {key}.cls")
        elif suffix:
            others[suffix] = None
        else:
            unused += 1
    notes, columns = [], {}
    if others:
        notes.append(f"not used: files of {abbreviate_list([*others], 3)}.")
    if unused:
        notes.append(f"{pluralize(unused, 'image')} not used, named with several dots or twice.")
    unlabeled = sum(key not in labels for key in keys)
    if labels and unlabeled:
        notes.append(f"classes not used: {pluralize(unlabeled, 'image')} without.")
    elif labels:
        columns["label"] = ([labels[key] for key in keys], [])
    return ShardIndex([len(keys)], [fs.size(path) or 0], keys, columns, header, notes)


def parse_class_number(content: bytes, name: str) -> int:
    try:
        return int(content)
    except ValueError:
        text = content.decode(errors="replace").strip()[:40]
        raise Error(f"{name} holds {text!r}; a class is a whole number: write 0, 1, ...") from None


def read_tar_images(fs: Any, path: str, shard: int) -> list[bytes]:
    return [read() for _, suffix, read in iterate_members(fs, path) if suffix in IMAGE_SUFFIXES]


def iterate_members(fs: Any, path: str) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """Yield (key, suffix, read) of each file of a .tar. An image that is not used has suffix ""."""
    used_keys = set()
    with fs.open(path, "rb") as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        for member in tar:
            folder, base = posixpath.split(member.name)
            stem, _, suffix = base.partition(".")
            key, suffix = posixpath.join(folder, stem), f".{suffix.lower()}"
            if not member.isfile() or not stem:
                continue
            if suffix in IMAGE_SUFFIXES and key not in used_keys:
                used_keys.add(key)
            elif posixpath.splitext(suffix)[1] in IMAGE_SUFFIXES or suffix in IMAGE_SUFFIXES:
                suffix = ""
            content = tar.extractfile(member)
            assert content is not None  # only a folder has none
            yield key, suffix, content.read


def index_parquet(fs: Any, path: str, name: str, reading: Reading) -> ShardIndex:
    """Index a .parquet file: each row group is a shard, numbers and classes are columns."""
    import datasets
    import pyarrow.parquet

    with fs.open(path, "rb") as stream, silence_hub(datasets.utils):
        table = pyarrow.parquet.ParquetFile(stream)
        groups = [table.metadata.row_group(k) for k in range(table.num_row_groups)]
        row_counts = [group.num_rows for group in groups]
        byte_sizes = [group.total_byte_size for group in groups]
        features = datasets.Features.from_arrow_schema(table.schema_arrow)
        image = find_image_column(features, name)
        columns: ShardColumns = {}
        for column, feature in features.items():
            is_class = isinstance(feature, datasets.ClassLabel)
            if (is_class or isinstance(feature, datasets.Value)) and is_numeric(feature.dtype):
                values = table.read(columns=[column])[column]
                if not values.null_count:
                    columns[column] = (values.to_pylist(), [*feature.names] if is_class else None)
        header = ImageHeader(1, 1, 1, Depth.BYTE)
        if sum(row_counts):
            cells = next(table.iter_batches(1, columns=[image]))[image]
            header = read_headers(cells_to_bytes(cells)[0], reading)[0]
    unused = [column for column in features if column not in (*columns, image)]
    notes = [f"columns not used: {abbreviate_list(unused)}."] if unused else []
    keys = [str(row) for row in range(sum(row_counts))]
    return ShardIndex(row_counts, byte_sizes, keys, columns, header, notes)


def read_parquet_images(fs: Any, path: str, shard: int) -> list[bytes]:
    import datasets
    import pyarrow.parquet

    with fs.open(path, "rb") as stream:
        table = pyarrow.parquet.ParquetFile(stream)
        column = find_image_column(datasets.Features.from_arrow_schema(table.schema_arrow), path)
        return cells_to_bytes(table.read_row_group(shard, columns=[column])[column])


def cells_to_bytes(cells: Any) -> list[bytes]:
    """Convert cells to encoded images. A null becomes 0 bytes, reported as unreadable later."""
    values = cells.to_pylist()
    return [(cell["bytes"] if isinstance(cell, dict) else cell) or b"" for cell in values]


def is_numeric(dtype: str) -> bool:
    return dtype.startswith(("int", "uint", "float", "bool"))


# of each suffix: index_X(fs, path, name, reading) and read_X_images(fs, path, shard)
SHARD_FORMATS = {
    ".tar": (index_tar, read_tar_images),
    ".parquet": (index_parquet, read_parquet_images),
}


def find_shard_format(path: str) -> Any:
    """Find the format by the file's suffix. None: the file holds no shards."""
    return SHARD_FORMATS.get(posixpath.splitext(path)[1].lower())
