"""Training of a recipe from Python, and the functions that the command line shares with it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from latentia.core import distributed
from latentia.core.contract import Model
from latentia.core.errors import Error
from latentia.data import Images
from latentia.diagnostics.diagnose import diagnose_run, find_early_problems
from latentia.report.training_images import save_training_images
from latentia.runs.create import create_run
from latentia.runs.folder import RunFolder
from latentia.runs.open import open_run
from latentia.runs.recipes import register_recipe
from latentia.tracking import open_tracker, require_tracker
from latentia.training.device import use_threads
from latentia.training.events import EndReason, Event, Finding, ImagesRendered, TrainingFinished
from latentia.training.launch import (
    init_distributed,
    run_on_rank0,
    run_on_rank0_without_collectives,
)
from latentia.training.loop import train as train_plan
from latentia.training.plan import Options, Plan

Modifiers = dict[str, dict[str, Any]]  # arguments of each modifier by name


def start_run(
    recipe: str | Callable,
    parameters: dict[str, Any],
    *,
    modifiers: Modifiers | None = None,
    options: Options | None = None,
    run: str | Path | None = None,
    profile: bool = False,
) -> tuple[RunFolder, Iterator[Event]]:
    """Create a run, and return it with the events of its training.

    Nothing is trained until the events are read. profile: as in `training.loop.train`.
    """
    options = options or Options()
    require_tracker(options.tracker)
    name = register_recipe(recipe)
    created = run_on_rank0(lambda: create_run(name, parameters, modifiers or {}, options, run))
    path = str(created[0].path.resolve()) if created else ""
    path = distributed.all_gather_objects(path)[0]
    if created:
        return created[0], _train_and_report(*created, profile)
    # the other ranks: the images are decoded by now
    return resume_run(path, parameters.get("data"), profile)


def resume_run(
    run: str | Path, data: Any = None, profile: bool = False
) -> tuple[RunFolder, Iterator[Event]]:
    """Open an interrupted run, and return it with its remaining events; none if complete."""
    folder = open_run(run)
    plan = folder.plan(folder.images(data, same=True))
    return folder, _train_and_report(folder, plan, profile)


def train_with_outputs(
    run: RunFolder,
    plan: Plan,
    find_problems: Callable[[], list[Finding]] = list,
    profile: bool = False,
) -> Iterator[Event]:
    """Train, and write images and tracker rows as events arrive."""
    with open_tracker(run) as log_event:
        for event in train_plan(plan, run, run.options, find_problems, profile):
            if isinstance(event, ImagesRendered):  # on rank 0 only
                save_training_images(run, event)
            log_event(event)
            if not isinstance(event, ImagesRendered):
                yield event


def _train_and_report(run: RunFolder, plan: Plan, profile: bool = False) -> Iterator[Event]:
    event: Event | None = None
    with use_threads(run.options.threads):  # for diagnosis and report as well
        for event in train_with_outputs(run, plan, lambda: find_early_problems(run), profile):
            if not isinstance(event, TrainingFinished):
                yield event
        if isinstance(event, TrainingFinished):
            if event.reason == EndReason.COMPLETE:
                yield from (
                    run_on_rank0_without_collectives(lambda: _diagnose_and_report(run, plan.images))
                    or ()
                )
            yield event


def _diagnose_and_report(run: RunFolder, images: Images) -> list[Finding]:
    # metrics and figures take longer to import than the first steps to train
    from latentia.report.page import write_report

    findings = diagnose_run(run, images).findings
    write_report(run, images, findings)
    return findings


def train(
    recipe: str | Callable,
    *,
    run: str | Path | None = None,
    modifiers: Modifiers | None = None,
    options: Options | None = None,
    **parameters: Any,
) -> Model:
    """Train a recipe, and return its model.

    Training writes a run folder with weights, log, findings and a report. It runs on all processes
    that `torchrun` has started.

    Parameters
    ----------
    recipe : str or callable
        name of a recipe, such as "conv_vae", or "my.py:mine" for a function in a file; or the
        function itself, such as one of a notebook, which must be defined again (with
        `@latentia.recipe`) to open the run in another session
    run : str or Path, optional
        new folder of the run; by default runs/ and the recipe's name
    modifiers : dict, optional
        arguments of each modifier by its name, such as {"free_bits": {"free_bits": 0.1}}
    options : Options, optional
        seed, device, precision and the other options of every training
    **parameters
        the recipe's own parameters, such as `data`, `latent`, `beta` or `epochs`. `data` is a
        source as on the command line, an array or tensor (n, c, h, w) of images in [0, 1], or any
        object with a length and items, such as a data set of torch: each item is an image (tensor,
        array, Pillow image or path), a tuple (image, label), or a dict with an image

    Returns
    -------
    Model
        the trained model in evaluation mode. Images are (b, c, h, w) in [0, 1], loss terms are nats
        per image. `model.run` is its `Run`, and `model.preprocess(files)` reads new images

    Raises
    ------
    Error
        if a parameter, the data or the folder is not usable, or training did not finish

    Examples
    --------
    >>> import latentia
    >>> model = latentia.train("mnist_mlp_vae", data="digits:200", epochs=1, run="runs/digits")
    >>> model.sample(4).shape
    torch.Size([4, 1, 28, 28])
    """
    with init_distributed():
        return wait_for_model(
            *start_run(recipe, parameters, modifiers=modifiers, options=options, run=run)
        )


def resume(run: str | Path, data: Any = None) -> Model:
    """Resume an interrupted training, and return its model.

    The resumed run equals an uninterrupted one, bit for bit. A complete run is not trained further.

    Parameters
    ----------
    run : str or Path
        folder of the run
    data : optional
        the run's images (n, c, h, w) in [0, 1], if it was trained on an array in memory, or their
        new address, if they have moved

    Returns
    -------
    Model
        the trained model in evaluation mode

    Raises
    ------
    Error
        if the folder is not a run, its images are missing or have changed, or training did not
        finish

    Examples
    --------
    >>> import latentia
    >>> model = latentia.resume("runs/digits")
    >>> model.run.name
    'digits'
    """
    with init_distributed():
        return wait_for_model(*resume_run(run, data))


def load(run: str | Path) -> Model:
    """Load the trained model of a run, without its data.

    Parameters
    ----------
    run : str or Path
        folder of the run, or "hub:OWNER/NAME"

    Returns
    -------
    Model
        the trained model in evaluation mode. `model.run` is its `Run`, and
        `model.preprocess(files)` reads new images

    Raises
    ------
    Error
        if the folder is not a run, or its weights are missing or incomplete

    Examples
    --------
    >>> import latentia
    >>> model = latentia.load("runs/digits")
    >>> images = model.sample(2, seed=1)
    >>> model.encode(images).mean.shape
    torch.Size([2, 20])
    """
    return open_run(run).model()


def wait_for_model(run: RunFolder, events: Iterator[Event]) -> Model:
    """Read all events of a training, and return the model.

    Raises: Error if training ends early.
    """
    problem, event = "", None
    for event in events:  # to the last: it restores the caller's signal handlers and threads
        if isinstance(event, Finding):
            problem = event.text
    if isinstance(event, TrainingFinished) and event.reason != EndReason.COMPLETE:
        raise Error(f"{run.path} is not complete ({event.reason}). {problem}".rstrip())
    return run.model()
