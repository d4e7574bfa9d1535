"""Image files of a folder or a table: headers are scanned, then pixels decoded by threads."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from posixpath import splitext
from typing import NoReturn

import numpy as np

from latentia.core.errors import Error
from latentia.core.progress import show_progress
from latentia.data.decode import (
    DecodeError,
    ImageHeader,
    Preprocessing,
    ValueRangeError,
    read_headers,
    read_images,
)
from latentia.data.levels import make_range_error
from latentia.data.reader import Size

# pixels; for smaller files most time goes to the interpreter, which threads share
SMALL_IMAGE_PIXELS = 128 * 128


@dataclass
class ImageFiles:
    """Image files in row order. `fetch_files` returns those from start to before stop."""

    source_name: str
    names: Sequence[str]
    fetch_files: Callable[[int, int], Sequence[Path | bytes]]
    all_pages: bool = True  # each page of a TIFF is an image
    headers: list[list[ImageHeader]] = field(default_factory=list)  # of each file's pages

    def scan_headers(self, channels: int | None) -> None:
        """Read all headers. If one is broken, report every broken file."""
        check_file_channels(channels, self.source_name)

        def store_headers(index: int, file: Path | bytes, suffix: str) -> None:
            self.headers.append(read_headers(file, suffix)[: None if self.all_pages else 1])

        def decode_fully(index: int, file: Path | bytes, suffix: str) -> None:
            header = read_headers(file, suffix)[0]
            own_size = Preprocessing(header.height, header.width, 3, None, 1.0)
            for _ in read_images(file, own_size, suffix):
                pass

        if self.for_each_file(store_headers, "reading headers"):
            task, workers = "looking for broken files", count_processors()
            self.raise_unreadable(self.for_each_file(decode_fully, task, workers))

    def decode_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        """Decode every page into its row of `out`."""
        first_rows = np.cumsum([0, *map(len, self.headers)]).tolist()
        outside: list[list[float]] = []  # least and greatest values

        def decode_file(index: int, file: Path | bytes, suffix: str) -> None:
            images = read_images(file, preprocessing, suffix, self.headers[index])
            try:
                for row, array in enumerate(images, first_rows[index]):
                    out[row] = array if array.dtype == out.dtype else array / np.float32(255)
            except ValueRangeError as error:
                outside.append(error.values)
                raise

        pages = list(chain.from_iterable(self.headers))
        is_large = sum(p.height * p.width for p in pages) > SMALL_IMAGE_PIXELS * len(pages)
        workers = count_processors() if is_large else 1
        if failures := self.for_each_file(decode_file, "decoding", workers):
            if len(failures) == len(outside) and preprocessing.levels:
                values = [*chain(*outside), *preprocessing.levels.greatest.values()]
                reasons = abbreviate_list([f"{name} ({reason})" for name, reason in failures])
                text = f"{self.source_name} holds {len(failures)} of {len(self.names)} images"
                text += f" outside the range of values, {reasons}"
                raise make_range_error(text, values, preprocessing.white, preprocessing.black)
            self.raise_unreadable(failures)

    def for_each_file(
        self, action: Callable[[int, Path | bytes, str], None], task: str, workers: int = 1
    ) -> list[tuple[str, str]]:
        """Call action(index, file, suffix) on every file. Return unreadable names and reasons.

        One worker is the calling thread: another would wait for it and for its own memory.
        """
        count = len(self.names)
        chunk_size = max(1, min(64, count // (4 * workers)))
        failures: list[tuple[str, str]] = []

        def process_chunk(start: int) -> int:
            files = self.fetch_files(start, min(start + chunk_size, count))
            for index, file in enumerate(files, start):
                try:
                    action(index, file, splitext(self.names[index])[1].lower())
                except DecodeError as error:
                    failures.append((self.names[index], str(error)))
            return len(files)

        pool = ThreadPoolExecutor(workers)  # starts no thread before the first task
        map_chunks = map if workers == 1 else pool.map
        try:
            chunks = map_chunks(process_chunk, range(0, count, chunk_size))
            for _ in show_progress(chunks, count, f"{self.source_name}: {task}"):
                pass
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the other files
        return sorted(failures)

    def raise_unreadable(self, failures: list[tuple[str, str]]) -> NoReturn:
        summary = abbreviate_list([f"{name} ({reason})" for name, reason in failures])
        raise Error(
            f"{self.source_name} holds {len(failures)} unreadable of {len(self.names)} images:"
            f" {summary}. Repair or remove them."
        )

    def summarize_headers(self) -> tuple[list[Size], int, bool]:
        """Return the distinct sizes, the channels needed, and whether any image exceeds 8 bits."""
        pages = set(chain.from_iterable(self.headers))
        channels = 3 if any(page.is_color for page in pages) else 1
        sizes = sorted({(page.height, page.width) for page in pages})
        return sizes, channels, any(page.high_bit_depth for page in pages)

    def list_keys(self) -> list[str]:
        """List the name of each image. Pages of one file are name#0, name#1, ..."""
        return [
            f"{name}#{page}" if len(pages) > 1 else name
            for name, pages in zip(self.names, self.headers, strict=True)
            for page in range(len(pages))
        ]

    def collect_notes(self) -> list[str]:
        """Return one line for each distinct note, with the names of its files."""
        notes: dict[str, list[str]] = {}
        for name, pages in zip(self.names, self.headers, strict=True):
            if pages[0].note:
                notes.setdefault(pages[0].note, []).append(name)
        return [f"{self.source_name}: {abbreviate_list(n)}: {note}." for note, n in notes.items()]


def check_file_channels(channels: int | None, source_name: str) -> None:
    """Raises: Error if `channels` is not 1, 3 or None."""
    if channels not in (None, 1, 3):
        raise Error(
            f"{source_name} holds image files, which have 1 or 3 channels, not {channels}; for"
            " other counts give an array, .npy or .npz."
        )


def abbreviate_list(names: Sequence[str], limit: int = 10) -> str:
    """Join the first names, and count the rest."""
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(islice(names, limit)) + rest


def count_processors() -> int:
    """Count the cores granted to this process, which a container or SLURM may limit."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
