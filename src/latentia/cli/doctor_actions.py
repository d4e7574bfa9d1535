"""Diagnosis of a run, behind `latentia doctor`."""

import json

from latentia.cli.tables import format_report
from latentia.diagnostics.clean_images import clean
from latentia.diagnostics.diagnose import examine
from latentia.runs.open import open_run


def write_clean_images(run: str, data: str | None, out: str) -> None:
    path, lost = clean(open_run(run).images(data, same=True), out)
    print(f"{path}: left out {', '.join(f'{n:,} of {name}' for name, n in lost.items())}")


def print_diagnosis(run: str, data: str | None, as_json: bool) -> None:
    report = examine(open_run(run), data=data)
    if as_json:
        findings = [finding._asdict() for finding in report.findings]
        print(json.dumps({**report._asdict(), "findings": findings}, indent=1, allow_nan=False))
    else:
        print(format_report(report))
