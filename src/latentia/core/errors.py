"""One exception for everything that a user can put right."""


class Error(ValueError):
    """What is wrong, what was given, what is allowed, what to do, in one sentence.

    The command line prints it without a traceback and exits with `code`. Of several processes the
    first prints it, and those that may have met it by themselves: `alone`. shared: all meet it.
    """

    code, alone = 2, False

    def __init__(self, message: str, *, on_all_ranks: bool = False):
        super().__init__(message)
        self.shared = on_all_ranks


def summarize_exception(exception: Exception) -> str:
    """Of what another library says, for a sentence of ours; the error's name if it says nothing."""
    return (str(exception).strip().splitlines() or [type(exception).__name__])[0].rstrip(".")
