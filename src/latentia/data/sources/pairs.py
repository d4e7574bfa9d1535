"""Sources of pairs: FOLDER of speckle/NAME and patterns/NAME, or any two folders, by file name."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os.path import abspath
from pathlib import Path

import numpy as np

from latentia.core.errors import Error
from latentia.core.text import abbreviate_list, list_cuts, pluralize
from latentia.data.decode import Preprocessing
from latentia.data.listing import FileEntry, drop_litter, list_files, looks_like_image
from latentia.data.reader import LoadOptions, Size, SourceInfo
from latentia.data.reading import Reading
from latentia.data.sources.folder import FolderReader

SPECKLE, PATTERNS = "speckle", "patterns"
PAIRS = "pairs:"


def is_pair_folder(entries: list[FileEntry]) -> bool:
    """Whether there are these two sub-folders, no other, and every image is in one of them."""
    folders = {file.key.split("/", 1)[0] for file in entries if "/" in file.key}
    has_loose_images = any(looks_like_image(file) for file in entries if "/" not in file.key)
    return folders == {SPECKLE, PATTERNS} and not has_loose_images


def find_pair(text: str) -> tuple[Path, Path] | None:
    """Return the folders of pairs:INPUT:TARGET, if both are there; a path may hold a colon."""
    rest = text.removeprefix(PAIRS)
    pairs = [(Path(a).expanduser(), Path(b).expanduser()) for a, b in list_cuts(rest, ":")]
    return next((p for p in pairs if rest[0] != ":" != rest[-1] and all(map(Path.is_dir, p))), None)


def make_pair_absolute(text: str) -> str:
    pair = find_pair(text)
    return f"{PAIRS}{':'.join(map(abspath, pair))}" if pair else text


@dataclass
class PairReader:
    """Reader of the images of a folder, in order of their names, with their partners as a column.

    Partners have the same path within their folders, except for the suffix. In files of as many
    pages, each page has its partner. Partners keep their own common size, which may be limited to
    that of the images.
    """

    source_name: str
    images: FolderReader
    partners: FolderReader
    column: str  # of the partners
    kind: str  # what the images are called
    folders: tuple[str, str]  # of the images, and of the partners
    is_limited: bool = False
    notes: Sequence[str] = ()  # of the listing
    partner_pixels: np.ndarray = field(default_factory=lambda: np.empty((0, 0, 0, 0)))
    partner_rows: list[int] = field(default_factory=list)  # of each image

    def fingerprint(self) -> str:
        images, partners = self.images.fingerprint(), self.partners.fingerprint()
        return f"{self.kind}\n{images}\n{self.column}s\n{partners}"

    def read_info(self, options: LoadOptions) -> SourceInfo:
        images, partners = self.images.read_info(options), self.partners.read_info(options)
        self.partner_rows = self.match_partners(images.keys, partners.keys)
        height, width = self.choose_size(options, images.sizes, partners.sizes)
        shape = (len(images.keys), partners.channels, height, width)
        # `read_into` fills it, since a caller may need the shape only
        preprocessing = options.make_preprocessing((height, width), partners.channels)
        self.partner_pixels = np.empty(shape, partners.choose_dtype(preprocessing))
        parts = zip(self.folders, (images, partners), strict=True)
        notes = [f"{name}/: {note}" for name, info in parts for note in info.notes]
        columns = {self.column: self.partner_pixels, **images.labels.columns}
        classes = {self.column: None, **images.labels.classes}
        labels = images.labels._replace(columns=columns, classes=classes)
        return images._replace(labels=labels, notes=[*self.notes, *notes])

    def choose_size(
        self, options: LoadOptions, sizes: list[Size], partner_sizes: list[Size]
    ) -> Size:
        """Return the size of the partners. Raises: Error if they have none in common."""
        limit = options.size or (sizes[0] if len(sizes) == 1 else None)
        is_larger = limit and math.prod(partner_sizes[0]) > math.prod(limit)
        if self.is_limited and limit and (len(partner_sizes) > 1 or is_larger):
            if options.reading.aspect == "pad":
                raise Error(
                    f"--aspect pad gives {self.folders[1]}/ a border, which is no part of an"
                    f" {self.column}; give images of one size that is at most --size, or --aspect"
                    " crop."
                )
            return limit
        if len(partner_sizes) > 1:
            name = self.folders[1]
            raise Error(
                f"{self.partners.source_name} holds images of {len(partner_sizes)} sizes:"
                f" {abbreviate_list([f'{h}x{w}' for h, w in partner_sizes])}."
                f" {name.capitalize()} keep their own size, which must be the same for all: resize"
                " them."
            )
        return partner_sizes[0]

    def read_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        channels, height, width = self.partner_pixels.shape[1:]
        own_size = replace(preprocessing, height=height, width=width, channels=channels)
        own_size = replace(own_size, missing=None)  # all of a partner is known
        pixels = np.empty_like(self.partner_pixels)
        self.partners.read_into(pixels, own_size)
        self.partner_pixels[:] = pixels[self.partner_rows]
        self.images.read_into(out, preprocessing)

    def match_partners(self, image_keys: list[str], partner_keys: list[str]) -> list[int]:
        """Return the row of the partner of each image.

        Raises: Error if an image has no partner, or more than one.
        """
        images = [strip_suffix(key) for key in image_keys]
        partners = [strip_suffix(key) for key in partner_keys]
        first, second = self.folders
        unpaired = [(name, f"no {self.column}") for name in set(images) - set(partners)]
        unpaired += [(name, f"no {self.kind}") for name in set(partners) - set(images)]
        if unpaired:
            listing = abbreviate_list([f"{name} ({lack})" for name, lack in sorted(unpaired)])
            raise Error(
                f"{self.source_name} holds {pluralize(len(unpaired), 'image')} without a partner:"
                f" {listing}. Give {first}/NAME and {second}/NAME for each, or a folder"
                " without them."
            )
        counts = Counter(images) | Counter(partners)
        if doubles := sorted(name for name, count in counts.items() if count > 1):
            raise Error(
                f"{self.source_name} holds {pluralize(len(doubles), 'name')} more than once, with"
                f" other suffixes: {abbreviate_list(doubles)}. Leave one file of each name in"
                f" {first}/ and in {second}/."
            )
        rows = {name: row for row, name in enumerate(partners)}
        return [rows[name] for name in images]


def open_speckle_pairs(
    source_name: str, entries: list[FileEntry], reading: Reading, notes: list[str]
) -> PairReader:
    """Open a folder of speckle/ and patterns/; notes: of the listing."""
    speckle, patterns = (
        FolderReader(f"{source_name}{name}/", select_files(entries, f"{name}/"), reading)
        for name in (SPECKLE, PATTERNS)
    )
    if loose := [file.key for file in entries if "/" not in file.key]:
        notes = [*notes, f"not used: {abbreviate_list(loose)}."]
    folders = SPECKLE, PATTERNS
    return PairReader(source_name, speckle, patterns, "pattern", "speckle", folders, notes=notes)


def open_pairs(text: str, reading: Reading) -> PairReader:
    """Open pairs:INPUT:TARGET: the images are those of TARGET, and their column is `input`.

    Raises: Error if these are no two folders
    """
    pair = find_pair(text)
    if pair is None:
        raise Error(
            f"{text} names no two folders; give pairs:INPUT:TARGET, such as pairs:noisy:clean, two"
            " folders whose images have the same names."
        )
    listings = [(f"{each}/", *drop_litter(list_files(each))) for each in pair]
    source, target = (FolderReader(name, files, reading, notes) for name, files, notes in listings)
    folders = str(pair[1]), str(pair[0])
    return PairReader(text, target, source, "input", "target", folders, is_limited=True)


def strip_suffix(key: str) -> str:
    """Remove the suffix, but keep the page: a.tif#3 becomes a#3."""
    return re.sub(r"\.[^./]*?(#\d+)?$", r"\1", key)


def select_files(entries: list[FileEntry], folder: str) -> list[FileEntry]:
    """Return the files of a folder, with their keys in it."""
    return [f._replace(key=f.key[len(folder) :]) for f in entries if f.key.startswith(folder)]
