"""One exception for everything that a user can put right."""

from pathlib import Path


class Error(ValueError):
    """What is wrong, what was given, what is allowed, what to do, in one sentence.

    The command line prints it without a traceback and exits with `code`. Of several processes the
    first prints it, and those that may have met it by themselves: `alone`. shared: all meet it.
    subject: what the sentence begins with, such as a run's folder, where others may call it
    otherwise; `text` is the rest.
    """

    code, alone = 2, False

    def __init__(self, text: str, *, shared: bool = False, subject: Path | str | None = None):
        super().__init__(text if subject is None else f"{subject} {text}")
        self.text, self.shared, self.subject = text, shared, subject


def first_line(why: Exception) -> str:
    """Of what another library says, for a sentence of ours; the error's name if it says nothing."""
    return (str(why).strip().splitlines() or [type(why).__name__])[0].rstrip(".")
