"""Images as one array: in memory, in .npy and .npz, or made by a function."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from latentia.core.errors import Error
from latentia.core.text import counted
from latentia.data.decode import Preprocessing, Unreadable, resized, unit
from latentia.data.reader import Survey, Wanted

LAST = (1, 3, 4)  # channel counts that a last dimension may be
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow's
CHUNK = 4096  # images at a time: float64 copies of all would be eight times the array
IMAGES = ("x", "images", "imgs", "image", "data", "arr_0")
LABELS = ("y", "label", "labels")


@dataclass
class Arrays:
    """Images by split, (n, c, h, w) each, and the columns of all of them in row order."""

    label: str
    parts: dict[str, np.ndarray]
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    classes: dict[str, list[str] | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def identity(self) -> None:
        return None

    def survey(self, wanted: Wanted) -> Survey:
        counts = {name: len(part) for name, part in self.parts.items()}
        shapes = {part.shape[1:] for part in self.parts.values()}
        channels = {shape[0] for shape in shapes}
        if len(channels) > 1:
            raise Error(
                f"{self.label} holds images of {' and '.join(map(str, sorted(channels)))} channels;"
                " all must have as many: give arrays of one kind."
            )
        return Survey(
            sorted({shape[1:] for shape in shapes}),
            channels.pop(),
            any(part.dtype != np.uint8 for part in self.parts.values()),
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

    def fill(self, out: np.ndarray, prep: Preprocessing) -> None:
        first = 0
        for part in self.parts.values():
            for start in range(0, len(part), CHUNK):
                images = scaled(part[start : start + CHUNK], prep.white, self.label)
                out[first : first + len(images)] = fitted(images, prep, self.label)
                first += len(images)


@dataclass
class ArrayFile:
    """A .npy or .npz file, read when it is needed."""

    label: str
    path: Path
    arrays: Arrays | None = None

    def identity(self) -> str:
        stat = self.path.stat()
        return f"{self.path.name}\0{stat.st_size}\0{stat.st_mtime_ns}"

    def survey(self, wanted: Wanted) -> Survey:
        self.arrays = from_file(self.path, self.label)
        return self.arrays.survey(wanted)

    def fill(self, out: np.ndarray, prep: Preprocessing) -> None:
        assert self.arrays is not None
        self.arrays.fill(out, prep)


def looks_coloured(array: np.ndarray) -> bool:
    """(h, w, 3) or (h, w, 4): rather one colour image than h grey ones, 3 or 4 pixels wide."""
    return array.ndim == 3 and array.shape[-1] in (3, 4) and min(array.shape[:2]) >= 8


def planar(array: Any, label: str) -> np.ndarray:
    """(n, c, h, w) of an array or tensor of images.

    (n, h, w) is grey. (n, a, b, c) has its channels second, unless its last dimension is 1, 3 or 4
    and its second is not: then last.
    """
    array = numpy(array)
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if array.dtype.kind != "f" and array.dtype not in (np.uint8, np.uint16):
        raise Error(
            f"{label} has dtype {array.dtype}; allowed are uint8, uint16 and floats in [0, 1]:"
            " convert it, for instance with .astype('uint8')."
        )
    if array.ndim not in (3, 4):
        raise Error(
            f"{label} has shape {shown(array)}; images are (n, h, w), (n, c, h, w) or (n, h, w, c):"
            " reshape it."
        )
    if array.size == 0:
        raise Error(f"{label} has shape {shown(array)}, which is empty; give at least one image.")
    if looks_coloured(array):
        raise Error(
            f"{label} has shape {shown(array)}: one colour image, or grey images of width "
            f"{array.shape[-1]}; write array[None] for the first, array[:, None] for the second."
        )
    if array.ndim == 3:
        return array[:, None]
    if array.shape[3] in LAST and array.shape[1] not in LAST:
        return array.transpose(0, 3, 1, 2)
    return array


def numpy(array: Any) -> np.ndarray:
    import torch

    if isinstance(array, torch.Tensor):
        array = array.detach().cpu()
        return (array.float() if array.dtype == torch.bfloat16 else array).numpy()
    return np.asarray(array)


def shown(array: np.ndarray) -> str:
    return "x".join(map(str, array.shape)) or "()"


def scaled(images: np.ndarray, white: float | None, label: str) -> np.ndarray:
    """uint8 as it is, anything else to float32 in [0, 1]."""
    if images.dtype == np.uint8:
        return images
    if not np.isfinite(images).all():
        bad = int((~np.isfinite(images)).sum())
        raise Error(
            f"{label} holds NaN or infinity in {counted(bad, 'value')}; wanted are finite "
            "numbers in [0, 1]: mend or drop those images."
        )
    try:
        return unit(images, white)
    except Unreadable:
        what = "floats" if images.dtype.kind == "f" else "integers"
        scale = white or (1 if what == "floats" else 65535)
        raise Error(
            f"{label} holds {what} from {images.min():g} to {images.max():g}; wanted are 0 to"
            f" {scale:g}: rescale them to [0, 1], or name the value that means 1 with --white."
        ) from None


def fitted(images: np.ndarray, prep: Preprocessing, label: str) -> np.ndarray:
    """(n, c, h, w) of any size to the wanted one; grey is repeated, colour goes to its luma."""
    have = images.shape[1]
    if have == 3 and prep.channels == 1:
        luma = np.tensordot(images, np.array(LUMA, np.float32), (1, 0))[:, None]
        images = np.rint(luma).astype(np.uint8) if images.dtype == np.uint8 else luma
    elif have == 1:
        images = np.repeat(images, prep.channels, axis=1)
    elif have != prep.channels:
        raise Error(
            f"{label} has images of {counted(have, 'channel')}, wanted are {prep.channels}; only"
            f" 1 to any and 3 to 1 can be converted: leave the channels as they are,"
            " or convert the images."
        )
    if images.shape[2:] == (prep.height, prep.width):
        return images
    return np.stack([resized(np.ascontiguousarray(image), prep) for image in images])


def from_file(path: Path, label: str) -> Arrays:
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as why:
        raise Error(f"{label} cannot be read as arrays ({why}); write it with numpy.save.") from why
    if isinstance(loaded, np.ndarray):
        return Arrays(label, {"train": planar(loaded, label)})
    with loaded:
        return from_archive({name: loaded[name] for name in loaded.files}, label)


def from_archive(arrays: Mapping[str, np.ndarray], label: str) -> Arrays:
    """x, y; x_train, y_train, x_test, y_test; train_images, train_labels, ...; train, test."""
    parts, labels, used = {}, [], set()
    for part, short in (("train", "train"), ("validation", "val"), ("test", "test")):
        x = first(
            arrays,
            *(f"x_{p}" for p in (part, short)),
            *(f"{p}_images" for p in (part, short)),
            part,
        )
        if x is None and part == "train":
            x = first(arrays, *IMAGES)
        if x is None:
            continue
        y = first(
            arrays, *(f"y_{p}" for p in (part, short)), *(f"{p}_labels" for p in (part, short))
        )
        if y is None and part == "train":
            y = first(arrays, *LABELS)
        parts[part] = planar(arrays[x], f"{label}, array {x},")
        labels.append(None if y is None else arrays[y].squeeze())
        used |= {x, y}
    if "train" not in parts:
        found = ", ".join(f"{name} {shown(array)}" for name, array in arrays.items()) or "nothing"
        raise Error(
            f"{label} names no images: it holds {found}; name them x (and y), or x_train, y_train,"
            " x_test, y_test."
        )
    notes, columns = [], {}
    good = [
        y is not None and y.shape == (len(part),) and y.dtype.kind in "biuf"
        for y, part in zip(labels, parts.values(), strict=True)
    ]
    if all(good):
        columns["label"] = np.concatenate([y for y in labels if y is not None])
    elif any(y is not None for y in labels):
        notes.append(f"{label}: the labels are not one number an image, and are not used.")
    if rest := [name for name in arrays if name not in used]:
        notes.append(f"{label}: not used: {', '.join(rest)}.")
    return Arrays(label, parts, columns, {}, notes)


def first(arrays: Mapping[str, np.ndarray], *names: str) -> str | None:
    return next((name for name in names if name in arrays), None)
