"""Recorded pairs: FOLDER/speckle/NAME, what was seen, and FOLDER/patterns/NAME, what was shown."""

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.data.decode import Preprocessing
from latentia.data.image_files import abbreviate_list
from latentia.data.listing import FileEntry, looks_like_image
from latentia.data.reader import LoadOptions, SourceInfo
from latentia.data.sources.folder import FolderReader

SPECKLE_FOLDER, PATTERNS_FOLDER = "speckle", "patterns"


def is_pair_folder(entries: list[FileEntry]) -> bool:
    """Both sub-folders, no other, and every image in one of them."""
    top_folders = {file.key.split("/", 1)[0] for file in entries if "/" in file.key}
    has_loose_images = any(looks_like_image(file) for file in entries if "/" not in file.key)
    return top_folders == {SPECKLE_FOLDER, PATTERNS_FOLDER} and not has_loose_images


@dataclass
class PairReader:
    """The speckle images of a folder, in order of their names; the column `pattern` beside them.

    Partners have the same path within their sub-folders, but for the suffix; of two files of as
    many pages, each page has its partner. Patterns keep their own common size.
    """

    source_name: str
    speckle: FolderReader
    patterns: FolderReader
    loose_files: list[str]  # files beside the two sub-folders
    pattern_pixels: np.ndarray = field(default_factory=lambda: np.empty(0))
    pattern_rows: list[int] = field(
        default_factory=list
    )  # row of the pattern of each speckle image

    def fingerprint(self) -> str:
        return f"{SPECKLE_FOLDER}\n{self.speckle.fingerprint()}\n{PATTERNS_FOLDER}\n{self.patterns.fingerprint()}"

    def read_info(self, options: LoadOptions) -> SourceInfo:
        speckle_info = self.speckle.read_info(options)
        pattern_info = self.patterns.read_info(options)
        self.pattern_rows = self.match_partners(speckle_info.keys, pattern_info.keys)
        if len(pattern_info.sizes) > 1:
            raise self.make_size_error(pattern_info)
        shape = (len(speckle_info.keys), pattern_info.channels, *pattern_info.sizes[0])
        # filled with the pixels: only a shape may be asked for
        self.pattern_pixels = np.empty(
            shape, np.float32 if pattern_info.high_bit_depth else np.uint8
        )
        loose_notes = (
            [f"{self.source_name}: not used: {abbreviate_list(self.loose_files)}."]
            if self.loose_files
            else []
        )
        return speckle_info._replace(
            columns={"pattern": self.pattern_pixels, **speckle_info.columns},
            classes={"pattern": None, **speckle_info.classes},
            notes=[*speckle_info.notes, *pattern_info.notes, *loose_notes],
        )

    def read_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        channels, height, width = self.pattern_pixels.shape[1:]
        unsorted_patterns = np.empty_like(self.pattern_pixels)
        pattern_preprocessing = Preprocessing(
            height, width, channels, preprocessing.white, preprocessing.background
        )
        self.patterns.read_into(unsorted_patterns, pattern_preprocessing)
        self.pattern_pixels[:] = unsorted_patterns[self.pattern_rows]
        self.speckle.read_into(out, preprocessing)

    def match_partners(self, speckle_keys: list[str], pattern_keys: list[str]) -> list[int]:
        """For each key of `seen` the place of its partner in `shown`.

        Raises: Error if one has no partner, or more than one.
        """
        speckle_keys, pattern_keys = (
            [strip_suffix(key) for key in speckle_keys],
            [strip_suffix(key) for key in pattern_keys],
        )
        unpaired_names = sorted(
            [(name, "no pattern") for name in set(speckle_keys) - set(pattern_keys)]
            + [(name, "no speckle") for name in set(pattern_keys) - set(speckle_keys)]
        )
        if unpaired_names:
            summary = abbreviate_list([f"{name} ({problem})" for name, problem in unpaired_names])
            raise Error(
                f"{self.source_name} holds {pluralize(len(unpaired_names), 'image')} without a partner: {summary}."
                f" Give {SPECKLE_FOLDER}/NAME and {PATTERNS_FOLDER}/NAME for each, or remove them."
            )
        counts = Counter(speckle_keys) | Counter(pattern_keys)
        if duplicate_names := sorted(name for name, count in counts.items() if count > 1):
            raise Error(
                f"{self.source_name} holds {pluralize(len(duplicate_names), 'name')} more than once, with other "
                f"suffixes: {abbreviate_list(duplicate_names)}. Leave one file of each name in {SPECKLE_FOLDER}/ and"
                f" in {PATTERNS_FOLDER}/."
            )
        row_by_name = {name: row for row, name in enumerate(pattern_keys)}
        return [row_by_name[name] for name in speckle_keys]

    def make_size_error(self, pattern_info: SourceInfo) -> Error:
        assert self.patterns.image_files is not None
        key_by_size: dict[str, str] = {}
        page_headers = chain.from_iterable(self.patterns.image_files.headers.values())
        for key, page in zip(pattern_info.keys, page_headers, strict=True):
            key_by_size.setdefault(f"{page.height}x{page.width}", key)
        summary = abbreviate_list([f"{size} such as {key}" for size, key in key_by_size.items()])
        return Error(
            f"{self.patterns.source_name} holds images of {len(key_by_size)} sizes: {summary}. Patterns enter as"
            " they were shown, all of one size: resize them."
        )


def strip_suffix(key: str) -> str:
    """Without the suffix, but with the page: a.tif#3 is a#3."""
    return re.sub(r"\.[^./]*?(#\d+)?$", r"\1", key)


def make_pair_reader(path: Path, source_name: str, entries: list[FileEntry]) -> PairReader:
    def make_subfolder_reader(name: str) -> FolderReader:
        files = [
            file._replace(key=file.key.removeprefix(f"{name}/"))
            for file in entries
            if file.key.startswith(f"{name}/")
        ]
        return FolderReader(f"{source_name}{name}/", files)

    loose_files = [file.key for file in entries if "/" not in file.key]
    return PairReader(
        source_name,
        make_subfolder_reader(SPECKLE_FOLDER),
        make_subfolder_reader(PATTERNS_FOLDER),
        loose_files,
    )
