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
from latentia.core.progress import watched
from latentia.data.decode import Header, Preprocessing, Unreadable, headers, read
from latentia.data.reader import Size

SMALL = 128 * 128  # pixels; below it a file is mostly interpreter, and threads only wait


@dataclass
class Files:
    """Image files in row order; `fetch` gives those from a first to before a last."""

    label: str
    names: Sequence[str]
    fetch: Callable[[int, int], Sequence[Path | bytes]]
    paged: bool = True  # whether a TIFF gives an image for each of its pages
    headers: dict[int, list[Header]] = field(default_factory=dict)

    def survey(self, channels: int | None) -> None:
        """Reads the headers; if one is broken, whatever else is broken is named with it."""
        of_files(channels, self.label)

        def note(at: int, file: Path | bytes, suffix: str) -> None:
            self.headers[at] = headers(file, suffix)[: None if self.paged else 1]

        def load(at: int, file: Path | bytes, suffix: str) -> None:
            page = headers(file, suffix)[0]
            for _ in read(file, Preprocessing(page.height, page.width, 3, None, 1.0), suffix):
                pass

        if self.each(note, f"{self.label}: reading headers"):
            bad = self.each(load, f"{self.label}: looking for broken files", processors())
            raise self.unreadable(bad)
        self.headers = dict(sorted(self.headers.items()))  # threads end in any order

    def decode(self, out: np.ndarray, prep: Preprocessing) -> None:
        """Every page into its row of `out`."""
        first = np.cumsum([0, *map(len, self.headers.values())]).tolist()

        def into(at: int, file: Path | bytes, suffix: str) -> None:
            known = self.headers[at]
            for row, array in enumerate(read(file, prep, suffix, known), first[at]):
                out[row] = array if array.dtype == out.dtype else array / np.float32(255)

        pages = list(chain.from_iterable(self.headers.values()))
        large = sum(page.height * page.width for page in pages) > SMALL * len(pages)
        bad = self.each(into, f"{self.label}: decoding", processors() if large else 1)
        if bad:
            raise self.unreadable(bad)

    def each(
        self, act: Callable[[int, Path | bytes, str], None], what: str, workers: int = 1
    ) -> list[tuple[str, str]]:
        """act(at, file, suffix) on every file; the unreadable ones and why.

        One worker is the calling thread: another would wait for it and for its own memory.
        """
        n = len(self.names)
        step = max(1, min(64, n // (4 * workers)))
        bad: list[tuple[str, str]] = []

        def chunk(start: int) -> int:
            files = self.fetch(start, min(start + step, n))
            for at, file in enumerate(files, start):
                try:
                    act(at, file, splitext(self.names[at])[1].lower())
                except Unreadable as why:
                    bad.append((self.names[at], str(why)))
            return len(files)

        pool = ThreadPoolExecutor(workers)  # starts a thread where one is asked for
        run = map if workers == 1 else pool.map
        try:
            for _ in watched(run(chunk, range(0, n, step)), n, what):
                pass
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C: not the whole rest first
        return sorted(bad)

    def unreadable(self, bad: list[tuple[str, str]]) -> Error:
        listed = some([f"{name} ({why})" for name, why in bad])
        return Error(
            f"{self.label} holds {len(bad)} unreadable of {len(self.names)} images: {listed}."
            " Mend or remove them."
        )

    def kind(self) -> tuple[list[Size], int, bool]:
        """The sizes that occur, the channels that hold them all, and whether 8 bits do not."""
        pages = set(chain.from_iterable(self.headers.values()))
        sizes = sorted({(page.height, page.width) for page in pages})
        colour = any(page.colour for page in pages)
        return sizes, 3 if colour else 1, any(page.deep for page in pages)

    def keys(self) -> list[str]:
        """The name of each image; pages of one file are name#0, name#1, ..."""
        return [
            f"{name}#{page}" if len(pages) > 1 else name
            for name, pages in zip(self.names, self.headers.values(), strict=True)
            for page in range(len(pages))
        ]

    def notes(self) -> list[str]:
        """One line a remark, with the names that it holds for."""
        named: dict[str, list[str]] = {}
        for name, pages in zip(self.names, self.headers.values(), strict=True):
            if pages[0].note:
                named.setdefault(pages[0].note, []).append(name)
        return [f"{self.label}: {some(names)}: {note}." for note, names in named.items()]


def of_files(channels: int | None, label: str) -> None:
    """Raises: Error if image files do not have so many channels."""
    if channels not in (None, 1, 3):
        raise Error(
            f"{label} holds image files, which have 1 or 3 channels, not {channels}; for other"
            " counts give an array, .npy or .npz."
        )


def some(names: Sequence[str], most: int = 10) -> str:
    """The first few, and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(islice(names, most)) + more


def processors() -> int:
    """Those that this process may use; a container or SLURM may grant fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
