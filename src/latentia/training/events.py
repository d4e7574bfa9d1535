"""Events of a training, in the order in which the loop yields them."""

from enum import StrEnum
from typing import NamedTuple, TypedDict

from torch import Tensor

NON_FINITE = "non-finite"  # kind of the finding after a step that was not taken


class EndReason(StrEnum):
    """Why a training ended."""

    COMPLETE = "complete"
    STOPPED = "stopped"
    NON_FINITE = NON_FINITE


class PlayerRow(TypedDict):
    """Loss terms of a player: means since the last row in nats, their weights and roles."""

    weights: dict[str, float]
    roles: dict[str, str]
    lr: float
    gradient_norm: float
    terms: dict[str, float]


class StepLogged(NamedTuple):
    """A row of the log about the training steps since the last one.

    monitors: the scalars of `Model.monitors` at this step.
    """

    event_name = "logged"

    step: int
    total: int
    epoch: int
    images: int
    players: dict[str, PlayerRow]
    monitors: dict[str, float]


class StepTaken(NamedTuple):
    """A step, `images` images each, between two rows; not logged, since the clock decides."""

    step: int
    total: int
    images: int


class ValidationFinished(NamedTuple):
    """Means over n validation images at beta 1; is_best: these weights are the best so far."""

    event_name = "validated"

    step: int
    epoch: int
    values: dict[str, float]
    n: int
    is_best: bool


class Finding(NamedTuple):
    """A problem or a note about a run, from the loop or from the doctor's checks.

    severity: ERROR, WARNING or NOTE. consequence: what the problem means for the user's purpose.
    threshold: the value beyond which it counts. suggested_commands: in the order to try them.
    """

    event_name = "finding"

    step: int
    kind: str
    text: str
    severity: str = "WARNING"
    consequence: str = ""
    threshold: str = ""
    values: dict[str, float] = {}  # noqa: RUF012 (never written to)
    suggested_commands: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Finding({self.severity} {self.kind}: {self.text})"


class ListedImage(NamedTuple):
    """An image of a finding: the value that the check measured, and the image that it repeats."""

    key: str
    finding: str
    value: float | None
    same_as: str = ""


class ImagesRendered(NamedTuple):
    """Samples of a fixed seed in [0, 1] at the end of an epoch; drawn by the caller, not logged.

    tracked_reconstruction: of the image that `--track` names, if any.
    """

    step: int
    epoch: int
    samples: Tensor
    tracked_reconstruction: Tensor | None


class ProfileWritten(NamedTuple):
    """A trace of `steps` steps; mean milliseconds of each part, and of the rest under `step`."""

    path: str
    steps: int
    milliseconds: dict[str, float]


class StateSaved(NamedTuple):
    """The state of this step is on disk; not logged, since the clock decides when it happens."""

    step: int


class TrainingFinished(NamedTuple):
    """The last event of every training."""

    step: int
    total: int
    reason: EndReason


Row = StepLogged | ValidationFinished | Finding  # events that are rows of log.jsonl
Event = Row | StepTaken | ImagesRendered | ProfileWritten | StateSaved | TrainingFinished
