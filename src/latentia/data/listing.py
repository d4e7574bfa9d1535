"""Recursive listing of a folder's files, in an order that is the same on every system."""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from latentia.core.errors import Error
from latentia.data.decode import IMAGE_SUFFIXES


class FileEntry(NamedTuple):
    """One file of a folder."""

    key: str  # relative POSIX path in NFC, with \xe9 for bytes that are not UTF-8
    path: Path
    size: int  # bytes; -1: cannot be read
    mtime_ns: int


def list_files(root: Path) -> list[FileEntry]:
    """List every file except hidden ones, sorted by key. Links are followed, cycles once."""
    try:
        entries = list(walk_folder(root, "", frozenset()))
    except OSError as error:
        raise Error(
            f"{error.filename} cannot be listed ({error.strerror}); allow reading it, or move it."
        ) from error
    return sorted(entries, key=lambda file: (file.key, os.fsencode(file.path)))


def walk_folder(
    folder: Path, prefix: str, ancestors: frozenset[tuple[int, int]]
) -> Iterator[FileEntry]:
    stat = folder.stat()
    folder_id = (stat.st_dev, stat.st_ino)
    if folder_id in ancestors:  # a link to a folder that contains it
        return
    with os.scandir(folder) as scan:
        entries = list(scan)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = folder / entry.name
        if entry.is_dir():
            yield from walk_folder(path, f"{prefix}{entry.name}/", ancestors | {folder_id})
        else:
            yield make_file_entry(f"{prefix}{entry.name}", path)


def make_file_entry(name: str, path: Path) -> FileEntry:
    text = os.fsencode(name).decode("utf-8", "backslashreplace")  # bytes that are not UTF-8 as \xe9
    key = unicodedata.normalize("NFC", text)
    try:
        stat = os.stat(path)
    except OSError:  # a broken link: reported as unreadable if its name is an image's
        return FileEntry(key, path, -1, 0)
    return FileEntry(key, path, stat.st_size, stat.st_mtime_ns)


def looks_like_image(file: FileEntry) -> bool:
    return file.path.suffix.lower() in IMAGE_SUFFIXES
