"""Writing of the report, behind `latentia report`."""

from latentia.doctor.examine import examine
from latentia.engine.run import Run
from latentia.report.page import write_report


def rewrite_report(run: str, data: str | None) -> None:
    opened = Run.open(run)
    images = opened.images(data, same=True)
    print(write_report(opened, images, examine(opened, images).findings))
