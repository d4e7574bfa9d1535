"""Source of synthetic images, drawn by a function that is imported when needed."""

import hashlib
from importlib import import_module
from pathlib import Path

from latentia.core.errors import Error
from latentia.core.memory import check_memory
from latentia.data import synthetic
from latentia.data.reader import LabelColumns, LoadOptions, SourceInfo
from latentia.data.sources.arrays import ArrayReader, to_nchw

# name -> the module of make_NAME(n=, size=, seed=), all with defaults. It returns pixels
# (n, c, h, w) uint8, columns (numbers or images), and the class names of columns that have any.
SYNTHETIC_MODULES = {
    name: f"latentia.data.synthetic.{name}" for name in ("digits", "vehicles", "sprites", "speckle")
}
MIN_SIDE = 64  # of the default sizes


class SyntheticReader(ArrayReader):
    """Reader of "vehicles", or of "vehicles:500", which are the first 500."""

    def fingerprint(self) -> str:
        """Hash the texts of all files that draw, since other texts may draw other images."""
        files = sorted(Path(synthetic.__file__).parent.glob("*.py"))
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()

    def read_info(self, options: LoadOptions) -> SourceInfo:
        name, _, count = self.source_name.partition(":")
        if count and not (count.isdecimal() and int(count)):
            raise Error(f"{self.source_name} is no number of images; write {name}:500 for 500.")
        arguments = {"n": int(count)} if count else {}
        if options.size and options.size[0] == options.size[1]:
            arguments["size"] = options.size[0]  # else drawn at the default size, then resized
        if name != "digits":  # of which there are 1,797
            n_bytes = arguments.get("n", 1) * arguments.get("size", MIN_SIDE) ** 2
            check_memory(n_bytes, self.source_name, "give a smaller number or --size")
        make_images = getattr(import_module(SYNTHETIC_MODULES[name]), f"make_{name}")
        pixels, columns, classes = make_images(**arguments)
        self.images_by_split = {"train": to_nchw(pixels, self.source_name)}
        self.labels = LabelColumns(columns, classes)
        return super().read_info(options)
