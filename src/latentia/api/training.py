"""From a recipe's name to a trained model: what `latentia.train` and the command have in common."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from latentia.core import distributed
from latentia.core.contract import Model
from latentia.core.errors import Error
from latentia.data import Images
from latentia.diagnostics.diagnose import early, examine
from latentia.report.training_images import keep_pictures
from latentia.runs.create import create_run
from latentia.runs.folder import RunFolder
from latentia.runs.open import open_run
from latentia.tracking import require, tracked
from latentia.training.device import use_threads
from latentia.training.events import EndReason, Event, Finding, Finished, Pictured
from latentia.training.launch import by_first, by_first_alone, together
from latentia.training.loop import train as events_of
from latentia.training.plan import Options, Plan


def start(
    recipe: str,
    knobs: dict[str, Any],
    *,
    edits: dict[str, dict[str, Any]] | None = None,
    options: Options | None = None,
    run: str | Path | None = None,
    profile: bool = False,
) -> tuple[RunFolder, Iterator[Event]]:
    """A new run, and the events of its training; nothing is trained until they are asked for.

    profile: as `engine.train.train` takes it.
    """
    require((options or Options()).tracker)
    made = by_first(lambda: create_run(recipe, knobs, edits or {}, options or Options(), run))
    path = distributed.gathered(str(made[0].path.resolve()) if made else "")[0]
    if made is None:  # in the other processes; the images are decoded by now
        opened = open_run(path)
        made = opened, opened.plan(opened.images(knobs.get("data"), same=True))
    return made[0], _train(*made, profile)


def go_on(run: str | Path, data: Any = None) -> tuple[RunFolder, Iterator[Event]]:
    """An interrupted run, and the events that remain; none if it is complete."""
    opened = open_run(run)
    return opened, _train(opened, opened.plan(opened.images(data, same=True)))


def told(
    run: RunFolder, plan: Plan, look: Callable[[], list[Finding]] = list, profile: bool = False
) -> Iterator[Event]:
    """The events of a training, whose pictures are kept and whose tracker is told."""
    with tracked(run) as note:
        for event in events_of(plan, run, run.options, look, profile):
            if isinstance(event, Pictured):  # of the first process alone
                keep_pictures(run, event)
            note(event)
            if not isinstance(event, Pictured):
                yield event


def _train(run: RunFolder, plan: Plan, profile: bool = False) -> Iterator[Event]:
    last: Event | None = None
    with use_threads(run.options.threads):  # for the doctor and the report as well
        for last in told(run, plan, lambda: early(run), profile):
            if not isinstance(last, Finished):
                yield last
        if isinstance(last, Finished):
            if last.reason == EndReason.COMPLETE:
                yield from by_first_alone(lambda: _judged(run, plan.images)) or ()
            yield last


def _judged(run: RunFolder, images: Images) -> list[Finding]:
    """The doctor's findings, which the report shows."""
    # metrics and figures take longer to import than the first steps to train
    from latentia.report.page import write_report

    findings = examine(run, images).findings
    write_report(run, images, findings)
    return findings


def train(
    recipe: str,
    *,
    run: str | Path | None = None,
    edits: dict[str, dict[str, Any]] | None = None,
    options: Options | None = None,
    **knobs: Any,
) -> Model:
    """Train a recipe and return its model, ready to encode, decode, sample and reconstruct.

    knobs are the recipe's own (`data` may also be an array or a tensor of images in [0, 1]).
    `model.run` is the folder, `model.preprocess(files)` reads new images as the run did.

    Raises: Error if a knob, the data or the folder won't do, or the training did not finish.
    """
    with together():
        return finish(*start(recipe, knobs, edits=edits, options=options, run=run))


def resume(run: str | Path, data: Any = None) -> Model:
    """Go on with an interrupted run; `data` only if it was trained on an array in memory."""
    with together():
        return finish(*go_on(run, data))


def load(run: str | Path) -> Model:
    """The trained model of a run (a folder, or hub:OWNER/NAME); its data need not be there."""
    return open_run(run).model()


def finish(run: RunFolder, events: Iterator[Event]) -> Model:
    """The model at the end of a run's events.

    Raises: Error if they end early.
    """
    said, end = "", None
    for event in events:  # to the last: only then are signals and threads the caller's again
        if isinstance(event, Finding):
            said = event.text
        end = event
    if isinstance(end, Finished) and end.reason != EndReason.COMPLETE:
        raise Error(f"{run.path} is not complete ({end.reason}). {said}".rstrip())
    return run.model()
