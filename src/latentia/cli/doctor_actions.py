"""Diagnosis of a run."""

import json
from types import SimpleNamespace

from latentia.core.errors import Error
from latentia.diagnostics.clean_images import clean_images
from latentia.diagnostics.diagnose import diagnose_run
from latentia.runs.open import open_run


def doctor(args: SimpleNamespace) -> None:
    if args.run is None:
        text = "No run was named; give one: latentia doctor RUN, or look at the installation: "
        raise Error(f"{text}latentia env.")
    run = open_run(args.run)
    if args.clean is not None:
        path, counts = clean_images(run.images(args.data, same=True), args.clean)
        print(f"{path}: left out {', '.join(f'{n:,} of {name}' for name, n in counts.items())}")
        return
    diagnosis = diagnose_run(run, data=args.data)
    if args.json_:
        findings = [finding._asdict() for finding in diagnosis.findings]
        print(json.dumps({**diagnosis._asdict(), "findings": findings}, indent=1, allow_nan=False))
    else:
        print(diagnosis)
