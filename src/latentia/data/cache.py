"""Decoded images kept on disk, so that they are decoded once: `$LATENTIA_CACHE/images/<key>/`.

A folder appears whole or not at all: it is written under another name and renamed.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

VERSION = 1  # of what lies in a folder and of how images are read: part of every key
FEW = 2**28  # bytes of pixels that a process reads into its own memory
ABANDONED = 7 * 86400  # seconds after which a half-written folder belongs to nobody


def root() -> Path:
    chosen = os.environ.get("LATENTIA_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "latentia"


def key(*parts: object) -> str:
    text = "\0".join(map(str, (VERSION, *parts)))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def place(key: str) -> Path:
    return root() / "images" / key


def about(key: str) -> dict[str, Any] | None:
    """What was stored beside the pixels, or None if nothing usable lies there."""
    try:
        return json.loads((place(key) / "about.json").read_text())
    except (OSError, ValueError):
        return None


def shape(key: str) -> list[int] | None:
    """(c, h, w) that images have, where none was asked for."""
    try:
        return json.loads(place(key).with_suffix(".shape").read_text())
    except (OSError, ValueError):
        return None


def note_shape(key: str, shape: tuple[int, ...]) -> None:
    path = place(key).with_suffix(".shape")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(shape))


def load(key: str, written: bool = False) -> tuple[np.ndarray, dict[str, np.ndarray]] | None:
    """Pixels and columns: in memory if there are few, else mapped, once for all processes.

    What this process has just `written` is still in memory: it is mapped too, not read again.
    """
    folder = place(key)
    try:
        mapped = written or (folder / "pixels.npy").stat().st_size >= FEW
        pixels = np.load(folder / "pixels.npy", mmap_mode="c" if mapped else None)
        with np.load(folder / "columns.npz", allow_pickle=False) as columns:
            return pixels, dict(columns)
    except (OSError, ValueError, EOFError, KeyError):
        return None


@contextmanager
def writing(key: str) -> Iterator[Path | None]:
    """A folder to fill, at the end the key's own; None where nothing can be kept."""
    final = place(key)
    begun = final.with_name(f"{key}.{uuid4().hex[:8]}.part")
    try:
        begun.mkdir(parents=True)
    except OSError:
        yield None
        return
    try:
        sweep(final.parent)
        yield begun
        if (begun / "about.json").exists():  # written last
            for file in begun.iterdir():
                with open(file, "rb") as written:
                    os.fsync(written.fileno())
            if about(key) is None or load(key) is None:  # else others may have mapped it
                shutil.rmtree(final, ignore_errors=True)
            with suppress(OSError):  # another process was faster, and its pixels are the same
                begun.rename(final)
    finally:
        shutil.rmtree(begun, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Removes what a killed process left behind."""
    for part in folder.glob("*.part"):
        if time.time() - part.stat().st_mtime > ABANDONED:
            shutil.rmtree(part, ignore_errors=True)


def room(
    folder: Path | None, shape: tuple[int, ...], dtype: np.dtype
) -> tuple[np.ndarray, Path | None]:
    """An array to write the pixels into: a file's, or without folder or space memory's."""
    if folder is None:
        return np.empty(shape, dtype), None
    path = folder / "pixels.npy"
    try:
        array = np.lib.format.open_memmap(path, "w+", dtype, shape)
        if hasattr(os, "posix_fallocate"):  # a full disk: an error now, not a killed process
            with open(path, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError:
        return np.empty(shape, dtype), None
    return array, folder


def finish(
    folder: Path, pixels: np.ndarray, columns: dict[str, np.ndarray], about: dict[str, Any]
) -> None:
    """What stands beside the pixels; `about.json`, last, says that all of it is there."""
    if isinstance(pixels, np.memmap):
        pixels.flush()
    np.savez(folder / "columns.npz", **columns)  # pyright: ignore[reportArgumentType]
    (folder / "about.json").write_text(json.dumps(about))
