"""The loop: it asks a model for its players and lets each descend, in order."""

import threading
import time
from collections.abc import Callable, Iterator

import torch

from latentia.core import distributed
from latentia.core.contract import Batch, StepContext
from latentia.core.errors import Error
from latentia.core.seeding import make_generator, restore_global_generators, seed_global_generators
from latentia.core.spans import STEP_SPAN, record_span
from latentia.training.checkpoint import write_tensors
from latentia.training.device import find_device, find_precision, use_threads
from latentia.training.events import (
    NON_FINITE,
    EndReason,
    Event,
    Finding,
    StateSaved,
    StepLogged,
    TrainingFinished,
)
from latentia.training.folder import TrainingFolder
from latentia.training.log import Log
from latentia.training.plan import Options, Plan
from latentia.training.profiling import trace_steps
from latentia.training.signals import catch_stop_signals
from latentia.training.state import MAX_FAILURES, State
from latentia.training.step import NonFiniteError, PlayerStep, per_rank
from latentia.training.validation import Validator


def train(
    plan: Plan,
    run: TrainingFolder,
    options: Options,
    diagnose: Callable[[], list[Finding]] = list,
    profile: bool = False,
) -> Iterator[Event]:
    """Train from the run's state, or from the start; yields what happens, in order.

    look: asked at ends of epochs what its settings and log show; it may depend on nothing else.
    profile: whether the first process traces some steps; nothing else changes.
    The same plan, options and machine give the same log and the same weights, bit for bit, however
    often the run was stopped or killed between.
    """
    with use_threads(options.threads), restore_global_generators():
        loop = Loop(plan, run, options, diagnose)
        state = loop.state
        steps_to_trace = loop.total_steps - state.step if profile and loop.is_writer else 0
        with (
            catch_stop_signals() as stop_event,
            trace_steps(run.path / "trace.json", steps_to_trace) as record_step,
        ):
            while not state.complete:
                context = loop.step_context()
                try:
                    yield from loop.advance(context, stop_event)
                    yield from record_step()
                except NonFiniteError as error:
                    yield loop.restore_state(context, str(error))
                    if state.failures >= MAX_FAILURES:
                        yield TrainingFinished(state.step, loop.total_steps, EndReason.NON_FINITE)
                        return
                if loop.should_stop and not state.complete:
                    yield TrainingFinished(state.step, loop.total_steps, EndReason.STOPPED)
                    return
        plan.model.eval()
        yield TrainingFinished(loop.total_steps, loop.total_steps, EndReason.COMPLETE)


