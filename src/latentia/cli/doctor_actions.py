"""Diagnosis of a run, behind `latentia doctor` and `latentia report`."""

import json

from latentia.api.train_and_load import load
from latentia.diagnostics.clean_images import clean_images
from latentia.runs.open import open_run


def write_clean_images(run: str, data: str | None, out: str) -> None:
    path, counts = clean_images(open_run(run).images(data, same=True), out)
    print(f"{path}: left out {', '.join(f'{n:,} of {name}' for name, n in counts.items())}")


def print_diagnosis(run: str, data: str | None, as_json: bool) -> None:
    report = load(run, data).diagnose()
    if as_json:
        findings = [finding._asdict() for finding in report.findings]
        print(json.dumps({**report._asdict(), "findings": findings}, indent=1, allow_nan=False))
    else:
        print(report)


def rewrite_report(path: str, data: str | None) -> None:
    print(load(path, data).report())
