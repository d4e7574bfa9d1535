"""The loop: it asks a model for its players and lets each descend, in order."""

import threading
import time
from collections.abc import Callable, Iterator

import torch

from latentia.core import distributed
from latentia.core.contract import Batch, Moment
from latentia.core.errors import Error
from latentia.core.seeding import generator, keep_generators, seed_global
from latentia.core.spans import STEP, span
from latentia.training.checkpoint import write_tensors
from latentia.training.device import find_device, find_precision, use_threads
from latentia.training.events import (
    NON_FINITE,
    EndReason,
    Event,
    Finding,
    Finished,
    Log,
    Logged,
    Saved,
)
from latentia.training.folder import TrainingFolder
from latentia.training.plan import Options, Plan
from latentia.training.profiling import traced
from latentia.training.signals import stop_signals
from latentia.training.state import FAILURES, State
from latentia.training.step import NonFinite, Turn, own
from latentia.training.validation import Watch


def train(
    plan: Plan,
    run: TrainingFolder,
    options: Options,
    look: Callable[[], list[Finding]] = list,
    profile: bool = False,
) -> Iterator[Event]:
    """Train from the run's state, or from the start; yields what happens, in order.

    look: asked at ends of epochs what its settings and log show; it may depend on nothing else.
    profile: whether the first process traces some steps; nothing else changes.
    The same plan, options and machine give the same log and the same weights, bit for bit, however
    often the run was stopped or killed between.
    """
    with use_threads(options.threads), keep_generators():
        loop = Loop(plan, run, options, look)
        state = loop.state
        left = loop.total - state.step if profile and loop.writes else 0
        with stop_signals() as stopped, traced(run.path / "trace.json", left) as stepped:
            while not state.complete:
                moment = loop.moment()
                try:
                    yield from loop.advance(moment, stopped)
                    yield from stepped()
                except NonFinite as problem:
                    yield loop.restore(moment, str(problem))
                    if state.failures >= FAILURES:
                        yield Finished(state.step, loop.total, EndReason.NON_FINITE)
                        return
                if loop.stopping and not state.complete:
                    yield Finished(state.step, loop.total, EndReason.STOPPED)
                    return
        plan.model.eval()
        yield Finished(loop.total, loop.total, EndReason.COMPLETE)


