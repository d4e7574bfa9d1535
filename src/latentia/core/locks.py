"""File locks: one writer at a time, named in a file beside the lock."""

import errno
import getpass
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from latentia.core.errors import Error, catch_write_errors


class LockedError(Error):
    """Another process, or another object of this one, holds a lock."""


@contextmanager
def hold_lock(path: Path, *, subject: Path | str = "", wait: bool = False) -> Iterator[None]:
    """Hold the lock of a file, which the system releases when the process ends, however it ends.

    The lock file stays. The owner stands in a second file, since opening the first may empty it.

    subject: what the lock protects, in the sentence of the error. wait: until the lock is free.

    Raises: LockedError, which names the owner, if another holds the lock; Error if the file cannot
    be written.
    """
    # the block may be left in another thread than the one that entered it
    lock = FileLock(path, timeout=-1 if wait else 0, thread_local=False)
    with catch_write_errors(Path(subject or path)):
        try:
            lock.acquire()
        except Timeout:
            if not path.exists():  # the library tries where no file can be made, as in /proc
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
            owner = describe_owner(path)
            text = f"is in use by {owner}; wait until that ends, or stop it."
            raise LockedError(text, subject=subject or path) from None
    try:
        with suppress(OSError):  # a full disk: the block names what it cannot write
            owner_path(path).write_text(json.dumps(describe_process()), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            owner_path(path).unlink(missing_ok=True)
        lock.release()


def find_other_owner(path: Path) -> str:
    """Describe the other process that holds the lock of a file; empty if none does."""
    with suppress(OSError, ValueError, KeyError, TypeError):  # no file, or one being written
        owner = json.loads(owner_path(path).read_text(encoding="utf-8"))
        if owner["process"] == os.getpid() and owner["host"] == platform.node():
            return ""
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return describe_owner(path)
        lock.release()  # its owner was killed
    return ""


def owner_path(path: Path) -> Path:
    """Path of the file that names a lock's owner; without the lock it means nothing."""
    return path.with_name(f"{path.name}.owner")


def describe_process() -> dict[str, str | int]:
    """Return user, host, process id and time, which name the owner of a lock."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may have no name for its user
        user = "somebody"
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return {"user": user, "host": platform.node(), "process": os.getpid(), "since": since}


def describe_owner(path: Path) -> str:
    """Describe the owner of a lock: "ada (host lab, process 12) since 2026-01-31 09:00:00"."""
    try:
        owner = json.loads(owner_path(path).read_text(encoding="utf-8"))
        place = f"host {owner['host']}, process {owner['process']}"
        return f"{owner['user']} ({place}) since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):  # it is being written
        return "another process"
