"""One player's turn: its gradient, its step, or the reason why none was taken."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentia.core import distributed
from latentia.core.contract import Batch, Moment, Player, Shared, Terms
from latentia.core.seeding import seed_global
from latentia.core.spans import span
from latentia.core.text import counted
from latentia.training.optimizers import Adam


class NonFinite(Exception):
    """A term or a gradient is not finite; the text says which, where first, and in which rows."""


@dataclass
class Turn:
    """What a player sees when its turn comes."""

    name: str
    player: Player
    batch: Batch
    moment: Moment
    shared: Shared
    autocast: torch.autocast

    def terms(self) -> Terms:
        """The same numbers however often they are asked for: dropout's generator has an address."""
        seed_global(self.moment.seed, own(f"dropout/{self.name}"), self.moment.step)
        with self.autocast:
            return self.player.terms(self.batch, self.moment, self.shared)

    def descend(self, model: nn.Module, optimizer: torch.optim.Optimizer, adam: Adam, lr: float):
        """One step; returns each term's weight and mean, and the gradient's norm before clipping.

        None if the player has no term at this moment, and so stays as it is.

        Raises: NonFinite; then no step was taken and no gradient is left.
        """
        with only(self.player, model):
            with span("forward"):
                terms = self.terms()
                if not terms:
                    return None
                means = {name: value.mean() for name, (_, value) in terms.items()}
                weights = {name: weight for name, (weight, _) in terms.items()}
                weighted = [_weighted(means[k], *terms[k]) for k in means]
                loss = torch.stack(weighted).sum()
            with span("backward"):
                loss.backward()
            # to walk the modules at every step would cost a tenth of a small one
            own = [p for group in optimizer.param_groups for p in group["params"]]
            gradients = [p.grad for p in own if p.grad is not None]
            means = {name: mean.detach() for name, mean in means.items()}
            loss = loss.detach()
            distributed.average([*gradients, loss, *means.values()])
            with span("optimizer"):
                norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
            with span("waiting"):  # for the device
                known = norm.item() + loss.item()
            if not math.isfinite(known):
                where = self.where()  # in every process: terms may wait for the others
                blamed = [why for why in distributed.gathered(self.blame(terms)) if why]
                why = (blamed[0] if blamed else self.explain()) + where
                optimizer.zero_grad(set_to_none=True)
                raise NonFinite(why)
            with span("optimizer"):
                if adam.clip is not None and norm > adam.clip:
                    torch._foreach_mul_(gradients, adam.clip / norm)  # pyright: ignore
                for group in optimizer.param_groups:
                    group["lr"] = lr
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        return weights, means, norm

    def blame(self, terms: Terms) -> str | None:
        """The first term that is not finite, and its images; None: it is no term."""
        for name, (_, value) in terms.items():
            rows = (~value.isfinite()).nonzero().flatten() + self.moment.first_row
            if len(rows):
                shown = ", ".join(map(str, rows[:8].tolist())) + (", ..." if len(rows) > 8 else "")
                count = f"{len(rows)} of {counted(len(value), 'image')} (rows {shown})"
                return f"{name} is not finite in {count}"
        return None

    def explain(self) -> str:
        """What was not finite first, if not a term."""
        for name, parameter in self.player.module.named_parameters():
            if parameter.grad is not None and not parameter.grad.isfinite().all():
                return f"the gradient of {name} is not finite"
        return f"the gradient of {self.name} is too large to have a norm"

    def where(self) -> str:
        """The first module whose output is not finite; the pass is run again to see it."""
        first: list[str] = []
        names = {id(module): name for name, module in self.player.module.named_modules()}

        def look(module: nn.Module, _: object, output: object) -> None:
            broken = isinstance(output, Tensor) and not output.isfinite().all()
            if broken and not first:
                first.append(names[id(module)] or self.name)

        hooks = [m.register_forward_hook(look) for m in self.player.module.modules()]
        try:
            self.terms()
        finally:
            for hook in hooks:
                hook.remove()
        return f", first in {first[0]}" if first else ""


def _weighted(mean: Tensor, weight: float | Tensor, value: Tensor) -> Tensor:
    return (weight * value).mean() if isinstance(weight, Tensor) else weight * mean


def own(purpose: str) -> str:
    """The address of dropout, which each process draws for its own rows."""
    return f"{purpose}/{distributed.rank()}" if distributed.rank() else purpose


@contextmanager
def only(player: Player, model: nn.Module) -> Iterator[None]:
    """Everything but this player is frozen: no gradient strays (trap 5)."""
    if player.module is model:
        yield
        return
    own = {id(p) for p in player.module.parameters()}
    others = [p for p in model.parameters() if id(p) not in own and p.requires_grad]
    for parameter in others:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)
