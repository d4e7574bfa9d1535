"""The training loop: at every step, one optimizer step of each of the model's players."""

import threading
import time
from collections.abc import Callable, Iterator

import torch

from latentia.core import distributed
from latentia.core.contract import Batch, StepContext
from latentia.core.seeding import make_generator, restore_global_generators
from latentia.core.spans import STEP_SPAN, record_span
from latentia.core.tensors import has_float64
from latentia.training.checkpoint import read_tensors, write_tensors
from latentia.training.device import find_device, is_asynchronous, use_threads
from latentia.training.events import (
    NON_FINITE,
    EndReason,
    Event,
    Finding,
    StateSaved,
    StepLogged,
    StepTaken,
    TrainingFinished,
)
from latentia.training.folder import TrainingFolder
from latentia.training.log import Log
from latentia.training.plan import Options, Plan
from latentia.training.precision import find_precision
from latentia.training.profiling import trace_steps
from latentia.training.replay import Results, StepReplay, is_requested
from latentia.training.signals import catch_stop_signals
from latentia.training.state import MAX_FAILURES, State, load_weights
from latentia.training.step import NonFiniteError, PlayerStep, seed_for_dropout
from latentia.training.validation import Validator

STEP_EVENT_INTERVAL = 1.0  # seconds; slow steps are events, so that a remaining time is known


