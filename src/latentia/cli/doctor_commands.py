"""Options of the command that diagnoses a run; its action imports no figure."""

from typing import Annotated

from tyro.conf import Positional

from latentia.cli import options
from latentia.core.text import Metavar


def doctor(
    run: Annotated[Positional[str | None], Metavar("RUN"), options.RUN] = None,
    data: options.MovedData = None,
    clean: str | None = None,
    json_: options.Json = False,
) -> None:
    """Diagnose a run: problems with their evidence and consequence, and suggested commands.

    Parameters
    ----------
    clean : FILE
        write the run's images without duplicates and unwanted images to this .npz file, instead of
        a diagnosis
    """
