"""Diagnosis of a run: all checks, the findings in order of severity, and a one-line verdict."""

import html
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from latentia.core.errors import DamageError, Error
from latentia.core.text import pluralize
from latentia.data import Images
from latentia.data.sources.registry import SourceKind
from latentia.diagnostics import (
    adversary,
    codes,
    coordinates,
    data,
    diffusion,
    duration,
    latents,
    samples,
    training,
)
from latentia.diagnostics import suggested_commands as suggest
from latentia.diagnostics.causes import sort_findings
from latentia.diagnostics.check import ERROR, NOTE, WARNING, Check, format_finding
from latentia.diagnostics.command_text import format_fit
from latentia.diagnostics.run_context import RunContext
from latentia.runs.build import AUTOENCODER
from latentia.runs.create import FIT_FILE
from latentia.runs.folder import RunFolder, find_unused_path
from latentia.runs.images import are_images_missing
from latentia.training.checkpoint import read_json, write_json
from latentia.training.events import Finding, ListedImage

# within a severity, causes stand before their consequences
MODULES = (
    *(data, adversary, diffusion, training, duration),
    *(latents, codes, coordinates, samples),
)
CHECKS = [each for module in MODULES for each in vars(module).values() if isinstance(each, Check)]

DIAGNOSIS_FILE = "diagnosis.json"  # in a run folder: findings at the end of the training
LEFT_OUT = "left out by --exclude"


class Diagnosis(TypedDict):
    """Content of diagnosis.json."""

    step: int
    checked: list[str]
    findings: list[Finding]


class DiagnosticReport(NamedTuple):
    """verdict: one sentence; findings: worst first; skipped_checks: with the reason of each.

    images: every image of every finding about images, and those that the run left out. advice: on
    all suggested commands, or "".
    """

    verdict: str
    findings: list[Finding]
    skipped_checks: list[str]
    images: list[ListedImage]
    advice: str = ""

    def to_frame(self) -> Any:
        """Return the images as a pandas DataFrame: key, finding, value, same_as."""
        import pandas as pd

        return pd.DataFrame(self.images, columns=list(ListedImage._fields))

    def __repr__(self) -> str:
        """Return the text that `latentia doctor` prints, the most severe finding first."""
        findings, advice = map(format_finding, self.findings), filter(None, [self.advice])
        return "\n\n".join([self.verdict, *findings, *advice, *self.skipped_checks])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


class CheckedRun(NamedTuple):
    """findings: in the order of the checks; skipped: kinds of checks, by the reason.

    from_training: those whose findings are from the end of the training.
    """

    findings: list[Finding]
    skipped: dict[str, list[str]]
    from_training: dict[str, list[str]]

    def describe_unchecked(self) -> list[str]:
        """Return a sentence for each reason why checks could not run."""
        sources = {"Not checked": self.skipped, "Kept from the training": self.from_training}
        return [
            f"{title}: {', '.join(kinds)}. {reason}".rstrip()
            for title, checks in sources.items()
            for reason, kinds in checks.items()
        ]


def diagnose_run(
    run: RunFolder, images: Images | None = None, data: Any = None
) -> DiagnosticReport:
    """Find the problems of a run; the run folder is only read.

    images: the run's images, if they are already open. data: the present place of its images.
    """
    context = RunContext(run, images, data)
    return make_report(context, run_checks(context))


def make_report(context: RunContext, checked: CheckedRun) -> DiagnosticReport:
    findings, unchecked = sort_findings(checked.findings), checked.describe_unchecked()
    if context.data is None and are_images_missing(context.run.metadata["images"]):
        # their commands would not find the images
        findings = [finding._replace(suggested_commands=()) for finding in findings]
    verdict = summarize_findings(context, findings, sum(map(len, checked.skipped.values())))
    # those that the run left out stay in the table, which replaces the one that it was given
    excluded = context.run.metadata["images"].get("reading", {}).get("exclude", ())
    listed = [*context.listed_images, *(ListedImage(key, LEFT_OUT, None) for key in excluded)]
    return DiagnosticReport(verdict, findings, unchecked, listed, describe_fit(context, findings))


