"""Options of the command that writes a run's report."""

from latentia.cli import options


def report(run: options.RunName, data: options.MovedData = None) -> None:
    """Write the run's report.html again."""
