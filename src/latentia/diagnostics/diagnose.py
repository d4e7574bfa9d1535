"""All checks on one run: the findings, worst first, and a verdict in plain words."""

from typing import Any, NamedTuple

from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.data import Images
from latentia.diagnostics import adversary, data, diffusion, latents, training
from latentia.diagnostics.check import ERROR, NOTE, SEVERITIES, WARNING
from latentia.diagnostics.run_context import RunContext
from latentia.runs.folder import RunFolder
from latentia.training.events import Finding

# within a severity, causes stand before what follows from them
CHECKS = (
    *data.CHECKS,
    *adversary.CHECKS,
    *diffusion.CHECKS,
    latents.sigma_off_residual,
    *training.CHECKS,
    *latents.CHECKS,
    training.unfinished_training,  # of whatever is wrong above, too
)


class DiagnosticReport(NamedTuple):
    """verdict: in words; findings: worst first; unseen: what could not be looked at, and why."""

    verdict: str
    findings: list[Finding]
    skipped_checks: list[str]


def diagnose_run(
    run: RunFolder, images: Images | None = None, data: Any = None
) -> DiagnosticReport:
    """What ails a run; only read. `images`: its own, if at hand; `data`: where they are now."""
    context = RunContext(run, images, data)
    problems, skipped = run_checks(context)
    return DiagnosticReport(summarize_findings(context, problems, skipped), problems, skipped)


def run_checks(context: RunContext, early: bool = False) -> tuple[list[Finding], list[str]]:
    problems, skipped = [], {}
    for check in CHECKS:
        if early and not check.early:
            continue
        try:
            finding = check(context)
        except Error as problem:  # images that are not here, a recipe that is no more
            skipped.setdefault(str(problem), []).append(check.kind)
            continue
        except Exception as problem:  # a check that fails must not cost a training or its report
            reason = f"This could not be looked at ({type(problem).__name__}: {problem})."
            skipped.setdefault(reason, []).append(check.kind)
            continue
        if finding:
            problems.append(finding)
    problems.sort(
        key=lambda finding: SEVERITIES.index(finding.severity)
    )  # stable: registry's order
    return problems, [
        f"Not looked for: {', '.join(names)}. {reason}" for reason, names in skipped.items()
    ]


def summarize_findings(context: RunContext, problems: list[Finding], skipped: list[str]) -> str:
    name, worst_finding = context.run.name, problems[0] if problems else None
    check_text = f"{len(CHECKS)} checks"
    if not context.complete:
        state = (
            f"{name} is not complete ({context.step:,} of {pluralize(context.total_steps, 'step')})"
        )
    else:
        state = name
    counts = {
        severity: sum(finding.severity == severity for finding in problems)
        for severity in SEVERITIES
    }
    if worst_finding is None or worst_finding.severity == NOTE:
        summary = f"{state}: nothing is wrong that {check_text} would see"
        summary += f"; {counts[NOTE]} to know." if counts[NOTE] else "."
    else:
        quality = {ERROR: "is ill", WARNING: "serves, with reservations"}[worst_finding.severity]
        summary = f"{state}: it {quality}: {worst_finding.kind}"
        n_more = len(problems) - 1
        summary += f", and {n_more} more." if n_more else "."
    return summary + (" Not all could be looked at." if skipped else "")


def find_early_problems(run: RunFolder) -> list[Finding]:
    """What will not heal by itself, by the settings and the log of a run that is being trained."""
    return run_checks(RunContext(run, early=True), early=True)[0]
