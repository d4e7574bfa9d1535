"""A run's rows and pictures in TensorBoard, W&B or MLflow too, through Accelerate's trackers."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import numpy as np

from latentia.core import distributed
from latentia.core.errors import Error
from latentia.report.grids import lay
from latentia.report.training_images import strips
from latentia.runs.folder import RunFolder
from latentia.training.checkpoint import read_about, write_whole
from latentia.training.events import NON_FINITE, Event, Finding, Logged, Pictured, Validated

FOLDER = "tracker"  # in the run: TensorBoard's files, or the name by which the others know it


def require(tracker: str | None) -> None:
    """Raises: Error if a package is missing, before anything is trained."""
    try:
        for package in ("accelerate", tracker) if tracker else ():
            importlib.import_module(package)
    except ModuleNotFoundError as missing:
        raise Error(
            f"--tracker {tracker} needs {missing.name}: pip install accelerate {tracker}."
        ) from None


@contextmanager
def tracked(run: RunFolder) -> Iterator[Callable[[Event], None]]:
    """What is to be told every event; nothing, where no tracker was asked for."""
    if run.options.tracker is None or distributed.rank():
        yield lambda event: None
        return
    tracking = Tracking(run)
    try:
        yield tracking.note
    finally:
        tracking.tracker.finish()


class Tracking:
    """One run in one tracker. A resume goes on in the same place; what log.jsonl forgets then,
    TensorBoard forgets, and the others show twice.
    """

    def __init__(self, run: RunFolder):
        require(run.options.tracker)
        self.run, self.name = run, run.options.tracker
        self.begin()

    def begin(self) -> None:
        from accelerate import PartialState

        PartialState()  # its trackers ask it which process this is
        fresh = not self.run.state.exists()
        made: dict[str | None, Callable[[int], Any]]
        made = {"tensorboard": self.tensorboard, "wandb": self.wandb, "mlflow": self.mlflow}
        self.tracker = made[self.name](0 if fresh else read_about(self.run.state)["step"])
        self.tracker.start()
        if self.name == "mlflow":
            self.known_as(self.tracker.tracker.info.run_id)
        if fresh:
            self.tracker.store_init_configuration(settings(self.run.metadata))

    def tensorboard(self, step: int) -> Any:
        from accelerate.tracking import TensorBoardTracker

        return TensorBoardTracker(FOLDER, self.run.path, purge_step=step + 1)

    def wandb(self, step: int) -> Any:
        from accelerate.tracking import WandBTracker

        known = self.known_as(uuid4().hex)
        how = {"name": self.run.name, "id": known, "resume": "allow", "dir": self.run.path}
        return WandBTracker("latentia", **how)

    def mlflow(self, step: int) -> Any:
        from accelerate.tracking import MLflowTracker

        return MLflowTracker("latentia", run_name=self.run.name, run_id=self.known_as(None))

    def known_as(self, name: str | None) -> str | None:
        """The name that was given first."""
        file = self.run.path / FOLDER / "id"
        if file.exists():
            return file.read_text()
        if name:
            file.parent.mkdir(exist_ok=True)
            write_whole(file, name.encode())
        return name

    def note(self, event: Event) -> None:
        if isinstance(event, Logged | Validated):
            self.tracker.log(scalars(event), step=event.step)
        elif isinstance(event, Pictured):
            for kind, images in strips(event).items():
                self.picture(kind, np.asarray(lay(images, len(images), "")), event)
        elif isinstance(event, Finding):
            if event.kind == NON_FINITE:  # the log was cut
                self.tracker.finish()
                self.begin()
            if self.name != "mlflow":  # it knows numbers only
                self.tracker.log({f"finding/{event.kind}": event.text}, step=event.step)

    def picture(self, kind: str, pixels: np.ndarray, event: Pictured) -> None:
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        if self.name == "tensorboard":
            self.tracker.log_images({kind: pixels[None]}, step=event.step, dataformats="NHWC")
        elif self.name == "wandb":
            self.tracker.log_images({kind: [pixels]}, step=event.step)
        else:
            file = self.run.path / "progress" / f"{kind}-{event.epoch:04}.png"
            self.tracker.log_artifact(str(file), "progress")


def scalars(event: Logged | Validated) -> dict[str, float]:
    """Numbers of a row of log.jsonl, by name; terms in nats, their weights beside them."""
    if isinstance(event, Validated):
        return {f"validation/{name}": value for name, value in event.values.items()}
    found = {f"gauge/{name}": value for name, value in event.gauges.items()}
    for player, said in event.players.items():
        found |= {f"{player}/{name}": value for name, value in said["terms"].items()}
        found |= {f"{player}/weight of {name}": w for name, w in said["weights"].items()}
        found |= {f"{player}/{name}": said[name] for name in ("lr", "gradient_norm")}
    return found


def settings(about: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, flat, in words and numbers."""
    parts = {name: about[name] for name in ("arguments", "options", "modifiers")}
    flat = {f"{part}/{k}": v for part, knobs in parts.items() for k, v in knobs.items()}
    flat |= {"recipe": about["recipe"], "latentia": about["machine"]["latentia"]}
    return {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in flat.items()}
