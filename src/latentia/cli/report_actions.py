"""Writing of the report, behind `latentia report`."""

from latentia.diagnostics.diagnose import examine
from latentia.report.page import write_report
from latentia.runs.open import open_run


def rewrite_report(run: str, data: str | None) -> None:
    opened = open_run(run)
    images = opened.images(data, same=True)
    print(write_report(opened, images, examine(opened, images).findings))
