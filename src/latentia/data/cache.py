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

CACHE_VERSION = 1  # of what lies in a folder and of how images are read: part of every key
MAX_IN_MEMORY_BYTES = 2**28  # bytes of pixels that a process reads into its own memory
ABANDONED_SECONDS = 7 * 86400  # seconds after which a half-written folder belongs to nobody


def cache_root() -> Path:
    env_value = os.environ.get("LATENTIA_CACHE")
    return Path(env_value) if env_value else Path.home() / ".cache" / "latentia"


def make_key(*parts: object) -> str:
    text = "\0".join(map(str, (CACHE_VERSION, *parts)))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def entry_path(key: str) -> Path:
    return cache_root() / "images" / key


def load_metadata(key: str) -> dict[str, Any] | None:
    """What was stored beside the pixels, or None if nothing usable lies there."""
    try:
        return json.loads((entry_path(key) / "about.json").read_text())
    except (OSError, ValueError):
        return None


def load_shape(key: str) -> list[int] | None:
    """(c, h, w) that images have, where none was asked for."""
    try:
        return json.loads(entry_path(key).with_suffix(".shape").read_text())
    except (OSError, ValueError):
        return None


def save_shape(key: str, shape: tuple[int, ...]) -> None:
    path = entry_path(key).with_suffix(".shape")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(shape))


def load_arrays(
    key: str, just_written: bool = False
) -> tuple[np.ndarray, dict[str, np.ndarray]] | None:
    """Pixels and columns: in memory if there are few, else mapped, once for all processes.

    What this process has just `written` is still in memory: it is mapped too, not read again.
    """
    folder = entry_path(key)
    try:
        use_memory_map = (
            just_written or (folder / "pixels.npy").stat().st_size >= MAX_IN_MEMORY_BYTES
        )
        pixels = np.load(folder / "pixels.npy", mmap_mode="c" if use_memory_map else None)
        with np.load(folder / "columns.npz", allow_pickle=False) as columns:
            return pixels, dict(columns)
    except (OSError, ValueError, EOFError, KeyError):
        return None


@contextmanager
def write_entry(key: str) -> Iterator[Path | None]:
    """A folder to fill, at the end the key's own; None where nothing can be kept."""
    entry_folder = entry_path(key)
    part_folder = entry_folder.with_name(f"{key}.{uuid4().hex[:8]}.part")
    try:
        part_folder.mkdir(parents=True)
    except OSError:
        yield None
        return
    try:
        remove_abandoned_parts(entry_folder.parent)
        yield part_folder
        if (part_folder / "about.json").exists():  # written last
            for file in part_folder.iterdir():
                with open(file, "rb") as stream:
                    os.fsync(stream.fileno())
            if (
                load_metadata(key) is None or load_arrays(key) is None
            ):  # else others may have mapped it
                shutil.rmtree(entry_folder, ignore_errors=True)
            with suppress(OSError):  # another process was faster, and its pixels are the same
                part_folder.rename(entry_folder)
    finally:
        shutil.rmtree(part_folder, ignore_errors=True)


def remove_abandoned_parts(folder: Path) -> None:
    """Removes what a killed process left behind."""
    for part_folder in folder.glob("*.part"):
        if time.time() - part_folder.stat().st_mtime > ABANDONED_SECONDS:
            shutil.rmtree(part_folder, ignore_errors=True)


def allocate_pixels(
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


def finish_entry(
    folder: Path, pixels: np.ndarray, columns: dict[str, np.ndarray], metadata: dict[str, Any]
) -> None:
    """What stands beside the pixels; `about.json`, last, says that all of it is there."""
    if isinstance(pixels, np.memmap):
        pixels.flush()
    np.savez(folder / "columns.npz", **columns)  # pyright: ignore[reportArgumentType]
    (folder / "about.json").write_text(json.dumps(metadata))
