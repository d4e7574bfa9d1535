"""Diagnosis of a run."""

import json
import sys
from types import SimpleNamespace

from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.diagnostics.diagnose import diagnose_run
from latentia.report.grids import check_output, save
from latentia.runs.open import open_run


def doctor(args: SimpleNamespace) -> None:
    if args.run is None:
        text = "No run was named; give one: latentia doctor RUN, or look at the installation: "
        raise Error(f"{text}latentia env.")
    if args.table:
        check_output(args.table, ".csv", option="--table")
    diagnosis = diagnose_run(open_run(args.run), data=args.data)
    rows = [image._asdict() for image in diagnosis.images]
    if args.json_:
        findings = [finding._asdict() for finding in diagnosis.findings]
        content = {**diagnosis._asdict(), "findings": findings, "images": rows}
        print(json.dumps(content, indent=1, allow_nan=False))
    else:
        print(diagnosis)
    if args.table:
        text = diagnosis.to_frame().to_csv(index=False, lineterminator="\n")
        content = text.encode("utf-8", "surrogateescape")  # keys are the names of files
        path = save(args.table, {".csv": lambda: content}, option="--table")
        print(f"{pluralize(len(rows), 'image')} in {path}", file=sys.stderr)
