"""Diagnosis of a run: all checks, the findings in order of severity, and a one-line verdict."""

import html
from typing import Any, NamedTuple

from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.data import Images
from latentia.diagnostics import adversary, data, diffusion, latents, training
from latentia.diagnostics.check import ERROR, NOTE, SEVERITIES, WARNING, format_finding
from latentia.diagnostics.run_context import RunContext
from latentia.runs.folder import RunFolder
from latentia.training.events import Finding, ListedImage

# within a severity, causes stand before their consequences
CHECKS = (
    *data.CHECKS,
    *adversary.CHECKS,
    *diffusion.CHECKS,
    latents.sigma_off_residual,
    *training.CHECKS,
    *latents.CHECKS,
    training.unfinished_training,  # any problem above can be its cause
)

LEFT_OUT = "left out by --exclude"


class DiagnosticReport(NamedTuple):
    """verdict: one sentence; findings: worst first; skipped_checks: with the reason of each.

    images: every image of every finding about images, and those that the run left out.
    """

    verdict: str
    findings: list[Finding]
    skipped_checks: list[str]
    images: list[ListedImage]

    def to_frame(self) -> Any:
        """Return the images as a pandas DataFrame: key, finding, value, same_as."""
        import pandas as pd

        return pd.DataFrame(self.images, columns=list(ListedImage._fields))

    def __repr__(self) -> str:
        """Return the text that `latentia doctor` prints, the most severe finding first."""
        return "\n\n".join(
            [self.verdict, *map(format_finding, self.findings), *self.skipped_checks]
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


def diagnose_run(
    run: RunFolder, images: Images | None = None, data: Any = None
) -> DiagnosticReport:
    """Find the problems of a run; the run folder is only read.

    images: the run's images, if they are already open. data: the present place of its images.
    """
    context = RunContext(run, images, data)
    findings, skipped = run_checks(context)
    verdict = summarize_findings(context, findings, skipped)
    # those that the run left out stay in the table, which replaces the one that it was given
    excluded = run.metadata["images"].get("reading", {}).get("exclude", ())
    listed = [*context.listed_images, *(ListedImage(key, LEFT_OUT, None) for key in excluded)]
    return DiagnosticReport(verdict, findings, skipped, listed)


def run_checks(context: RunContext, early: bool = False) -> tuple[list[Finding], list[str]]:
    """Return the findings, worst first, and the checks that could not run, with the reasons."""
    findings, skipped = [], {}
    for check in CHECKS:
        if early and not check.early:
            continue
        try:
            finding = check(context)
        except Error as problem:  # the images are elsewhere, or the recipe no longer exists
            skipped.setdefault(str(problem), []).append(check.kind)
            continue
        except Exception as problem:  # a check that fails must not cost a training or its report
            reason = f"The check failed ({type(problem).__name__}: {problem})."
            skipped.setdefault(reason, []).append(check.kind)
            continue
        if finding:
            findings.append(finding)
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))  # stable
    return findings, [f"Not checked: {', '.join(k)}. {reason}" for reason, k in skipped.items()]


def summarize_findings(context: RunContext, findings: list[Finding], skipped: list[str]) -> str:
    summary = context.run.name
    if not context.complete:
        steps = pluralize(context.total_steps, "step")
        summary += f" is not complete ({context.step:,} of {steps})"
    if not findings or findings[0].severity == NOTE:
        notes = f" ({pluralize(len(findings), 'note')})" if findings else ""
        summary += f": {len(CHECKS)} checks found no problem{notes}."
    else:
        joint = " " if context.complete else " and "
        usability = {ERROR: "cannot be used", WARNING: "can be used with reservations"}
        more = f", and {pluralize(len(findings) - 1, 'more finding')}" if findings[1:] else ""
        summary += f"{joint}{usability[findings[0].severity]}: {findings[0].kind}{more}."
    return summary + (" Some checks could not run." if skipped else "")


def find_early_problems(run: RunFolder) -> list[Finding]:
    """Find problems that further training cannot remove, in the settings and the log alone."""
    return run_checks(RunContext(run, early=True), early=True)[0]
