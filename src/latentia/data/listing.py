"""Recursive listing of a folder's files, in an order that is the same on every system."""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from latentia.core.errors import Error
from latentia.core.files import describe_special_file
from latentia.core.text import abbreviate_list, pluralize
from latentia.data.pages import IMAGE_SUFFIXES

# thumbnails, wastebaskets and the like that systems leave among files
LITTER = {
    *("@eaDir", "#recycle", "@Recycle", "@__thumb", ".@__thumb", "$RECYCLE.BIN"),
    *("__MACOSX", ".thumbnails", ".ipynb_checkpoints", "Thumbs.db", "desktop.ini"),
}


class FileEntry(NamedTuple):
    """One file of a folder."""

    key: str  # relative POSIX path in NFC, with \xe9 for bytes that are not UTF-8
    path: Path
    size: int  # bytes; -1: cannot be read
    mtime_ns: int
    problem: str = ""  # what is there, if no file

    @property
    def fingerprint(self) -> str:
        """Text that changes when the file does."""
        return f"{self.key}\0{self.size}\0{self.mtime_ns}"


def list_files(root: Path) -> list[FileEntry]:
    """List every file except hidden ones, sorted by key. Links are followed, cycles once.

    Hidden litter is listed too: `drop_litter` counts it.
    """
    try:
        entries = list(walk_folder(root, "", frozenset()))
    except OSError as error:
        reason = f"{error.filename} cannot be listed ({error.strerror})"
        raise Error(f"{reason}; allow reading it, or move it elsewhere.") from error
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
        if entry.name.startswith(".") and not name_litter(entry.name):
            continue
        path = folder / entry.name
        # `entry.is_dir` raises for a link to itself
        if os.path.isdir(path) if entry.is_symlink() else entry.is_dir():
            yield from walk_folder(path, f"{prefix}{entry.name}/", ancestors | {folder_id})
        else:
            yield make_file_entry(f"{prefix}{entry.name}", path)


def make_file_entry(name: str, path: Path) -> FileEntry:
    text = os.fsencode(name).decode("utf-8", "backslashreplace")  # bytes that are not UTF-8 as \xe9
    key = unicodedata.normalize("NFC", text)
    try:
        stat = os.stat(path)
    except OSError:  # reported as unreadable if its name is an image's
        return FileEntry(key, path, -1, 0, "broken link")
    if kind := describe_special_file(stat.st_mode):
        return FileEntry(key, path, -1, 0, kind)
    return FileEntry(key, path, stat.st_size, stat.st_mtime_ns)


def name_litter(name: str) -> str:
    """Name the kind of litter that a file or folder of this name is, or return ""."""
    return "._*" if name.startswith("._") else name if name in LITTER else ""


def drop_litter(entries: list[FileEntry]) -> tuple[list[FileEntry], list[str]]:
    """Return the files without litter and runs of latentia, and a note that counts them."""
    litter: dict[str, str] = {}
    keys = {file.key for file in entries}
    runs = [key[: -len("run.json")] for key in keys if key.endswith("/run.json")]
    runs = [run for run in runs if f"{run}log.jsonl" in keys]
    for file in entries:
        name = next(filter(None, map(name_litter, file.key.split("/"))), "")
        name = name or next((f"the run {run}" for run in runs if file.key.startswith(run)), "")
        if name:
            litter[file.key] = name
    files = [file for file in entries if file.key not in litter]
    names = abbreviate_list(sorted({*litter.values()}))
    count = pluralize(len(litter), "file")
    return files, [f"ignored: {count} in {names}."] if litter else []


def looks_like_image(file: FileEntry) -> bool:
    return file.path.suffix.lower() in IMAGE_SUFFIXES
