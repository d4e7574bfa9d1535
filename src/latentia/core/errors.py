"""One exception for everything that a user can put right."""


class Error(ValueError):
    """What is wrong, what was given, what is allowed, what to do, in one sentence.

    The command line prints it without a traceback and exits with `code`.
    """

    code = 2