class Loop:
    """A plan at work: its images on the device, its state and its log."""

    def __init__(
        self,
        plan: Plan,
        run: TrainingFolder,
        options: Options,
        look: Callable[[], list[Finding]] = list,
    ):
        self.plan, self.run, self.options = plan, run, options
        self.device = find_device(options.device)
        precision = find_precision(options.precision, self.device)
        bf16 = precision == torch.bfloat16
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=bf16)
        plan.model.to(device=self.device, memory_format=torch.channels_last).train()  # pyright: ignore
        images = plan.images.split("train").to(self.device)
        self.batch = min(plan.batch, len(images))
        if not self.batch:
            raise Error("There is no image to train on; give more, or a smaller --validation.")
        self.share = self.batch // distributed.size()  # rows of the batch that are this process's
        if self.batch % distributed.size():
            raise Error(
                f"A batch of {self.batch} images cannot be shared by {distributed.size()} "
                "processes; give a --batch that is a multiple of their number.",
                shared=True,
            )
        self.images = images.beside(plan.model.prepare(images.batches(images.at_once())))
        # the short batch at the end is left out: each epoch's order leaves out others
        self.an_epoch = len(self.images) // self.batch
        self.total = self.an_epoch * plan.epochs
        self.order, self.order_of = torch.empty(0), -1
        self.state, self.log = State(plan), Log(run.path)
        self.watch = Watch(plan, options, self.state, self.log, look, self.device)
        self.stopping = False
        begun = run.state.exists() or run.weights.exists()  # weights alone: an incomplete run
        distributed.wait()  # before the first process writes anything
        if begun:
            length = self.state.load(run.state)
            if self.writes:
                self.log.cut(length)
                write_tensors(run.weights, self.state.weights(), {"step": self.state.step})
        else:
            if self.writes:
                self.log.cut(0)
                run.update_metadata(plan.model.facts())
            self.save()
        self.started, self.first = time.perf_counter(), self.state.step

    def advance(self, moment: Moment, stopped: threading.Event) -> Iterator[Event]:
        """One step and all that is due after it.

        Raises: NonFinite if a loss, gradient, parameter or validation is not finite.
        """
        state, options = self.state, self.options
        with span(STEP):
            self.step(moment)
        if state.step % options.log_every == 0 or state.step == self.total:
            yield self.logged()
        at_end_of_epoch = state.step % self.an_epoch == 0
        if at_end_of_epoch:
            yield from self.watch.at_end_of(self.epoch, self.writes)
        state.complete = state.step == self.total
        due = at_end_of_epoch or state.step % options.save_every == 0
        # asked once a step: a signal that comes after this is met by the next one, which is saved
        self.stopping = distributed.agreed(stopped.is_set())
        if due or self.stopping:
            self.save()
            yield Saved(state.step)

    @property
    def writes(self) -> bool:
        """One process keeps the run folder."""
        return distributed.rank() == 0

    @property
    def epoch(self) -> int:
        """Of the step just taken, from 1."""
        return (self.state.step - 1) // self.an_epoch + 1

    def moment(self) -> Moment:
        first = distributed.rank() * self.share
        return Moment(
            self.state.step, self.total, self.options.seed, len(self.images), first, self.batch
        )

    def rows(self, moment: Moment) -> Batch:
        epoch, at = divmod(moment.step, self.an_epoch)
        if epoch != self.order_of:
            draw = generator(moment.seed, "order", epoch)
            self.order = self.images.order(draw)
            self.order_of = epoch
        first = at * self.batch + moment.first_row
        return self.images.batch(self.order[first : first + self.share])

    def step(self, moment: Moment) -> None:
        """Every player's turn."""
        state = self.state
        with span("data"):
            batch = self.rows(moment)
        seed_global(moment.seed, own("dropout/shared"), moment.step)
        with self.autocast, span("forward"):
            shared = self.plan.model.shared(batch, moment)  # once, before any player steps
        for name, player in state.players.items():
            adam, lr = self.plan.optim[name], self.rate(name, moment.step)
            turn = Turn(name, player, batch, moment, shared, self.autocast)
            turned = turn.descend(self.plan.model, state.optimizers[name], adam, lr)
            if turned is None:
                continue
            weights, means, norm = turned
            state.add(name, {**means, "gradient_norm": norm}, weights)
        state.step += 1
        # statistics of BatchNorm are of each process's rows; every save is the same on all
        distributed.average(b for b in self.plan.model.buffers() if b.is_floating_point())
        if state.averaged:
            with span("optimizer"):
                state.averaged.update(self.plan.model, state.step, self.batch)

    def rate(self, player: str, step: int) -> float:
        """The learning rate at a step, from 0."""
        adam = self.plan.optim[player]
        # of the middle of the step: a schedule that begins or ends at 0 wastes no step there
        return adam.lr * adam.schedule((step + 0.5) / self.total) * self.state.lr_scale

    def logged(self) -> Logged:
        said = {}
        for name in self.state.players:
            if weights := self.state.weights_of.pop(name, None):
                means = self.state.means(name)
                # in the model's order: that of the sums is another one after a resume
                terms = {term: means[term] for term in weights}
                lr, norm = self.rate(name, self.state.step - 1), means["gradient_norm"]
                said[name] = {"weights": weights, "lr": lr, "gradient_norm": norm, "terms": terms}
        gauges = {k: float(v) for k, v in self.plan.model.gauges().items() if v.isfinite()}
        images = self.state.step * self.batch
        event = Logged(self.state.step, self.total, self.epoch, images, said, gauges)
        seconds = time.perf_counter() - self.started
        if self.writes:
            self.log.write(event)
            self.log.time(event.step, seconds, (event.step - self.first) * self.batch / seconds)
        return event

    def restore(self, moment: Moment, reason: str) -> Finding:
        """Back to the last good state at half the learning rate; that, too, is a state on disk."""
        state, failures = self.state, self.state.failures + 1
        length = state.load(self.run.state)
        distributed.wait()  # until all have read it
        if self.writes:
            self.log.cut(length)
        state.failures = failures
        state.lr_scale /= 2
        then = f"back to step {state.step:,}, learning rate times {state.lr_scale:g}"
        if failures >= FAILURES:
            then = (
                f"the third time, so the run ends and keeps its state of step {state.step:,}. "
                "Lower --lr, or look at the images"
            )
        finding = Finding(moment.step, NON_FINITE, f"Step {moment.step:,}: {reason}; {then}.")
        if self.writes:
            self.log.write(finding)
        self.save()
        return finding

    def save(self) -> None:
        """Raises: NonFinite rather than commit a state that nothing good can come back from."""
        for name, parameter in self.plan.model.named_parameters():
            if not parameter.isfinite().all():
                raise NonFinite(f"the parameter {name} is not finite")
        if self.writes:
            self.log.sync()
            self.state.save(self.run.state, self.log.bytes())
            write_tensors(self.run.weights, self.state.weights(), {"step": self.state.step})
        distributed.wait()  # a state is what all can come back to
