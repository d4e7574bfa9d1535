"""What a check is: a function of a patient, and what the table of findings says of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from latentia.diagnostics.run_context import Patient
from latentia.training.events import Finding

ILL, WARN, NOTE = "ILL", "WARN", "NOTE"  # does not serve · serves badly · good to know
RANKS = (ILL, WARN, NOTE)


@dataclass(frozen=True)
class Check:
    """One illness: how it is seen, beyond which threshold, and what mends it.

    early: it is also looked for while the run trains, in its settings and log alone; it should be
    one that will not heal by itself.
    """

    kind: str
    evidence: str
    threshold: str
    cure: str
    look: "Callable[[Patient], Diagnosis | None]"
    early: bool = False

    def __call__(self, patient: Patient) -> Finding | None:
        found = self.look(patient)
        if found is None:
            return None
        return Finding(
            patient.step,
            self.kind,
            found.text,
            found.severity,
            found.means,
            self.threshold,
            {k: float(f"{v:.4g}") for k, v in found.figures.items() if math.isfinite(v)},
            tuple(found.cure),
        )


@dataclass(frozen=True)
class Diagnosis:
    """What a check says of one run."""

    severity: str
    text: str
    means: str
    figures: dict[str, float]
    cure: list[str]


def check(kind: str, *, evidence: str, threshold: str, cure: str, early: bool = False):
    """Makes a Check of a function (Patient) -> Diagnosis | None."""

    def made(look: Callable[[Patient], Diagnosis | None]) -> Check:
        return Check(kind, evidence, threshold, cure, look, early)

    return made