class Loop:
    """A plan at work: its images on the device, its state and its log."""

    def __init__(
        self,
        plan: Plan,
        run: TrainingFolder,
        options: Options,
        diagnose: Callable[[], list[Finding]] = list,
    ):
        self.plan, self.run, self.options = plan, run, options
        self.device = find_device(options.device)
        precision = find_precision(options.precision, self.device)
        use_bf16 = precision == torch.bfloat16
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=use_bf16)
        plan.model.to(device=self.device, memory_format=torch.channels_last).train()  # pyright: ignore
        images = plan.images.split("train").to(self.device)
        self.batch = min(plan.batch, len(images))
        if not self.batch:
            raise Error("There is no image to train on; give more, or a smaller --validation.")
        self.rank_batch_size = (
            self.batch // distributed.world_size()
        )  # rows of the batch that are this process's
        if self.batch % distributed.world_size():
            raise Error(
                f"A batch of {self.batch} images cannot be shared by {distributed.world_size()} "
                "processes; give a --batch that is a multiple of their number.",
                on_all_ranks=True,
            )
        self.images = images.with_columns(
            plan.model.setup(images.iterate_batches(images.max_batch_size()))
        )
        # the short batch at the end is left out: each epoch's order leaves out others
        self.steps_per_epoch = len(self.images) // self.batch
        self.total_steps = self.steps_per_epoch * plan.epochs
        self.image_order, self.order_epoch = torch.empty(0), -1
        self.state, self.log = State(plan), Log(run.path)
        self.validator = Validator(plan, options, self.state, self.log, diagnose, self.device)
        self.should_stop = False
        has_state = run.state.exists() or run.weights.exists()  # weights alone: an incomplete run
        distributed.barrier()  # before the first process writes anything
        if has_state:
            length = self.state.load(run.state)
            if self.is_writer:
                self.log.truncate(length)
                write_tensors(run.weights, self.state.final_weights(), {"step": self.state.step})
        else:
            if self.is_writer:
                self.log.truncate(0)
                run.update_metadata(plan.model.metadata())
            self.save_state()
        self.start_time, self.first_step = time.perf_counter(), self.state.step

    def advance(self, context: StepContext, stop_event: threading.Event) -> Iterator[Event]:
        """One step and all that is due after it.

        Raises: NonFinite if a loss, gradient, parameter or validation is not finite.
        """
        state, options = self.state, self.options
        with record_span(STEP_SPAN):
            self.train_step(context)
        if state.step % options.log_every == 0 or state.step == self.total_steps:
            yield self.log_step()
        at_end_of_epoch = state.step % self.steps_per_epoch == 0
        if at_end_of_epoch:
            yield from self.validator.finish_epoch(self.epoch, self.is_writer)
        state.complete = state.step == self.total_steps
        save_due = at_end_of_epoch or state.step % options.save_every == 0
        # asked once a step: a signal that comes after this is met by the next one, which is saved
        self.should_stop = distributed.any_rank(stop_event.is_set())
        if save_due or self.should_stop:
            self.save_state()
            yield StateSaved(state.step)

    @property
    def is_writer(self) -> bool:
        """One process keeps the run folder."""
        return distributed.rank() == 0

    @property
    def epoch(self) -> int:
        """Of the step just taken, from 1."""
        return (self.state.step - 1) // self.steps_per_epoch + 1

    def step_context(self) -> StepContext:
        first_row = distributed.rank() * self.rank_batch_size
        return StepContext(
            self.state.step,
            self.total_steps,
            self.options.seed,
            len(self.images),
            first_row,
            self.batch,
        )

    def load_batch(self, context: StepContext) -> Batch:
        epoch, step_in_epoch = divmod(context.step, self.steps_per_epoch)
        if epoch != self.order_epoch:
            rng = make_generator(context.seed, "order", epoch)
            self.image_order = self.images.draw_order(rng)
            self.order_epoch = epoch
        first_row = step_in_epoch * self.batch + context.first_row
        return self.images.get_batch(self.image_order[first_row : first_row + self.rank_batch_size])

    def train_step(self, context: StepContext) -> None:
        """Every player's turn."""
        state = self.state
        with record_span("data"):
            batch_size = self.load_batch(context)
        seed_global_generators(context.seed, per_rank("dropout/shared"), context.step)
        with self.autocast, record_span("forward"):
            shared = self.plan.model.shared(batch_size, context)  # once, before any player steps
        for name, player in state.players.items():
            adam, lr = self.plan.optim[name], self.learning_rate(name, context.step)
            player_step = PlayerStep(name, player, batch_size, context, shared, self.autocast)
            step_result = player_step.optimizer_step(
                self.plan.model, state.optimizers[name], adam, lr
            )
            if step_result is None:
                continue
            weights, means, norm = step_result
            state.add_terms(name, {**means, "gradient_norm": norm}, weights)
        state.step += 1
        # statistics of BatchNorm are of each process's rows; every save is the same on all
        distributed.all_reduce_mean(b for b in self.plan.model.buffers() if b.is_floating_point())
        if state.ema:
            with record_span("optimizer"):
                state.ema.update(self.plan.model, state.step, self.batch)

    def learning_rate(self, player: str, step: int) -> float:
        """The learning rate at a step, from 0."""
        adam = self.plan.optim[player]
        # of the middle of the step: a schedule that begins or ends at 0 wastes no step there
        return adam.lr * adam.schedule((step + 0.5) / self.total_steps) * self.state.lr_scale

    def log_step(self) -> StepLogged:
        player_rows = {}
        for name in self.state.players:
            if weights := self.state.term_weights.pop(name, None):
                means = self.state.pop_means(name)
                # in the model's order: that of the sums is another one after a resume
                terms = {term: means[term] for term in weights}
                lr, norm = self.learning_rate(name, self.state.step - 1), means["gradient_norm"]
                player_rows[name] = {
                    "weights": weights,
                    "lr": lr,
                    "gradient_norm": norm,
                    "terms": terms,
                }
        monitors = {k: float(v) for k, v in self.plan.model.monitors().items() if v.isfinite()}
        images = self.state.step * self.batch
        event = StepLogged(
            self.state.step, self.total_steps, self.epoch, images, player_rows, monitors
        )
        seconds = time.perf_counter() - self.start_time
        if self.is_writer:
            self.log.write_event(event)
            self.log.write_timing(
                event.step, seconds, (event.step - self.first_step) * self.batch / seconds
            )
        return event

    def restore_state(self, context: StepContext, reason: str) -> Finding:
        """Back to the last good state at half the learning rate; that, too, is a state on disk."""
        state, failures = self.state, self.state.failures + 1
        length = state.load(self.run.state)
        distributed.barrier()  # until all have read it
        if self.is_writer:
            self.log.truncate(length)
        state.failures = failures
        state.lr_scale /= 2
        consequence = f"back to step {state.step:,}, learning rate times {state.lr_scale:g}"
        if failures >= MAX_FAILURES:
            consequence = (
                f"the third time, so the run ends and keeps its state of step {state.step:,}. "
                "Lower --lr, or look at the images"
            )
        finding = Finding(
            context.step, NON_FINITE, f"Step {context.step:,}: {reason}; {consequence}."
        )
        if self.is_writer:
            self.log.write_event(finding)
        self.save_state()
        return finding

    def save_state(self) -> None:
        """Raises: NonFinite rather than commit a state that nothing good can come back from."""
        for name, parameter in self.plan.model.named_parameters():
            if not parameter.isfinite().all():
                raise NonFiniteError(f"the parameter {name} is not finite")
        if self.is_writer:
            self.log.sync()
            self.state.save(self.run.state, self.log.count_bytes())
            write_tensors(self.run.weights, self.state.final_weights(), {"step": self.state.step})
        distributed.barrier()  # a state is what all can come back to
