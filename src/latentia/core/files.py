"""Durable files on Linux, macOS and Windows: synchronisation to disk, and replacement."""

import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl: Any = None

RESERVED_NAMES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d|)(\..*)?", re.IGNORECASE)  # of Windows
RETRIES = 40  # 2 s in all, for which another program may read a file that is to be replaced


def cache_root() -> Path:
    """Return this user's folder for files that can be made again."""
    env_value = os.environ.get("LATENTIA_CACHE")
    return Path(env_value).expanduser() if env_value else Path.home() / ".cache" / "latentia"


def find_absolute_path(text: str) -> PurePath | None:
    """Return an absolute path of any system, such as C:\\data on Linux; None if it is none."""
    paths = Path(text), PurePosixPath(text), PureWindowsPath(text)
    return next((path for path in paths if path.is_absolute()), None)


def make_file_name(text: str) -> str:
    """Return a file name that every system allows."""
    name = re.sub(r'[<>:"/\\|?*\0-\x1f]', "_", text).rstrip(". ")
    return f"_{name}" if RESERVED_NAMES.fullmatch(name) else name


def describe_special_file(mode: int) -> str:
    """Name what is no regular file, from its mode as `os.stat` returns it."""
    names = {stat.S_IFREG: "", stat.S_IFDIR: "folder", stat.S_IFIFO: "FIFO"}
    return names.get(stat.S_IFMT(mode), "socket or device")


def require_file(path: Path) -> None:
    """Raises: OSError if there is no file, or a FIFO or device, which may be read for ever."""
    if kind := describe_special_file(path.stat().st_mode):
        raise OSError(f"a {kind}, not a file")


@contextmanager
def claim_file(path: Path) -> Iterator[None]:
    """Create a file, or take one that a killed process left, and let no other process claim it.

    The lock is that of the file itself, which is renamed within the block: `filelock` locks a name.

    Raises: OSError if another process keeps it for over 2 seconds
    """
    if fcntl is None:  # programs of Windows open no file that another one writes
        yield
        return
    if path.is_symlink():
        path.unlink()
    for _ in range(RETRIES):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        if _lock_descriptor(descriptor, path):
            break
        os.close(descriptor)
        time.sleep(0.05)
    else:
        raise OSError(errno.EBUSY, "another process is writing it")
    try:
        yield
    finally:
        os.close(descriptor)


def _lock_descriptor(descriptor: int, path: Path) -> bool:
    """Lock an open file; False if another process holds it, or has renamed it since."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError as error:  # some file systems have no locks
        return not isinstance(error, BlockingIOError | FileNotFoundError)


def sync_file(path: Path) -> None:
    """Force the bytes of a file to disk."""
    with path.open("r+b") as file:  # Windows flushes no file that was opened for reading
        _sync_descriptor(file.fileno())


def sync_folder(path: Path) -> None:
    """Force the names in a folder to disk. Windows opens no folder, and keeps them in a journal."""
    with suppress(PermissionError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            _sync_descriptor(descriptor)
        finally:
            os.close(descriptor)


def _sync_descriptor(descriptor: int) -> None:
    os.fsync(descriptor)
    with suppress(AttributeError, OSError):  # after fsync macOS's disk may still wait
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # pyright: ignore[reportAttributeAccessIssue]


def replace_file(source: Path, target: Path) -> None:
    """Rename a file to another's name. Windows refuses while a program reads the other: retry."""
    for _ in range(RETRIES):
        with suppress(PermissionError):
            return os.replace(source, target)
        time.sleep(0.05)
    return os.replace(source, target)
