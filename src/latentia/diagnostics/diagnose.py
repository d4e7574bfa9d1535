"""All checks on one run: the findings, worst first, and a verdict in plain words."""

from typing import Any, NamedTuple

from latentia.core.errors import Error
from latentia.core.text import counted
from latentia.data import Images
from latentia.diagnostics import adversary, data, diffusion, latents, training
from latentia.diagnostics.check import ILL, NOTE, RANKS, WARN
from latentia.diagnostics.run_context import Patient
from latentia.runs.folder import RunFolder
from latentia.training.events import Finding

# within a severity, causes stand before what follows from them
CHECKS = (
    *data.CHECKS,
    *adversary.CHECKS,
    *diffusion.CHECKS,
    latents.sigma,
    *training.CHECKS,
    *latents.CHECKS,
    training.unfinished,  # of whatever is wrong above, too
)


class Report(NamedTuple):
    """verdict: in words; findings: worst first; unseen: what could not be looked at, and why."""

    verdict: str
    findings: list[Finding]
    unseen: list[str]


def examine(run: RunFolder, images: Images | None = None, data: Any = None) -> Report:
    """What ails a run; only read. `images`: its own, if at hand; `data`: where they are now."""
    patient = Patient(run, images, data)
    found, unseen = looked(patient)
    return Report(verdict(patient, found, unseen), found, unseen)


def looked(patient: Patient, early: bool = False) -> tuple[list[Finding], list[str]]:
    found, unseen = [], {}
    for check in CHECKS:
        if early and not check.early:
            continue
        try:
            finding = check(patient)
        except Error as problem:  # images that are not here, a recipe that is no more
            unseen.setdefault(str(problem), []).append(check.kind)
            continue
        except Exception as problem:  # a check that fails must not cost a training or its report
            why = f"This could not be looked at ({type(problem).__name__}: {problem})."
            unseen.setdefault(why, []).append(check.kind)
            continue
        if finding:
            found.append(finding)
    found.sort(key=lambda finding: RANKS.index(finding.severity))  # stable: registry's order
    return found, [f"Not looked for: {', '.join(kinds)}. {why}" for why, kinds in unseen.items()]


def verdict(patient: Patient, found: list[Finding], unseen: list[str]) -> str:
    name, worst = patient.run.name, found[0] if found else None
    n = f"{len(CHECKS)} checks"
    if not patient.complete:
        state = f"{name} is not complete ({patient.step:,} of {counted(patient.total, 'step')})"
    else:
        state = name
    count = {rank: sum(f.severity == rank for f in found) for rank in RANKS}
    if worst is None or worst.severity == NOTE:
        what = f"{state}: nothing is wrong that {n} would see"
        what += f"; {count[NOTE]} to know." if count[NOTE] else "."
    else:
        grade = {ILL: "is ill", WARN: "serves, with reservations"}[worst.severity]
        what = f"{state}: it {grade}: {worst.kind}"
        more = len(found) - 1
        what += f", and {more} more." if more else "."
    return what + (" Not all could be looked at." if unseen else "")


def early(run: RunFolder) -> list[Finding]:
    """What will not heal by itself, by the settings and the log of a run that is being trained."""
    return looked(Patient(run, early=True), early=True)[0]
