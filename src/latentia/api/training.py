"""From a recipe's name to a trained model: what `latentia.train` and the command have in common."""

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
from latentia.tracking import open_tracker, require_tracker
from latentia.training.device import use_threads
from latentia.training.events import EndReason, Event, Finding, ImagesRendered, TrainingFinished
from latentia.training.launch import (
    init_distributed,
    run_on_rank0,
    run_on_rank0_without_collectives,
)
from latentia.training.loop import train as events_of
from latentia.training.plan import Options, Plan


def start_run(
    recipe: str,
    parameters: dict[str, Any],
    *,
    modifiers: dict[str, dict[str, Any]] | None = None,
    options: Options | None = None,
    run: str | Path | None = None,
    profile: bool = False,
) -> tuple[RunFolder, Iterator[Event]]:
    """A new run, and the events of its training; nothing is trained until they are asked for.

    profile: as `engine.train.train` takes it.
    """
    require_tracker((options or Options()).tracker)
    run_and_plan = run_on_rank0(
        lambda: create_run(recipe, parameters, modifiers or {}, options or Options(), run)
    )
    path = distributed.all_gather_objects(
        str(run_and_plan[0].path.resolve()) if run_and_plan else ""
    )[0]
    if run_and_plan is None:  # in the other processes; the images are decoded by now
        opened_run = open_run(path)
        run_and_plan = (
            opened_run,
            opened_run.plan(opened_run.images(parameters.get("data"), same=True)),
        )
    return run_and_plan[0], _train_and_report(*run_and_plan, profile)


def resume_run(run: str | Path, data: Any = None) -> tuple[RunFolder, Iterator[Event]]:
    """An interrupted run, and the events that remain; none if it is complete."""
    opened_run = open_run(run)
    return opened_run, _train_and_report(
        opened_run, opened_run.plan(opened_run.images(data, same=True))
    )


def train_with_outputs(
    run: RunFolder,
    plan: Plan,
    find_problems: Callable[[], list[Finding]] = list,
    profile: bool = False,
) -> Iterator[Event]:
    """The events of a training, whose pictures are kept and whose tracker is told."""
    with open_tracker(run) as log_event:
        for event in events_of(plan, run, run.options, find_problems, profile):
            if isinstance(event, ImagesRendered):  # of the first process alone
                save_training_images(run, event)
            log_event(event)
            if not isinstance(event, ImagesRendered):
                yield event


def _train_and_report(run: RunFolder, plan: Plan, profile: bool = False) -> Iterator[Event]:
    last_event: Event | None = None
    with use_threads(run.options.threads):  # for the doctor and the report as well
        for last_event in train_with_outputs(run, plan, lambda: find_early_problems(run), profile):
            if not isinstance(last_event, TrainingFinished):
                yield last_event
        if isinstance(last_event, TrainingFinished):
            if last_event.reason == EndReason.COMPLETE:
                yield from (
                    run_on_rank0_without_collectives(lambda: _diagnose_and_report(run, plan.images))
                    or ()
                )
            yield last_event


def _diagnose_and_report(run: RunFolder, images: Images) -> list[Finding]:
    """The doctor's findings, which the report shows."""
    # metrics and figures take longer to import than the first steps to train
    from latentia.report.page import write_report

    findings = diagnose_run(run, images).findings
    write_report(run, images, findings)
    return findings


def train(
    recipe: str,
    *,
    run: str | Path | None = None,
    modifiers: dict[str, dict[str, Any]] | None = None,
    options: Options | None = None,
    **parameters: Any,
) -> Model:
    """Train a recipe and return its model, ready to encode, decode, sample and reconstruct.

    knobs are the recipe's own (`data` may also be an array or a tensor of images in [0, 1]).
    `model.run` is the folder, `model.preprocess(files)` reads new images as the run did.

    Raises: Error if a knob, the data or the folder won't do, or the training did not finish.
    """
    with init_distributed():
        return wait_for_model(
            *start_run(recipe, parameters, modifiers=modifiers, options=options, run=run)
        )


def resume(run: str | Path, data: Any = None) -> Model:
    """Go on with an interrupted run; `data` only if it was trained on an array in memory."""
    with init_distributed():
        return wait_for_model(*resume_run(run, data))


def load(run: str | Path) -> Model:
    """The trained model of a run (a folder, or hub:OWNER/NAME); its data need not be there."""
    return open_run(run).model()


def wait_for_model(run: RunFolder, events: Iterator[Event]) -> Model:
    """The model at the end of a run's events.

    Raises: Error if they end early.
    """
    problem_text, event = "", None
    for event in events:  # to the last: only then are signals and threads the caller's again
        if isinstance(event, Finding):
            problem_text = event.text
    if isinstance(event, TrainingFinished) and event.reason != EndReason.COMPLETE:
        raise Error(f"{run.path} is not complete ({event.reason}). {problem_text}".rstrip())
    return run.model()
