"""Options of the command that diagnoses a run; its action imports no figure."""

from typing import Annotated

from tyro.conf import Positional

from latentia.cli import options
from latentia.core.text import Metavar


def doctor(
    run: Annotated[Positional[str | None], Metavar("RUN"), options.RUN] = None,
    data: options.MovedData = None,
    json_: options.Json = False,
) -> None:
    """Diagnose a run: problems with their evidence and consequence, and suggested commands."""
