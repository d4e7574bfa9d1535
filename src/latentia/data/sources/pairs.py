"""Source of recorded pairs: FOLDER/speckle/NAME (output) and FOLDER/patterns/NAME (input)."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np

from latentia.core.errors import Error
from latentia.core.text import abbreviate_list, pluralize
from latentia.data.decode import Preprocessing
from latentia.data.listing import FileEntry, looks_like_image
from latentia.data.reader import LoadOptions, SourceInfo
from latentia.data.reading import Reading
from latentia.data.sources.folder import FolderReader

SPECKLE, PATTERNS = "speckle", "patterns"


def is_pair_folder(entries: list[FileEntry]) -> bool:
    """Whether there are these two sub-folders, no other, and every image is in one of them."""
    folders = {file.key.split("/", 1)[0] for file in entries if "/" in file.key}
    has_loose_images = any(looks_like_image(file) for file in entries if "/" not in file.key)
    return folders == {SPECKLE, PATTERNS} and not has_loose_images


class PairReader:
    """Reader of the speckle images of a folder, in order of their names, with column `pattern`.

    Partners have the same path within their sub-folders, except for the suffix. In files of as
    many pages, each page has its partner. Patterns keep their own common size.
    """

    def __init__(
        self, source_name: str, entries: list[FileEntry], reading: Reading, notes: list[str]
    ):
        self.source_name, self.notes = source_name, notes  # of the listing
        self.loose_files = [file.key for file in entries if "/" not in file.key]
        self.speckle, self.patterns = (
            FolderReader(f"{source_name}{name}/", select_files(entries, f"{name}/"), reading)
            for name in (SPECKLE, PATTERNS)
        )
        self.pattern_pixels = np.empty((0, 0, 0, 0))
        self.pattern_rows: list[int] = []  # of each speckle image

    def fingerprint(self) -> str:
        speckle, patterns = self.speckle.fingerprint(), self.patterns.fingerprint()
        return f"{SPECKLE}\n{speckle}\n{PATTERNS}\n{patterns}"

    def read_info(self, options: LoadOptions) -> SourceInfo:
        speckle, patterns = self.speckle.read_info(options), self.patterns.read_info(options)
        self.pattern_rows = self.match_partners(speckle.keys, patterns.keys)
        if len(patterns.sizes) > 1:
            raise Error(
                f"{self.patterns.source_name} holds images of {len(patterns.sizes)} sizes:"
                f" {abbreviate_list([f'{h}x{w}' for h, w in patterns.sizes])}. Patterns keep their"
                " own size, which must be the same for all: resize them."
            )
        shape = (len(speckle.keys), patterns.channels, *patterns.sizes[0])
        # `read_into` fills it, since a caller may need the shape only
        preprocessing = options.make_preprocessing(patterns.sizes[0], patterns.channels)
        self.pattern_pixels = np.empty(shape, patterns.choose_dtype(preprocessing))
        parts = ((SPECKLE, speckle), (PATTERNS, patterns))
        notes = [f"{name}/: {note}" for name, info in parts for note in info.notes]
        if self.loose_files:
            notes.append(f"not used: {abbreviate_list(self.loose_files)}.")
        columns = {"pattern": self.pattern_pixels, **speckle.labels.columns}
        classes = {"pattern": None, **speckle.labels.classes}
        labels = speckle.labels._replace(columns=columns, classes=classes)
        return speckle._replace(labels=labels, notes=self.notes + notes)

    def read_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        channels, height, width = self.pattern_pixels.shape[1:]
        own_size = replace(preprocessing, height=height, width=width, channels=channels)
        own_size = replace(own_size, missing=None)  # all of a pattern is known
        pixels = np.empty_like(self.pattern_pixels)
        self.patterns.read_into(pixels, own_size)
        self.pattern_pixels[:] = pixels[self.pattern_rows]
        self.speckle.read_into(out, preprocessing)

    def match_partners(self, speckle_keys: list[str], pattern_keys: list[str]) -> list[int]:
        """Return the row of the pattern of each speckle image.

        Raises: Error if an image has no partner, or more than one.
        """
        speckle = [strip_suffix(key) for key in speckle_keys]
        patterns = [strip_suffix(key) for key in pattern_keys]
        unpaired = [(name, "no pattern") for name in set(speckle) - set(patterns)]
        unpaired += [(name, "no speckle") for name in set(patterns) - set(speckle)]
        if unpaired:
            listing = abbreviate_list([f"{name} ({lack})" for name, lack in sorted(unpaired)])
            raise Error(
                f"{self.source_name} holds {pluralize(len(unpaired), 'image')} without a partner:"
                f" {listing}. Give {SPECKLE}/NAME and {PATTERNS}/NAME for each, or a folder"
                " without them."
            )
        counts = Counter(speckle) | Counter(patterns)
        if doubles := sorted(name for name, count in counts.items() if count > 1):
            raise Error(
                f"{self.source_name} holds {pluralize(len(doubles), 'name')} more than once, with"
                f" other suffixes: {abbreviate_list(doubles)}. Leave one file of each name in"
                f" {SPECKLE}/ and in {PATTERNS}/."
            )
        rows = {name: row for row, name in enumerate(patterns)}
        return [rows[name] for name in speckle]


def strip_suffix(key: str) -> str:
    """Remove the suffix, but keep the page: a.tif#3 becomes a#3."""
    return re.sub(r"\.[^./]*?(#\d+)?$", r"\1", key)


def select_files(entries: list[FileEntry], folder: str) -> list[FileEntry]:
    """Return the files of a folder, with their keys in it."""
    return [f._replace(key=f.key[len(folder) :]) for f in entries if f.key.startswith(folder)]