def describe_fit(context: RunContext, findings: list[Finding]) -> str:
    """Return how `latentia fit` trains its runs anew, if commands train one of them; else ""."""
    path = Path(context.parameters.get(AUTOENCODER) or context.run.path)
    commands = [command for finding in findings for command in finding.suggested_commands]
    if not any(command.startswith("latentia train ") for command in commands):
        return ""
    fit = None
    with suppress(DamageError):  # a report does not need this file
        fit = read_json(path / FIT_FILE)
    if not fit:
        return ""
    moved = suggest.list_moved_data(context)
    request = {**fit["request"], **({"data": moved[0]} if moved else {})}
    change = "" if context.is_prior else "the changed option, or "
    runs = "the run" if "cond" in request else "both runs"
    subject = "This command trains" if len(commands) == 1 else "These commands train"
    return (
        f"{subject} one run alone. With {change}more --minutes in place of --epochs, "
        f"`{format_fit(request, find_unused_path(path))}` makes {runs}, table and report."
    )


def run_checks(context: RunContext) -> CheckedRun:
    """Run all checks, of a run in training the early ones.

    Those that need images that are not here have their kept findings.
    """
    result, kept_findings = CheckedRun([], {}, {}), load_findings(context)
    for check in CHECKS:
        if context.early and not check.early:
            continue
        try:
            finding = check(context)
        except DamageError:
            raise
        except Error as problem:  # the images are elsewhere, or the recipe no longer exists
            if check.kind not in kept_findings:
                result.skipped.setdefault(str(problem), []).append(check.kind)
                continue
            finding = kept_findings[check.kind]
            in_memory = context.run.metadata["images"]["kind"] == SourceKind.MEMORY
            reason = "" if in_memory else str(problem)  # nobody can give such images to a command
            result.from_training.setdefault(reason, []).append(check.kind)
        except Exception as problem:  # a check that fails must not cost a training or its report
            reason = f"The check failed ({type(problem).__name__}: {problem})."
            result.skipped.setdefault(reason, []).append(check.kind)
            continue
        if finding:
            result.findings.append(finding)
    return result


def keep_findings(run: RunFolder, images: Images) -> DiagnosticReport:
    """Diagnose a complete training, and save the findings for when its images are not here."""
    context = RunContext(run, images)
    checked = run_checks(context)
    failed = [kind for kinds in checked.skipped.values() for kind in kinds]
    content = {
        "step": context.step,
        "checked": [check.kind for check in CHECKS if check.kind not in failed],
        "findings": [finding._asdict() for finding in checked.findings],
    }
    write_json(run.path / DIAGNOSIS_FILE, content)
    return make_report(context, checked)


def load_findings(context: RunContext) -> dict[str, Finding | None]:
    """Return the findings at the end of the training, by kind. None: checked, and none found."""
    path = context.run.path / DIAGNOSIS_FILE
    content = read_json(path, Diagnosis) if path.exists() else None
    if content is None or content["step"] != context.step:
        return {}
    findings = {each["kind"]: Finding(**each) for each in content["findings"]}
    return dict.fromkeys(content["checked"]) | findings


def read_kept_report(run: RunFolder) -> DiagnosticReport | None:
    """Return what was found at the end of a training, without the images; None if nothing is kept.

    Notes are left out.
    """
    context = RunContext(run)
    if not (checks := load_findings(context)):
        return None
    findings = sort_findings([each for each in checks.values() if each and each.severity != NOTE])
    verdict = summarize_findings(context, findings, len(CHECKS) - len(checks))
    return DiagnosticReport(verdict, findings, [], [])


def summarize_findings(context: RunContext, findings: list[Finding], n_skipped: int) -> str:
    summary = context.run.name
    if not context.complete:
        steps = pluralize(context.total_steps, "step")
        summary += f" is not complete ({context.step:,} of {steps})"
    if not findings or findings[0].severity == NOTE:
        notes = f" ({pluralize(len(findings), 'note')})" if findings else ""
        summary += f": {len(CHECKS) - n_skipped} checks found no problem{notes}."
    else:
        joint = " " if context.complete else " and "
        usability = {ERROR: "cannot be used", WARNING: "can be used with reservations"}
        more = f", and {pluralize(len(findings) - 1, 'more finding')}" if findings[1:] else ""
        summary += f"{joint}{usability[findings[0].severity]}: {findings[0].kind}{more}."
    return summary + (f" {pluralize(n_skipped, 'check')} could not run." if n_skipped else "")


def find_early_problems(run: RunFolder) -> list[Finding]:
    """Find problems that further training cannot remove, in the settings and the log alone."""
    return sort_findings(run_checks(RunContext(run, early=True)).findings)
