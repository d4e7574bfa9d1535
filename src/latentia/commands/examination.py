"""`latentia doctor`: what ails a run, and the command that mends it."""

import json
from typing import Annotated

from typing_extensions import Doc

from latentia.commands.flags import Json, RunFolder


def doctor(
    run: RunFolder,
    data: Annotated[str | None, Doc("where the run's images are now")] = None,
    clean: Annotated[
        str | None, Doc(".npz to write: the run's images, without those found ill")
    ] = None,
    json_: Json = False,
) -> None:
    """Say what ails a run, by which figures, and the command that mends it."""
    from latentia.doctor.clean import clean as written
    from latentia.doctor.examine import examine
    from latentia.engine.run import Run
    from latentia.show import examined

    opened = Run.open(run)
    if clean is not None:
        path, lost = written(opened.images(data, same=True), clean)
        print(f"{path}: left out {', '.join(f'{n:,} of {name}' for name, n in lost.items())}")
        return
    report = examine(opened, data=data)
    if json_:
        findings = [finding._asdict() for finding in report.findings]
        print(json.dumps({**report._asdict(), "findings": findings}, indent=1, allow_nan=False))
    else:
        print(examined(report))
