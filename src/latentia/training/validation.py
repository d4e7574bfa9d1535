"""What is looked at while a run trains: held-out images, pictures, and what the log shows of it."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from latentia.core import distributed
from latentia.core.contract import HasLatents, Model
from latentia.core.errors import Error
from latentia.core.modes import evaluating
from latentia.data import Split
from latentia.data.splits import load_image
from latentia.training.ema import in_place_of
from latentia.training.events import Event, Finding, Log, Pictured, Validated, read_rows
from latentia.training.plan import Options, Plan
from latentia.training.state import State
from latentia.training.step import NonFinite

PICTURED, SHOWN = 24, 12  # epochs pictured and looked at, about; samples in each


class Watch:
    """Looks at ends of epochs; of the run, nothing moves but the log and what is selected.

    look: what the settings and the log show.
    """

    def __init__(
        self,
        plan: Plan,
        options: Options,
        state: State,
        log: Log,
        look: Callable[[], list[Finding]],
        device: torch.device,
    ):
        self.plan, self.options, self.state, self.log, self.look = plan, options, state, log, look
        self.device = device
        self.validation = plan.images.split("validation").to(device)
        many = max(1, round(plan.epochs / PICTURED))
        self.looked_epochs = {1, *range(many, plan.epochs + 1, many)} - {plan.epochs}
        self.pictured_epochs = {*self.looked_epochs, plan.epochs}
        if type(plan.model).sample is Model.sample:  # a model that draws nothing
            self.pictured_epochs = set()
        self.tracked = self.find_tracked()

    def at_end_of(self, epoch: int, writes: bool) -> Iterator[Event]:
        """writes: whether this process keeps the run folder.

        Raises: NonFinite if the validation is not finite.
        """
        if event := self.validated(epoch, writes):
            yield event
        if writes and epoch in self.pictured_epochs:
            yield self.pictured(epoch)
        if writes and epoch in self.looked_epochs:
            yield from self.looked()

    def validated(self, epoch: int, writes: bool) -> Validated | None:
        """Held-out images in float32, with the weights that would be kept."""
        state, model = self.state, self.plan.model
        if not len(self.validation):
            return None
        with in_place_of(model, state.averaged.tensors if state.averaged else None):
            values = score(model, self.validation, self.options.seed)
        if not values:
            return None
        if broken := [name for name, value in values.items() if not math.isfinite(value)]:
            raise NonFinite(f"{broken[0]} of the validation images is not finite")
        found = values.get(model.selected_by or "", state.best)
        selected = found < state.best
        if selected:
            state.best = found
            state.select()
        event = Validated(state.step, epoch, values, len(self.validation), selected)
        if writes:
            self.log.write(event)
        return event

    def find_tracked(self) -> Tensor | None:
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
    def pictured(self, epoch: int) -> Pictured:
        """Samples of a fixed seed, by the weights that would be kept; nothing of the run moves."""
        model, state = self.plan.model, self.state
        with (
            in_place_of(model, state.averaged.tensors if state.averaged else None),
            evaluating(model),
        ):
            tracked = None
            if self.tracked is not None and isinstance(model, HasLatents):
                tracked = model.decode(model.encode(self.tracked).mean).cpu()
            return Pictured(state.step, epoch, model.sample(SHOWN, seed=0).cpu(), tracked)

    def looked(self) -> Iterator[Finding]:
        """Each kind once a run: the log, which a resume cuts to its state, knows what was said."""
        found = self.look()
        said = {row.get("kind") for row in read_rows(self.log.rows)} if found else set()
        for finding in found:
            if finding.kind not in said:
                finding = finding._replace(step=self.state.step)
                self.log.write(finding._replace(cure=()))  # commands name folders: no run repeats
                yield finding


@torch.no_grad()
def score(model: Model, split: Split, seed: int, size: int | None = None) -> dict[str, float]:
    """Means over images (not over batches: the last one is short) of `Model.score`.

    Several processes take the batches in turn.
    """
    size = size or split.at_once()

    def of(number: int) -> dict[str, float]:
        batch, moment = split.moment(number, size, seed)
        return {key: v.double().sum().item() for key, v in model.score(batch, moment).items()}

    with evaluating(model):
        parts = list(distributed.in_turn(math.ceil(len(split) / size), of))
    return {key: sum(part[key] for part in parts) / len(split) for key in parts[0]}
