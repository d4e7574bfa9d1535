"""Images that a function makes: one file each, found by name, imported when asked for."""

import hashlib
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from latentia.core.errors import Error
from latentia.data.decode import Preprocessing
from latentia.data.reader import Survey, Wanted
from latentia.data.sources.arrays import Arrays, planar

# name -> the file with a function of that name: (n=, size=, seed=) with defaults, to pixels
# (n, c, h, w) uint8, columns (numbers or images), and names of their values, where they have any
MADE = {
    name: f"latentia.data.synthetic.{name}" for name in ("digits", "vehicles", "sprites", "speckle")
}


@dataclass
class Made:
    """ "vehicles", or "vehicles:500" for the first 500."""

    label: str
    arrays: Arrays | None = None

    def identity(self) -> str:
        """The text of the function's file: another text may mean other images."""
        found = find_spec(MADE[self.label.partition(":")[0]])
        assert found is not None
        return hashlib.sha256(Path(str(found.origin)).read_bytes()).hexdigest()

    def survey(self, wanted: Wanted) -> Survey:
        name, _, count = self.label.partition(":")
        if count and not (count.isdecimal() and int(count)):
            raise Error(f"{self.label} is no number of images; write {name}:500 for 500 of them.")
        options = {"n": int(count)} if count else {}
        if wanted.size and wanted.size[0] == wanted.size[1]:
            options["size"] = wanted.size[0]  # else drawn as it is by default, then resized
        function = getattr(import_module(MADE[name]), name)
        pixels, columns, classes = function(**options)
        named = {key: names for key, names in classes.items() if names}
        self.arrays = Arrays(self.label, {"train": planar(pixels, self.label)}, columns, named)
        return self.arrays.survey(wanted)

    def fill(self, out: np.ndarray, prep: Preprocessing) -> None:
        assert self.arrays is not None
        self.arrays.fill(out, prep)
