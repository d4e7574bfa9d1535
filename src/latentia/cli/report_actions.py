"""The report of a run."""

from types import SimpleNamespace

from latentia.diagnostics.diagnose import diagnose_run
from latentia.report.page import write_report
from latentia.runs.open import open_run


def report(args: SimpleNamespace) -> None:
    run = open_run(args.run)
    images = run.images(args.data, same=True)
    print(write_report(run, images, diagnose_run(run, images).findings))
