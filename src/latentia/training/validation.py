"""What is looked at while a run trains: held-out images, pictures, and what the log shows of it."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from latentia.core import distributed
from latentia.core.contract import HasLatents, Model
from latentia.core.errors import Error
from latentia.core.modes import evaluation_mode
from latentia.data import Split
from latentia.data.splits import load_image
from latentia.training.ema import swap_weights
from latentia.training.events import Event, Finding, ImagesRendered, ValidationFinished
from latentia.training.log import Log, read_rows
from latentia.training.plan import Options, Plan
from latentia.training.state import State
from latentia.training.step import NonFiniteError

RENDER_COUNT, SAMPLE_COUNT = 24, 12  # epochs pictured and looked at, about; samples in each


class Validator:
    """Looks at ends of epochs; of the run, nothing moves but the log and what is selected.

    look: what the settings and the log show.
    """

    def __init__(
        self,
        plan: Plan,
        options: Options,
        state: State,
        log: Log,
        diagnose: Callable[[], list[Finding]],
        device: torch.device,
    ):
        self.plan, self.options, self.state, self.log, self.diagnose = (
            plan,
            options,
            state,
            log,
            diagnose,
        )
        self.device = device
        self.validation_split = plan.images.split("validation").to(device)
        interval = max(1, round(plan.epochs / RENDER_COUNT))
        self.finding_epochs = {1, *range(interval, plan.epochs + 1, interval)} - {plan.epochs}
        self.render_epochs = {*self.finding_epochs, plan.epochs}
        if type(plan.model).sample is Model.sample:  # a model that draws nothing
            self.render_epochs = set()
        self.tracked_image = self.find_tracked_image()

    def finish_epoch(self, epoch: int, is_writer: bool) -> Iterator[Event]:
        """writes: whether this process keeps the run folder.

        Raises: NonFinite if the validation is not finite.
        """
        if event := self.validate(epoch, is_writer):
            yield event
        if is_writer and epoch in self.render_epochs:
            yield self.render_progress(epoch)
        if is_writer and epoch in self.finding_epochs:
            yield from self.early_findings()

    def validate(self, epoch: int, is_writer: bool) -> ValidationFinished | None:
        """Held-out images in float32, with the weights that would be kept."""
        state, model = self.state, self.plan.model
        if not len(self.validation_split):
            return None
        with swap_weights(model, state.ema.tensors if state.ema else None):
            values = score_split(model, self.validation_split, self.options.seed)
        if not values:
            return None
        if non_finite := [name for name, value in values.items() if not math.isfinite(value)]:
            raise NonFiniteError(f"{non_finite[0]} of the validation images is not finite")
        current_score = values.get(model.selection_metric or "", state.best_score)
        is_best = current_score < state.best_score
        if is_best:
            state.best_score = current_score
            state.select_weights()
        event = ValidationFinished(state.step, epoch, values, len(self.validation_split), is_best)
        if is_writer:
            self.log.write_event(event)
        return event

    def find_tracked_image(self) -> Tensor | None:
        """The image to follow, (1, c, h, w).

        Raises: Error if there is no such image, or the model does not reconstruct.
        """
        name = self.options.track
        if name is None:
            return None
        if not isinstance(self.plan.model, HasLatents):
            raise Error(
                "--track follows a reconstruction, and this model makes none; leave it out."
            )
        images = self.plan.images
        if name.isdecimal():
            return load_image(name, images.split("validation")).to(self.device)
        return images.preprocess([name])[:1].to(self.device)

    @torch.no_grad()
    def render_progress(self, epoch: int) -> ImagesRendered:
        """Samples of a fixed seed, by the weights that would be kept; nothing of the run moves."""
        model, state = self.plan.model, self.state
        with swap_weights(model, state.ema.tensors if state.ema else None), evaluation_mode(model):
            reconstruction = None
            if self.tracked_image is not None and isinstance(model, HasLatents):
                reconstruction = model.decode(model.encode(self.tracked_image).mean).cpu()
            return ImagesRendered(
                state.step, epoch, model.sample(SAMPLE_COUNT, seed=0).cpu(), reconstruction
            )

    def early_findings(self) -> Iterator[Finding]:
        """Each kind once a run: the log, which a resume cuts to its state, knows what was said."""
        findings = self.diagnose()
        logged_kinds = (
            {row.get("kind") for row in read_rows(self.log.events_path)} if findings else set()
        )
        for finding in findings:
            if finding.kind not in logged_kinds:
                finding = finding._replace(step=self.state.step)
                self.log.write_event(
                    finding._replace(suggested_commands=())
                )  # commands name folders: no run repeats
                yield finding


@torch.no_grad()
def score_split(
    model: Model, split: Split, seed: int, batch_size: int | None = None
) -> dict[str, float]:
    """Means over images (not over batches: the last one is short) of `Model.score`.

    Several processes take the batches in turn.
    """
    batch_size = batch_size or split.max_batch_size()

    def score_batch(batch_index: int) -> dict[str, float]:
        batch, context = split.get_with_context(batch_index, batch_size, seed)
        return {key: v.double().sum().item() for key, v in model.score(batch, context).items()}

    with evaluation_mode(model):
        batch_sums = list(
            distributed.map_round_robin(math.ceil(len(split) / batch_size), score_batch)
        )
    return {key: sum(sums[key] for sums in batch_sums) / len(split) for key in batch_sums[0]}
