"""A run's rows and pictures in TensorBoard, W&B or MLflow too, through Accelerate's trackers."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import numpy as np

from latentia.core import distributed
from latentia.core.errors import Error
from latentia.report.grids import make_grid
from latentia.report.training_images import select_strips
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import atomic_write, read_metadata
from latentia.training.events import (
    NON_FINITE,
    Event,
    Finding,
    ImagesRendered,
    StepLogged,
    ValidationFinished,
)

TRACKER_FOLDER = (
    "tracker"  # in the run: TensorBoard's files, or the name by which the others know it
)


def require_tracker(tracker: str | None) -> None:
    """Raises: Error if a package is missing, before anything is trained."""
    try:
        for package in ("accelerate", tracker) if tracker else ():
            importlib.import_module(package)
    except ModuleNotFoundError as problem:
        raise Error(
            f"--tracker {tracker} needs {problem.name}: pip install accelerate {tracker}."
        ) from None


@contextmanager
def open_tracker(run: RunFolder) -> Iterator[Callable[[Event], None]]:
    """What is to be told every event; nothing, where no tracker was asked for."""
    if run.options.tracker is None or distributed.rank():
        yield lambda event: None
        return
    run_tracker = RunTracker(run)
    try:
        yield run_tracker.log_event
    finally:
        run_tracker.tracker.finish()


class RunTracker:
    """One run in one tracker. A resume goes on in the same place; what log.jsonl forgets then,
    TensorBoard forgets, and the others show twice.
    """

    def __init__(self, run: RunFolder):
        require_tracker(run.options.tracker)
        self.run, self.name = run, run.options.tracker
        self.start()

    def start(self) -> None:
        from accelerate import PartialState

        PartialState()  # its trackers ask it which process this is
        is_new = not self.run.state.exists()
        factories: dict[str | None, Callable[[int], Any]]
        factories = {
            "tensorboard": self.make_tensorboard,
            "wandb": self.make_wandb,
            "mlflow": self.make_mlflow,
        }
        self.tracker = factories[self.name](0 if is_new else read_metadata(self.run.state)["step"])
        self.tracker.start()
        if self.name == "mlflow":
            self.remember_id(self.tracker.tracker.info.run_id)
        if is_new:
            self.tracker.store_init_configuration(flatten_settings(self.run.metadata))

    def make_tensorboard(self, step: int) -> Any:
        from accelerate.tracking import TensorBoardTracker

        return TensorBoardTracker(TRACKER_FOLDER, self.run.path, purge_step=step + 1)

    def make_wandb(self, step: int) -> Any:
        from accelerate.tracking import WandBTracker

        run_id = self.remember_id(uuid4().hex)
        arguments = {"name": self.run.name, "id": run_id, "resume": "allow", "dir": self.run.path}
        return WandBTracker("latentia", **arguments)

    def make_mlflow(self, step: int) -> Any:
        from accelerate.tracking import MLflowTracker

        return MLflowTracker("latentia", run_name=self.run.name, run_id=self.remember_id(None))

    def remember_id(self, run_id: str | None) -> str | None:
        """The name that was given first."""
        file = self.run.path / TRACKER_FOLDER / "id"
        if file.exists():
            return file.read_text()
        if run_id:
            file.parent.mkdir(exist_ok=True)
            atomic_write(file, run_id.encode())
        return run_id

    def log_event(self, event: Event) -> None:
        if isinstance(event, StepLogged | ValidationFinished):
            self.tracker.log(collect_scalars(event), step=event.step)
        elif isinstance(event, ImagesRendered):
            for kind, images in select_strips(event).items():
                self.log_image(kind, np.asarray(make_grid(images, len(images), "")), event)
        elif isinstance(event, Finding):
            if event.kind == NON_FINITE:  # the log was cut
                self.tracker.finish()
                self.start()
            if self.name != "mlflow":  # it knows numbers only
                self.tracker.log({f"finding/{event.kind}": event.text}, step=event.step)

    def log_image(self, kind: str, pixels: np.ndarray, event: ImagesRendered) -> None:
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        if self.name == "tensorboard":
            self.tracker.log_images({kind: pixels[None]}, step=event.step, dataformats="NHWC")
        elif self.name == "wandb":
            self.tracker.log_images({kind: [pixels]}, step=event.step)
        else:
            file = self.run.path / "progress" / f"{kind}-{event.epoch:04}.png"
            self.tracker.log_artifact(str(file), "progress")


def collect_scalars(event: StepLogged | ValidationFinished) -> dict[str, float]:
    """Numbers of a row of log.jsonl, by name; terms in nats, their weights beside them."""
    if isinstance(event, ValidationFinished):
        return {f"validation/{name}": value for name, value in event.values.items()}
    values_by_name = {f"monitor/{name}": value for name, value in event.monitors.items()}
    for player, player_row in event.players.items():
        values_by_name |= {f"{player}/{name}": value for name, value in player_row["terms"].items()}
        values_by_name |= {
            f"{player}/weight of {name}": weight for name, weight in player_row["weights"].items()
        }
        values_by_name |= {f"{player}/{name}": player_row[name] for name in ("lr", "gradient_norm")}
    return values_by_name


def flatten_settings(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, flat, in words and numbers."""
    groups = {name: metadata[name] for name in ("arguments", "options", "modifiers")}
    flat_settings = {
        f"{group_name}/{k}": v for group_name, group in groups.items() for k, v in group.items()
    }
    flat_settings |= {"recipe": metadata["recipe"], "latentia": metadata["machine"]["latentia"]}
    return {
        k: v if isinstance(v, bool | int | float | str) else str(v)
        for k, v in flat_settings.items()
    }
