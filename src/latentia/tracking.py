"""Log and images of a run in TensorBoard, W&B or MLflow, through Accelerate's trackers."""

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

TRACKER_FOLDER = "tracker"  # in a run folder: TensorBoard's files, or the id of W&B or MLflow


def require_tracker(tracker: str | None) -> None:
    """Raises: Error if a package of the tracker is missing."""
    try:
        for package in ("accelerate", tracker) if tracker else ():
            importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise Error(
            f"--tracker {tracker} needs {error.name}: pip install accelerate {tracker}."
        ) from None


@contextmanager
def open_tracker(run: RunFolder) -> Iterator[Callable[[Event], None]]:
    """Yield a function that takes every event; without a tracker it does nothing."""
    if run.options.tracker is None or distributed.rank():
        yield lambda event: None
        return
    run_tracker = RunTracker(run)
    try:
        yield run_tracker.log_event
    finally:
        run_tracker.tracker.finish()


class RunTracker:
    """One run in one tracker; a resumed run continues in the same one.

    Rows that a resume cuts from log.jsonl disappear from TensorBoard, and stay in W&B and MLflow.
    """

    def __init__(self, run: RunFolder):
        require_tracker(run.options.tracker)
        self.run, self.name = run, run.options.tracker
        self.start()

    def start(self) -> None:
        from accelerate import PartialState

        PartialState()  # Accelerate's trackers read the rank from it
        is_new = not self.run.state.exists()
        step = 0 if is_new else read_metadata(self.run.state)["step"]
        self.tracker = getattr(self, f"make_{self.name}")(step)
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
        """Return the id in the run folder, which a first call with an id writes."""
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
            if event.kind == NON_FINITE:  # the loop went back and cut the log
                self.tracker.finish()
                self.start()
            if self.name != "mlflow":  # MLflow logs numbers only
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
    """Return the numbers of a row of log.jsonl by name; loss terms in nats."""
    if isinstance(event, ValidationFinished):
        return {f"validation/{name}": value for name, value in event.values.items()}
    scalars = {f"monitor/{name}": value for name, value in event.monitors.items()}
    for player, row in event.players.items():
        scalars |= {f"{player}/{name}": value for name, value in row["terms"].items()}
        scalars |= {f"{player}/weight of {name}": w for name, w in row["weights"].items()}
        scalars |= {f"{player}/{name}": row[name] for name in ("lr", "gradient_norm")}
    return scalars


def flatten_settings(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run's settings as one flat table of text and numbers."""
    groups = ("arguments", "options", "modifiers")
    flat = {f"{group}/{k}": v for group in groups for k, v in metadata[group].items()}
    flat |= {"recipe": metadata["recipe"], "latentia": metadata["machine"]["latentia"]}
    return {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in flat.items()}
