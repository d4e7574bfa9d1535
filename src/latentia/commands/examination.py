"""`latentia doctor`: what ails a run, and the command that mends it."""

import json
from typing import Annotated

from typing_extensions import Doc
from tyro.conf import Positional

from latentia.commands.flags import Json
from latentia.core.errors import Error


def doctor(
    run: Annotated[Positional[str | None], Doc("folder of a run")] = None,
    data: Annotated[str | None, Doc("where the run's images are now")] = None,
    clean: Annotated[
        str | None, Doc(".npz to write: the run's images, without those found ill")
    ] = None,
    install: Annotated[
        bool, Doc("no run: what is installed, and on what a training would run here")
    ] = False,
    json_: Json = False,
) -> int | None:
    """Say what ails a run, by which figures, and the command that mends it; or --install."""
    if install:
        return _installation(json_)
    if run is None:
        raise Error(
            "No run was named; give one: latentia doctor RUN, or latentia doctor --install."
        )
    from latentia.diagnostics.clean_images import clean as written
    from latentia.diagnostics.diagnose import examine
    from latentia.runs.open import open_run
    from latentia.show import examined

    opened = open_run(run)
    if clean is not None:
        path, lost = written(opened.images(data, same=True), clean)
        print(f"{path}: left out {', '.join(f'{n:,} of {name}' for name, n in lost.items())}")
        return None
    report = examine(opened, data=data)
    if json_:
        findings = [finding._asdict() for finding in report.findings]
        print(json.dumps({**report._asdict(), "findings": findings}, indent=1, allow_nan=False))
    else:
        print(examined(report))
    return None


def _installation(as_json: bool) -> int:
    from latentia.diagnostics.environment import installation, shown, whole

    found = installation()
    if as_json:
        libraries = {k: [x._asdict() for x in each] for k, each in found["libraries"].items()}
        print(json.dumps({**found, "libraries": libraries}, indent=1))
    else:
        print(shown(found))
    return 0 if whole(found) else 2
