"""The loop: it asks a model for its players and lets each descend, in order."""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from latentia.core.contract import Batch, Moment, Player, Shared, Terms
from latentia.core.errors import Error
from latentia.core.seeding import generator, seed_global
from latentia.data import Split
from latentia.engine.checkpoint import write_tensors
from latentia.engine.device import find_device, find_precision, keep_memory
from latentia.engine.ema import in_place_of
from latentia.engine.log import Event, Finding, Finished, Log, Logged, Saved, Validated
from latentia.engine.plan import Options, Plan
from latentia.engine.run import Run
from latentia.engine.state import State

FAILURES = 3  # non-finite steps after which a run ends


def train(plan: Plan, run: Run, options: Options) -> Iterator[Event]:
    """Train from the run's state, or from the start; yields what happens, in order.

    The same plan, options and machine give the same log and the same weights, bit for bit, however
    often the run was stopped or killed between.
    """
    keep_memory()
    device = find_device(options.device)
    precision = find_precision(options.precision, device)
    torch.set_num_threads(options.threads or torch.get_num_threads())
    plan.model.to(device, memory_format=torch.channels_last).train()
    images = plan.images.split("train").to(device)
    validation = plan.images.split("validation").to(device)
    batch = min(plan.batch, len(images))
    if not batch:
        raise Error("There is no image to train on; give more images or a smaller --validation.")
    an_epoch = len(images) // batch  # short batches are left out: each epoch leaves out others
    total = an_epoch * plan.epochs

    state, log = State(plan), Log(run.path)
    if run.state.exists():
        log.cut(state.load(run.state))
    else:
        log.cut(0)
        _save(state, run, log)
    if state.complete:
        return
    autocast = torch.autocast(device.type, precision, enabled=precision != torch.float32)
    started, first, order = time.perf_counter(), state.step, torch.empty(0)

    with stop_signals() as stopped:
        while state.step < total:
            epoch, at = divmod(state.step, an_epoch)
            if at == 0 or not len(order):
                draw = generator(options.seed, "order", epoch)
                order = torch.randperm(len(images), generator=draw).to(device)
            moment = Moment(state.step, total, options.seed, len(images), 0, batch)
            rows = images.batch(order[at * batch : (at + 1) * batch])
            with autocast:
                shared = plan.model.shared(rows, moment)
            logging = (state.step + 1) % options.log_every == 0 or state.step + 1 == total
            row, bad = {}, None
            for name, player in state.players.items():
                said, bad = _descend(name, player, plan, state, rows, moment, shared, autocast)
                if bad:
                    break
                row[name] = said
            if bad:
                yield from _restore(state, run, log, moment, bad)
                order = torch.empty(0)
                if state.failures >= FAILURES:
                    yield Finished(state.step, total, "non-finite")
                    return
                continue
            state.step += 1
            if state.averaged:
                state.averaged.update(plan.model, state.step, batch)
            if logging:
                event = Logged(state.step, total, epoch + 1, state.step * batch, _means(state, row))
                log.write(event)
                seconds = time.perf_counter() - started
                log.time(state.step, seconds, (state.step - first) * batch / seconds)
                yield event
            at_end_of_epoch = state.step % an_epoch == 0
            if at_end_of_epoch and len(validation):
                event = _validate(plan, state, validation, epoch + 1, options.seed)
                if event:
                    log.write(event)
                    yield event
            if state.step == total:
                for kind, text in plan.model.remarks(moment).items():
                    finding = Finding(state.step, kind, text)
                    log.write(finding)
                    yield finding
                state.complete = True
            if at_end_of_epoch or state.step % options.save_every == 0 or stopped.is_set():
                _save(state, run, log)
                yield Saved(state.step)
            if stopped.is_set() and not state.complete:
                yield Finished(state.step, total, "stopped")
                return
    plan.model.eval()
    yield Finished(total, total, "complete")


@contextmanager
def only(player: Player, model: nn.Module) -> Iterator[None]:
    """Everything but this player is frozen: no gradient strays (trap 5)."""
    own = {id(p) for p in player.module.parameters()}
    others = [p for p in model.parameters() if id(p) not in own and p.requires_grad]
    for parameter in others:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)


