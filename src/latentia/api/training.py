"""Training of a new or an interrupted run, for Python and for the command line."""

import sys
from collections.abc import Callable, Container, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from latentia.api.epochs import check_minutes, choose_epochs
from latentia.api.progress import show_events
from latentia.core import distributed
from latentia.core.errors import Error
from latentia.data import Images
from latentia.data.sources.registry import LabelledData, SourceKind
from latentia.diagnostics.command_text import format_resume_call
from latentia.diagnostics.diagnose import find_early_problems, keep_findings
from latentia.report.training_images import save_training_images
from latentia.runs.create import create_run, find_new_folder
from latentia.runs.extend import extend_run
from latentia.runs.folder import RunFolder
from latentia.runs.open import open_run
from latentia.runs.recipes import register_recipe
from latentia.tracking import open_tracker, require_tracker
from latentia.training.device import use_threads
from latentia.training.events import EndReason, Event, Finding, ImagesRendered, TrainingFinished
from latentia.training.launch import run_on_rank0, run_on_rank0_without_collectives
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
    minutes: float | None = None,
    profile: bool = False,
) -> tuple[RunFolder, Iterator[Event]]:
    """Create a run, and return it with the events of its training.

    Nothing is trained until the events are read. The run is locked until they end or are dropped.
    minutes: time from now to the end of the training, which gives the number of epochs.
    profile: as in `training.loop.train`.
    """
    options, modifiers = options or Options(), modifiers or {}
    require_tracker(options.tracker)
    name = register_recipe(recipe)
    if minutes is not None:
        seconds = check_minutes(minutes)
        find_new_folder(name, run)  # before the time of a measurement
        choice = choose_epochs(name, parameters, modifiers, options, seconds)
        parameters = {**parameters, "epochs": choice.epochs}
    with ExitStack() as lock:

        def create() -> tuple[RunFolder, Plan]:
            folder, plan = create_run(name, parameters, modifiers, options, run)
            lock.enter_context(folder.hold_lock())
            return folder, plan

        created = run_on_rank0(create)
        path = str(created[0].path.resolve()) if created else ""
        path = distributed.all_gather_objects(path)[0]
        # the other ranks open the run: the images are decoded by now
        folder, plan = created or _open_training(path, parameters.get("data"))
        return folder, _train_and_report(folder, plan, lock.pop_all(), profile)


def resume_run(
    run: str | Path, data: Any = None, epochs: int | None = None
) -> tuple[RunFolder, Iterator[Event]]:
    """Open an interrupted run, and return it with its remaining events; none if complete.

    epochs: number of epochs in all, to which the run is extended.
    """
    folder = open_run(run)
    with ExitStack() as lock:
        run_on_rank0(lambda: lock.enter_context(folder.hold_lock()))
        folder, plan = _open_training(folder.path, data, epochs)
        return folder, _train_and_report(folder, plan, lock.pop_all())


def _open_training(
    path: str | Path, data: Any = None, epochs: int | None = None
) -> tuple[RunFolder, Plan]:
    folder = RunFolder.open(path)
    in_memory = folder.metadata["images"].get("label_source") == SourceKind.MEMORY
    if in_memory and not isinstance(data, LabelledData):
        raise Error(f"{path} was trained with labels in memory; give them again as labels.")
    images = folder.images(data, same=True)
    if epochs is not None:
        run_on_rank0(lambda: extend_run(folder, images, epochs))
        folder = RunFolder.open(path)  # as the first process wrote it
    return folder, folder.plan(images)


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


def _train_and_report(
    run: RunFolder, plan: Plan, lock: ExitStack, profile: bool = False
) -> Iterator[Event]:
    event: Event | None = None
    with lock, use_threads(run.options.threads):  # for diagnosis and report as well
        for event in train_with_outputs(run, plan, lambda: find_early_problems(run), profile):
            if not isinstance(event, TrainingFinished):
                yield event
        if isinstance(event, TrainingFinished):
            if event.reason == EndReason.COMPLETE:
                yield from _diagnose_and_report(run, plan.images)
            yield event


def _diagnose_and_report(run: RunFolder, images: Images) -> Iterator[Finding]:
    # metrics and figures take longer to import than the first steps to train
    from latentia.report.page import write_report

    diagnosis = run_on_rank0_without_collectives(lambda: keep_findings(run, images))
    yield from diagnosis.findings if diagnosis else ()  # before a full disk ends the report
    run_on_rank0_without_collectives(lambda: diagnosis and write_report(run, images, diagnosis))


def finish_training(
    run: RunFolder,
    events: Iterator[Event],
    progress: bool = True,
    printed_lines: Container[str] = (),
) -> None:
    """Read all events of a training; progress: show them on stderr, without `printed_lines`.

    Raises: KeyboardInterrupt if a signal stopped the training, Error if it ends early otherwise.
    """
    problems: list[str] = []

    def remember_problems() -> Iterator[Event]:
        for event in events:
            if isinstance(event, Finding):
                problems.append(event.text)
            yield event

    with closing(events):  # pyright: ignore
        if progress:
            end = show_events(run, remember_problems(), sys.stderr, printed_lines)
        else:  # to the last: it restores the caller's signal handlers and threads
            *_, end = remember_problems()
    if isinstance(end, TrainingFinished) and end.reason == EndReason.STOPPED:
        raise KeyboardInterrupt(
            f"Stopped at step {end.step:,} of {end.total:,}, and saved; "
            f"{format_resume_call(run)} goes on."
        )
    if isinstance(end, TrainingFinished) and end.reason != EndReason.COMPLETE:
        last_problem = problems[-1] if problems else ""
        raise Error(f"{run.path} is not complete ({end.reason}). {last_problem}".rstrip())
