"""Greatest values of the images as they are stored, for a note on images that are too dark."""

from threading import Lock
from typing import Any

import numpy as np

MAX_LABEL_LEVEL = 15  # integers up to this one are masks or label maps, not dark photographs
CAMERA_WHITES = (255, 1023, 4095, 16383)  # of 8, 10, 12 and 14 bits, stored in 16
MAX_DARK_SHARE = 1 / 16  # of the full scale, which is 12 bits stored in 16


class Levels:
    """Greatest value by full scale (255, 65,535 or 1), collected while images are decoded."""

    def __init__(self) -> None:
        self.greatest: dict[float, Any] = {}
        self.lock = Lock()  # files are decoded by threads

    def add(self, full_scale: float, value: Any) -> None:
        with self.lock:
            self.greatest[full_scale] = max(value, self.greatest.get(full_scale, 0))

    def need_8_bits(self) -> bool:
        """Whether no 8-bit image was bright yet, so that the others need not be searched."""
        return bool(self.greatest.get(255, 0) <= MAX_LABEL_LEVEL)

    def describe(self, source_name: str, white: float | None) -> list[str]:
        """Note that all images are dark, with the option that makes them bright."""
        scales = sorted(self.greatest)
        if not scales or (len(scales) > 1 and scales[0] == 1):
            return []
        full_scale, is_mixed = scales[-1], len(scales) > 1
        if white is not None:
            unused = f"the images have 8 bits, so 255 stays white and --white {white:g} is not used"
            return [f"{source_name}: {unused}."] if full_scale == 255 and white > 255 else []
        greatest = self.greatest[full_scale]
        suggestion = suggest_white(full_scale, greatest)
        if suggestion is None or (is_mixed and suggestion <= 255):  # 8-bit images would exceed it
            return []
        is_camera = full_scale == 65535 and suggestion in CAMERA_WHITES
        bits = f" ({int(suggestion).bit_length()} bits)" if is_camera else ""
        darkness = "nearly black" if greatest <= MAX_DARK_SHARE * full_scale else "dark"
        target = "it" if greatest == suggestion else group_digits(suggestion)
        return [
            f"{source_name}: the greatest value is {group_digits(greatest)} of {full_scale:,.0f}"
            f"{bits}, so the images are {darkness}; --white {format_value(suggestion)} makes"
            f" {target} white."
        ]


def find_full_scale(dtype: np.dtype) -> float:
    """Return the value that means 1 unless another is stated."""
    if dtype == np.uint8:
        return 255.0
    return 1.0 if dtype.kind == "f" else 65535.0


def suggest_white(full_scale: float, greatest: Any) -> Any:
    """Return the value that was probably meant as white. None: the full scale."""
    if full_scale == 1:
        return greatest if 0 < greatest <= MAX_DARK_SHARE else None
    if 0 < greatest <= MAX_LABEL_LEVEL:
        return greatest
    whites = CAMERA_WHITES if full_scale == 65535 and greatest > 0 else ()
    return next((white for white in whites if greatest <= white), None)


def suggest_range(low: Any, high: Any, white: float | None, black: float | None) -> str:
    """Return the options that state a range of these values, and of the range stated so far."""
    black = min(low, black or 0)
    white = high if white is None else max(high, white)
    options = f"--black {format_value(black)} " if black < 0 else ""
    return options + f"--white {format_value(white if white > black else black + 1)}"


def format_value(value: Any) -> str:
    """Write all digits of a number, as an option is read: no exponent."""
    return np.format_float_positional(value, trim="-")


def group_digits(value: Any) -> str:
    return f"{int(value):,}" if value == int(value) else format_value(value)
