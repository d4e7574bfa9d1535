"""The command that writes the report of a run."""

from latentia.cli import options


def report(run: options.RunName, data: options.MovedData = None) -> None:
    """Write the run's report.html again."""
    from latentia.cli.doctor_actions import rewrite_report

    rewrite_report(run, data)
