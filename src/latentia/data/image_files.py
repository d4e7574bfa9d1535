"""Image files of a folder or a table: headers are scanned, then pixels decoded by threads."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import NoReturn

import numpy as np

from latentia.core.errors import Error
from latentia.core.progress import show_progress
from latentia.core.text import abbreviate_list, pluralize
from latentia.data.decode import NOT_FINITE, DecodeError, Preprocessing, ValueRangeError
from latentia.data.headers import ImageHeader
from latentia.data.levels import make_range_error
from latentia.data.masks import MaskFolder
from latentia.data.read_files import read_headers, read_images
from latentia.data.reader import LabelColumns, LoadOptions, SourceInfo
from latentia.data.reading import DEFAULT_READING, Reading
from latentia.data.tiles import TOO_SMALL, format_tile_key

# pixels; for smaller files most time goes to the interpreter, which threads share
SMALL_IMAGE_PIXELS = 128 * 128


@dataclass
class ImageFiles:
    """Image files in row order. `fetch_files` returns those from start to before stop."""

    source_name: str
    names: Sequence[str]
    fetch_files: Callable[[int, int], Sequence[Path | bytes]]
    all_pages: bool = True  # each page of a TIFF is an image, if so requested
    headers: list[list[ImageHeader]] = field(default_factory=list)  # of each file's images
    empty_tiles: list[int] = field(default_factory=list)  # of each file, left out
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # files that are left out
    reading: Reading = DEFAULT_READING

    def scan_headers(self, options: LoadOptions) -> None:
        """Read all headers. If one is broken, report every broken file, or leave them all out."""
        self.reading = reading = options.reading
        self.headers, self.empty_tiles = [[] for _ in self.names], [0] * len(self.names)

        def read_file(index: int, file: Path | bytes, check_pixels: bool = False) -> None:
            images = read_headers(file, reading, check_pixels=check_pixels)
            if len(images) > 1 and not self.all_pages:
                images = [images[0]._replace(note=f"has {len(images)} pages: the first is read")]
            self.headers[index] = [image for image in images if not image.is_empty]
            self.empty_tiles[index] = len(images) - len(self.headers[index])

        check_file, failures, task = partial(read_file, check_pixels=True), [], "reading headers"
        threads = count_processors() if reading.tiling else 1  # which decode
        if reading.skip_unreadable or self.for_each_file(read_file, task, threads):
            task, workers = "looking for broken files", count_processors()
            failures = self.for_each_file(check_file, task, workers)
        if failures and (not reading.skip_unreadable or len(failures) == len(self.names)):
            self.raise_unreadable(failures)
        self.unreadable = [(name, str(error)) for name, error in failures]
        if not any(self.headers):
            raise Error(
                f"{self.source_name} holds only empty tiles, whose pixels are all equal; give other"
                " images, or larger --tiles."
            )
        examples: dict[int, str] = {}
        for key, image in zip(self.list_keys(), self.list_images(), strict=True):
            examples.setdefault(image.channels, key)
        are_joined = any(image.pages > 1 for image in self.list_images())
        check_file_channels(options.channels, self.source_name, examples, are_joined)

    def decode_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        """Decode every page into its row of `out`."""
        first_rows = np.cumsum([0, *map(len, self.headers)]).tolist()
        masks = MaskFolder(preprocessing.mask_folder)
        masks.require_masks([self.names[number] for number in self.list_rows()])

        def decode_file(index: int, file: Path | bytes) -> None:
            if not self.headers[index]:
                return
            options = masks.add_to(preprocessing, self.names[index], file)
            images = read_images(file, options, headers=self.headers[index])
            for row, array in enumerate(images, first_rows[index]):
                out[row] = array if array.dtype == out.dtype else array / np.float32(255)

        pages = self.list_images()
        is_large = sum(p.height * p.width for p in pages) > SMALL_IMAGE_PIXELS * len(pages)
        workers = count_processors() if is_large or preprocessing.tiling else 1
        if failures := self.for_each_file(decode_file, "decoding", workers):
            outside = [error.values for _, error in failures if isinstance(error, ValueRangeError)]
            if len(failures) == len(outside) and preprocessing.levels:
                values = [*chain(*outside), *preprocessing.levels.greatest.values()]
                text = (
                    f"{self.source_name} holds {len(failures)} of {len(self.names)} images outside"
                    f" the range of values, {list_reasons(failures)}"
                )
                raise make_range_error(text, values, preprocessing.white, preprocessing.black)
            self.raise_unreadable(failures)

    def for_each_file(
        self, action: Callable[[int, Path | bytes], None], task: str, workers: int = 1
    ) -> list[tuple[str, DecodeError]]:
        """Call action(index, file) on every file. Return unreadable names and reasons.

        One worker is the calling thread: another would wait for it and for its own memory.
        """
        count = len(self.names)
        # large files one worker each: the first estimate of the time would wait for a chunk
        chunk_size = max(1, min(64 if workers == 1 else 8, count // (4 * workers)))
        failures: list[tuple[str, DecodeError]] = []

        def process_chunk(start: int) -> int:
            files = self.fetch_files(start, min(start + chunk_size, count))
            for index, file in enumerate(files, start):
                try:
                    action(index, file)
                except DecodeError as error:
                    failures.append((self.names[index], error))
            return len(files)

        pool = ThreadPoolExecutor(workers)  # starts no thread before the first task
        map_chunks = map if workers == 1 else pool.map
        try:
            chunks = map_chunks(process_chunk, range(0, count, chunk_size))
            for _ in show_progress(chunks, count, f"{self.source_name}: {task}"):
                pass
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the other files
        return sorted(failures, key=itemgetter(0))

    def raise_unreadable(self, failures: Sequence[tuple[str, DecodeError]]) -> NoReturn:
        are_all = len(failures) == len(self.names)
        hint = "" if are_all else ", or leave them out by --skip-unreadable"
        if any(str(error) == NOT_FINITE for _, error in failures):
            hint += ", or give --missing nan if NaN stands for missing pixels"
        if any(TOO_SMALL in str(error) for _, error in failures):
            hint += ", or give smaller --tiles"
        raise Error(
            f"{self.source_name} holds {len(failures)} unreadable of {len(self.names)} images:"
            f" {list_reasons(failures)}. Repair or remove them{hint}."
        )

    def make_info(
        self, labels: LabelColumns, notes: list[str], counts: dict[str, int]
    ) -> SourceInfo:
        """Describe the images by their headers. counts: images of each split."""
        images = self.list_images()
        pages, sizes = {*images}, [(image.height, image.width) for image in images]
        keys = self.list_keys()
        channels = max(page.channels for page in pages)
        depth = max(page.depth for page in pages)
        return SourceInfo(
            *(sorted({*sizes}), channels, depth, keys, counts, labels, notes, self.unreadable),
            sum(self.empty_tiles),
            describe_odd_sizes(keys, sizes),
        )

    def list_images(self) -> list[ImageHeader]:
        return list(chain.from_iterable(self.headers))

    def list_rows(self) -> list[int]:
        """List the numbers of the files that are read."""
        return [number for number, images in enumerate(self.headers) if images]

    def list_keys(self) -> list[str]:
        """List the name of each image: pages of a file are name#0, ..., tiles name#y,x."""
        return [
            format_tile_key(f"{name}#{image.page}" if images[-1].page else name, image.corner)
            for name, images in zip(self.names, self.headers, strict=True)
            for image in images
        ]

    def collect_notes(self) -> list[str]:
        """Return one line for each distinct note, with the names of its files."""
        notes: dict[str, list[str]] = {}
        for name, pages in zip(self.names, self.headers, strict=True):
            if pages and pages[0].note:
                notes.setdefault(pages[0].note, []).append(name)
        lines = [f"{abbreviate_list(names)}: {note}." for note, names in notes.items()]
        if self.unreadable:
            listing = list_reasons(self.unreadable)
            count = pluralize(len(self.unreadable), "unreadable file")
            lines.append(f"{count} left out, all listed in run.json: {listing}.")
        return [*lines, *self.describe_pages(), *self.describe_tiles()]

    def describe_tiles(self) -> Iterator[str]:
        """Note the number of tiles, and of those that are left out."""
        if tiling := self.reading.tiling:
            size, stride = tiling
            files = pluralize(sum(map(bool, self.headers)), "file")
            tiles, empty = pluralize(len(self.list_images()), "tile"), sum(self.empty_tiles)
            yield (
                f"{files} cut into {tiles} of {size}x{size}, one every {pluralize(stride, 'pixel')}"
                f"; {empty:,} empty ones, whose pixels are all equal, are left out."
            )

    def describe_pages(self) -> Iterator[str]:
        """Note how files of several pages are read."""
        files = filter(None, self.headers)
        counts = Counter(max(images[-1].page + 1, images[0].pages) for images in files)
        numbers = sorted(counts.keys() - {1})
        kinds = [f"{pluralize(counts[n], 'file')} of {n} pages" for n in numbers]
        if kinds and self.reading.pages == "channels":
            channels = max(image.channels for image in self.list_images())
            yield f"{kinds[0]}: these are the {channels} channels of one image."
        elif kinds:
            yield (
                f"{abbreviate_list(kinds)}: every page is read as an image; --pages channels makes"
                " all pages of a file channels of one image, --pages first reads the first."
            )


