"""What a check is: a function of a patient, and what the table of findings says of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from latentia.diagnostics.run_context import RunContext
from latentia.training.events import Finding

ERROR, WARNING, NOTE = "ERROR", "WARNING", "NOTE"  # does not serve · serves badly · good to know
SEVERITIES = (ERROR, WARNING, NOTE)


@dataclass(frozen=True)
class Check:
    """One illness: how it is seen, beyond which threshold, and what mends it.

    early: it is also looked for while the run trains, in its settings and log alone; it should be
    one that will not heal by itself.
    """

    kind: str
    evidence: str
    threshold: str
    advice: str
    run: "Callable[[RunContext], CheckResult | None]"
    early: bool = False

    def __call__(self, context: RunContext) -> Finding | None:
        result = self.run(context)
        if result is None:
            return None
        return Finding(
            context.step,
            self.kind,
            result.text,
            result.severity,
            result.consequence,
            self.threshold,
            {k: float(f"{v:.4g}") for k, v in result.values.items() if math.isfinite(v)},
            tuple(result.suggested_commands),
        )


@dataclass(frozen=True)
class CheckResult:
    """What a check says of one run."""

    severity: str
    text: str
    consequence: str
    values: dict[str, float]
    suggested_commands: list[str]


def define_check(kind: str, *, evidence: str, threshold: str, advice: str, early: bool = False):
    """Makes a Check of a function (Patient) -> Diagnosis | None."""

    def make_check(run_check: Callable[[RunContext], CheckResult | None]) -> Check:
        return Check(kind, evidence, threshold, advice, run_check, early)

    return make_check
