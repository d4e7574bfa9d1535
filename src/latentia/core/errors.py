"""One exception for everything that a user can put right."""

from pathlib import Path


class Error(ValueError):
    """What is wrong, what was given, what is allowed, what to do, in one sentence.

    The command line prints it without a traceback and exits with `code`. Of several processes the
    first prints it, and those that may have met it by themselves: `alone`. shared: all meet it.
    subject: what the sentence begins with, such as a run's folder; `message` is the rest, for who
    knows the subject by another name.
    """

    exit_code, rank_local = 2, False

    def __init__(
        self, message: str, *, on_all_ranks: bool = False, subject: Path | str | None = None
    ):
        super().__init__(message if subject is None else f"{subject} {message}")
        self.message, self.on_all_ranks, self.subject = message, on_all_ranks, subject


def summarize_exception(exception: Exception) -> str:
    """Of what another library says, for a sentence of ours; the error's name if it says nothing."""
    return (str(exception).strip().splitlines() or [type(exception).__name__])[0].rstrip(".")
