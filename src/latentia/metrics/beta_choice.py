"""A beta that was chosen for a purpose, by which figures, and where a run keeps it."""

import json
import math
from typing import Any, NamedTuple

from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import write_json

CHOICES_FILE = "choices.json"  # in a run


class Candidate(NamedTuple):
    """A beta, and what is reached there; error: one standard error, if it is known."""

    beta: float
    value: float
    error: float | None


class BetaChoice(NamedTuple):
    """figure: what was compared; rule: how one was chosen; n: images of the split, and a note."""

    purpose: str
    figure: str
    rule: str
    split: str
    n: int
    chosen: Candidate
    candidates: list[Candidate]
    note: str = ""

    @property
    def equivalent_betas(self) -> list[float]:
        """Other betas whose figure differs by no more than one standard error."""
        best = self.chosen
        return [
            candidate.beta
            for candidate in self.candidates
            if candidate.beta != best.beta
            and abs(candidate.value - best.value)
            <= math.hypot(candidate.error or 0, best.error or 0)
        ]


def save_choice(run: RunFolder, choice: BetaChoice) -> None:
    """Beside what was chosen for other purposes, for the report."""
    choices = {
        **load_choices(run),
        choice.purpose: {**choice._asdict(), "chosen": choice.chosen._asdict()},
    }
    choices[choice.purpose]["candidates"] = [candidate._asdict() for candidate in choice.candidates]
    write_json(run.path / CHOICES_FILE, choices)


def load_choices(run: RunFolder) -> dict[str, Any]:
    """What was chosen so far, by purpose."""
    try:
        return dict(json.loads((run.path / CHOICES_FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return {}
