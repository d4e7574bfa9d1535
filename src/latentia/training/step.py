"""One optimizer step of a player, or the reason why it was not taken."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentia.core import distributed
from latentia.core.contract import Batch, Player, Shared, StepContext, Term, Terms
from latentia.core.errors import Error
from latentia.core.seeding import seed_global_generators
from latentia.core.spans import record_span
from latentia.core.text import pluralize
from latentia.training.optimizers import Adam


class NonFiniteError(Exception):
    """A term or a gradient is not finite; the text names it, the rows and the first module."""


@dataclass
class PlayerStep:
    """A player's inputs at one step."""

    name: str
    player: Player
    batch: Batch
    context: StepContext
    shared: Shared
    autocast: torch.autocast

    def compute_terms(self) -> Terms:
        """Compute the loss terms; a second call gives the same numbers, dropout included."""
        seed_for_dropout(self.context, f"dropout/{self.name}")
        with self.autocast:
            terms = self.player.terms(self.batch, self.context, self.shared)
        check_terms(self.name, terms, len(self.batch.image))
        return terms

    def optimizer_step(self, model: nn.Module, optimizer: torch.optim.Optimizer, adam: Adam):
        """Take one step; returns the terms, their means, and the norm before clipping.

        Returns None and takes no step if the player has no term at this step.

        Raises: NonFiniteError if a term or gradient is not finite; gradients are cleared then. An
        optimizer with `found_inf` gets a 1 there instead, and nothing waits for the device.
        """
        with freeze_others(self.player, model):
            with record_span("forward"):
                terms = self.compute_terms()
                if not terms:
                    return None
                means = {name: term.value.mean() for name, term in terms.items()}
                weighted_means = [_weighted_mean(means[k], terms[k]) for k in means]
                loss = torch.stack(weighted_means).sum()
            with record_span("backward"):
                loss.backward()
            # `module.parameters()` would cost a tenth of a small step
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            gradients = [p.grad for p in parameters if p.grad is not None]
            means = {name: mean.detach() for name, mean in means.items()}
            loss = loss.detach()
            distributed.all_reduce_mean([*gradients, loss, *means.values()])
            with record_span("optimizer"):
                norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
            found_inf = getattr(optimizer, "found_inf", None)
            if found_inf is not None:
                found_inf.masked_fill_(~(norm + loss).isfinite(), 1)
            with record_span("waiting"):  # for the device
                is_finite = found_inf is not None or math.isfinite(norm.item() + loss.item())
            if not is_finite:
                location = self.locate_failure()  # on every rank: terms may use collectives
                reasons = distributed.all_gather_objects(self.describe_bad_term(terms))
                reason = next(filter(None, reasons), None) or self.describe_bad_gradient()
                optimizer.zero_grad(set_to_none=True)
                raise NonFiniteError(reason + location)
            with record_span("optimizer"):
                if adam.clip is not None:
                    scale = (adam.clip / norm).clamp(max=1)
                    torch._foreach_mul_(gradients, scale)  # pyright: ignore
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        return terms, means, norm

    def describe_bad_term(self, terms: Terms) -> str | None:
        """Name the first term that is not finite, and its images; None if all are finite."""
        for name, (_, value, _) in terms.items():
            rows = (~value.isfinite()).nonzero().flatten() + self.context.first_row
            if len(rows):
                listed = ", ".join([*map(str, rows[:8].tolist()), *["..."] * (len(rows) > 8)])
                count = f"{len(rows)} of {pluralize(len(value), 'image')}"
                return f"{name} is not finite in {count} (rows {listed})"
        return None

    def describe_bad_gradient(self) -> str:
        """Name the first parameter whose gradient is not finite."""
        for name, parameter in self.player.module.named_parameters():
            if parameter.grad is not None and not parameter.grad.isfinite().all():
                return f"the gradient of {name} is not finite"
        return f"the gradient of {self.name} is too large to have a norm"

    def locate_failure(self) -> str:
        """Run the forward pass again and name the first module whose output is not finite."""
        failures: list[str] = []
        names = {module: name for name, module in self.player.module.named_modules()}

        def check_output(module: nn.Module, _: object, output: object) -> None:
            if isinstance(output, Tensor) and not output.isfinite().all():
                failures.append(names[module] or self.name)

        hooks = [m.register_forward_hook(check_output) for m in self.player.module.modules()]
        try:
            self.compute_terms()
        finally:
            for hook in hooks:
                hook.remove()
        return f", first in {failures[0]}" if failures else ""


def check_terms(player: str, terms: Terms, n: int) -> None:
    """Raises: Error if what a player's `terms` returned is no dict of a `Term` by name."""
    is_dict = isinstance(terms, dict)
    problems: list[str] = [] if is_dict else [type(terms).__name__]
    for name, term in terms.items() if is_dict else ():
        if not isinstance(term, Term):
            problems.append(f"{name} of type {type(term).__name__}")
        elif not isinstance(term.value, Tensor) or term.value.shape != (n,):
            shape = tuple(getattr(term.value, "shape", ()))
            problems.append(f"{name} with a value of shape {shape} for {pluralize(n, 'image')}")
    if problems:
        raise Error(
            f"terms of the player {player} returned {problems[0]}; it must return a dict of Terms "
            "of latentia.core.contract by name: Term(weight, value, role), with a value (b,).",
            on_all_ranks=True,
        )


def _weighted_mean(mean: Tensor, term: Term) -> Tensor:
    weight = term.weight
    if not isinstance(weight, Tensor):
        return weight * mean
    return (weight * term.value).mean() if weight.ndim else weight.to(mean) * mean


def seed_for_dropout(context: StepContext, purpose: str) -> None:
    """Seed the global generators; each rank has a seed of its own."""
    if not context.recorder:  # a step that is replayed has no dropout
        rank = distributed.rank()
        purpose = f"{purpose}/{rank}" if rank else purpose
        seed_global_generators(context.seed, purpose, context.step)


@contextmanager
def freeze_others(player: Player, model: nn.Module) -> Iterator[None]:
    """Freeze all other parameters inside the block, so that they get no gradient."""
    if player.module is model:
        yield
        return
    own = set(player.module.parameters())
    others = [p for p in model.parameters() if p not in own and p.requires_grad]
    for parameter in others:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)
