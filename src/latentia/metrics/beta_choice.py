"""Record of the beta chosen for a purpose, and choices.json, the file of a run that holds it."""

import math
from typing import Any, NamedTuple

from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import read_json, update_json

CHOICES_FILE = "choices.json"  # in a run folder


class Candidate(NamedTuple):
    """A beta and the metric's value there; error: one standard error, if it is known."""

    beta: float
    value: float
    error: float | None


class BetaChoice(NamedTuple):
    """The beta chosen for a purpose.

    figure: the metric that was compared; rule: how it decides; n: images of the split.
    """

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
        """Other betas whose value differs by at most one standard error of the difference."""
        beta, value, error = self.chosen
        return [
            each.beta
            for each in self.candidates
            if each.beta != beta
            and abs(each.value - value) <= math.hypot(each.error or 0, error or 0)
        ]

    def to_json(self) -> dict[str, Any]:
        candidates = [each._asdict() for each in self.candidates]
        return {**self._asdict(), "chosen": self.chosen._asdict(), "candidates": candidates}


def save_choice(run: RunFolder, choice: BetaChoice) -> None:
    """Write a choice to the run's choices.json; choices for other purposes stay in it."""
    content = {choice.purpose: choice.to_json()}
    update_json(run.path / CHOICES_FILE, lambda: {**load_choices(run), **content})


def load_choices(run: RunFolder) -> dict[str, Any]:
    """Return the choices so far, by purpose."""
    return read_json(run.path / CHOICES_FILE, dict[str, BetaChoice])
