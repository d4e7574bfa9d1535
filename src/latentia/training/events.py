"""Events of a run, and the log that holds them: the same bytes for the same seed."""

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from latentia.core.errors import Error

NON_FINITE = "non-finite"  # the kind of a finding: a step was not taken


class EndReason(StrEnum):
    """Why a training ended."""

    COMPLETE = "complete"
    STOPPED = "stopped"
    NON_FINITE = NON_FINITE


class Logged(NamedTuple):
    """By player: terms (nats, means over the steps since the last row), weights, lr, gradient norm.

    gauges: what the model shows of itself at this step.
    """

    step: int
    total: int
    epoch: int
    images: int
    players: dict[str, dict[str, Any]]
    gauges: dict[str, float]


class Validated(NamedTuple):
    """Means over the validation images at beta 1; selected: these are the best weights so far."""

    step: int
    epoch: int
    values: dict[str, float]
    n: int
    selected: bool


class Finding(NamedTuple):
    """Something the user should know, by the engine as it happens or by the doctor.

    text: what was found, with its figures; severity: ILL, WARN or NOTE; means: what it means for
    the user's purpose; threshold: beyond which it counts; cure: commands that mend it, in turn.
    """

    step: int
    kind: str
    text: str
    severity: str = "WARN"
    means: str = ""
    threshold: str = ""
    figures: dict[str, float] = {}  # noqa: RUF012 (never written to)
    cure: tuple[str, ...] = ()


class ImagesRendered(NamedTuple):
    """Images in [0, 1] of fixed seed at the end of an epoch; not logged, but drawn by the caller.

    tracked: the reconstruction of the image that is followed through training, if any.
    """

    step: int
    epoch: int
    samples: Tensor
    tracked_reconstruction: Tensor | None


class ProfileWritten(NamedTuple):
    """A trace of so many steps is written; milliseconds of a step by part, `step` for the rest."""

    path: str
    steps: int
    milliseconds: dict[str, float]


class StateSaved(NamedTuple):
    """The state of this step is on disk. Not logged: when it happens depends on the clock."""

    step: int


class TrainingFinished(NamedTuple):
    """The run is complete, or was stopped by a signal at this step, or could not go on."""

    step: int
    total: int
    reason: EndReason


Event = (
    Logged | Validated | Finding | ImagesRendered | ProfileWritten | StateSaved | TrainingFinished
)


class Log:
    """Appends events to log.jsonl, and seconds to timing.jsonl, which no run can repeat."""

    def __init__(self, folder: Path):
        self.events_path, self.timing_path = folder / "log.jsonl", folder / "timing.jsonl"

    def count_bytes(self) -> int:
        return self.events_path.stat().st_size if self.events_path.exists() else 0

    def truncate(self, length: int) -> None:
        """Forget what was written after the state that the run goes on from.

        Raises: Error if the log is shorter than its state says.
        """
        if self.count_bytes() < length:
            raise Error(
                f"{self.events_path.parent} is not complete: log.jsonl ends at byte {self.count_bytes():,} of "
                f"{length:,}. Copy it anew, or train again."
            )
        if self.events_path.exists():
            os.truncate(self.events_path, length)

    def sync(self) -> None:
        """The rows are on disk before the state that counts them."""
        if self.events_path.exists():
            with self.events_path.open("rb") as file:
                os.fsync(file.fileno())

    def write_event(self, event: Logged | Validated | Finding) -> None:
        row = {"event": type(event).__name__.lower(), **event._asdict()}
        with self.events_path.open("a") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")

    def write_timing(self, step: int, seconds: float, images_per_second: float) -> None:
        row = {"step": step, "seconds": round(seconds, 3), "images_per_s": round(images_per_second)}
        with self.timing_path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """A last row that a kill has cut short is left out."""
    if not path.exists():
        return []
    complete_lines = path.read_text().rpartition("\n")[0]
    return [json.loads(line) for line in complete_lines.splitlines() if line]
