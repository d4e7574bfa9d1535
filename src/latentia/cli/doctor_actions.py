"""Diagnosis of a run, behind `latentia doctor` and `latentia report`."""

import json

from latentia.cli.tables import format_report
from latentia.diagnostics.diagnose import diagnose_run
from latentia.report.page import write_report
from latentia.runs.open import open_run


def print_diagnosis(run: str, data: str | None, as_json: bool) -> None:
    report = diagnose_run(open_run(run), data=data)
    if as_json:
        findings = [finding._asdict() for finding in report.findings]
        print(json.dumps({**report._asdict(), "findings": findings}, indent=1, allow_nan=False))
    else:
        print(format_report(report))


def rewrite_report(path: str, data: str | None) -> None:
    run = open_run(path)
    images = run.images(data, same=True)
    print(write_report(run, images, diagnose_run(run, images).findings))
