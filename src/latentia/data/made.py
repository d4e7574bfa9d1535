"""Images that a function makes: one file each, found by name, imported when asked for."""

import hashlib
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from latentia.data.arrays import Arrays, planar
from latentia.data.decode import Preprocessing
from latentia.data.reader import Survey, Wanted

MADE = {"digits": "latentia.data.digits:digits"}  # name -> module:function


class Pictures(NamedTuple):
    """What such a function returns; columns are one number an image, or images (n, c, h, w)."""

    pixels: np.ndarray  # (n, c, h, w) uint8, at the asked (height, width) if the function can
    columns: dict[str, np.ndarray]
    classes: dict[str, list[str]]  # names of the values of a column, where they have names


@dataclass
class Made:
    """`function(size=...)`; it may take more, with defaults."""

    label: str
    arrays: Arrays | None = None

    def identity(self) -> str:
        """The text of the function's file: another text may mean other images."""
        module = MADE[self.label].split(":")[0]
        found = find_spec(module)
        assert found is not None
        return hashlib.sha256(Path(str(found.origin)).read_bytes()).hexdigest()

    def survey(self, wanted: Wanted) -> Survey:
        module, function = MADE[self.label].split(":")
        made: Pictures = getattr(import_module(module), function)(size=wanted.size)
        pixels = {"train": planar(made.pixels, self.label)}
        self.arrays = Arrays(self.label, pixels, made.columns, dict(made.classes))
        return self.arrays.survey(wanted)

    def fill(self, out: np.ndarray, prep: Preprocessing) -> None:
        assert self.arrays is not None
        self.arrays.fill(out, prep)
