"""A check: a function from the context of a run to a result, and its row in the table."""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from latentia.diagnostics.run_context import RunContext
from latentia.training.events import Finding, ListedImage

# the run cannot be used · it can be used with reservations · worth knowing
ERROR, WARNING, NOTE = "ERROR", "WARNING", "NOTE"
SEVERITIES = (ERROR, WARNING, NOTE)
WIDTH = 100  # columns of a finding; commands may be longer, so that they can be copied


@dataclass(frozen=True)
class CheckResult:
    """The problem that a check found in one run, with the numbers behind it.

    images: every image that the finding is about.
    """

    severity: str
    text: str
    consequence: str
    values: dict[str, float]
    suggested_commands: Sequence[str] = ()
    images: Sequence[ListedImage] = ()


@dataclass(frozen=True)
class Check:
    """One kind of problem, and its row in the table of checks.

    The docstring of the function says what the evidence in a run is, then what to change.
    early: the check also runs during training, on the settings and the log alone. Only problems
    that further training cannot remove are early.
    """

    kind: str
    threshold: str
    run: Callable[[RunContext], CheckResult | None]
    early: bool = False

    @property
    def evidence(self) -> str:
        return self._split_docstring()[0].strip(" .")

    @property
    def advice(self) -> str:
        return self._split_docstring()[2].strip(" .")

    def _split_docstring(self) -> tuple[str, str, str]:
        return " ".join((self.run.__doc__ or "").split()).partition("Suggested change:")

    def __call__(self, context: RunContext) -> Finding | None:
        result = self.run(context)
        if result is None:
            return None
        context.listed_images += result.images
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


def define_check(
    kind: str, *, threshold: str, early: bool = False
) -> Callable[[Callable[[RunContext], CheckResult | None]], Check]:
    """Decorate a function (RunContext) -> CheckResult | None as a Check."""

    return lambda function: Check(kind, threshold, function, early)


def format_finding(finding: Finding) -> str:
    """Return the finding, its consequence, and the suggested commands."""
    severity = f"{finding.severity:<8}"
    indent = " " * len(severity)
    wrapper = textwrap.TextWrapper(WIDTH, severity, indent, break_on_hyphens=False)
    lines = wrapper.wrap(f"{finding.kind}: {finding.text}")
    lines += textwrap.wrap(
        finding.consequence, WIDTH, initial_indent=indent, subsequent_indent=indent
    )
    lines += [f"{indent}Suggested command: {command}" for command in finding.suggested_commands]
    return "\n".join(lines)
