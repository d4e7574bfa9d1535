"""Images that a function makes: one file each, found by name, imported when asked for."""

import hashlib
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from latentia.core.errors import Error
from latentia.data.decode import Preprocessing
from latentia.data.reader import LoadOptions, SourceInfo
from latentia.data.sources.arrays import ArrayReader, to_nchw

# name -> the file with a function of that name: (n=, size=, seed=) with defaults, to pixels
# (n, c, h, w) uint8, columns (numbers or images), and names of their values, where they have any
SYNTHETIC_MODULES = {
    name: f"latentia.data.synthetic.{name}" for name in ("digits", "vehicles", "sprites", "speckle")
}


@dataclass
class SyntheticReader:
    """ "vehicles", or "vehicles:500" for the first 500."""

    source_name: str
    array_reader: ArrayReader | None = None

    def fingerprint(self) -> str:
        """The text of the function's file: another text may mean other images."""
        module_spec = find_spec(SYNTHETIC_MODULES[self.source_name.partition(":")[0]])
        assert module_spec is not None
        return hashlib.sha256(Path(str(module_spec.origin)).read_bytes()).hexdigest()

    def read_info(self, options: LoadOptions) -> SourceInfo:
        name, _, count = self.source_name.partition(":")
        if count and not (count.isdecimal() and int(count)):
            raise Error(
                f"{self.source_name} is no number of images; write {name}:500 for 500 of them."
            )
        arguments = {"n": int(count)} if count else {}
        if options.size and options.size[0] == options.size[1]:
            arguments["size"] = options.size[0]  # else drawn as it is by default, then resized
        function = getattr(import_module(SYNTHETIC_MODULES[name]), name)
        pixels, columns, classes = function(**arguments)
        class_names = {key: names for key, names in classes.items() if names}
        self.array_reader = ArrayReader(
            self.source_name, {"train": to_nchw(pixels, self.source_name)}, columns, class_names
        )
        return self.array_reader.read_info(options)

    def read_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        assert self.array_reader is not None
        self.array_reader.read_into(out, preprocessing)
