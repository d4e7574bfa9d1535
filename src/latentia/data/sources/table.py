"""Tables of images as the hub keeps them: by name, a local copy, or one parquet file."""

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from latentia.core.errors import Error, summarize_exception
from latentia.data import cache
from latentia.data.decode import Preprocessing
from latentia.data.image_files import ImageFiles, abbreviate_list
from latentia.data.listing import list_files
from latentia.data.reader import LoadOptions, SourceInfo

KNOWN_DATASETS = {
    "mnist": "ylecun/mnist",
    "fashion_mnist": "zalando-datasets/fashion_mnist",
    "cifar10": "uoft-cs/cifar10",
}
SPLIT_NAMES = ("train", "validation", "test")
SPLIT_ALIASES = {name: name for name in SPLIT_NAMES} | {"val": "validation", "valid": "validation"}
SPLIT_PATTERN = re.compile(rf"(?:^|[^a-z])({'|'.join(SPLIT_ALIASES)})(?:[^a-z]|$)")


@dataclass
class TableReader:
    """`where` is OWNER/NAME, OWNER/NAME:CONFIG, a folder in the hub's layout or a parquet file."""

    source_name: str
    location: str | Path
    image_files: ImageFiles | None = None

    def fingerprint(self) -> str:
        if isinstance(self.location, str):
            return f"hub\0{self.location}"
        location = Path(self.location)
        stats = [(path.relative_to(location), path.stat()) for path in list_parquet_files(location)]
        return "\n".join(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}" for name, stat in stats)

    def read_info(self, options: LoadOptions) -> SourceInfo:
        tables, notes = self.load_splits()
        column = find_image_column(tables["train"].features, self.source_name)
        keys, split_counts, first_rows = [], {}, []
        for name, table in tables.items():
            first_rows.append(len(keys))
            split_counts[name] = len(table)
            keys += [f"{name}/{row}" for row in range(len(table))]
        row_fetchers = [make_row_fetcher(table, column) for table in tables.values()]

        def fetch_files(start: int, stop: int) -> list[Path | bytes]:
            files: list[Path | bytes] = []
            for first_row, fetch_rows in zip(first_rows, row_fetchers, strict=True):
                files += fetch_rows(max(start - first_row, 0), max(stop - first_row, 0))
            return files

        self.image_files = ImageFiles(self.source_name, keys, fetch_files, all_pages=False)
        self.image_files.scan_headers(options.channels)
        columns, classes, dropped_notes = read_scalar_columns(
            list(tables.values()), column, self.source_name
        )
        notes += self.image_files.collect_notes() + dropped_notes
        return SourceInfo(
            *self.image_files.summarize_headers(), keys, split_counts, columns, classes, notes
        )

    def read_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        assert self.image_files is not None
        self.image_files.decode_into(out, preprocessing)

    def load_splits(self) -> tuple[dict[str, Any], list[str]]:
        """The splits by our names, in order, and a note of those that are not used."""
        with silence_datasets(), make_scratch_folder() as folder:
            tables = dict(self.load_tables(folder))
        if "train" not in tables and len(tables) == 1:  # a table of one split, whatever its name
            tables = {"train": next(iter(tables.values()))}
        if "train" not in tables:
            raise Error(
                f"{self.source_name} has the splits {', '.join(tables)}, and none is called train; give a"
                " data set with a train split, or one parquet file."
            )
        if not len(tables["train"]):
            raise Error(f"{self.source_name} has no rows; give a data set with images.")
        unused_splits = [name for name in tables if name not in SPLIT_NAMES]
        notes = (
            [f"{self.source_name}: splits not used: {abbreviate_list(unused_splits)}."]
            if unused_splits
            else []
        )
        return {name: tables[name] for name in SPLIT_NAMES if name in tables}, notes

    def load_tables(self, folder: str) -> Any:
        import datasets

        try:
            if isinstance(self.location, str):
                name, _, config = self.location.partition(":")
                with ask_hub_once(name):
                    return datasets.load_dataset(name, config or None)
            files = group_by_split(self.location)
            return datasets.load_dataset("parquet", data_files=files, cache_dir=folder)
        except Exception as error:  # the network, the hub, pyarrow: each has errors of its own
            raise Error(self.describe_failure(error)) from error

    def describe_failure(self, error: Exception) -> str:
        message = summarize_exception(error)
        if isinstance(self.location, str):
            return (
                f"{self.source_name} is not in the local cache and cannot be fetched from the hub"
                f" ({message}); connect to the network once, check the name, or give a folder that"
                " holds its parquet files."
            )
        return f"{self.source_name} cannot be read as parquet ({message}); copy or write the file anew."


def parse_hub_name(text: str) -> str:
    name = text.removeprefix("hub:")
    if name.split(":")[0].count("/") != 1 or not all(name.split(":")[0].split("/")):
        raise Error(
            f"{text} is not a name on the hub; write hub:OWNER/NAME, or hub:OWNER/NAME:CONFIG."
        )
    return name


def list_parquet_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file.path for file in list_files(path) if file.path.suffix.lower() == ".parquet"]


def group_by_split(path: Path) -> dict[str, list[str]]:
    """Every parquet file under the split that its name or else a folder says, or under train.

    Said here, not by `datasets`, which drops the files that it cannot place.
    """
    files: dict[str, list[str]] = {}
    for file in list_parquet_files(path):
        relative_path = Path(file.name) if path.is_file() else file.relative_to(path)
        files.setdefault(infer_split(relative_path), []).append(str(file))
    return files


