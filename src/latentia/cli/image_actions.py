"""Samples, reconstructions and completions of a run."""

from types import SimpleNamespace

from latentia.api.run import Run
from latentia.cli.opened_run import draw_picture
from latentia.core.progress import print_note
from latentia.diagnostics.check import ERROR
from latentia.diagnostics.command_text import format_command
from latentia.diagnostics.diagnose import read_kept_report
from latentia.report.grids import SINGLE_IMAGES
from latentia.runs.open import open_run

draw_samples = draw_picture(Run.plot_samples, *SINGLE_IMAGES)
reconstruct = draw_picture(Run.plot_reconstructions, ".png", ".npy")
complete = draw_picture(Run.plot_completions, ".png", ".npy")


def sample(args: SimpleNamespace) -> None:
    """Draw samples, and say if the run cannot be used."""
    draw_samples(args)
    report = read_kept_report(open_run(args.run))
    if report and report.findings and report.findings[0].severity == ERROR:
        command = format_command("latentia", "doctor", args.run)
        print_note(f"{report.verdict} `{command}` says more.")
