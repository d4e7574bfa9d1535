"""Diagnosis of a run, and its report."""

import json
from types import SimpleNamespace

from latentia.api.train_and_load import load
from latentia.core.errors import Error
from latentia.diagnostics.clean_images import clean_images
from latentia.runs.open import open_run


def doctor(args: SimpleNamespace) -> None:
    if args.run is None:
        text = "No run was named; give one: latentia doctor RUN, or look at the installation: "
        raise Error(f"{text}latentia env.")
    if args.clean is not None:
        images = open_run(args.run).images(args.data, same=True)
        path, counts = clean_images(images, args.clean)
        print(f"{path}: left out {', '.join(f'{n:,} of {name}' for name, n in counts.items())}")
        return
    diagnosis = load(args.run, args.data).diagnose()
    if args.json_:
        findings = [finding._asdict() for finding in diagnosis.findings]
        print(json.dumps({**diagnosis._asdict(), "findings": findings}, indent=1, allow_nan=False))
    else:
        print(diagnosis)


def report(args: SimpleNamespace) -> None:
    print(load(args.run, args.data).report())
