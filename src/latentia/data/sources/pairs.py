"""Recorded pairs: FOLDER/speckle/NAME, what was seen, and FOLDER/patterns/NAME, what was shown."""

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from latentia.core.errors import Error
from latentia.core.text import counted
from latentia.data.decode import Preprocessing
from latentia.data.image_files import some
from latentia.data.listing import File, looks_like_image
from latentia.data.reader import Survey, Wanted
from latentia.data.sources.folder import Folder

SPECKLE, PATTERNS = "speckle", "patterns"


def is_pairs(listed: list[File]) -> bool:
    """Both sub-folders, no other, and every image in one of them."""
    tops = {file.key.split("/", 1)[0] for file in listed if "/" in file.key}
    loose = any(looks_like_image(file) for file in listed if "/" not in file.key)
    return tops == {SPECKLE, PATTERNS} and not loose


@dataclass
class Pairs:
    """The speckle images of a folder, in order of their names; the column `pattern` beside them.

    Partners have the same path within their sub-folders, but for the suffix; of two files of as
    many pages, each page has its partner. Patterns keep their own common size.
    """

    label: str
    speckle: Folder
    patterns: Folder
    loose: list[str]  # files beside the two sub-folders
    pattern: np.ndarray = field(default_factory=lambda: np.empty(0))
    order: list[int] = field(default_factory=list)  # row of the pattern of each speckle image

    def identity(self) -> str:
        return f"{SPECKLE}\n{self.speckle.identity()}\n{PATTERNS}\n{self.patterns.identity()}"

    def survey(self, wanted: Wanted) -> Survey:
        seen = self.speckle.survey(wanted)
        shown = self.patterns.survey(wanted)
        self.order = self.matched(seen.keys, shown.keys)
        if len(shown.sizes) > 1:
            raise self.uneven(shown)
        shape = (len(seen.keys), shown.channels, *shown.sizes[0])
        # filled with the pixels: only a shape may be asked for
        self.pattern = np.empty(shape, np.float32 if shown.deep else np.uint8)
        loose = [f"{self.label}: not used: {some(self.loose)}."] if self.loose else []
        return seen._replace(
            columns={"pattern": self.pattern, **seen.columns},
            classes={"pattern": None, **seen.classes},
            notes=[*seen.notes, *shown.notes, *loose],
        )

    def fill(self, out: np.ndarray, prep: Preprocessing) -> None:
        channels, height, width = self.pattern.shape[1:]
        shown = np.empty_like(self.pattern)
        own = Preprocessing(height, width, channels, prep.white, prep.background)
        self.patterns.fill(shown, own)
        self.pattern[:] = shown[self.order]
        self.speckle.fill(out, prep)

    def matched(self, seen: list[str], shown: list[str]) -> list[int]:
        """For each key of `seen` the place of its partner in `shown`.

        Raises: Error if one has no partner, or more than one.
        """
        seen, shown = [stem(key) for key in seen], [stem(key) for key in shown]
        alone = sorted(
            [(name, "no pattern") for name in set(seen) - set(shown)]
            + [(name, "no speckle") for name in set(shown) - set(seen)]
        )
        if alone:
            listed = some([f"{name} ({lack})" for name, lack in alone])
            raise Error(
                f"{self.label} holds {counted(len(alone), 'image')} without a partner: {listed}."
                f" Give {SPECKLE}/NAME and {PATTERNS}/NAME for each, or remove them."
            )
        counts = Counter(seen) | Counter(shown)
        if twice := sorted(name for name, count in counts.items() if count > 1):
            raise Error(
                f"{self.label} holds {counted(len(twice), 'name')} more than once, with other "
                f"suffixes: {some(twice)}. Leave one file of each name in {SPECKLE}/ and"
                f" in {PATTERNS}/."
            )
        at = {name: row for row, name in enumerate(shown)}
        return [at[name] for name in seen]

    def uneven(self, shown: Survey) -> Error:
        assert self.patterns.files is not None
        first: dict[str, str] = {}
        pages = chain.from_iterable(self.patterns.files.headers.values())
        for key, page in zip(shown.keys, pages, strict=True):
            first.setdefault(f"{page.height}x{page.width}", key)
        listed = some([f"{size} such as {key}" for size, key in first.items()])
        return Error(
            f"{self.patterns.label} holds images of {len(first)} sizes: {listed}. Patterns enter as"
            " they were shown, all of one size: resize them."
        )


def stem(key: str) -> str:
    """Without the suffix, but with the page: a.tif#3 is a#3."""
    return re.sub(r"\.[^./]*?(#\d+)?$", r"\1", key)


def pairs(path: Path, label: str, listed: list[File]) -> Pairs:
    def part(name: str) -> Folder:
        files = [
            file._replace(key=file.key.removeprefix(f"{name}/"))
            for file in listed
            if file.key.startswith(f"{name}/")
        ]
        return Folder(f"{label}{name}/", files)

    loose = [file.key for file in listed if "/" not in file.key]
    return Pairs(label, part(SPECKLE), part(PATTERNS), loose)
