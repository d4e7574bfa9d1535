"""The command that diagnoses a run."""

from typing import Annotated

from typing_extensions import Doc
from tyro.conf import Positional, arg

from latentia.cli.options import Json, MovedData
from latentia.core.errors import Error


def doctor(
    run: Annotated[
        Positional[str | None],
        arg(metavar="RUN"),
        Doc("run folder, or hub:OWNER/NAME to download one"),
    ] = None,
    data: MovedData = None,
    clean: Annotated[
        str | None,
        arg(metavar="FILE"),
        Doc(
            "write the run's images without duplicates and unwanted images to this .npz file, "
            "instead of a diagnosis"
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Diagnose a run: problems found, the figures that show them, and suggested commands."""
    if run is None:
        raise Error(
            "No run was named; give one: latentia doctor RUN, or look at the installation: "
            "latentia env."
        )
    from latentia.cli.doctor_actions import print_diagnosis, write_clean_images

    if clean is not None:
        write_clean_images(run, data, clean)
    else:
        print_diagnosis(run, data, json_)
