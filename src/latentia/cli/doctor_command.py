"""The command that diagnoses a run."""

from typing import Annotated

from tyro.conf import Positional

from latentia.cli import options
from latentia.core.errors import Error
from latentia.core.text import Metavar


def doctor(
    run: Annotated[Positional[str | None], Metavar("RUN"), options.RUN] = None,
    data: options.MovedData = None,
    json_: options.Json = False,
) -> None:
    """Diagnose a run: problems with their evidence and consequence, and suggested commands."""
    if run is None:
        text = "No run was named; give one: latentia doctor RUN, or look at the installation: "
        raise Error(f"{text}latentia env.")
    from latentia.cli.doctor_actions import print_diagnosis

    print_diagnosis(run, data, json_)
