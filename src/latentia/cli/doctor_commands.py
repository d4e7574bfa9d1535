"""Options of the command that diagnoses a run; its action imports no figure."""

from typing import Annotated

from typing_extensions import Doc
from tyro.conf import Positional

from latentia.cli import options
from latentia.core.text import Metavar

TABLE = Doc(
    "table (.csv) to write, with a row for each image of a finding: key, finding, value and, for"
    " repeated images, the key of the other; latentia train --exclude takes it"
)


def doctor(
    run: Annotated[Positional[str | None], Metavar("RUN"), options.RUN] = None,
    data: options.MovedData = None,
    json_: options.Json = False,
    table: Annotated[str | None, Metavar("FILE"), TABLE] = None,
) -> None:
    """Diagnose a run: problems with their evidence and consequence, and suggested commands."""
