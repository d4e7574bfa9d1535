"""The commit point: one file that holds all that a resumed run needs."""

from pathlib import Path

import torch
from torch import Tensor

from latentia.core.errors import Error
from latentia.training.checkpoint import read_tensors, write_tensors
from latentia.training.ema import Averaged
from latentia.training.optimizers import moments, restore
from latentia.training.plan import Plan

FAILURES = 3  # non-finite steps after which a run ends


class State:
    """Weights (last, averaged, selected), buffers, optimizers' moments, sums and controllers."""

    def __init__(self, plan: Plan):
        self.model = plan.model
        self.players = plan.model.players()
        self.optimizers = {k: plan.optim[k].build(p.module) for k, p in self.players.items()}
        self.averaged = Averaged(plan.model, plan.average) if plan.average else None
        self.selected: dict[str, Tensor] | None = None
        self.sums: dict[str, Tensor] = {}  # of terms since the last logged row
        self.weights_of: dict[str, dict[str, float]] = {}  # the last of each player's terms since
        self.step = 0
        self.best = float("inf")
        self.lr_scale = 1.0
        self.failures = 0
        self.complete = False

    def add(
        self, player: str, values: dict[str, Tensor], weights: dict[str, float | Tensor]
    ) -> None:
        """To the sums of which the next log row shows the means; weights: its terms', as they are.

        A player or a term need not act at every step: a row tells of all that did since the last.
        """
        told = self.weights_of.setdefault(player, {})
        # one per image: their mean
        told |= {k: w.mean().item() if isinstance(w, Tensor) else w for k, w in weights.items()}
        for name, value in values.items():
            # with a count for each: a term may join between two rows
            for key, more in ((name, value), (f"{name}#", torch.ones(()))):
                key = f"{player}/{key}"
                self.sums[key] = self.sums[key] + more if key in self.sums else more.clone()

    def means(self, player: str) -> dict[str, float]:
        """Means since they were last asked for."""
        own = [key for key in self.sums if key.startswith(f"{player}/")]
        sums = {key.split("/", 1)[1]: self.sums.pop(key).item() for key in own}
        return {k: value / sums[f"{k}#"] for k, value in sums.items() if not k.endswith("#")}

    def weights(self) -> dict[str, Tensor]:
        """What every command but resume reads: selected by validation, else averaged, else last."""
        if self.selected is not None:
            return self.selected
        return self.averaged.tensors if self.averaged else self.model.state_dict()

    def select(self) -> None:
        current = self.averaged.tensors if self.averaged else self.model.state_dict()
        self.selected = {k: v.detach().clone() for k, v in current.items()}

    def save(self, path: Path, log_bytes: int) -> None:
        parts = {
            "model": self.model.state_dict(),
            "averaged": self.averaged.tensors if self.averaged else {},
            "selected": self.selected or {},
            "sums": self.sums,
        }
        for name, optimizer in self.optimizers.items():
            parts[f"optim:{name}"] = moments(optimizer, self.players[name].module)
        tensors = {f"{part}|{k}": v for part, all_ in parts.items() for k, v in all_.items()}
        groups = {
            name: [{k: v for k, v in g.items() if k != "params"} for g in o.param_groups]
            for name, o in self.optimizers.items()
        }
        about = {
            "step": self.step,
            "best": None if self.best == float("inf") else self.best,
            "lr_scale": self.lr_scale,
            "failures": self.failures,
            "complete": self.complete,
            "log_bytes": log_bytes,
            "weights_of": self.weights_of,
            "groups": groups,
        }
        write_tensors(path, tensors, about)

    def load(self, path: Path) -> int:
        """Returns the length of the log that belongs to this state."""
        tensors, about = read_tensors(path)
        parts: dict[str, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            part, name = key.split("|", 1)
            parts.setdefault(part, {})[name] = value
        load_weights(self.model, parts.get("model", {}), path)
        device = next(self.model.parameters()).device
        if self.averaged:
            self.averaged.tensors = {k: v.to(device) for k, v in parts["averaged"].items()}
        self.selected = {k: v.to(device) for k, v in parts.get("selected", {}).items()} or None
        self.sums = {k: v.to(device) for k, v in parts.get("sums", {}).items()}
        for name, optimizer in self.optimizers.items():
            restore(optimizer, self.players[name].module, parts.get(f"optim:{name}", {}))
            for group, saved in zip(optimizer.param_groups, about["groups"][name], strict=True):
                betas = {"betas": tuple(saved["betas"])} if "betas" in saved else {}
                group.update({**saved, **betas})
        self.step, self.lr_scale = about["step"], about["lr_scale"]
        self.failures, self.complete = about["failures"], about["complete"]
        self.weights_of = about.get("weights_of", {})
        self.best = float("inf") if about["best"] is None else about["best"]
        return about["log_bytes"]


def load_weights(model: torch.nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Raises: Error if the tensors are not this model's, with the first that differs."""
    if problem := differs(model, tensors):
        raise Error(
            f"no longer fits its recipe: {path.name} {problem}; use the version of latentia named "
            "in its run.json, or train again.",
            subject=path.parent,
        )
    model.load_state_dict(tensors)


def differs(model: torch.nn.Module, tensors: dict[str, Tensor]) -> str:
    """The first name or shape that the model and the tensors do not share; empty: none."""
    wanted = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    found = {k: tuple(v.shape) for k, v in tensors.items()}
    for key in {**wanted, **found}:
        if (has := found.get(key, "nothing")) != (wants := wanted.get(key, "nothing")):
            return f"holds {key} as {has}, the model wants {wants}"
    return ""
