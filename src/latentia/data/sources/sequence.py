"""Source of images as an object with items: a data set of torch or of the hub, a list, a column."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latentia.core.errors import Error, describe_exception
from latentia.core.progress import show_progress
from latentia.core.text import abbreviate_list
from latentia.data.decode import Preprocessing
from latentia.data.headers import read_header
from latentia.data.image_files import ImageFiles
from latentia.data.label_columns import encode_table
from latentia.data.levels import Depth
from latentia.data.masks import MaskFolder
from latentia.data.pages import DecodeError, catch_decode_errors, is_pillow_image
from latentia.data.preprocess import is_array, preprocess_image
from latentia.data.reader import LabelColumns, LoadOptions, SourceInfo
from latentia.data.sources import arrays

ALLOWED_ITEMS = (
    "an image (tensor or array (c, h, w) in [0, 1] or uint8, Pillow image or path of a file), a"
    " tuple (image, label), or a dict with an image"
)
IMAGE_KEYS = ("image", "img", "pixel_values")
PATH_COLUMNS = ("path", "file", "file_name", "filename", *IMAGE_KEYS)  # of a data frame


@dataclass
class SequenceReader:
    """Reader of an object with `__len__` and `__getitem__`; items that are no paths are read twice.

    The first time is for sizes and labels, so that the images need not fit into memory as they are.
    """

    source_name: str
    items: Any
    image_files: ImageFiles | None = None

    def __post_init__(self) -> None:
        if hasattr(self.items, "columns"):
            self.items = list_frame_items(self.items)
        elif hasattr(self.items, "to_pylist"):
            self.items = self.items.to_pylist()
        elif hasattr(self.items, "to_numpy"):  # a column of a table: its index may not count from 0
            self.items = self.items.to_numpy().tolist()

    def fingerprint(self) -> None:
        return None

    def read_info(self, options: LoadOptions) -> SourceInfo:
        count, paths, shapes, depth, rows = len(self.items), [], set(), Depth.BYTE, []
        for k in show_progress(range(count), count, f"{self.source_name}: reading sizes"):
            image, values = self.get_item(k)
            rows.append(values)
            if isinstance(image, str | Path):
                paths.append(Path(image).expanduser())
                continue
            shape, item_depth = read_shape(image, f"item {k} of {self.source_name}")
            shapes.add(shape)
            depth = max(depth, item_depth)
        if not count or 0 < len(paths) < count:
            problem = "mixes paths with other images" if count else "holds no images"
            raise Error(f"{self.source_name} {problem}; give items of one kind, at least one.")
        if paths:
            names = [str(path) for path in paths]
            files = ImageFiles(self.source_name, names, lambda a, b: paths[a:b], all_pages=False)
            files.scan_headers(options)
            self.image_files, rows = files, [rows[k] for k in files.list_rows()]
            labels, counts = self.collect_columns(rows), {"train": len(rows)}
            return files.make_info(labels, files.collect_notes(), counts)
        keys, sizes = [str(k) for k in range(count)], sorted({shape[1:] for shape in shapes})
        channels, labels = max(shape[0] for shape in shapes), self.collect_columns(rows)
        return SourceInfo(sizes, channels, depth, keys, {"train": count}, labels, [])

    def read_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        if self.image_files:
            self.image_files.decode_into(out, preprocessing)
            return
        MaskFolder(preprocessing.mask_folder).refuse_masks(self.source_name)
        for k in show_progress(range(len(out)), len(out), f"{self.source_name}: reading images"):
            label = f"Item {k} of {self.source_name}"
            try:
                pixels = next(preprocess_image(self.get_item(k)[0], preprocessing, label))
            except DecodeError as error:
                raise Error(f"{label} cannot be read: {error}.") from None
            out[k] = pixels if pixels.dtype == out.dtype else pixels / np.float32(255)

    def get_item(self, number: int) -> tuple[Any, dict[str, Any]]:
        """Return the image of an item, and its labels by name."""
        label = f"Item {number} of {self.source_name}"
        try:
            item = self.items[number]
        except (KeyError, IndexError):
            raise Error(f"{label} does not exist; items are numbered from 0.") from None
        except Exception as error:  # whatever the code of others raises
            reason = describe_exception(error)
            text = f"{label} cannot be read ({reason}); repair it, or give the data without it."
            raise Error(text) from error
        image, values = item, {}
        if isinstance(item, Mapping):
            key = next((key for key in IMAGE_KEYS if key in item), "")
            image, values = item.get(key, item), {k: v for k, v in item.items() if k != key}
        elif isinstance(item, tuple | list) and item:
            names = ["label", *(f"label_{k}" for k in range(2, len(item)))]
            image, values = item[0], dict(zip(names, item[1:], strict=False))
        if not (isinstance(image, str | Path) or is_array(image) or is_pillow_image(image)):
            raise Error(f"{label} is of type {type(image).__name__}; an item is {ALLOWED_ITEMS}.")
        return image, values

    def collect_columns(self, rows: list[dict[str, Any]]) -> LabelColumns:
        """Return the labels of the items, each one number or text."""
        names = dict.fromkeys(name for row in rows for name in row)
        labels = encode_table({name: [row.get(name) for row in rows] for name in names})
        features = getattr(self.items, "features", None)  # of a data set of the hub
        for name in labels.columns:
            feature = features.get(name) if isinstance(features, Mapping) else None
            classes = labels.classes[name] or getattr(feature, "names", None)
            if name == "label":
                classes = classes or getattr(self.items, "classes", None)  # of torchvision
            labels.classes[name] = list(classes) if classes else None
        return labels


def list_frame_items(frame: Any) -> list[dict[str, Any]]:
    """Return the rows of a data frame: its images or their paths, and the other columns as labels.

    Raises: Error if no column is called as images are, and there are several.
    """
    if hasattr(frame, "to_pandas"):  # of polars or pyarrow
        frame = frame.to_pandas()
    columns = list(map(str, frame.columns))
    by_lower_name = {name.lower(): name for name in columns}
    names = [by_lower_name[name] for name in PATH_COLUMNS if name in by_lower_name]
    if not names and len(columns) != 1:
        raise Error(
            f"The data are a {type(frame).__name__} of the columns {abbreviate_list(columns, 8)};"
            f" call the one of the images or their paths {', '.join(PATH_COLUMNS[:-1])} or"
            f" {PATH_COLUMNS[-1]}, or give this column alone, such as data['photo']."
        )
    rows, key = frame.rename(columns=str).to_dict("records"), (names or columns)[0]
    return [{IMAGE_KEYS[0]: row.pop(key), **row} for row in rows]


def is_sequence(data: Any) -> bool:
    """Whether an object holds items, and is no array (nor numbers in nested lists)."""
    if hasattr(data, "columns"):
        return True
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        return False
    first = data[0] if isinstance(data, list) and data else None
    is_nested = isinstance(first, list) and isinstance(first[0] if first else 0, list | int | float)
    return not is_nested and getattr(data, "ndim", 1) == 1


def read_shape(image: Any, label: str) -> tuple[tuple[int, ...], int]:
    """Return (c, h, w) of an image in memory, and its `Depth`."""
    if is_array(image):
        array = arrays.to_nchw(arrays.to_numpy(image)[None], label)
        return array.shape[1:], Depth.from_dtype(array.dtype)
    with catch_decode_errors():
        header = read_header(image)
    return (header.channels, header.height, header.width), header.depth
