"""Options of the command that diagnoses a run; its action imports no figure."""

from tyro.conf import Positional

from latentia.cli import options


def doctor(
    run: Positional[str | None] = None,
    data: options.MovedData = None,
    json_: options.Json = False,
    table: str | None = None,
) -> None:
    """Diagnose a run: problems with their evidence and consequence, and suggested commands.

    Parameters
    ----------
    run : RUN
        run folder, or hub:OWNER/NAME to download one
    table : FILE
        table (.csv) to write, with a row for each image of a finding: key, finding, value and, for
        repeated images, the key of the other; latentia train --exclude takes it
    """
