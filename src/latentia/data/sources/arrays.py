"""Images as one array: in memory, in .npy and .npz, or made by a function."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.data.decode import DecodeError, Preprocessing, resize_planes, scale_to_unit_range
from latentia.data.reader import LoadOptions, SourceInfo

CHANNEL_COUNTS = (1, 3, 4)  # channel counts that a last dimension may be
LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow's
CHUNK_SIZE = 4096  # images at a time: float64 copies of all would be eight times the array
IMAGE_NAMES = ("x", "images", "imgs", "image", "data", "arr_0")
LABEL_NAMES = ("y", "label", "labels")


@dataclass
class ArrayReader:
    """Images by split, (n, c, h, w) each, and the columns of all of them in row order."""

    source_name: str
    images_by_split: dict[str, np.ndarray]
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    classes: dict[str, list[str] | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def fingerprint(self) -> None:
        return None

    def read_info(self, options: LoadOptions) -> SourceInfo:
        counts = {name: len(split_images) for name, split_images in self.images_by_split.items()}
        shapes = {split_images.shape[1:] for split_images in self.images_by_split.values()}
        channels = {shape[0] for shape in shapes}
        if len(channels) > 1:
            raise Error(
                f"{self.source_name} holds images of {' and '.join(map(str, sorted(channels)))} channels;"
                " all must have as many: give arrays of one kind."
            )
        return SourceInfo(
            sorted({shape[1:] for shape in shapes}),
            channels.pop(),
            any(split_images.dtype != np.uint8 for split_images in self.images_by_split.values()),
            [
                f"{name}/{row}" if len(counts) > 1 else str(row)
                for name, count in counts.items()
                for row in range(count)
            ],
            counts,
            self.columns,
            {name: self.classes.get(name) for name in self.columns},
            self.notes,
        )

    def read_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        first_row = 0
        for split_images in self.images_by_split.values():
            for start in range(0, len(split_images), CHUNK_SIZE):
                images = scale_images(
                    split_images[start : start + CHUNK_SIZE], preprocessing.white, self.source_name
                )
                out[first_row : first_row + len(images)] = fit_images(
                    images, preprocessing, self.source_name
                )
                first_row += len(images)


@dataclass
class ArrayFileReader:
    """A .npy or .npz file, read when it is needed."""

    source_name: str
    path: Path
    array_reader: ArrayReader | None = None

    def fingerprint(self) -> str:
        stat = self.path.stat()
        return f"{self.path.name}\0{stat.st_size}\0{stat.st_mtime_ns}"

    def read_info(self, options: LoadOptions) -> SourceInfo:
        self.array_reader = load_array_file(self.path, self.source_name)
        return self.array_reader.read_info(options)

    def read_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        assert self.array_reader is not None
        self.array_reader.read_into(out, preprocessing)


def looks_like_color(array: np.ndarray) -> bool:
    """(h, w, 3) or (h, w, 4): rather one colour image than h grey ones, 3 or 4 pixels wide."""
    return array.ndim == 3 and array.shape[-1] in (3, 4) and min(array.shape[:2]) >= 8


def to_nchw(array: Any, source_name: str) -> np.ndarray:
    """(n, c, h, w) of an array or tensor of images.

    (n, h, w) is grey. (n, a, b, c) has its channels second, unless its last dimension is 1, 3 or 4
    and its second is not: then last.
    """
    array = to_numpy(array)
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if array.dtype.kind != "f" and array.dtype not in (np.uint8, np.uint16):
        raise Error(
            f"{source_name} has dtype {array.dtype}; allowed are uint8, uint16 and floats in [0, 1]:"
            " convert it, for instance with .astype('uint8')."
        )
    if array.ndim not in (3, 4):
        raise Error(
            f"{source_name} has shape {format_shape(array)}; images are (n, h, w), (n, c, h, w) or (n, h, w, c):"
            " reshape it."
        )
    if array.size == 0:
        raise Error(
            f"{source_name} has shape {format_shape(array)}, which is empty; give at least one image."
        )
    if looks_like_color(array):
        raise Error(
            f"{source_name} has shape {format_shape(array)}: one colour image, or grey images of width "
            f"{array.shape[-1]}; write array[None] for the first, array[:, None] for the second."
        )
    if array.ndim == 3:
        return array[:, None]
    if array.shape[3] in CHANNEL_COUNTS and array.shape[1] not in CHANNEL_COUNTS:
        return array.transpose(0, 3, 1, 2)
    return array


def to_numpy(array: Any) -> np.ndarray:
    import torch

    if isinstance(array, torch.Tensor):
        array = array.detach().cpu()
        return (array.float() if array.dtype == torch.bfloat16 else array).numpy()
    return np.asarray(array)


def format_shape(array: np.ndarray) -> str:
    return "x".join(map(str, array.shape)) or "()"


def scale_images(images: np.ndarray, white: float | None, source_name: str) -> np.ndarray:
    """uint8 as it is, anything else to float32 in [0, 1]."""
    if images.dtype == np.uint8:
        return images
    if not np.isfinite(images).all():
        bad_count = int((~np.isfinite(images)).sum())
        raise Error(
            f"{source_name} holds NaN or infinity in {pluralize(bad_count, 'value')}; wanted are finite "
            "numbers in [0, 1]: mend or drop those images."
        )
    try:
        return scale_to_unit_range(images, white)
    except DecodeError:
        value_kind = "floats" if images.dtype.kind == "f" else "integers"
        scale = white or (1 if value_kind == "floats" else 65535)
        raise Error(
            f"{source_name} holds {value_kind} from {images.min():g} to {images.max():g}; wanted are 0 to"
            f" {scale:g}: rescale them to [0, 1], or name the value that means 1 with --white."
        ) from None


def fit_images(images: np.ndarray, preprocessing: Preprocessing, source_name: str) -> np.ndarray:
    """(n, c, h, w) of any size to the wanted one; grey is repeated, colour goes to its luma."""
    channels = images.shape[1]
    if channels == 3 and preprocessing.channels == 1:
        luma = np.tensordot(images, np.array(LUMA_WEIGHTS, np.float32), (1, 0))[:, None]
        images = np.rint(luma).astype(np.uint8) if images.dtype == np.uint8 else luma
    elif channels == 1:
        images = np.repeat(images, preprocessing.channels, axis=1)
    elif channels != preprocessing.channels:
        raise Error(
            f"{source_name} has images of {pluralize(channels, 'channel')}, wanted are {preprocessing.channels}; only"
            f" 1 to any and 3 to 1 can be converted: leave the channels as they are,"
            " or convert the images."
        )
    if images.shape[2:] == (preprocessing.height, preprocessing.width):
        return images
    return np.stack([resize_planes(np.ascontiguousarray(image), preprocessing) for image in images])


def load_array_file(path: Path, source_name: str) -> ArrayReader:
    try:
        contents = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise Error(
            f"{source_name} cannot be read as arrays ({error}); write it with numpy.save."
        ) from error
    if isinstance(contents, np.ndarray):
        return ArrayReader(source_name, {"train": to_nchw(contents, source_name)})
    with contents:
        return parse_archive({name: contents[name] for name in contents.files}, source_name)


def parse_archive(arrays: Mapping[str, np.ndarray], source_name: str) -> ArrayReader:
    """x, y; x_train, y_train, x_test, y_test; train_images, train_labels, ...; train, test."""
    images_by_split, labels, used_names = {}, [], set()
    for split, short_name in (("train", "train"), ("validation", "val"), ("test", "test")):
        image_name = find_first(
            arrays,
            *(f"x_{p}" for p in (split, short_name)),
            *(f"{p}_images" for p in (split, short_name)),
            split,
        )
        if image_name is None and split == "train":
            image_name = find_first(arrays, *IMAGE_NAMES)
        if image_name is None:
            continue
        label_name = find_first(
            arrays,
            *(f"y_{p}" for p in (split, short_name)),
            *(f"{p}_labels" for p in (split, short_name)),
        )
        if label_name is None and split == "train":
            label_name = find_first(arrays, *LABEL_NAMES)
        images_by_split[split] = to_nchw(arrays[image_name], f"{source_name}, array {image_name},")
        labels.append(None if label_name is None else arrays[label_name].squeeze())
        used_names |= {image_name, label_name}
    if "train" not in images_by_split:
        description = (
            ", ".join(f"{name} {format_shape(array)}" for name, array in arrays.items())
            or "nothing"
        )
        raise Error(
            f"{source_name} names no images: it holds {description}; name them x (and y), or x_train, y_train,"
            " x_test, y_test."
        )
    notes, columns = [], {}
    labels_fit = [
        label_name is not None
        and label_name.shape == (len(split),)
        and label_name.dtype.kind in "biuf"
        for label_name, split in zip(labels, images_by_split.values(), strict=True)
    ]
    if all(labels_fit):
        columns["label"] = np.concatenate(
            [label_name for label_name in labels if label_name is not None]
        )
    elif any(label_name is not None for label_name in labels):
        notes.append(f"{source_name}: the labels are not one number an image, and are not used.")
    if unused_names := [name for name in arrays if name not in used_names]:
        notes.append(f"{source_name}: not used: {', '.join(unused_names)}.")
    return ArrayReader(source_name, images_by_split, columns, {}, notes)


def find_first(arrays: Mapping[str, np.ndarray], *candidates: str) -> str | None:
    return next((name for name in candidates if name in arrays), None)
