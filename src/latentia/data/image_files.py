"""Image files, from a folder or a table: surveyed by their headers, decoded once by threads."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from posixpath import splitext

import numpy as np

from latentia.core.errors import Error
from latentia.core.progress import show_progress
from latentia.data.decode import DecodeError, ImageHeader, Preprocessing, read_headers, read_images
from latentia.data.reader import Size

SMALL_IMAGE_PIXELS = (
    128 * 128
)  # pixels; below it a file is mostly interpreter, and threads only wait


@dataclass
class ImageFiles:
    """Image files in row order; `fetch` gives those from a first to before a last."""

    source_name: str
    names: Sequence[str]
    fetch_files: Callable[[int, int], Sequence[Path | bytes]]
    all_pages: bool = True  # whether a TIFF gives an image for each of its pages
    headers: dict[int, list[ImageHeader]] = field(default_factory=dict)

    def scan_headers(self, channels: int | None) -> None:
        """Reads the headers; if one is broken, whatever else is broken is named with it."""
        check_file_channels(channels, self.source_name)

        def store_headers(index: int, file: Path | bytes, suffix: str) -> None:
            self.headers[index] = read_headers(file, suffix)[: None if self.all_pages else 1]

        def decode_fully(index: int, file: Path | bytes, suffix: str) -> None:
            header = read_headers(file, suffix)[0]
            for _ in read_images(
                file, Preprocessing(header.height, header.width, 3, None, 1.0), suffix
            ):
                pass

        if self.for_each_file(store_headers, f"{self.source_name}: reading headers"):
            failures = self.for_each_file(
                decode_fully, f"{self.source_name}: looking for broken files", count_processors()
            )
            raise self.make_unreadable_error(failures)
        self.headers = dict(sorted(self.headers.items()))  # threads end in any order

    def decode_into(self, out: np.ndarray, preprocessing: Preprocessing) -> None:
        """Every page into its row of `out`."""
        first_rows = np.cumsum([0, *map(len, self.headers.values())]).tolist()

        def decode_file(index: int, file: Path | bytes, suffix: str) -> None:
            file_headers = self.headers[index]
            for row, array in enumerate(
                read_images(file, preprocessing, suffix, file_headers), first_rows[index]
            ):
                out[row] = array if array.dtype == out.dtype else array / np.float32(255)

        page_headers = list(chain.from_iterable(self.headers.values()))
        has_large_images = sum(
            page.height * page.width for page in page_headers
        ) > SMALL_IMAGE_PIXELS * len(page_headers)
        failures = self.for_each_file(
            decode_file,
            f"{self.source_name}: decoding",
            count_processors() if has_large_images else 1,
        )
        if failures:
            raise self.make_unreadable_error(failures)

    def for_each_file(
        self, action: Callable[[int, Path | bytes, str], None], description: str, workers: int = 1
    ) -> list[tuple[str, str]]:
        """act(at, file, suffix) on every file; the unreadable ones and why.

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

        pool = ThreadPoolExecutor(workers)  # starts a thread where one is asked for
        map_chunks = map if workers == 1 else pool.map
        try:
            for _ in show_progress(
                map_chunks(process_chunk, range(0, count, chunk_size)), count, description
            ):
                pass
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C: not the whole rest first
        return sorted(failures)

    def make_unreadable_error(self, failures: list[tuple[str, str]]) -> Error:
        summary = abbreviate_list([f"{name} ({reason})" for name, reason in failures])
        return Error(
            f"{self.source_name} holds {len(failures)} unreadable of {len(self.names)} images: {summary}."
            " Mend or remove them."
        )

    def summarize_headers(self) -> tuple[list[Size], int, bool]:
        """The sizes that occur, the channels that hold them all, and whether 8 bits do not."""
        page_headers = set(chain.from_iterable(self.headers.values()))
        sizes = sorted({(page.height, page.width) for page in page_headers})
        has_color = any(page.is_color for page in page_headers)
        return sizes, 3 if has_color else 1, any(page.high_bit_depth for page in page_headers)

    def list_keys(self) -> list[str]:
        """The name of each image; pages of one file are name#0, name#1, ..."""
        return [
            f"{name}#{page}" if len(pages) > 1 else name
            for name, pages in zip(self.names, self.headers.values(), strict=True)
            for page in range(len(pages))
        ]

    def collect_notes(self) -> list[str]:
        """One line a remark, with the names that it holds for."""
        names_by_note: dict[str, list[str]] = {}
        for name, pages in zip(self.names, self.headers.values(), strict=True):
            if pages[0].note:
                names_by_note.setdefault(pages[0].note, []).append(name)
        return [
            f"{self.source_name}: {abbreviate_list(names)}: {note}."
            for note, names in names_by_note.items()
        ]


def check_file_channels(channels: int | None, source_name: str) -> None:
    """Raises: Error if image files do not have so many channels."""
    if channels not in (None, 1, 3):
        raise Error(
            f"{source_name} holds image files, which have 1 or 3 channels, not {channels}; for other"
            " counts give an array, .npy or .npz."
        )


def abbreviate_list(names: Sequence[str], limit: int = 10) -> str:
    """The first few, and how many more."""
    remainder = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(islice(names, limit)) + remainder


def count_processors() -> int:
    """Those that this process may use; a container or SLURM may grant fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
