"""Number of epochs that a training has time for."""

import inspect
import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from latentia.core import distributed
from latentia.core.errors import Error
from latentia.core.progress import enable_progress
from latentia.runs.create import create_run
from latentia.runs.recipes import find_recipe
from latentia.training.plan import Options
from latentia.training.step_times import measure_step_times

MEASURED_SHARE = 0.01  # of the time, for steps that are measured
MARGIN = 1.25  # of the minutes in an error, since the next measurement differs
COLD_SHARE = 0.05  # of the time; a start that takes longer may fill caches, and is measured again


class TooShortError(Error):
    """There is no time for one epoch, which takes so many seconds with its report."""

    def __init__(self, subject: str, seconds: float):
        minutes = f"{math.ceil(MARGIN * seconds / 6) / 10:g}"
        super().__init__(
            f"{subject} has no time for one epoch and its report; give at least --minutes "
            f"{minutes}, fewer images or a smaller --size."
        )
        self.seconds = seconds


class EpochChoice(NamedTuple):
    """Number of epochs, and the estimated seconds of diagnosis and report after them."""

    epochs: int
    end: float


def choose_epochs(
    recipe: str,
    parameters: Mapping[str, Any],
    modifiers: Mapping[str, Mapping[str, Any]],
    options: Options,
    seconds: float,
    at_least: int = 0,
) -> EpochChoice:
    """Choose the number of epochs of a training that ends in so many seconds from now.

    Steps are measured on a run in a temporary folder, so nothing of it reaches the training.
    at_least: number of epochs, whatever time they take.

    Raises: TooShortError if one epoch takes longer
    """
    begin, start = time.perf_counter(), math.inf
    check_epochs(recipe, parameters)
    with TemporaryDirectory() as folder:
        for name in ("cold", "warm"):
            if start > COLD_SHARE * seconds:
                path, creation = Path(folder) / name, time.perf_counter()
                run, plan = create_run(recipe, dict(parameters), modifiers, options, path)
                creation = time.perf_counter() - creation
                with enable_progress(False) if name == "warm" else nullcontext():
                    times = measure_step_times(plan, run, run.options, MEASURED_SHARE * seconds)
                start = times.start + creation
                spent = time.perf_counter() - begin
                if not (at_least or times._replace(start=0).count_epochs(seconds - spent)):
                    start = 0.0  # which is in `spent`; no epoch fits even without it
                    break
    times = times._replace(start=start)
    spent = time.perf_counter() - begin
    if epochs := max(at_least, times.count_epochs(seconds - spent)):
        return EpochChoice(epochs, times.end)
    raise TooShortError(recipe, spent + times.estimate_seconds(1))


def check_epochs(recipe: str, parameters: Mapping[str, Any]) -> None:
    """Raises: Error if the number of epochs is given, or cannot be chosen."""
    if "epochs" not in inspect.signature(find_recipe(recipe)).parameters:
        raise Error(f"--minutes chooses --epochs, which {recipe} does not have; leave it out.")
    if "epochs" in parameters:
        raise Error("--minutes chooses --epochs, and both are given; leave one of them out.")
    if distributed.world_size() > 1:
        raise Error(
            "--minutes measures the steps of one process; give --epochs to several.",
            on_all_ranks=True,
        )


def check_minutes(minutes: Any) -> float:
    """Return a time in seconds.

    Raises: Error if it is no positive number
    """
    is_number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
    if not (is_number and 0 < minutes < math.inf):
        raise Error(f"--minutes is {minutes!r}; it must be a number above 0, such as 10.")
    return 60 * minutes
