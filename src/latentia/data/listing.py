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
        found = list(walk(root, "", frozenset()))
    except OSError as why:
        raise Error(
            f"{why.filename} cannot be listed ({why.strerror}); allow reading it, or move it away."
        ) from why
    return sorted(found, key=lambda file: (file.key, os.fsencode(file.path)))


def walk(folder: Path, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[File]:
    stat = folder.stat()
    here = (stat.st_dev, stat.st_ino)
    if here in above:  # a link to a folder that it lies in
        return
    with os.scandir(folder) as entries:
        inside = list(entries)
    for entry in inside:
        if entry.name.startswith("."):
            continue
        path = folder / entry.name
        if entry.is_dir():
            yield from walk(path, f"{prefix}{entry.name}/", above | {here})
        else:
            yield as_file(f"{prefix}{entry.name}", path)


def as_file(name: str, path: Path) -> File:
    key = unicodedata.normalize("NFC", name)
    try:
        stat = os.stat(path)
    except OSError:  # a link to nowhere: named among the unreadable ones if it looks like an image
        return File(key, path, -1, 0)
    return File(key, path, stat.st_size, stat.st_mtime_ns)


def looks_like_image(file: File) -> bool:
    return file.path.suffix.lower() in SUFFIXES
