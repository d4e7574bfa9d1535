"""The exception for problems that a user can solve."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room on the disk, and do it again"),
    **dict.fromkeys((errno.EROFS, errno.EACCES), "give a folder that you may write to"),
}


class Error(ValueError):
    """A problem that the user can solve; the command line prints it without a traceback.

    The message says what is wrong, what was given, what is allowed and what to do.

    Parameters
    ----------
    message : str
        The whole sentence, or its rest after `subject`.
    on_all_ranks : bool
        Whether every process of a distributed run raises this error; process 0 then prints it.
    subject : Path or str, optional
        First words of the sentence, such as a run's folder. Code that knows the subject by another
        name prints `message` after that name.

    Attributes
    ----------
    exit_code : int
        Exit code of the command line.
    rank_local : bool
        Whether a process other than 0 prints the error too.

    Examples
    --------
    >>> import latentia
    >>> raise latentia.Error("holds no images; give another folder.", subject="photos/")
    Traceback (most recent call last):
    latentia.core.errors.Error: photos/ holds no images; give another folder.
    """

    exit_code, rank_local = 2, False

    def __init__(
        self, message: str, *, on_all_ranks: bool = False, subject: Path | str | None = None
    ):
        super().__init__(message if subject is None else f"{subject} {message}")
        self.message, self.on_all_ranks, self.subject = message, on_all_ranks, subject


class WriteError(Error):
    """A file cannot be written: the disk is full, or the place is read-only."""


class DamageError(Error):
    """A file of a run holds other bytes than were written."""


def summarize_exception(exception: BaseException) -> str:
    """Return the first line of an exception's message, or its type's name if it has none.

    The message of the system is without its number and the path, which the caller names.
    """
    text = str(getattr(exception, "strerror", None) or exception)
    return (text.strip().splitlines() or [type(exception).__name__])[0].rstrip(".")


def describe_exception(exception: BaseException) -> str:
    """Return the type and the first line of an exception that the code of others raised."""
    return f"{type(exception).__name__}: {summarize_exception(exception)}"


@contextmanager
def convert_errors(
    describe: Callable[[str], str],
    kinds: Any = Exception,
    explain: Callable[[Exception], str] = summarize_exception,
) -> Iterator[None]:
    """Convert exceptions that the code of others raises in the block to one sentence.

    describe: returns the sentence for a reason; kinds: classes of these exceptions; explain:
    returns the reason of an exception, by default its first line.
    """
    try:
        yield
    except Error:
        raise
    except kinds as error:
        raise Error(describe(explain(error))) from error


def refuse_nul(path: Path | str) -> None:
    """Raises: WriteError if a path holds a NUL byte, for which Python raises a ValueError."""
    if "\0" in str(path):
        text = str(path).replace("\0", "\\0")
        raise WriteError("holds a NUL byte, as no name of a file does; remove it.", subject=text)


@contextmanager
def catch_write_errors(path: Path, advice: str = "give another place") -> Iterator[None]:
    """Convert every OSError of the block, such as a full disk, to one sentence about `path`."""
    refuse_nul(path)
    try:
        yield
    except OSError as error:
        advice = ADVICE.get(error.errno or 0, advice)
        reason = f"cannot be written ({error.strerror or error})"
        raise WriteError(f"{reason}; {advice}.", subject=path) from None
