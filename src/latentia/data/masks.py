"""Masks of missing pixels: of images with NaN, and in a folder of mask files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from latentia.core.errors import Error
from latentia.core.text import abbreviate_list, pluralize
from latentia.data.decode import Preprocessing
from latentia.data.listing import list_files, looks_like_image
from latentia.data.name_matching import drop_suffix, list_ends
from latentia.data.pages import DecodeError
from latentia.data.read_files import read_headers, read_images

MASK_ADVICE = (
    "give a folder with a mask of each name, white where pixels are observed, or alpha, or nan."
)


def split_mask(pixels: np.ndarray, fill: float) -> np.ndarray:
    """Replace NaN in images (n, c, h, w) by a value, in place; return the mask of the others.

    The mask is 255 where all channels are numbers, else 0.
    """
    mask = np.empty((len(pixels), 1, *pixels.shape[2:]), np.uint8)
    for image, row in zip(pixels, mask, strict=True):
        missing = np.isnan(image).any(0)
        row[0] = np.where(missing, 0, 255)
        image[:, missing] = fill
    return mask


def find_observed(mask: Any) -> Any:
    """Find the pixels that have more than half of a mask's greatest value: 1 may be white too."""
    return mask > 0.5 * mask.max()


class MaskFolder:
    """Mask files by the names of their images: FOLDER/a/1.png, or FOLDER/1.png, for a/1.jpg.

    path: None, or a folder that does not exist, has no masks
    """

    def __init__(self, path: str | None):
        self.path, files = path, list_files(Path(path)) if path and Path(path).is_dir() else []
        self.entries = {drop_suffix(f.key): f for f in files if looks_like_image(f)}

    def find(self, name: str) -> Path | None:
        """Return the file of the mask of an image; None if there is none."""
        ends = filter(self.entries.__contains__, list_ends(drop_suffix(name)))
        return next((self.entries[end].path for end in ends), None)

    def fingerprint(self) -> str:
        """Return a text that changes when the masks do; "" without masks."""
        return "".join(f"\n{file.fingerprint}" for file in self.entries.values())

    def require_masks(self, names: Sequence[str]) -> None:
        """Raises: Error if the path is no folder, or an image has no mask in it."""
        self._require_folder()
        if lacking := [name for name in names if not self.find(name)] if self.path else []:
            count = f"{len(lacking)} of {pluralize(len(names), 'image')}"
            raise Error(
                f"--missing {self.path} has no mask for {count} ({abbreviate_list(lacking)}); "
                f"{MASK_ADVICE}"
            )

    def refuse_masks(self, source: str) -> None:
        """Raises: Error if there is a path, for images of a source that have no file names."""
        self._require_folder()
        if self.path:
            raise Error(
                f"--missing {self.path} has masks by the names of image files, and the images of "
                f"{source} have none; give --missing nan, with NaN for missing pixels, or files."
            )

    def _require_folder(self) -> None:
        if self.path and not Path(self.path).is_dir():
            raise Error(f"--missing {self.path} is no folder; {MASK_ADVICE}")

    def add_to(self, preprocessing: Preprocessing, name: str, image: Path | bytes) -> Preprocessing:
        """Return the preprocessing of an image file, with its mask if it has one."""
        if (file := self.find(name)) is None:
            return preprocessing
        headers = read_headers(image, replace(preprocessing, tiles=None))
        sizes = {(header.height, header.width) for header in headers}
        if len(sizes) > 1:
            raise DecodeError("pages of several sizes, which one mask does not fit")
        options = Preprocessing(*sizes.pop(), 1, None, 0.0)
        mask = next(read_images(file, options))[0].astype(np.float32)
        return replace(preprocessing, observed=find_observed(mask))
