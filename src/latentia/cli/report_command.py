"""The command that writes the report of a run."""

from latentia.cli.options import MovedData, RunName


def report(run: RunName, data: MovedData = None) -> None:
    """Write the run's report.html again."""
    from latentia.cli.report_actions import rewrite_report

    rewrite_report(run, data)
