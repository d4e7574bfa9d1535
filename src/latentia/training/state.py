"""The commit point: one file with everything that a resumed run needs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentia.core.contract import Role, Terms
from latentia.core.errors import Error, describe_exception
from latentia.training.checkpoint import read_tensors, write_tensors
from latentia.training.ema import EMA
from latentia.training.optimizers import collect_moments, restore_moments
from latentia.training.plan import Plan

MAX_FAILURES = 3  # non-finite steps after which a run ends
SMALL = 4096  # values of a tensor: below them equality may be by chance


class State:
    """Weights (last, averaged, best), buffers, optimizer moments, sums of terms and counters."""

    def __init__(self, plan: Plan):
        self.model = plan.model
        self.players = plan.model.players()
        self.optimizers = {
            k: plan.optim[k].build_optimizer(p.module) for k, p in self.players.items()
        }
        self.ema = EMA(plan.model, plan.average) if plan.average else None
        self.best_weights: dict[str, Tensor] | None = None
        # of each player's terms since the last logged row: sums, and the last weights; their roles
        self.sums: dict[str, Tensor] = {}
        self.term_weights: dict[str, dict[str, float | Tensor]] = {}
        self.roles: dict[str, dict[str, Role]] = {}
        self.step = 0
        self.best_score = float("inf")
        self.lr_scale = 1.0
        self.failures = 0
        self.complete = False

    def add_terms(self, player: str, terms: Terms, values: dict[str, Tensor]) -> None:
        """Add a step's values to the sums, whose means the next log row shows.

        A player or a term need not act at every step. A weight per image is logged as its mean.
        """
        last_weights = self.term_weights.setdefault(player, {})
        for name, (weight, _, role) in terms.items():
            last_weights[name] = weight.mean() if isinstance(weight, Tensor) else weight
            self.roles.setdefault(player, {})[name] = role
        for name, value in values.items():
            # each has its count: a term may join between two rows
            for key, increment in ((name, value), (f"{name}#", torch.ones(()))):
                key = f"{player}/{key}"
                total = self.sums.get(key)
                self.sums[key] = increment.clone() if total is None else total + increment

    def pop_means(self, player: str) -> dict[str, float]:
        """Return the means of a player's terms, and remove their sums."""
        keys = [key for key in self.sums if key.startswith(f"{player}/")]
        sums = {key.split("/", 1)[1]: self.sums.pop(key).item() for key in keys}
        return {k: value / sums[f"{k}#"] for k, value in sums.items() if not k.endswith("#")}

    def final_weights(self) -> dict[str, Tensor]:
        """Return the weights for use: the best on validation, else the averaged, else the last."""
        last = self.ema.tensors if self.ema else self.model.state_dict()
        if self.best_weights is None:
            return last
        others = {k: v for k, v in last.items() if k.startswith(self.model.unselected)}
        return {**self.best_weights, **others}

    def select_weights(self) -> None:
        """Keep a copy of the current weights as the best."""
        current = self.ema.tensors if self.ema else self.model.state_dict()
        self.best_weights = {k: v.detach().clone() for k, v in current.items()}

    def save(self, path: Path, log_commit: Mapping[str, Any]) -> None:
        """Write the state file; log_commit: length and digest of the log that belongs to it."""
        model = self.model.state_dict()
        sections = {
            "model": model,
            "averaged": leave_out_equal(self.ema.tensors, model) if self.ema else {},
            "selected": leave_out_equal(self.best_weights or {}, model),
            "sums": self.sums,
        }
        for name, optimizer in self.optimizers.items():
            sections[f"optim:{name}"] = collect_moments(optimizer, self.players[name].module)
        tensors = {f"{name}|{k}": v for name, part in sections.items() for k, v in part.items()}
        groups = {
            name: [{k: v for k, v in g.items() if k != "params"} for g in o.param_groups]
            for name, o in self.optimizers.items()
        }
        metadata = {
            "step": self.step,
            "best": None if self.best_score == float("inf") else self.best_score,
            "lr_scale": self.lr_scale,
            "failures": self.failures,
            "complete": self.complete,
            **log_commit,
            "weights_of": {
                player: {name: float(weight) for name, weight in weights.items()}
                for player, weights in self.term_weights.items()
            },
            "roles": self.roles,
            "groups": groups,
        }
        write_tensors(path, tensors, metadata)

    def load(self, path: Path) -> dict[str, Any]:
        """Read the state file and return its metadata.

        Raises: Error if it is damaged, or does not fit the plan
        """
        tensors, metadata = read_tensors(path)
        try:
            self._restore(tensors, metadata, path)
        except Error:
            raise
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = f"{path.name} does not fit its recipe ({describe_exception(error)})"
            text = f"is not complete: {reason}. Train again, or copy the file anew."
            raise Error(text, subject=path.parent) from None
        return metadata

    def _restore(self, tensors: dict[str, Tensor], metadata: dict[str, Any], path: Path) -> None:
        sections: dict[str, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            section, name = key.split("|", 1)
            sections.setdefault(section, {})[name] = value
        model = sections.get("model", {})
        load_weights(self.model, model, path)
        device = next(self.model.parameters()).device
        if self.ema:
            averaged = {**model, **sections.get("averaged", {})}
            # a copy, since an update writes into it
            self.ema.tensors = {k: v.to(device, copy=True) for k, v in averaged.items()}
        best, sums = {**model, **sections.get("selected", {})}, sections.get("sums", {})
        has_best = metadata["best"] is not None
        self.best_weights = {k: v.to(device) for k, v in best.items()} if has_best else None
        self.sums = {k: v.to(device) for k, v in sums.items()}
        for name, optimizer in self.optimizers.items():
            restore_moments(optimizer, self.players[name].module, sections.get(f"optim:{name}", {}))
            for group, saved in zip(optimizer.param_groups, metadata["groups"][name], strict=True):
                group.update({**saved, "betas": tuple(saved["betas"])})  # JSON has lists only
        self.step, self.lr_scale = metadata["step"], metadata["lr_scale"]
        self.failures, self.complete = metadata["failures"], metadata["complete"]
        self.term_weights = metadata.get("weights_of", {})
        self.roles = metadata.get("roles", {})
        self.best_score = float("inf") if metadata["best"] is None else metadata["best"]


def leave_out_equal(
    tensors: Mapping[str, Tensor], others: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Leave out large tensors with the same bits as those of the same name: frozen networks.

    Small ones stay, since they may be equal by chance.
    """
    return {
        name: tensor
        for name, tensor in tensors.items()
        if tensor.numel() < SMALL
        or not torch.equal(tensor, others[name])
        or not torch.equal(tensor.signbit(), others[name].signbit())  # -0 equals 0
    }


def load_weights(model: torch.nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Load a model's weights. Raises: Error if a name or a shape differs from the model's."""
    if mismatch := find_mismatch(model, tensors):
        text = (
            f"no longer fits its recipe: {path.name} {mismatch}; use the version of its run.json."
        )
        raise Error(text, subject=path.parent)
    model.load_state_dict(tensors)


def find_mismatch(model: torch.nn.Module, tensors: dict[str, Tensor]) -> str:
    """Describe the first tensor whose name or shape is not the model's; empty if there is none."""

    def describe(tensor: Tensor) -> str:
        kind = "" if tensor.is_floating_point() else " of whole numbers"
        return f"{tuple(tensor.shape)}{kind}"

    expected = {k: describe(v) for k, v in model.state_dict().items()}
    shapes = {k: describe(v) for k, v in tensors.items()}
    for key in {**expected, **shapes}:
        if shapes.get(key) != expected.get(key):
            shape, target = (d.get(key, "nothing") for d in (shapes, expected))
            return f"holds {key} as {shape}, the model wants {target}"
    return ""