def check_file_channels(
    channels: int | None, source_name: str, examples: dict[int, str], are_joined: bool = False
) -> None:
    """Check the numbers of channels, each with the key of one image.

    Raises: Error if the images do not all have, or cannot all be given, these channels
    """
    is_color = examples.keys() <= {1, 3} and not are_joined
    allowed = [1, 3] if is_color else sorted(examples)
    problem = f", not {channels}" if channels not in (None, *allowed) else ""
    if not is_color and len(examples) > 1:
        problem = f": {', '.join(f'{n} in {key}' for n, key in sorted(examples.items()))}"
    if problem:
        counts = " or ".join(map(str, allowed))
        raise Error(
            f"{source_name} holds image files, which have {counts} channels{problem}; for other"
            " counts give an array, .npy or .npz, or give files of one kind, without --channels, to"
            " a recipe that keeps their channels, such as conv_vae."
        )


def describe_odd_sizes(keys: Sequence[str], sizes: Sequence[tuple[int, int]]) -> str:
    """Name the images that have another size than at least nine of ten others; "" if many have."""
    (height, width), count = Counter(sizes).most_common(1)[0]
    odd = [key for key, size in zip(keys, sizes, strict=True) if size != (height, width)]
    if not odd or count < 9 * len(odd):
        return ""
    return f", all {height}x{width} but {abbreviate_list(odd, 3)}"


def list_reasons(failures: Sequence[tuple[str, object]]) -> str:
    return abbreviate_list([f"{name} ({reason})" for name, reason in failures])


def count_processors() -> int:
    """Count the cores granted to this process, which a container or SLURM may limit."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