def train(
    plan: Plan,
    run: TrainingFolder,
    options: Options,
    diagnose: Callable[[], list[Finding]] = list,
    profile: bool = False,
) -> Iterator[Event]:
    """Train from the saved state, or from the start, and yield events in order.

    The same plan, options and machine give the same log and the same weights, bit for bit, however
    often the run was stopped or killed in between. `diagnose` returns the early findings at ends of
    epochs; it may read run.json and log.jsonl only. With `profile`, rank 0 traces some steps.
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
                    yield loop.restore_state(min(context.step, state.step), str(error))
                    if state.failures >= MAX_FAILURES:
                        yield TrainingFinished(state.step, loop.total_steps, EndReason.NON_FINITE)
                        return
                if loop.should_stop and not state.complete:
                    yield TrainingFinished(state.step, loop.total_steps, EndReason.STOPPED)
                    return
        plan.model.eval()
        yield TrainingFinished(loop.total_steps, loop.total_steps, EndReason.COMPLETE)


class Loop:
    """One training: the images on the device, the state, the log, and the steps."""

    def __init__(
        self,
        plan: Plan,
        run: TrainingFolder,
        options: Options,
        diagnose: Callable[[], list[Finding]] = list,
    ):
        self.plan, self.run, self.options = plan, run, options
        # weights without a state are an incomplete copy, which State.load refuses
        has_state = run.state.exists() or run.weights.exists()
        if "init" in run.metadata and not has_state:
            load_weights(plan.model, read_tensors(run.initial_weights)[0], run.initial_weights)
        self.device = find_device(options.device)
        # rank 0 decides, since "auto" is measured
        choice = find_precision(options.precision, self.device, plan.model)
        precision, *_ = distributed.all_gather_objects(choice)
        use_bf16 = precision == "bf16"
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=use_bf16)
        dtype = None if has_float64(self.device) else torch.float32
        plan.model.to(device=self.device, dtype=dtype, memory_format=torch.channels_last).train()  # pyright: ignore
        images = plan.images.split("train").to(self.device)
        self.batch_size, self.rank_batch_size = plan.batch_size(), plan.rank_batch_size()
        batches = images.iterate_batches(images.max_batch_size())
        self.images = images.with_columns(plan.model.setup(batches))
        # the short last batch is left out: each epoch's order leaves out other images
        self.steps_per_epoch = len(self.images) // self.batch_size
        self.total_steps = self.steps_per_epoch * plan.epochs
        self.image_order, self.order_epoch = torch.empty(0), -1
        self.state, self.log = State(plan), Log(run.path)
        self.reset_failed_steps()
        self.validator = Validator(plan, options, self.state, self.log, diagnose, self.device)
        self.should_stop = False
        distributed.barrier()  # before rank 0 writes anything
        if has_state:
            metadata = self.state.load(run.state)
            if self.is_writer:
                self.log.truncate(metadata)
                write_tensors(run.weights, self.state.final_weights(), {"step": self.state.step})
            if self.state.complete and self.state.step < self.total_steps:  # it was extended
                self.state.complete = False
                self.save_state()
        else:
            if self.is_writer:
                self.log.truncate({"log_bytes": 0})
                run.update_metadata(plan.model.metadata())
            self.save_state()
            if self.is_writer:
                run.initial_weights.unlink(missing_ok=True)
        self.start_time, self.first_step = time.perf_counter(), self.state.step
        self.last_event_time = self.start_time

    def advance(self, context: StepContext, stop_event: threading.Event) -> Iterator[Event]:
        """Take one step, then log, validate and save where that is due.

        Raises: NonFiniteError if a loss, gradient, parameter or validation is not finite.
        """
        state, options = self.state, self.options
        if state.step == 0 and self.plan.model.starts_fitted:
            yield from filter(None, [self.validator.validate(0, self.is_writer)])
        with record_span(STEP_SPAN):
            self.train_step(context)
        if state.step % options.log_every == 0 or state.step == self.total_steps:
            yield self.log_step()
            self.last_event_time = time.perf_counter()
        elif time.perf_counter() - self.last_event_time > STEP_EVENT_INTERVAL:
            yield StepTaken(state.step, self.total_steps, self.batch_size)
            self.last_event_time = time.perf_counter()
        at_end_of_epoch = state.step % self.steps_per_epoch == 0
        if at_end_of_epoch:
            self.check_steps()
            yield from self.validator.finish_epoch(self.epoch, self.is_writer)
        state.complete = state.step == self.total_steps
        save_due = at_end_of_epoch or state.step % options.save_every == 0
        # read once a step: a signal that comes later stops the run at its next step
        self.should_stop = distributed.any_rank(stop_event.is_set())
        if save_due or self.should_stop:
            self.save_state()
            yield StateSaved(state.step)

    @property
    def is_writer(self) -> bool:
        """Whether this process writes to the run folder."""
        return distributed.rank() == 0

    @property
    def epoch(self) -> int:
        """Epoch of the last step, from 1."""
        return (self.state.step - 1) // self.steps_per_epoch + 1

    def step_context(self) -> StepContext:
        seed, first_row = self.options.seed, distributed.rank() * self.rank_batch_size
        run = self.state.step, self.total_steps, seed, len(self.images)
        return StepContext(*run, first_row, self.batch_size)

    def load_batch(self, context: StepContext) -> Batch:
        epoch, step_in_epoch = divmod(context.step, self.steps_per_epoch)
        if epoch != self.order_epoch:
            rng = make_generator(context.seed, "order", epoch)
            self.image_order = self.images.draw_order(rng, self.options.balance)
            self.order_epoch = epoch
        first_row = step_in_epoch * self.batch_size + context.first_row
        rows = self.image_order[first_row : first_row + self.rank_batch_size]
        batch, augment = self.images.get_batch(rows), self.plan.augment
        return batch._replace(image=augment(batch.image, context)) if augment else batch

    def train_step(self, context: StepContext) -> None:
        """Take one optimizer step of every player that acts at this step."""
        state, compute = self.state, self.replay or self.compute_step
        with record_span("data"):
            batch = self.load_batch(context)
        for name, optimizer in state.optimizers.items():
            optimizer.set_learning_rate(self.learning_rate(name, context.step))
        for name, (terms, means, norm) in compute(batch, context).items():
            state.add_terms(name, terms, {**means, "gradient_norm": norm})
        state.step += 1
        self.failed_steps += self.failed
        # BatchNorm's statistics are those of each process's rows; a save must not depend on it
        distributed.all_reduce_mean(b for b in self.plan.model.buffers() if b.is_floating_point())
        if state.ema:
            with record_span("optimizer"):
                state.ema.update(self.plan.model, state.step, self.batch_size)

    def compute_step(self, batch: Batch, context: StepContext) -> Results:
        """Compute losses and gradients of every player that acts, and update its parameters."""
        model, results = self.plan.model, {}
        seed_for_dropout(context, "dropout/shared")
        with self.autocast, record_span("forward"):
            shared = model.shared(batch, context)  # once, before any player steps
        for name, player in self.state.players.items():
            step = PlayerStep(name, player, batch, context, shared, self.autocast)
            result = step.optimizer_step(model, self.state.optimizers[name], self.plan.optim[name])
            results |= {name: result} if result else {}
        return results

    def learning_rate(self, player: str, step: int) -> float:
        """Learning rate of a player at a step, from 0."""
        adam = self.plan.optim[player]
        # at the middle of the step: a schedule that begins or ends at 0 wastes no step there
        return adam.lr * adam.schedule((step + 0.5) / self.total_steps) * self.state.lr_scale

    def reset_failed_steps(self) -> None:
        """Forget steps that were not finite; a GPU counts them, so that no step waits for it."""
        # 1 from the first such step on, and their number
        self.failed, self.failed_steps = torch.zeros(2, device=self.device)
        if is_asynchronous(self.device):
            for optimizer in self.state.optimizers.values():
                optimizer.found_inf = self.failed
        can_replay = is_requested(self.device) and distributed.world_size() == 1
        replayed = self.compute_step, self.plan.model, self.device
        self.replay = StepReplay(*replayed) if can_replay else None

    def check_steps(self) -> None:
        """Raises: NonFiniteError if the device has met a step that is not finite."""
        if count := int(self.failed_steps):
            for optimizer in self.state.optimizers.values():
                optimizer.found_inf = self.replay = None
            self.state.step -= count  # no parameter has changed since
            self.train_step(self.step_context())  # raises with the names
            raise NonFiniteError("a loss or a gradient is not finite")

    def log_step(self) -> StepLogged:
        """Write the row of the steps since the last row."""
        self.check_steps()
        step, rows = self.state.step, {}
        for name in self.state.players:
            if weights := self.state.term_weights.pop(name, None):
                means, roles = self.state.pop_means(name), self.state.roles.get(name, {})
                rows[name] = {
                    "weights": {term: float(weight) for term, weight in weights.items()},
                    "roles": {term: roles[term] for term in weights if term in roles},
                    "lr": self.learning_rate(name, step - 1),
                    "gradient_norm": means["gradient_norm"],
                    # in the model's order: a resume changes that of the sums
                    "terms": {term: means[term] for term in weights},
                }
        monitors = {k: float(v) for k, v in self.plan.model.monitors().items() if v.isfinite()}
        n_images = step * self.batch_size
        event = StepLogged(step, self.total_steps, self.epoch, n_images, rows, monitors)
        seconds = time.perf_counter() - self.start_time
        if self.is_writer:
            self.log.write_event(event)
            images_per_second = (step - self.first_step) * self.batch_size / seconds
            self.log.write_timing(step, seconds, images_per_second)
        return event

    def restore_state(self, step: int, reason: str) -> Finding:
        """Return to the saved state at half the learning rate, and save that state."""
        state, failures = self.state, self.state.failures + 1
        metadata = state.load(self.run.state)
        self.reset_failed_steps()
        distributed.barrier()  # rank 0 overwrites the file that all read
        if self.is_writer:
            self.log.truncate(metadata)
        state.failures = failures
        state.lr_scale /= 2
        consequence = f"back to step {state.step:,}, learning rate times {state.lr_scale:g}"
        if failures >= MAX_FAILURES:
            consequence = f"the third time, so the run ends at step {state.step:,}. Lower --lr"
        finding = Finding(step, NON_FINITE, f"Step {step:,}: {reason}; {consequence}.")
        if self.is_writer:
            self.log.write_event(finding)
        self.save_state()
        return finding

    def save_state(self) -> None:
        """Commit state and final weights. Raises: NonFiniteError if a weight is not finite."""
        self.check_steps()
        for name, parameter in self.plan.model.named_parameters():
            if not parameter.isfinite().all():
                raise NonFiniteError(f"the parameter {name} is not finite")
        if self.is_writer:
            self.state.save(self.run.state, self.log.describe_commit())
            write_tensors(self.run.weights, self.state.final_weights(), {"step": self.state.step})
        distributed.barrier()  # all processes can load the state from here on
