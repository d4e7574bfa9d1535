"""Folders that appear whole: filled under a temporary name, then renamed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from latentia.core.errors import Error, catch_write_errors
from latentia.core.files import describe_special_file
from latentia.core.locks import hold_lock

PART = ".part"  # name, or end of the name, of a folder that is being filled


@contextmanager
def fill_folder(path: Path, advice: str) -> Iterator[Path]:
    """Yield a temporary folder to fill, which becomes `path` when the block ends without an error.

    It lies beside `path`, and is renamed. If `path` is a folder already (it may be a mount point),
    it lies in it, and its files move up in the order in which they were written. A killed process
    leaves a temporary folder, which the next one clears under its lock.

    Raises: Error if another process fills it, or it cannot be written.
    """
    is_inside = path.is_dir()
    part = path / PART if is_inside else path.with_name(f".{path.name}{PART}")
    lock_path = part.with_name(f"{part.name}.lock")
    with catch_write_errors(path, advice):
        part.parent.mkdir(parents=True, exist_ok=True)
        with hold_lock(lock_path, subject=path):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            try:
                yield part
                if is_inside:
                    files = sorted(part.iterdir(), key=lambda each: each.stat().st_mtime_ns)
                    for file in files:
                        # a folder that a killed process moved, over which none is renamed
                        shutil.rmtree(path / file.name, ignore_errors=True)
                        os.replace(file, path / file.name)
                else:
                    part.rename(path)
            finally:
                shutil.rmtree(part, ignore_errors=True)
                with suppress(OSError):  # Windows keeps the file of a lock that is held
                    lock_path.unlink()


def is_free(path: Path) -> bool:
    """Whether a folder has no file, or only those of a process that was killed in `fill_folder`."""
    return (path / PART).exists() or not (path.is_dir() and any(path.glob("[!.]*")))


def refuse_special_files(folder: Path) -> None:
    """Raises: Error if a run's folder holds a FIFO or device, which may be read for ever."""
    for path in (*folder.glob("*"), *folder.glob("progress/*")):
        with suppress(OSError):  # a broken link, or a file that is gone by now
            if (kind := describe_special_file(path.stat().st_mode)) not in ("", "folder"):
                name = path.relative_to(folder)
                text = f"holds a {kind}, {name}; put the file itself in its place, or remove it."
                raise Error(text, subject=folder)


def refuse_outward_links(folder: Path) -> None:
    """Raises: Error if a link in a folder leads out of it, since files would be written there."""
    root = folder.resolve()
    for path in folder.rglob("*"):
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            link = path.relative_to(folder).as_posix()
            text = f"holds a link that leads out of it, {link}; put the file itself in its place."
            raise Error(text, subject=folder)
