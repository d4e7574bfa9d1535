"""Ranges of the values of images as they are stored: notes on dark images, and errors."""

from collections import Counter
from enum import IntEnum
from threading import Lock
from typing import Any

import numpy as np

from latentia.core.errors import Error

MAX_LABEL_LEVEL = 15  # integers up to this one are masks or label maps, not dark photographs
CAMERA_WHITES = (255, 1023, 4095, 16383)  # of 8, 10, 12 and 14 bits, stored in 16
SIGNED_WHITE = 32767  # the greatest value of 16 bits with a sign
MAX_HOT_SHARE = 1e-4  # of the values: pixels of a camera that are always bright
MAX_DARK_SHARE = 1 / 16  # of the full scale, which is 12 bits stored in 16
USUAL_WHITES = (1, *CAMERA_WHITES, 65535)


class Depth(IntEnum):
    """What pixels are stored as; the deepest kind of a source decides, and all but BYTE is float32.

    JSON holds it as its number.
    """

    BYTE = 0
    INTEGER = 1  # of more than 8 bits
    FLOAT = 2

    @classmethod
    def from_dtype(cls, dtype: np.dtype) -> "Depth":
        if dtype in (np.uint8, bool):
            return cls.BYTE
        return cls.FLOAT if dtype.kind == "f" else cls.INTEGER

    @classmethod
    def from_mode(cls, mode: str) -> "Depth":
        """Depth of a mode of Pillow."""
        return cls.FLOAT if mode == "F" else cls.INTEGER if mode.startswith("I") else cls.BYTE


class Levels:
    """Least and greatest values by full scale (255, 65,535 or 1), collected during decoding."""

    def __init__(self) -> None:
        self.greatest: dict[float, Any] = {}
        self.least: dict[float, Any] = {}
        self.n_integers = 0  # of more than 8 bits, and those that are at most each white:
        self.n_within: Counter[int] = Counter()
        self.lock = Lock()  # files are decoded by threads

    def add(self, full_scale: float, image: Any) -> None:
        if full_scale == 255 and self.greatest.get(255, 0) > MAX_LABEL_LEVEL:
            return  # one bright image of 8 bits is enough
        n_within: dict[int, int] = {}
        if full_scale == 65535:
            whites = CAMERA_WHITES if image.dtype.kind == "u" else (*CAMERA_WHITES, SIGNED_WHITE)
            n_within = {white: int(np.count_nonzero(image <= white)) for white in whites}
        with self.lock:
            self.n_integers += image.size if n_within else 0
            self.n_within.update(n_within)
            self.greatest[full_scale] = max(np.max(image), self.greatest.get(full_scale, 0))
            self.least[full_scale] = min(np.min(image), self.least.get(full_scale, np.inf))

    def describe(self, white: float | None) -> list[str]:
        """Say that all images are dark or have little contrast, and name the option for it."""
        full_scale = max(self.greatest, default=1)
        greatest, least = self.greatest.get(full_scale, 0), self.least.get(full_scale, 0)
        if white is not None and white > 255 and self.greatest:
            return [f"images of 8 bits keep 255 as white; --white {white:g} is for more bits."]
        subject = "the images of more than 8 bits" if len(self.greatest) > 1 else "the images"
        suggestion, n_above = self.suggest_white(full_scale)
        if n_above:
            return [
                f"{subject} are dark, since all but {n_above:,} of {self.n_integers:,} values are"
                f" at most {suggestion:,} of {full_scale:,.0f}; --white {suggestion} names the"
                " images of these: if they are hot pixels of the camera, correct them."
            ]
        if greatest > 0 and suggestion is not None:
            return [
                f"{subject} are dark, since their greatest value is {greatest:,.7g} of"
                f" {full_scale:,.0f}; --white {format_value(suggestion)} makes"
                f" {format_value(suggestion)} white."
            ]
        if full_scale != 255 and 0 < greatest - least <= MAX_DARK_SHARE * full_scale:
            return [
                f"{subject} have little contrast, since their values are from {least:,.7g} to"
                f" {greatest:,.7g} of {full_scale:,.0f}; --black {format_value(least)} --white"
                f" {format_value(greatest)} gives them all of it."
            ]
        return []

    def suggest_white(self, full_scale: float) -> tuple[Any, int]:
        """Return the value that was probably meant as white, and the number of values above it.

        None: the full scale.
        """
        greatest, n = self.greatest.get(full_scale, 0), self.n_integers
        if greatest <= (MAX_DARK_SHARE if full_scale == 1 else MAX_LABEL_LEVEL):
            return greatest, 0
        n_above = [(white, n - n_within) for white, n_within in self.n_within.items()]
        return next((pair for pair in n_above if pair[1] <= max(1, MAX_HOT_SHARE * n)), (None, 0))


def find_full_scale(dtype: np.dtype) -> float:
    """Return the value that means 1 unless another is stated."""
    return 255.0 if dtype == np.uint8 else 1.0 if dtype.kind == "f" else 65535.0


def make_range_error(
    text: str, values: list[Any], white: float | None, black: float | None
) -> Error:
    """Add to `text` the options that state a range of these values and the range stated so far."""
    low, high = min([*values, black or 0]), max(values if white is None else [*values, white])
    if white is None:  # images seldom have every value that they might
        high = next((usual for usual in USUAL_WHITES if 0.9 * usual < float(high) <= usual), high)
        low = -1 if -1 <= low < -0.9 else low
    options = f"--black {format_value(low)} " if low < 0 else ""
    options += f"--white {format_value(high if high > low else low + 1)}"
    return Error(f"{text}: give the values that mean 0 and 1, for instance {options}.")


def format_value(value: Any) -> str:
    """Write all digits of a number, as an option is read: no exponent."""
    value = float(value) if np.asarray(value).dtype == np.float16 else value  # has few digits
    return np.format_float_positional(value, trim="-")