def _descend(
    name: str,
    player: Player,
    plan: Plan,
    state: State,
    batch: Batch,
    moment: Moment,
    shared: Shared,
    autocast: torch.autocast,
) -> tuple[dict, str | None]:
    """One step of one player, or, where something is not finite, none and the reason."""
    recipe, optimizer = plan.optim[name], state.optimizers[name]
    seed_global(moment.seed, f"dropout/{name}", moment.step)
    with only(player, plan.model):
        with autocast:
            terms = player.terms(batch, moment, shared)
        means = {term: value.mean() for term, (_, value) in terms.items()}
        loss = torch.stack([terms[term][0] * mean for term, mean in means.items()]).sum()
        loss.backward()
        gradients = [p.grad for p in player.module.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
        if not math.isfinite(norm.item()):
            bad = _explain(name, player, terms, autocast, batch, moment, shared)
            optimizer.zero_grad(set_to_none=True)
            return {}, bad
        if recipe.clip is not None and norm > recipe.clip:
            torch._foreach_mul_(gradients, recipe.clip / norm)
        lr = recipe.lr * recipe.schedule(moment.share) * state.lr_scale
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    for key, value in {**means, "gradient": norm}.items():
        key = f"{name}/{key}"
        state.sums[key] = state.sums.get(key, 0) + value.detach()
    state.sums[f"{name}/steps"] = state.sums.get(f"{name}/steps", torch.zeros(())) + 1
    return {"weights": {term: weight for term, (weight, _) in terms.items()}, "lr": lr}, None


def _means(state: State, row: dict[str, dict]) -> dict[str, dict]:
    """Each player's terms, averaged over the steps since the last row; empties the sums."""
    for name, said in row.items():
        own = {k.split("/", 1)[1]: v for k, v in state.sums.items() if k.startswith(f"{name}/")}
        steps = own.pop("steps").item()
        values = {k: v.item() / steps for k, v in own.items()}
        said["gradient_norm"] = values.pop("gradient")
        said["terms"] = values
    state.sums.clear()
    return row


def _validate(plan: Plan, state: State, split: Split, epoch: int, seed: int) -> Validated | None:
    """Score held-out images in float32, with the weights that would be kept."""
    averaged = state.averaged.tensors if state.averaged else None
    with in_place_of(plan.model, averaged):
        values = score(plan.model, split, seed)
    if not values:
        return None
    selected = values.get("nelbo", math.inf) < state.best
    if selected:
        state.best = values["nelbo"]
        state.select()
    return Validated(state.step, epoch, values, len(split), selected)


@torch.no_grad()
def score(model: nn.Module, split: Split, seed: int, size: int = 500) -> dict[str, float]:
    """Means over images (not over batches: the last one is short) of `Model.score`."""
    training = model.training
    model.eval()
    sums: dict[str, Tensor] = {}
    for number, batch in enumerate(split.batches(size)):
        moment = Moment(number, 1, seed, len(split), 0, len(batch.image))
        for key, value in model.score(batch, moment).items():  # pyright: ignore
            sums[key] = sums.get(key, torch.zeros((), dtype=torch.float64)) + value.double().sum()
    model.train(training)
    return {key: value.item() / len(split) for key, value in sums.items()}


def _save(state: State, run: Run, log: Log) -> None:
    state.save(run.state, log.bytes())
    write_tensors(run.weights, state.weights(), {"step": state.step})


def _restore(state: State, run: Run, log: Log, moment: Moment, reason: str) -> Iterator[Finding]:
    """Back to the last good state, at half the learning rate; that too is a state on disk."""
    failures = state.failures + 1
    log.cut(state.load(run.state))
    state.failures = failures
    state.lr_scale /= 2
    done = (
        f"back to step {state.step:,}, learning rate times {state.lr_scale:g}"
        if failures < FAILURES
        else f"the third time: the run ends, and keeps its state of step {state.step:,}. "
        "Lower --lr, or look at the images"
    )
    finding = Finding(moment.step, "non-finite", f"Step {moment.step:,}: {reason}; {done}.")
    log.write(finding)
    _save(state, run, log)
    yield finding


def _explain(
    name: str,
    player: Player,
    terms: Terms,
    autocast: torch.autocast,
    batch: Batch,
    moment: Moment,
    shared: Shared,
) -> str:
    """What was not finite first; the module is found by running the pass again."""
    first: list[str] = []

    def look(module: nn.Module, _: object, output: object) -> None:
        tensors = output if isinstance(output, tuple | list) else [output]
        if not first and any(isinstance(t, Tensor) and not t.isfinite().all() for t in tensors):
            first.append(next(k for k, m in player.module.named_modules() if m is module))

    hooks = [m.register_forward_hook(look) for m in player.module.modules()]
    seed_global(moment.seed, f"dropout/{name}", moment.step)
    with torch.no_grad(), autocast:
        player.terms(batch, moment, shared)
    for hook in hooks:
        hook.remove()
    where = f", first in {first[0] or name}" if first else ""
    for term, (_, value) in terms.items():
        rows = (~value.isfinite()).nonzero().flatten().tolist()
        if rows:
            shown = ", ".join(map(str, rows[:8])) + (", ..." if len(rows) > 8 else "")
            return (
                f"{term} is not finite in {len(rows)} of {len(value)} images (rows {shown}){where}"
            )
    broken = [
        k
        for k, p in player.module.named_parameters()
        if p.grad is not None and not p.grad.isfinite().all()
    ]
    return f"the gradient of {broken[0] if broken else name} is not finite{where}"


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """SIGTERM and the first Ctrl-C set the event, so that the loop saves; the next interrupts."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def stop(number: int, _: object) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
