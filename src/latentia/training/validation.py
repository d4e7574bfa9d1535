"""Ends of epochs: scores of validation images, progress pictures and early findings."""

import math
from collections.abc import Callable, Iterator

import torch

from latentia.core import distributed
from latentia.core.contract import Batch, HasLatents, Model
from latentia.core.errors import Error
from latentia.core.modes import evaluation_mode
from latentia.core.tensors import to_float64
from latentia.data import Split
from latentia.data.preprocess import read_first_page
from latentia.data.splits import load_image
from latentia.nets.column_condition import get_condition, use_columns
from latentia.training.ema import swap_weights
from latentia.training.events import Event, Finding, ImagesRendered, ValidationFinished
from latentia.training.log import Log, read_rows
from latentia.training.plan import Options, Plan
from latentia.training.state import State
from latentia.training.step import NonFiniteError

RENDER_COUNT = 24  # epochs with a picture and a diagnosis in a long run, about
SAMPLE_COUNT = 12  # samples in each picture


class Validator:
    """Evaluation at ends of epochs; it changes nothing but the log and the best weights."""

    def __init__(
        self,
        plan: Plan,
        options: Options,
        state: State,
        log: Log,
        diagnose: Callable[[], list[Finding]],
        device: torch.device,
    ):
        self.plan, self.options, self.state, self.device = plan, options, state, device
        self.log, self.diagnose = log, diagnose
        split = plan.images.split("validation").to(device)
        columns = plan.model.encode_frozen(split.iterate_batches(split.max_batch_size()))
        self.validation_split = split.with_columns(columns)
        interval = max(1, round(plan.epochs / RENDER_COUNT))
        self.finding_epochs = {1, *range(interval, plan.epochs + 1, interval)} - {plan.epochs}
        self.render_epochs = {*self.finding_epochs, plan.epochs}
        if type(plan.model).sample is Model.sample:  # a model that cannot sample
            self.render_epochs = set()
        self.tracked = find_tracked_image(plan, options)

    def finish_epoch(self, epoch: int, is_writer: bool) -> Iterator[Event]:
        """Yield the events of an epoch's end. Raises: NonFiniteError if a score is not finite."""
        if event := self.validate(epoch, is_writer):
            yield event
        if is_writer and epoch in self.render_epochs:
            yield self.render_progress(epoch)
        if is_writer and epoch in self.finding_epochs:
            yield from self.early_findings()

    def validate(self, epoch: int, is_writer: bool) -> ValidationFinished | None:
        """Score the validation images in float32, with the averaged weights if there are any."""
        state, model = self.state, self.plan.model
        if not len(self.validation_split):
            return None
        with swap_weights(model, state.ema.tensors if state.ema else None):
            values = score_split(model, self.validation_split, self.options.seed)
        if not values:
            return None
        for name, value in values.items():
            if not math.isfinite(value):
                raise NonFiniteError(f"{name} of the validation images is not finite")
        score = values.get(model.selection_metric or "", state.best_score)
        if is_best := score < state.best_score:
            state.best_score = score
            state.select_weights()
        event = ValidationFinished(state.step, epoch, values, len(self.validation_split), is_best)
        if is_writer:
            self.log.write_event(event)
        return event

    @torch.no_grad()
    def render_progress(self, epoch: int) -> ImagesRendered:
        """Draw samples of seed 0, and reconstruct the tracked image."""
        model, state = self.plan.model, self.state
        with swap_weights(model, state.ema.tensors if state.ema else None), evaluation_mode(model):
            reconstruction = None
            if self.tracked is not None and isinstance(model, HasLatents):
                with use_columns(model, self.tracked.columns):
                    mean = model.encode(self.tracked.image.to(self.device)).mean
                    reconstruction = model.decode(mean).cpu()
            samples = model.sample(SAMPLE_COUNT, seed=0).cpu()
            return ImagesRendered(state.step, epoch, samples, reconstruction)

    def early_findings(self) -> Iterator[Finding]:
        """Yield findings of kinds that the log does not hold yet."""
        findings = self.diagnose()
        rows = read_rows(self.log.events_path, check=False) if findings else []
        kinds = {row.get("kind") for row in rows}
        for finding in findings:
            if finding.kind not in kinds:
                finding = finding._replace(step=self.state.step)
                # commands name folders, and the log of a second run must have the same bytes
                self.log.write_event(finding._replace(suggested_commands=()))
                yield finding


@torch.no_grad()
def score_split(
    model: Model, split: Split, seed: int, batch_size: int | None = None
) -> dict[str, float]:
    """Return the means of `Model.score` over the images of a split.

    Images weigh equally, though the last batch is short. Processes share the batches.
    """
    batch_size = batch_size or split.max_batch_size()

    def score_batch(batch_index: int) -> dict[str, float]:
        batch, context = split.get_with_context(batch_index, batch_size, seed)
        return {key: to_float64(v).sum().item() for key, v in model.score(batch, context).items()}

    with evaluation_mode(model):
        n_batches = math.ceil(len(split) / batch_size)
        sums = list(distributed.map_round_robin(n_batches, score_batch))
    return {key: sum(each[key] for each in sums) / len(split) for key in sums[0]}


def find_tracked_image(plan: Plan, options: Options) -> Batch | None:
    """Return the image of --track, (1, c, h, w), with its labels; None without the option.

    Raises: Error if there is no such image, or the model does not reconstruct.
    """
    name = options.track
    if name is None:
        return None
    if not isinstance(plan.model, HasLatents):
        raise Error("--track follows a reconstruction, and this model makes none; leave it out.")
    if name.isdecimal():
        return load_image(name, plan.images.split("validation"))
    if get_condition(plan.model):
        raise Error("--track is a file without a label; give the number of a validation image.")
    return read_first_page(name, plan.images.preprocessing)
