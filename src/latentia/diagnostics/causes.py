"""Order of findings: by severity, and each cause before what may follow from it."""

from collections.abc import Sequence

from latentia.diagnostics import adversary, coordinates, data, diffusion, duration, latents, samples
from latentia.diagnostics.check import ERROR, SEVERITIES, Check
from latentia.training.events import Finding

CAUSES = (data.dark_images, duration.few_steps, data.unrelated_pixels, duration.unfinished_training)
FAILURES = (duration.images_not_learned, latents.posterior_collapse, adversary.mode_collapse)
CONSEQUENCES = (
    *FAILURES,
    coordinates.colors_not_learned,
    coordinates.details_not_described,
    coordinates.no_better_than_pca,
    diffusion.condition_ignored,
)
# of a model that has learned nothing they say nothing
DETAILS = (
    coordinates.no_better_than_pca,
    coordinates.correlated_coordinates,
    latents.unused_dimensions,
    latents.hole_in_prior,
    latents.beta_too_low,
    samples.colors_off_images,
)


def select_findings(findings: Sequence[Finding], checks: Sequence[Check]) -> list[Finding]:
    """Return the findings of these checks, in the order of the checks."""
    return [finding for check in checks for finding in findings if finding.kind == check.kind]


def sort_findings(findings: Sequence[Finding]) -> list[Finding]:
    """Sort findings, worst first.

    A cause is as severe as the worst of its consequences, and its commands stand only once. Nothing
    but an error stands before few steps. Details of a model that has learned nothing are left out.
    """
    if select_findings(findings, (duration.few_steps, *FAILURES)):
        details = select_findings(findings, DETAILS)
        findings = [finding for finding in findings if finding not in details]
    too_few = select_findings(findings, (data.too_few_images,))
    causes = [each for each in too_few if each.severity == ERROR]
    causes += select_findings(findings, CAUSES)
    consequences = select_findings(findings, CONSEQUENCES)
    if causes:
        cause, *_ = causes
        worst = min([cause, *consequences], key=rank_severity).severity
        explained = [_explain(f, cause) if f in consequences else f for f in findings]
        findings = [cause._replace(severity=worst), *(f for f in explained if f is not cause)]
    return sorted(findings, key=rank_severity)  # stable: checks stand in the order of causes


def rank_severity(finding: Finding) -> int:
    return SEVERITIES.index(finding.severity)


def _explain(finding: Finding, cause: Finding) -> Finding:
    commands = tuple(c for c in finding.suggested_commands if c not in cause.suggested_commands)
    consequence = f"This may follow from {cause.kind}. {finding.consequence}"
    return finding._replace(consequence=consequence, suggested_commands=commands)
