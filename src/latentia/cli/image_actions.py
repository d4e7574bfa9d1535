"""Samples, reconstructions and completions of a run."""

from latentia.api.run import Run
from latentia.cli.opened_run import draw_picture
from latentia.core.progress import print_note
from latentia.diagnostics.check import ERROR
from latentia.diagnostics.command_text import format_command
from latentia.diagnostics.diagnose import read_kept_report
from latentia.report.grids import SINGLE_IMAGES
from latentia.runs.priors import find_learned_prior


def print_advice(run: Run) -> None:
    """Say if the run cannot be used, and which other run has learned its prior."""
    report = read_kept_report(run.folder)
    if report and report.findings and report.findings[0].severity == ERROR:
        command = format_command("latentia", "doctor", str(run.path))
        print_note(f"{report.verdict} `{command}` says more.")
    prior = find_learned_prior(run.folder) if run.folder.beta is None else None
    if prior:
        command = format_command("latentia", "sample", str(prior.path))
        print_note(f"`{command}` draws from the prior that was learned of these latents.")


sample = draw_picture(Run.plot_samples, *SINGLE_IMAGES, after=print_advice)
reconstruct = draw_picture(Run.plot_reconstructions, ".png", ".npy")
complete = draw_picture(Run.plot_completions, ".png", ".npy")
