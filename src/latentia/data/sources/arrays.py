"""Source of images as one array: in memory, in .npy and .npz, or returned by a function."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from latentia.core.errors import Error, summarize_exception
from latentia.core.text import pluralize
from latentia.data.decode import (
    DecodeError,
    Preprocessing,
    ValueRangeError,
    array_to_unit_range,
    convert_channels,
    resize_planes,
    scale_pixels,
)
from latentia.data.label_columns import collapse_one_hot, encode_table
from latentia.data.levels import format_value, make_range_error
from latentia.data.reader import Classes, Columns, LoadOptions, SourceInfo

CHANNEL_COUNTS = (1, 3, 4)  # sizes of a last dimension that are taken for channels
CHUNK_SIZE = 4096  # images at a time: float64 copies of all would be eight times the array
CHUNK_VALUES = 2**26  # or fewer images, if they are large
IMAGE_NAMES = ("x", "images", "imgs", "image", "data", "arr_0")
LABEL_NAMES = ("y", "label", "labels")
MAX_FACTORS = 100  # columns of one array (n, k); more are no factors


@dataclass
class ArrayReader:
    """Reader of arrays in memory: images (n, c, h, w) by split, and columns in row order."""

    source_name: str
    images_by_split: dict[str, np.ndarray]
    columns: Columns = field(default_factory=dict)
    classes: Classes = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    free_text: Sequence[str] = ()

    def fingerprint(self) -> None:
        return None

    def read_info(self, options: LoadOptions) -> SourceInfo:
        arrays = self.images_by_split
        counts = {name: len(images) for name, images in arrays.items()}
        shapes = {images.shape[1:] for images in arrays.values()}
        channels = sorted({shape[0] for shape in shapes})
        if len(channels) > 1:
            raise Error(
                f"{self.source_name} holds images of {' and '.join(map(str, channels))} channels;"
                " all must have as many: give arrays of one kind."
            )
        rows = [(name, row) for name, count in counts.items() for row in range(count)]
        return SourceInfo(
            sorted({shape[1:] for shape in shapes}),
            channels[0],
            any(has_high_bit_depth(images) for images in arrays.values()),
            [f"{name}/{row}" if len(counts) > 1 else str(row) for name, row in rows],
            counts,
            self.columns,
            {name: self.classes.get(name) for name in self.columns},
            self.notes,
            free_text=self.free_text,
        )

    def read_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        row, everything = 0, self.images_by_split.values()
        size = min(CHUNK_SIZE, CHUNK_VALUES // math.prod(out.shape[1:]) + 1)
        for images in everything:
            for start in range(0, len(images), size):
                chunk = images[start : start + size]
                chunk = scale_images(chunk, preprocessing, self.source_name, everything)
                chunk = fit_images(chunk, preprocessing, self.source_name)
                stop = row + len(chunk)
                out[row:stop] = chunk if out.dtype == np.uint8 else array_to_unit_range(chunk)
                row = stop


@dataclass
class ArrayFileReader:
    """Reader of a .npy or .npz file."""

    source_name: str
    path: Path
    array_reader: ArrayReader | None = None

    def fingerprint(self) -> str:
        stat = self.path.stat()
        return f"{self.path.name}\0{stat.st_size}\0{stat.st_mtime_ns}"

    def read_info(self, options: LoadOptions) -> SourceInfo:
        self.array_reader = load_array_file(self.path, self.source_name, options.reading.rules)
        return self.array_reader.read_info(options)

    def read_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        assert self.array_reader is not None
        self.array_reader.read_into(out, preprocessing)


def looks_like_color(array: np.ndarray) -> bool:
    """Whether (h, w, 3) or (h, w, 4) is one colour image, not h grey ones, 3 or 4 pixels wide."""
    return array.ndim == 3 and array.shape[-1] in (3, 4) and min(array.shape[:2]) >= 8


def to_nchw(array: Any, source_name: str) -> np.ndarray:
    """Convert an array or tensor of images to (n, c, h, w).

    (n, h, w) is grey. In four dimensions the channels are second, except where the last dimension
    is 1, 3 or 4, or the smallest, and the second is not 1, 3 or 4: then they are last.
    """
    array = to_numpy(array)
    shape = format_shape(array)
    if array.dtype.kind not in "buif":
        raise Error(
            f"{source_name} has dtype {array.dtype}; allowed are bool, integers and floats: give"
            " one number for each pixel and channel."
        )
    if array.ndim not in (3, 4):
        raise Error(
            f"{source_name} has shape {shape}; images are (n, h, w), (n, c, h, w) or (n, h, w, c):"
            " reshape it."
        )
    if array.size == 0:
        raise Error(f"{source_name} has shape {shape}, which is empty; give at least one image.")
    if looks_like_color(array):
        raise Error(
            f"{source_name} has shape {shape}: one colour image, or grey images of width"
            f" {array.shape[-1]}; write array[None] for the first, array[:, None] for the second."
        )
    if array.ndim == 3:
        return array[:, None]
    is_last = array.shape[3] in CHANNEL_COUNTS or array.shape[3] < min(array.shape[1:3])
    if is_last and array.shape[1] not in CHANNEL_COUNTS:
        return array.transpose(0, 3, 1, 2)
    return array


def to_numpy(array: Any) -> np.ndarray:
    import torch

    if isinstance(array, torch.Tensor):
        array = array.detach().cpu().to_dense()
        return (array.float() if array.dtype == torch.bfloat16 else array).numpy()
    if np.ma.is_masked(array):
        raise Error("The array has masked values; give numbers, for instance array.filled(0).")
    return np.asarray(array)


def format_shape(array: np.ndarray) -> str:
    return "x".join(map(str, array.shape)) or "()"


def has_high_bit_depth(images: np.ndarray) -> bool:
    return images.dtype not in (np.uint8, bool)


def scale_images(
    images: np.ndarray, preprocessing: Preprocessing, source_name: str, others: Any = ()
) -> np.ndarray:
    """Scale as `decode.scale_pixels`. others: images whose values an error has to state too."""
    dtype, white = images.dtype.newbyteorder("="), preprocessing.white
    if dtype.kind == "f" and not np.isfinite(images).all():
        count = int((~np.isfinite(images)).sum())
        raise Error(
            f"{source_name} holds NaN or infinity in {pluralize(count, 'value')}; allowed are"
            " finite numbers in [0, 1]: correct them, or leave those images out."
        )
    reason = f"{dtype} has no white of its own"
    try:
        if white is not None or dtype.kind in "bf" or dtype in (np.uint8, np.uint16):
            return scale_pixels(images, preprocessing)
    except ValueRangeError as error:
        rows = [row for row, image in enumerate(chain(*others)) if error.concerns(image)]
        first = f", and image {rows[0]} is the first outside" if rows else ""
        reason = f"allowed are {error.allowed}{first}"
    # fmin and fmax pass over NaN, and copy nothing
    low = min(np.fmin.reduce(array, axis=None) for array in (images, *others))
    high = max(np.fmax.reduce(array, axis=None) for array in (images, *others))
    text = f"{source_name} holds {dtype} from {format_value(low)} to {format_value(high)}; {reason}"
    raise make_range_error(text, [low, high], white, preprocessing.black)


def fit_images(images: np.ndarray, preprocessing: Preprocessing, source_name: str) -> np.ndarray:
    """Resize (n, c, h, w) and convert its channels: grey is repeated, colour becomes its luma."""
    try:
        images = convert_channels(images, preprocessing.channels)
    except DecodeError as error:
        raise Error(
            f"{source_name} has images of {error}; only 1 channel (to any number) and 3 channels"
            " (to 1) can be converted: leave the channels as they are, or convert the images."
        ) from None
    if images.shape[2:] == (preprocessing.height, preprocessing.width):
        return images
    return np.stack([resize_planes(np.ascontiguousarray(image), preprocessing) for image in images])


def load_array_file(path: Path, source_name: str, rules: int) -> ArrayReader:
    arrays, pickled = {}, []
    try:
        contents = np.load(path, mmap_mode="r", allow_pickle=False)
        for name in getattr(contents, "files", ()):
            try:
                arrays[name] = contents[name]
            except ValueError:  # an array of Python objects: loading it would run its code
                pickled.append(name)
    except Exception as error:  # zipfile and zlib have their own of a damaged file
        raise Error(
            f"{source_name} cannot be read as arrays ({summarize_exception(error)}); write it with"
            " numpy.save or numpy.savez."
        ) from error
    if isinstance(contents, np.ndarray):
        return ArrayReader(source_name, {"train": to_nchw(contents, source_name)})
    return parse_archive(arrays, pickled, source_name, rules)


def parse_archive(
    arrays: Mapping[str, np.ndarray], pickled: Sequence[str], source_name: str, rules: int
) -> ArrayReader:
    """Find x, y; x_train, y_train, x_test, y_test; train_images, train_labels, ...; train, test.

    Other arrays of one row an image are columns too, if there is one split and rules allow it.
    pickled: names of arrays of Python objects, which are not loaded.
    """
    images, labels, used_names = {}, {}, set()
    for split, short in (("train", "train"), ("validation", "val"), ("test", "test")):
        is_train = split == "train"
        image_names = (f"x_{split}", f"x_{short}", f"{split}_images", f"{short}_images", split)
        label_names = (f"y_{split}", f"y_{short}", f"{split}_labels", f"{short}_labels")
        image_names += IMAGE_NAMES if is_train else ()
        label_names += LABEL_NAMES if is_train else ()
        if name := find_name(pickled, *image_names, *label_names):
            raise Error(
                f"{source_name} holds Python objects in {name}, which are never unpickled; save"
                " numbers or text instead, for instance numpy.array(labels, dtype=str)."
            )
        image = find_name(arrays, *image_names)
        if image is None:
            continue
        label = find_name(arrays, *label_names)
        images[split] = to_nchw(arrays[image], f"{source_name}, array {image},")
        if label is not None:
            values = np.atleast_1d(arrays[label].squeeze())
            labels[split] = collapse_one_hot(values) if rules >= 2 else values
        used_names |= {image, label}
    if "train" not in images:
        listing = ", ".join(f"{name} {format_shape(array)}" for name, array in arrays.items())
        raise Error(
            f"{source_name} names no images: it holds {listing or 'nothing'}; name them x (and y),"
            " or x_train, y_train, x_test, y_test."
        )
    notes = []
    others = {name: array for name, array in arrays.items() if name not in used_names}
    columns, used_columns = find_columns(others, labels, images, rules)
    # numbers keep their type, which the fingerprints of runs depend on
    numbers = {name: v for name, v in columns.items() if v.dtype.kind in "biuf"}
    encoded = encode_table({n: v.tolist() for n, v in columns.items() if n not in numbers})
    used_names |= used_columns
    if labels and "label" not in used_columns:
        text = "the labels are not one number or text an image, and are not used"
        notes.append(f"{source_name}: {text}.")
    if unused := [name for name in (*arrays, *pickled) if name not in used_names]:
        notes.append(f"{source_name}: not used: {', '.join(unused)}.")
    columns = {**encoded.columns, **numbers}
    return ArrayReader(source_name, images, columns, encoded.classes, notes, encoded.free_text)


def find_columns(
    arrays: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    images: Mapping[str, np.ndarray],
    rules: int,
) -> tuple[Columns, set[str]]:
    """Return the columns of the labels of every split, and of the other arrays that fit, by name.

    Numbers or text (n,) are one column, (n, k) are NAME_0, NAME_1, ... Images of a split without
    labels have none.
    """
    candidates = {}
    counts = {split: len(pixels) for split, pixels in images.items()}
    fits = all(values.shape[:1] == (counts[split],) for split, values in labels.items())
    parts = [labels.get(split, np.full(count, None)) for split, count in counts.items()]
    is_complete = len(labels) == len(counts)
    if labels and fits and (is_complete or rules >= 2) and len({y.shape[1:] for y in parts}) == 1:
        candidates["label"] = np.concatenate(parts)
    if rules >= 2 and len(counts) == 1:
        fitting = {name: v for name, v in arrays.items() if v.shape[:1] == (counts["train"],)}
        candidates = {**fitting, **candidates}
    columns, used_names = {}, set()
    for name, values in candidates.items():
        if values.dtype.kind not in ("biufUSO" if rules >= 2 else "biufU"):
            continue
        if values.ndim == 1:
            columns[name] = values
        elif rules >= 2 and values.ndim == 2 and values.shape[1] <= MAX_FACTORS:
            columns |= {f"{name}_{k}": column for k, column in enumerate(values.T)}
        else:
            continue
        used_names.add(name)
    return columns, used_names


def find_name(arrays: Iterable[str], *candidates: str) -> str | None:
    names = {name.lower(): name for name in arrays}
    return next((names[name] for name in candidates if name in names), None)
