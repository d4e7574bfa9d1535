"""Source of images in tables of the hub: by name, a local copy, or one parquet file."""

import logging
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from latentia.core.errors import Error, summarize_exception
from latentia.core.text import abbreviate_list
from latentia.data import cache
from latentia.data.decode import Preprocessing
from latentia.data.image_files import ImageFiles
from latentia.data.label_columns import encode_table
from latentia.data.listing import FileEntry, drop_litter, list_files, make_file_entry
from latentia.data.reader import LabelColumns, LoadOptions, SourceInfo
from latentia.data.splits import SPLIT_ALIASES, SPLIT_NAMES

KNOWN_DATASETS = {
    "mnist": "ylecun/mnist",
    "fashion_mnist": "zalando-datasets/fashion_mnist",
    "cifar10": "uoft-cs/cifar10",
}
SPLIT_PATTERN = re.compile(rf"(?:^|[^a-z])({'|'.join(SPLIT_ALIASES)})(?:[^a-z]|$)")


@dataclass
class TableReader:
    """Reader of OWNER/NAME, OWNER/NAME:CONFIG, a parquet file or a folder.

    The folder is in the hub's layout, or was written by `save_to_disk` of `datasets`.
    """

    source_name: str
    location: str | Path
    image_files: ImageFiles = field(init=False)

    def fingerprint(self) -> str:
        if isinstance(self.location, str):
            return f"hub\0{self.location}"
        return "\n".join(file.fingerprint for file in list_table_files(self.location))

    def read_info(self, options: LoadOptions) -> SourceInfo:
        import datasets

        tables, notes = self.load_splits()
        column = find_image_column(tables["train"].features, self.source_name)
        counts = {name: len(table) for name, table in tables.items()}
        names = [f"{name}/{row}" for name, count in counts.items() for row in range(count)]
        parts, encoded = tables.values(), datasets.Image(decode=False)
        undecoded = [p.select_columns([column]).cast_column(column, encoded) for p in parts]
        images = datasets.concatenate_datasets(undecoded).with_format("arrow")

        def fetch_files(start: int, stop: int) -> list[Path | bytes]:
            cells = images[start:stop][column].to_pylist()
            return [self.cell_to_file(c, key) for c, key in zip(cells, names[start:], strict=False)]

        self.image_files = ImageFiles(self.source_name, names, fetch_files, all_pages=False)
        self.image_files.scan_headers(options)
        rows = self.image_files.list_rows()
        labels = read_label_columns([*tables.values()], column, rows)
        counts = dict(Counter(key.partition("/")[0] for key in self.image_files.list_keys()))
        notes += self.image_files.collect_notes()
        return self.image_files.make_info(labels, notes, counts)

    def read_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        self.image_files.decode_into(out, preprocessing)

    def cell_to_file(self, cell: dict[str, Any] | None, key: str) -> Path | bytes:
        """Convert a cell to bytes or a path. A null becomes 0 bytes, reported as unreadable later.

        Raises: Error for a path outside the folder of the table, or of the cache of the hub.
        """
        from datasets.config import HF_DATASETS_CACHE
        from huggingface_hub.constants import HF_HUB_CACHE

        if cell is None or cell["bytes"] is not None or not cell["path"]:
            return cell["bytes"] or b"" if cell else b""
        folders = [Path(HF_DATASETS_CACHE), Path(HF_HUB_CACHE)]
        if isinstance(self.location, Path):
            folders = [self.location if self.location.is_dir() else self.location.parent]
        path = Path(os.path.abspath(folders[0] / cell["path"]))
        if not any(path.is_relative_to(os.path.abspath(folder)) for folder in folders):
            raise Error(
                f"{self.source_name}: the image {key} is a path, {cell['path']}, that leaves the"
                " folder of the table; copy the file into that folder, or store its bytes."
            )
        return path

    def load_splits(self) -> tuple[dict[str, Any], list[str]]:
        """Load the splits by their names here, in order, and note those that are not used."""
        import datasets

        with silence_hub(datasets.utils), make_scratch_folder() as folder:
            tables = dict(self.load_tables(folder))
        if "train" not in tables and len(tables) == 1:  # a table of one split, whatever its name
            tables = {"train": next(iter(tables.values()))}
        if "train" not in tables:
            raise Error(
                f"{self.source_name} has the splits {', '.join(tables)}, and none is called train;"
                " give a data set with a train split, or one parquet file."
            )
        if not len(tables["train"]):
            raise Error(f"{self.source_name} has no rows; give a data set with images.")
        unused = abbreviate_list([name for name in tables if name not in SPLIT_NAMES])
        notes = [f"splits not used: {unused}."] if unused else []
        return {name: tables[name] for name in SPLIT_NAMES if name in tables}, notes

    def load_tables(self, folder: str) -> Any:
        import datasets

        try:
            if isinstance(self.location, str):
                name, _, config = self.location.partition(":")
                with connect_to_hub_once(name):
                    return datasets.load_dataset(name, config or None)
            if any(file.path.suffix == ".arrow" for file in list_table_files(self.location)):
                saved = datasets.load_from_disk(self.location)
                tables = saved if isinstance(saved, dict) else {"train": saved}
                return {SPLIT_ALIASES.get(str(k), str(k)): table for k, table in tables.items()}
            files = group_by_split(self.location)
            return datasets.load_dataset("parquet", data_files=files, cache_dir=folder)
        except Exception as error:  # the network, the hub and pyarrow each raise their own
            reason = summarize_exception(error)
            problem = f"cannot be read as parquet ({reason}); copy or write the file anew."
            if isinstance(self.location, str):
                problem = (
                    f"is not in the local cache and cannot be fetched from the hub ({reason});"
                    " connect to the network once, check the name, or give a folder that holds its"
                    " parquet files."
                )
            raise Error(f"{self.source_name} {problem}") from error


