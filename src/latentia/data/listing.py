"""A folder's files in one order, whatever its sub-folders are called."""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from latentia.core.errors import Error
from latentia.data.decode import SUFFIXES


class File(NamedTuple):
    key: str  # relative POSIX path in NFC: the same on every system
    path: Path
    size: int  # bytes; -1: cannot be read
    mtime_ns: int


def listing(root: Path) -> list[File]:
    """Every file but hidden ones, sorted by key; links are followed, a circle once."""
    try:
        found = [as_file(path, root) for path in walk(root, frozenset())]
    except OSError as why:
        raise Error(
            f"{why.filename} cannot be listed ({why.strerror}); allow reading it, or move it away."
        ) from why
    return sorted(found, key=lambda file: (file.key, os.fsencode(file.path)))


def as_file(path: Path, root: Path) -> File:
    key = unicodedata.normalize("NFC", path.relative_to(root).as_posix())
    try:
        stat = path.stat()
    except OSError:  # a link to nowhere: named among the unreadable ones if it looks like an image
        return File(key, path, -1, 0)
    return File(key, path, stat.st_size, stat.st_mtime_ns)


def walk(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    stat = folder.stat()
    here = (stat.st_dev, stat.st_ino)
    if here in above:  # a link to a folder that it lies in
        return
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from walk(Path(entry.path), above | {here})
        else:
            yield Path(entry.path)


def looks_like_image(file: File) -> bool:
    return file.path.suffix.lower() in SUFFIXES