def infer_split(file: PurePath) -> str:
    """The split that a file's name says, or else a folder above it; or train."""
    matches = (SPLIT_PATTERN.search(part) for part in (file.stem, *file.parts[-2::-1]))
    return SPLIT_ALIASES[next((match[1] for match in matches if match), "train")]


def find_image_column(features: Any, source_name: str) -> str:
    """`image`, `img`, else the first that is declared an image."""
    import datasets

    declared_columns = [
        name for name, feature in features.items() if isinstance(feature, datasets.Image)
    ]
    byte_columns = [
        name for name in ("image", "img") if name in features and holds_bytes(features[name])
    ]
    preferred_columns = [name for name in ("image", "img") if name in declared_columns]
    for candidates in (preferred_columns, byte_columns, declared_columns):
        if candidates:
            return candidates[0]
    description = ", ".join(
        f"{name} ({format_feature_type(feature)})" for name, feature in features.items()
    )
    raise Error(
        f"{source_name} has no image column: it has {description}; wanted is a column image or img that holds"
        " the bytes of image files."
    )


def holds_bytes(feature: Any) -> bool:
    """Bytes, or the hub's pair of bytes and path, in a table that does not call them an image."""
    if isinstance(feature, dict):
        return "bytes" in feature
    return getattr(feature, "dtype", "") in ("binary", "large_binary")


def format_feature_type(feature: Any) -> str:
    return str(getattr(feature, "dtype", None) or type(feature).__name__)


def make_row_fetcher(table: Any, column: str) -> Any:
    """rows(start, stop) -> the undecoded images of these rows."""
    import datasets

    undecoded_table = table.select_columns([column]).cast_column(
        column, datasets.Image(decode=False)
    )
    undecoded_table = undecoded_table.with_format("arrow")

    def fetch_rows(start: int, stop: int) -> list[Path | bytes]:
        stop = min(stop, len(undecoded_table))
        if start >= stop:
            return []
        cells = undecoded_table[start:stop][column].to_pylist()
        return [cell_to_file(cell) for cell in cells]

    return fetch_rows


def cell_to_file(cell: dict[str, Any] | None) -> Path | bytes:
    """A null is an image of 0 bytes: it will be named with the unreadable ones."""
    if cell is None:
        return b""
    return cell["bytes"] if cell["bytes"] is not None else Path(cell["path"] or os.devnull)


def read_scalar_columns(
    tables: list[Any], image_column_name: str, source_name: str
) -> tuple[dict[str, np.ndarray], dict[str, list[str] | None], list[str]]:
    """Columns of one number an image; strings of few values become classes; the rest is named."""
    import datasets

    columns, classes, dropped_columns = {}, {}, []
    for name, feature in tables[0].features.items():
        if name == image_column_name:
            continue
        if not all(name in table.features for table in tables) or not isinstance(
            feature, datasets.Value | datasets.ClassLabel
        ):
            dropped_columns.append(name)
            continue
        chunks = [table.with_format("arrow")[:][name] for table in tables]
        values = [value for chunk in chunks for value in chunk.to_pylist()]
        array = np.asarray(values)
        if array.dtype.kind == "U" and len(set(values)) <= len(values) // 2:
            classes[name], array = np.unique(array, return_inverse=True)
            classes[name] = classes[name].tolist()
        elif array.dtype.kind in "biuf":
            classes[name] = (
                list(feature.names) if isinstance(feature, datasets.ClassLabel) else None
            )
        else:  # free text, missing values, times
            dropped_columns.append(name)
            continue
        columns[name] = array
    notes = (
        [f"{source_name}: columns not used: {', '.join(dropped_columns)}."]
        if dropped_columns
        else []
    )
    return columns, classes, notes


@contextmanager
def ask_hub_once(name: str) -> Iterator[None]:
    """Where the hub does not answer, its library's offline mode: else that asks for 25 seconds.

    Raises: what kept the hub from being reached, if `name` is not in the local cache.
    """
    from datasets import config
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    previous_setting, connection_error = config.HF_HUB_OFFLINE, None
    try:
        HfApi().dataset_info(name, timeout=10)
    except (HfHubHTTPError, OfflineModeIsEnabled):  # an answer; or nobody is asked
        pass
    except Exception as error:  # the network's errors change with the version of the library
        config.HF_HUB_OFFLINE, connection_error = True, error
    try:
        yield
    except Exception as error:
        raise connection_error or error from None
    finally:
        config.HF_HUB_OFFLINE = previous_setting


@contextmanager
def silence_datasets() -> Iterator[None]:
    """No bars of `datasets` where nobody watches, and no word of each retry: what fails is said."""
    import datasets

    hide_bars = datasets.is_progress_bar_enabled() and not sys.stderr.isatty()
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    if hide_bars:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if hide_bars:
            datasets.enable_progress_bars()


@contextmanager
def make_scratch_folder() -> Iterator[str]:
    """Where `datasets` lays its copy of local parquet: beside our cache, gone once it is mapped."""
    parent = cache.cache_root()
    try:
        parent.mkdir(parents=True, exist_ok=True)
        temporary_folder = tempfile.TemporaryDirectory(dir=parent, prefix="parquet-")
    except OSError:
        temporary_folder = tempfile.TemporaryDirectory(prefix="latentia-")
    with temporary_folder as folder:
        yield folder