def parse_hub_name(text: str) -> str:
    name = text.removeprefix("hub:")
    parts = name.split(":")[0].split("/")
    if len(parts) != 2 or not all(parts):
        raise Error(
            f"{text} is no name on the hub; write OWNER/NAME or OWNER/NAME:CONFIG after hub:."
        )
    return name


def list_table_files(path: Path) -> list[FileEntry]:
    """List the parquet files, and those that `datasets` saved."""
    if path.is_file():
        return [make_file_entry(path.name, path)]
    files, _ = drop_litter(list_files(path))
    tables = [file for file in files if is_table(file)]
    for table in tables:
        if table.problem:
            raise Error(f"{table.path} is a {table.problem}, not a file; move it elsewhere.")
    return tables


def is_table(file: FileEntry) -> bool:
    return file.path.suffix.lower() in (".parquet", ".arrow")


def group_by_split(path: Path) -> dict[str, list[str]]:
    """Group every parquet file by its split, since `datasets` drops files without a split."""
    files: dict[str, list[str]] = {}
    for file in list_table_files(path):
        files.setdefault(infer_split(PurePath(file.key)), []).append(str(file.path))
    return files


def infer_split(file: PurePath) -> str:
    """Return the split in a file's name, else in a folder above it, else train."""
    matches = (SPLIT_PATTERN.search(part) for part in (file.stem, *file.parts[-2::-1]))
    return SPLIT_ALIASES[next((match[1] for match in matches if match), "train")]


def find_image_column(features: Any, source_name: str) -> str:
    """Find `image` or `img`, else the first column that is declared an image."""
    import datasets

    usual = [name for name in ("image", "img") if name in features]
    images = [name for name in features if isinstance(features[name], datasets.Image)]
    usual_images = [name for name in usual if name in images]
    usual_bytes = [name for name in usual if holds_bytes(features[name])]
    if candidates := [*usual_images, *usual_bytes, *images]:
        return candidates[0]
    types = (getattr(f, "dtype", None) or type(f).__name__ for f in features.values())
    listing = ", ".join(f"{name} ({kind})" for name, kind in zip(features, types, strict=True))
    raise Error(
        f"{source_name} has no image column: it has {listing}; it must have a column image or img"
        " that holds the bytes of image files."
    )


def holds_bytes(feature: Any) -> bool:
    """Whether a column that is not declared an image holds bytes, or pairs of bytes and path."""
    if isinstance(feature, dict):
        return "bytes" in feature
    return getattr(feature, "dtype", "") in ("binary", "large_binary")


def read_label_columns(tables: list[Any], image: str, rows: Sequence[int]) -> LabelColumns:
    """Read the columns of one value an image in these rows. List the others."""
    import datasets

    table, unused = {}, []
    features = {name: feature for name, feature in tables[0].features.items() if name != image}
    for name, feature in features.items():
        is_scalar = isinstance(feature, datasets.ClassLabel | datasets.Value)
        if is_scalar and all(name in each.features for each in tables):
            chunks = [each.with_format("arrow")[:][name].to_pylist() for each in tables]
            values = list(chain.from_iterable(chunks))
            table[name] = [values[row] for row in rows]
        else:
            unused.append(name)
    columns, classes, free_text, others = encode_table(table)
    for name, feature in features.items():
        if isinstance(feature, datasets.ClassLabel) and name in columns:
            columns[name] = np.nan_to_num(columns[name], nan=-1).astype(np.int64)
            classes[name] = list(feature.names)
    return LabelColumns(columns, classes, free_text, [*unused, *others])


@contextmanager
def connect_to_hub_once(name: str) -> Iterator[None]:
    """Switch `datasets` to offline mode if the hub does not answer: it would retry for 25 seconds.

    Raises: the error of the connection, if `name` is not in the local cache.
    """
    from datasets import config
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    previous, connection_error = config.HF_HUB_OFFLINE, None
    try:
        HfApi().dataset_info(name, timeout=10)
    except (HfHubHTTPError, OfflineModeIsEnabled):  # the hub answered, or offline mode is on
        pass
    except Exception as error:  # the network's errors change with the version of the library
        config.HF_HUB_OFFLINE, connection_error = True, error
    try:
        yield
    except Exception as error:
        raise connection_error or error from None
    finally:
        config.HF_HUB_OFFLINE = previous


@contextmanager
def silence_hub(library: Any) -> Iterator[None]:
    """Hide the progress bars of `library` off a terminal, and the hub's warnings of each retry.

    library: `datasets.utils` or `huggingface_hub.utils`.
    """
    hide_bars = not (library.are_progress_bars_disabled() or sys.stderr.isatty())
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    if hide_bars:
        library.disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if hide_bars:
            library.enable_progress_bars()


@contextmanager
def make_scratch_folder() -> Iterator[str]:
    """Yield a folder for the copy that `datasets` makes of local parquet, beside our cache."""
    parent = cache.cache_root()
    options: Any = {"prefix": "latentia-", "suffix": ".part", "ignore_cleanup_errors": True}
    try:
        parent.mkdir(parents=True, exist_ok=True)
        cache.remove_abandoned_parts(parent)  # of Windows, which removes no mapped file
        scratch = tempfile.TemporaryDirectory(dir=parent, **options)
    except OSError:
        scratch = tempfile.TemporaryDirectory(**options)
    with scratch as folder:
        yield folder
