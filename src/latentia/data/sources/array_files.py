"""Source of images as arrays in a .npy or .npz file."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import numpy as np

from latentia.core.errors import Error, convert_errors
from latentia.core.memory import check_memory
from latentia.data.label_columns import collapse_one_hot, encode_table
from latentia.data.listing import make_file_entry
from latentia.data.reader import Columns, LabelColumns, LoadOptions, SourceInfo
from latentia.data.sources.arrays import NO_LABELS, ArrayReader, format_shape, to_nchw

IMAGE_NAMES = ("x", "images", "imgs", "image", "data", "arr_0")
LABEL_NAMES = ("y", "label", "labels")
READ_ERRORS = (ValueError, OSError, EOFError, OverflowError, MemoryError, BadZipFile, zlib.error)
PICKLE_ADVICE = (
    "which are never unpickled; save numbers or text of one shape instead, for instance"
    " numpy.stack(images) and numpy.array(labels, dtype=str)."
)
MAX_FACTORS = 100  # columns of one array (n, k); more are no factors
ArrayFileContents = tuple[dict[str, np.ndarray], LabelColumns, list[str]]  # images, labels, notes


class ArrayFileReader(ArrayReader):
    """Reader of a .npy or .npz file."""

    def __init__(self, source_name: str, path: Path):
        super().__init__(source_name)
        self.path = path

    def fingerprint(self) -> str:
        return make_file_entry(self.path.name, self.path).fingerprint

    def read_info(self, options: LoadOptions) -> SourceInfo:
        contents = load_array_file(self.path, self.source_name)
        self.images_by_split, self.labels, self.notes = contents
        return super().read_info(options)


def load_array_file(path: Path, source_name: str) -> ArrayFileContents:
    def describe(reason: str) -> str:
        if "Python objects" in reason or "allow_pickle" in reason:
            return f"{source_name} holds Python objects, {PICKLE_ADVICE}"
        return f"{source_name} is no array file ({reason}); use numpy.save."

    with convert_errors(describe, READ_ERRORS):
        if path.suffix == ".npz" and not is_zipfile(path):  # NumPy would leave it open
            raise BadZipFile("it is no whole zip file")
        with np.errstate(over="ignore"):  # of a header's shape
            contents = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(contents, np.ndarray):
            return {"train": to_nchw(contents, source_name)}, NO_LABELS, []
        with contents:
            n_bytes = sum(member.file_size for member in contents.zip.infolist())
            check_memory(n_bytes, source_name, "divide it into several runs")
            arrays, pickled = read_archive(contents)
    return parse_archive(arrays, pickled, source_name)


def read_archive(contents: Any) -> tuple[dict[str, np.ndarray], list[str]]:
    """Read the arrays of an .npz file by name, and list those of Python objects."""
    arrays, pickled = {}, []
    for name in contents.files:
        try:
            arrays[name] = contents[name]
        except ValueError as error:
            if "allow_pickle" not in str(error):  # loading it would run its code
                raise
            pickled.append(name)
    return {k: v for k, v in arrays.items() if isinstance(v, np.ndarray)}, pickled


def parse_archive(
    arrays: Mapping[str, np.ndarray], pickled: Sequence[str], source_name: str
) -> ArrayFileContents:
    """Find x, y; x_train, y_train, x_test, y_test; train_images, train_labels, ...; train, test.

    Other arrays of one row an image are columns too, if there is one split.
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
            raise Error(f"{source_name} holds Python objects in {name}, {PICKLE_ADVICE}")
        image = find_name(arrays, *image_names)
        if image is None:
            continue
        label = find_name(arrays, *label_names)
        images[split] = to_nchw(arrays[image], f"{source_name}, array {image},")
        if label is not None:
            labels[split] = collapse_one_hot(np.atleast_1d(arrays[label].squeeze()))
        used_names |= {image, label}
    if "train" not in images:
        listing = ", ".join(f"{name} {format_shape(array)}" for name, array in arrays.items())
        raise Error(
            f"{source_name} names no images: it holds {listing or 'nothing'}; name them x (and y),"
            " or x_train, y_train, x_test, y_test."
        )
    notes = []
    others = {name: array for name, array in arrays.items() if name not in used_names}
    columns, used_columns = find_columns(others, labels, images)
    # numbers keep their type, which the fingerprints of runs depend on
    numbers = {name: v for name, v in columns.items() if v.dtype.kind in "biuf"}
    encoded = encode_table({n: v.tolist() for n, v in columns.items() if n not in numbers})
    used_names |= used_columns
    if labels and "label" not in used_columns:
        notes.append("the labels are not one number or text an image, and are not used.")
    unused = [name for name in (*arrays, *pickled) if name not in used_names]
    columns, classes = {**encoded.columns, **numbers}, {**encoded.classes, **dict.fromkeys(numbers)}
    return images, LabelColumns(columns, classes, encoded.free_text, unused), notes


def find_columns(
    arrays: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    images: Mapping[str, np.ndarray],
) -> tuple[Columns, set[str]]:
    """Return the columns of the labels of every split, and of the other arrays that fit, by name.

    Numbers or text (n,) are one column, (n, k) are NAME_0, NAME_1, ... Images of a split without
    labels have none.
    """
    candidates = {}
    counts = {split: len(pixels) for split, pixels in images.items()}
    fits = all(values.shape[:1] == (counts[split],) for split, values in labels.items())
    parts = [labels.get(split, np.full(count, None)) for split, count in counts.items()]
    if labels and fits and len({y.shape[1:] for y in parts}) == 1:
        candidates["label"] = np.concatenate(parts)
    if len(counts) == 1:
        fitting = {name: v for name, v in arrays.items() if v.shape[:1] == (counts["train"],)}
        candidates = {**fitting, **candidates}
    columns, used_names = {}, set()
    for name, values in candidates.items():
        if values.dtype.kind not in "biufUSO":
            continue
        values = collapse_one_hot(values)
        if values.ndim == 1:
            columns[name] = values
        elif values.ndim == 2 and values.shape[1] <= MAX_FACTORS:
            columns |= {f"{name}_{k}": column for k, column in enumerate(values.T)}
        else:
            continue
        used_names.add(name)
    return columns, used_names


def find_name(arrays: Iterable[str], *candidates: str) -> str | None:
    names = {name.lower(): name for name in arrays}
    return next((names[name] for name in candidates if name in names), None)
