"""What a .tar or a .parquet file holds: an index, and the encoded images of each of its shards."""

import posixpath
import tarfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.data.decode import IMAGE_SUFFIXES, ImageHeader, read_headers
from latentia.data.image_files import abbreviate_list
from latentia.data.sources.table import find_image_column, silence_datasets

ShardColumns = dict[str, tuple[list[float], list[str] | None]]  # one number an image; class names


class ShardIndex(NamedTuple):
    """What the shards of one file hold, in order."""

    row_counts: list[int]  # images of each
    byte_sizes: list[int]  # bytes of each
    keys: list[str]
    columns: ShardColumns
    first_header: Sequence[Any]  # the first image's `Header`
    notes: list[str]


def index_tar(filesystem: Any, path: str, name: str) -> ShardIndex:
    """One shard of NAME.jpg, or another image; NAME.cls beside each is its class."""
    keys, class_by_key, first_header, unused_count = [], {}, ImageHeader(1, 1, False, False), 0
    for key, suffix, read_member in iterate_members(filesystem, path):
        if suffix in IMAGE_SUFFIXES:
            if not keys:
                first_header = read_headers(read_member(), suffix)[0]
            keys.append(key)
        elif suffix == ".cls":
            class_by_key[key] = parse_class_number(read_member(), f"{name}: {key}.cls")
        elif not suffix:
            unused_count += 1
    notes = [f"{pluralize(unused_count, 'image')} not used, named with several dots or twice."]
    unlabeled_count = sum(key not in class_by_key for key in keys)
    if class_by_key and unlabeled_count:
        notes.append(f"classes not used: {pluralize(unlabeled_count, 'image')} without.")
    columns: ShardColumns = (
        {"label": ([class_by_key[key] for key in keys], [])}
        if class_by_key and not unlabeled_count
        else {}
    )
    byte_sizes = [filesystem.size(path) or 0]
    return ShardIndex(
        [len(keys)], byte_sizes, keys, columns, first_header, notes if unused_count else notes[1:]
    )


def parse_class_number(text: bytes, location: str) -> int:
    try:
        return int(text)
    except ValueError:
        excerpt = text.decode(errors="replace").strip()[:40]
        raise Error(
            f"{location} holds {excerpt!r}; a class is a whole number: write 0, 1, ..."
        ) from None


def read_tar_images(filesystem: Any, path: str, shard: int) -> list[bytes]:
    return [
        read_member()
        for _, suffix, read_member in iterate_members(filesystem, path)
        if suffix in IMAGE_SUFFIXES
    ]


def iterate_members(filesystem: Any, path: str) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """(key, suffix, read) of each file of a .tar; the suffix of an image that is not used: ""."""
    used_keys = set()
    with filesystem.open(path, "rb") as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        for member in tar:
            folder, base_name = posixpath.split(member.name)
            stem, _, suffix = base_name.partition(".")
            key, suffix = posixpath.join(folder, stem), f".{suffix.lower()}"
            if not member.isfile() or not stem:
                continue
            if suffix in IMAGE_SUFFIXES and key not in used_keys:
                used_keys.add(key)
            elif posixpath.splitext(suffix)[1] in IMAGE_SUFFIXES or suffix in IMAGE_SUFFIXES:
                suffix = ""
            content = tar.extractfile(member)
            assert content is not None  # a file's is there
            yield key, suffix, content.read


def index_parquet(filesystem: Any, path: str, name: str) -> ShardIndex:
    """A shard each row group; numbers and classes stand beside the images."""
    import datasets
    import pyarrow.parquet

    with filesystem.open(path, "rb") as stream, silence_datasets():
        table = pyarrow.parquet.ParquetFile(stream)
        row_groups = [table.metadata.row_group(k) for k in range(table.num_row_groups)]
        features = datasets.Features.from_arrow_schema(table.schema_arrow)
        image_column_name = find_image_column(features, name)
        columns: ShardColumns = {}
        for column, feature in features.items():
            if isinstance(feature, datasets.ClassLabel | datasets.Value) and is_numeric(
                feature.dtype
            ):
                values = table.read(columns=[column])[column]
                if not values.null_count:
                    class_names = (
                        list(feature.names) if isinstance(feature, datasets.ClassLabel) else None
                    )
                    columns[column] = (values.to_pylist(), class_names)
        row_counts, byte_sizes = (
            [g.num_rows for g in row_groups],
            [g.total_byte_size for g in row_groups],
        )
        first_header = ImageHeader(1, 1, False, False)
        for batch in table.iter_batches(1, columns=[image_column_name]) if sum(row_counts) else ():
            first_header = read_headers(cells_to_bytes(batch[image_column_name])[0])[0]
            break
    dropped_columns = [
        feature_name
        for feature_name in features
        if feature_name not in (*columns, image_column_name)
    ]
    notes = [f"columns not used: {abbreviate_list(dropped_columns)}."] if dropped_columns else []
    return ShardIndex(
        row_counts,
        byte_sizes,
        [str(k) for k in range(sum(row_counts))],
        columns,
        first_header,
        notes,
    )


def read_parquet_images(filesystem: Any, path: str, shard: int) -> list[bytes]:
    import datasets
    import pyarrow.parquet

    with filesystem.open(path, "rb") as stream:
        table = pyarrow.parquet.ParquetFile(stream)
        column = find_image_column(datasets.Features.from_arrow_schema(table.schema_arrow), path)
        return cells_to_bytes(table.read_row_group(shard, columns=[column])[column])


def cells_to_bytes(cells: Any) -> list[bytes]:
    """A null is an image of 0 bytes: it will be named as unreadable."""
    values = cells.to_pylist()
    return [(cell["bytes"] if isinstance(cell, dict) else cell) or b"" for cell in values]


def is_numeric(dtype: str) -> bool:
    return dtype.startswith(("int", "uint", "float", "bool"))


class ShardFormat(NamedTuple):
    """index(files, path, name); images(files, path, shard): the encoded images."""

    build_index: Callable[[Any, str, str], ShardIndex]
    read_images: Callable[[Any, str, int], list[bytes]]


SHARD_FORMATS = {
    ".tar": ShardFormat(index_tar, read_tar_images),
    ".parquet": ShardFormat(index_parquet, read_parquet_images),
}


def find_shard_format(path: str) -> Any:
    """Of a file's name; None: it holds no shards."""
    return SHARD_FORMATS.get(posixpath.splitext(path)[1].lower())
