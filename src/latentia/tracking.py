"""Log and images of a run in TensorBoard, W&B or MLflow."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import numpy as np

from latentia.core import distributed
from latentia.core.errors import Error, catch_write_errors, convert_errors
from latentia.report.grids import make_grid
from latentia.report.training_images import select_strips
from latentia.runs.folder import RunFolder
from latentia.training import events
from latentia.training.checkpoint import atomic_write, read_metadata

TRACKER_FOLDER = "tracker"  # in a run folder: TensorBoard's files, or the id of W&B or MLflow
PROJECT = "latentia"  # of W&B, and experiment of MLflow


class TensorBoard:
    """Event files in the run folder; rows that a resume cuts from log.jsonl disappear."""

    def __init__(self, run: RunFolder, step: int):
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(run.path / TRACKER_FOLDER, purge_step=step + 1)

    def log_settings(self, settings: dict[str, Any]) -> None:
        self.writer.add_hparams(settings, {}, run_name=".")

    def log_scalars(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def log_finding(self, finding: events.Finding) -> None:
        self.writer.add_text(f"finding/{finding.kind}", finding.text, finding.step)

    def log_image(self, kind: str, pixels: np.ndarray, event: events.ImagesRendered) -> None:
        layout = "HW" if pixels.ndim == 2 else "HWC"
        self.writer.add_image(kind, pixels, event.step, dataformats=layout)

    def finish(self) -> None:
        self.writer.close()


class WandB:
    """A run of W&B; a resumed run continues in it, after the rows of the interrupted one."""

    def __init__(self, run: RunFolder, step: int):
        import wandb  # pyright: ignore[reportMissingImports]

        run_id = remember_id(run, uuid4().hex)
        self.run = wandb.init(
            project=PROJECT, name=run.name, id=run_id, resume="allow", dir=run.path
        )

    def log_settings(self, settings: dict[str, Any]) -> None:
        self.run.config.update(settings)

    def log_scalars(self, values: dict[str, float], step: int) -> None:
        self.run.log(values, step=step)

    def log_finding(self, finding: events.Finding) -> None:
        self.run.log({f"finding/{finding.kind}": finding.text}, step=finding.step)

    def log_image(self, kind: str, pixels: np.ndarray, event: events.ImagesRendered) -> None:
        import wandb  # pyright: ignore[reportMissingImports]

        self.run.log({kind: wandb.Image(pixels)}, step=event.step)

    def finish(self) -> None:
        self.run.finish()


class MLflow:
    """A run of MLflow; a resumed run continues in it, after the rows of the interrupted one."""

    def __init__(self, run: RunFolder, step: int):
        import mlflow  # pyright: ignore[reportMissingImports]

        self.mlflow, self.path = mlflow, run.path
        mlflow.set_experiment(PROJECT)
        active = mlflow.start_run(run_id=remember_id(run, None), run_name=run.name)
        remember_id(run, active.info.run_id)

    def log_settings(self, settings: dict[str, Any]) -> None:
        self.mlflow.log_params(settings)

    def log_scalars(self, values: dict[str, float], step: int) -> None:
        self.mlflow.log_metrics(values, step=step)

    def log_finding(self, finding: events.Finding) -> None:
        pass  # MLflow's rows are numbers

    def log_image(self, kind: str, pixels: np.ndarray, event: events.ImagesRendered) -> None:
        file = self.path / "progress" / f"{kind}-{event.epoch:04}.png"
        self.mlflow.log_artifact(str(file), "progress")

    def finish(self) -> None:
        self.mlflow.end_run()


TRACKERS: dict[str, Callable[[RunFolder, int], Any]] = {
    "tensorboard": TensorBoard,
    "wandb": WandB,
    "mlflow": MLflow,
}


def require_tracker(tracker: str | None) -> None:
    """Raises: Error if the package of the tracker is missing."""
    try:
        importlib.import_module(tracker or "latentia")
    except ModuleNotFoundError as error:
        raise Error(f"--tracker {tracker} needs {error.name}: pip install {tracker}.") from None


@contextmanager
def open_tracker(run: RunFolder) -> Iterator[Callable[[events.Event], None]]:
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
    """One run in one tracker; a resumed run continues in the same one."""

    def __init__(self, run: RunFolder):
        require_tracker(run.options.tracker)
        self.run = run
        self.tracker = self.start()

    def start(self) -> Any:
        is_new = not self.run.state.exists()
        step = 0 if is_new else read_metadata(self.run.state)["step"]
        name = str(self.run.options.tracker)
        problem = f"--tracker {name} cannot start"  # without login, server, or in another version
        with convert_errors(lambda reason: f"{problem} ({reason}); set it up, or omit it."):
            tracker = TRACKERS[name](self.run, step)
            if is_new:
                tracker.log_settings(flatten_settings(self.run.metadata))
        return tracker

    def log_event(self, event: events.Event) -> None:
        with catch_write_errors(self.run.path / TRACKER_FOLDER):
            if isinstance(event, events.StepLogged | events.ValidationFinished):
                self.tracker.log_scalars(collect_scalars(event), event.step)
            elif isinstance(event, events.ImagesRendered):
                for kind, images in select_strips(event).items():
                    pixels = np.asarray(make_grid(images, len(images), ""))
                    self.tracker.log_image(kind, pixels, event)
            elif isinstance(event, events.Finding):
                if event.kind == events.NON_FINITE:  # the loop went back and cut the log
                    self.tracker.finish()
                    self.tracker = self.start()
                self.tracker.log_finding(event)


def remember_id(run: RunFolder, run_id: str | None) -> str | None:
    """Return the tracker's id in the run folder, which a first call with an id writes."""
    file = run.path / TRACKER_FOLDER / "id"
    if file.exists():
        return file.read_text("utf-8")
    if run_id:
        with catch_write_errors(file):
            file.parent.mkdir(exist_ok=True)
        atomic_write(file, run_id.encode())
    return run_id


def collect_scalars(event: events.StepLogged | events.ValidationFinished) -> dict[str, float]:
    """Return the numbers of a row of log.jsonl by name; loss terms in nats."""
    if isinstance(event, events.ValidationFinished):
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
