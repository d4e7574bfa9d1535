"""One player's turn: its gradient, its step, or the reason why none was taken."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentia.core import distributed
from latentia.core.contract import Batch, Player, Shared, StepContext, Terms
from latentia.core.seeding import seed_global_generators
from latentia.core.spans import record_span
from latentia.core.text import pluralize
from latentia.training.optimizers import Adam


class NonFiniteError(Exception):
    """A term or a gradient is not finite; the text says which, where first, and in which rows."""


@dataclass
class PlayerStep:
    """What a player sees when its turn comes."""

    name: str
    player: Player
    batch: Batch
    context: StepContext
    shared: Shared
    autocast: torch.autocast

    def compute_terms(self) -> Terms:
        """The same numbers however often they are asked for: dropout's generator has an address."""
        seed_global_generators(
            self.context.seed, per_rank(f"dropout/{self.name}"), self.context.step
        )
        with self.autocast:
            return self.player.terms(self.batch, self.context, self.shared)

    def optimizer_step(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, adam: Adam, lr: float
    ):
        """One step; returns each term's weight and mean, and the gradient's norm before clipping.

        None if the player has no term at this moment, and so stays as it is.

        Raises: NonFinite; then no step was taken and no gradient is left.
        """
        with freeze_others(self.player, model):
            with record_span("forward"):
                terms = self.compute_terms()
                if not terms:
                    return None
                means = {name: value.mean() for name, (_, value) in terms.items()}
                weights = {name: weight for name, (weight, _) in terms.items()}
                weighted_means = [_weighted_mean(means[k], *terms[k]) for k in means]
                loss = torch.stack(weighted_means).sum()
            with record_span("backward"):
                loss.backward()
            # to walk the modules at every step would cost a tenth of a small one
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            gradients = [p.grad for p in parameters if p.grad is not None]
            means = {name: mean.detach() for name, mean in means.items()}
            loss = loss.detach()
            distributed.all_reduce_mean([*gradients, loss, *means.values()])
            with record_span("optimizer"):
                norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
            with record_span("waiting"):  # for the device
                finite_sum = norm.item() + loss.item()
            if not math.isfinite(finite_sum):
                location = self.locate_failure()  # in every process: terms may wait for the others
                bad_terms = [
                    reason
                    for reason in distributed.all_gather_objects(self.describe_bad_term(terms))
                    if reason
                ]
                reason = (bad_terms[0] if bad_terms else self.describe_bad_gradient()) + location
                optimizer.zero_grad(set_to_none=True)
                raise NonFiniteError(reason)
            with record_span("optimizer"):
                if adam.clip is not None and norm > adam.clip:
                    torch._foreach_mul_(gradients, adam.clip / norm)  # pyright: ignore
                for group in optimizer.param_groups:
                    group["lr"] = lr
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        return weights, means, norm

    def describe_bad_term(self, terms: Terms) -> str | None:
        """The first term that is not finite, and its images; None: it is no term."""
        for name, (_, value) in terms.items():
            rows = (~value.isfinite()).nonzero().flatten() + self.context.first_row
            if len(rows):
                row_list = ", ".join(map(str, rows[:8].tolist())) + (
                    ", ..." if len(rows) > 8 else ""
                )
                count = f"{len(rows)} of {pluralize(len(value), 'image')} (rows {row_list})"
                return f"{name} is not finite in {count}"
        return None

    def describe_bad_gradient(self) -> str:
        """What was not finite first, if not a term."""
        for name, parameter in self.player.module.named_parameters():
            if parameter.grad is not None and not parameter.grad.isfinite().all():
                return f"the gradient of {name} is not finite"
        return f"the gradient of {self.name} is too large to have a norm"

    def locate_failure(self) -> str:
        """The first module whose output is not finite; the pass is run again to see it."""
        failing_modules: list[str] = []
        names = {id(module): name for name, module in self.player.module.named_modules()}

        def check_output(module: nn.Module, _: object, output: object) -> None:
            is_broken = isinstance(output, Tensor) and not output.isfinite().all()
            if is_broken and not failing_modules:
                failing_modules.append(names[id(module)] or self.name)

        hooks = [m.register_forward_hook(check_output) for m in self.player.module.modules()]
        try:
            self.compute_terms()
        finally:
            for hook in hooks:
                hook.remove()
        return f", first in {failing_modules[0]}" if failing_modules else ""


def _weighted_mean(mean: Tensor, weight: float | Tensor, value: Tensor) -> Tensor:
    return (weight * value).mean() if isinstance(weight, Tensor) else weight * mean


def per_rank(purpose: str) -> str:
    """The address of dropout, which each process draws for its own rows."""
    return f"{purpose}/{distributed.rank()}" if distributed.rank() else purpose


@contextmanager
def freeze_others(player: Player, model: nn.Module) -> Iterator[None]:
    """Everything but this player is frozen: no gradient strays (trap 5)."""
    if player.module is model:
        yield
        return
    player_ids = {id(p) for p in player.module.parameters()}
    other_parameters = [
        p for p in model.parameters() if id(p) not in player_ids and p.requires_grad
    ]
    for parameter in other_parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in other_parameters:
            parameter.requires_grad_(True)
