"""Diagnosis of a run."""

import json
from types import SimpleNamespace

from latentia.core.errors import Error
from latentia.diagnostics.diagnose import diagnose_run
from latentia.runs.open import open_run


def doctor(args: SimpleNamespace) -> None:
    if args.run is None:
        text = "No run was named; give one: latentia doctor RUN, or look at the installation: "
        raise Error(f"{text}latentia env.")
    diagnosis = diagnose_run(open_run(args.run), data=args.data)
    if args.json_:
        findings = [finding._asdict() for finding in diagnosis.findings]
        print(json.dumps({**diagnosis._asdict(), "findings": findings}, indent=1, allow_nan=False))
    else:
        print(diagnosis)
