"""Cache of decoded images on disk: `$LATENTIA_CACHE/images/<key>/`.

A folder appears complete or not at all: it is written under another name and renamed.
"""

import hashlib
import json
import math
import os
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4
from zipfile import BadZipFile

import numpy as np

from latentia.core.checksums import BLANK, is_intact, seal_content
from latentia.core.files import cache_root, sync_file
from latentia.core.memory import check_memory
from latentia.core.progress import print_note
from latentia.data.reader import Columns

CACHE_VERSION = 2  # of the folder's contents and of decoding: part of every key
Entry = tuple[Any, Columns, dict[str, Any]]  # pixels, columns, metadata
MAX_IN_MEMORY_BYTES = 2**28  # bytes of pixels; larger files are mapped
READ_ERRORS = (OSError, ValueError, EOFError, KeyError, BadZipFile, zlib.error)
ABANDONED_SECONDS = 7 * 86400  # age of a half-written folder that no process is writing


def make_key(*parts: object) -> str:
    text = "\0".join(map(str, (CACHE_VERSION, *parts)))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def entry_path(key: str) -> Path:
    return cache_root() / "images" / key


def load_shape(key: str) -> list[int] | None:
    """Load (c, h, w) of images for which no size was requested."""
    try:
        text, checksum = entry_path(key).with_suffix(".shape").read_text("utf-8").split("\n")
        return json.loads(text) if int(checksum) == zlib.crc32(text.encode()) else None
    except (OSError, ValueError):
        return None


def save_shape(key: str, shape: tuple[int, ...]) -> None:
    path = entry_path(key).with_suffix(".shape")
    text = json.dumps(shape)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n{zlib.crc32(text.encode())}", "utf-8")


def load_entry(key: str, just_written: bool = False) -> Entry | None:
    """Load pixels, columns and metadata. Large pixels are mapped, once for all processes.

    Pixels that this process has just written are mapped too: they are in memory already.
    None: missing or damaged.
    """
    folder = entry_path(key)
    pixels_path, about_path = folder / "pixels.npy", folder / "about.json"
    try:
        if is_intact(about_path) is False:
            raise ValueError("about.json holds other bytes than were written")
        metadata = json.loads(about_path.read_text("utf-8"))
        use_map = just_written or pixels_path.stat().st_size >= MAX_IN_MEMORY_BYTES
        pixels = np.load(pixels_path, mmap_mode="c" if use_map else None)
        if not use_map and metadata.get("pixels") not in (None, checksum_pixels(pixels)):
            raise ValueError("pixels.npy holds other bytes than were written")
        # NumPy leaves a broken file open that it opened itself
        with (folder / "columns.npz").open("rb") as file, np.load(file) as columns:
            return pixels, dict(columns), metadata
    except FileNotFoundError:
        return None
    except READ_ERRORS:
        print_note(f"{folder} is damaged; the images are decoded again.")
        return None


def checksum_pixels(pixels: np.ndarray) -> int:
    """CRC-32 of shape, type and values."""
    return zlib.crc32(pixels.data, zlib.crc32(f"{pixels.shape} {pixels.dtype}".encode()))


@contextmanager
def write_entry(key: str) -> Iterator[Path | None]:
    """Yield a folder to fill, and rename it to the key's at the end. None: not writable."""
    path = entry_path(key)
    part = path.with_name(f"{key}.{uuid4().hex[:8]}.part")
    try:
        part.mkdir(parents=True)
    except OSError:
        yield None
        return
    try:
        remove_abandoned_parts(path.parent)
        yield part
        if is_complete(part):
            for file in part.iterdir():
                sync_file(file)
            # a complete entry stays, since other processes may have mapped it
            if load_entry(key) is None:
                shutil.rmtree(path, ignore_errors=True)
            with suppress(OSError):  # another process was faster, and its pixels are the same
                part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def is_complete(folder: Path) -> bool:
    return (folder / "about.json").exists()  # written last


def remove_abandoned_parts(folder: Path) -> None:
    """Remove half-written folders of killed processes."""
    for part in folder.glob("*.part"):
        if time.time() - part.stat().st_mtime > ABANDONED_SECONDS:
            shutil.rmtree(part, ignore_errors=True)


def allocate_pixels(
    folder: Path | None, shape: tuple[int, ...], dtype: np.dtype
) -> tuple[np.ndarray, Path | None]:
    """Allocate the array of pixels: in a file of the folder, or in memory if that fails.

    Raises: Error if they need more memory than is free
    """
    if folder:
        with suppress(OSError):
            path = folder / "pixels.npy"
            array = np.lib.format.open_memmap(path, "w+", dtype, shape)
            if hasattr(os, "posix_fallocate"):  # a full disk: an error now, not a killed process
                with open(path, "r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            return array, folder
    subject = f"The pixels of {shape[0]:,} images of {'x'.join(map(str, shape[1:]))}"
    check_memory(math.prod(shape) * dtype.itemsize, subject, "give a smaller --size")
    return np.empty(shape, dtype), None


def finish_entry(
    folder: Path, pixels: np.ndarray, columns: Columns, metadata: dict[str, Any]
) -> None:
    """Write columns, then `about.json`, whose presence means that the entry is complete."""
    if isinstance(pixels, np.memmap):
        pixels.flush()
    np.savez(folder / "columns.npz", **columns)  # pyright: ignore[reportArgumentType]
    metadata = {"checksum": BLANK, "pixels": checksum_pixels(pixels), **metadata}
    content = json.dumps(metadata, indent=1).encode()
    (folder / "about.json").write_bytes(seal_content(content))
