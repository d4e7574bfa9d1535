"""The commit point: one file that holds all that a resumed run needs."""

from pathlib import Path

import torch
from torch import Tensor

from latentia.core.errors import Error
from latentia.training.checkpoint import read_tensors, write_tensors
from latentia.training.ema import EMA
from latentia.training.optimizers import collect_moments, restore_moments
from latentia.training.plan import Plan

MAX_FAILURES = 3  # non-finite steps after which a run ends


class State:
    """Weights (last, averaged, selected), buffers, optimizers' moments, sums and controllers."""

    def __init__(self, plan: Plan):
        self.model = plan.model
        self.players = plan.model.players()
        self.optimizers = {
            k: plan.optim[k].build_optimizer(p.module) for k, p in self.players.items()
        }
        self.ema = EMA(plan.model, plan.average) if plan.average else None
        self.best_weights: dict[str, Tensor] | None = None
        self.sums: dict[str, Tensor] = {}  # of terms since the last logged row
        self.term_weights: dict[str, dict[str, float]] = {}  # the last of each player's terms since
        self.step = 0
        self.best_score = float("inf")
        self.lr_scale = 1.0
        self.failures = 0
        self.complete = False

    def add_terms(
        self, player: str, values: dict[str, Tensor], weights: dict[str, float | Tensor]
    ) -> None:
        """To the sums of which the next log row shows the means; weights: its terms', as they are.

        A player or a term need not act at every step: a row tells of all that did since the last.
        """
        last_weights = self.term_weights.setdefault(player, {})
        # one per image: their mean
        last_weights |= {
            k: w.mean().item() if isinstance(w, Tensor) else w for k, w in weights.items()
        }
        for name, value in values.items():
            # with a count for each: a term may join between two rows
            for key, increment in ((name, value), (f"{name}#", torch.ones(()))):
                key = f"{player}/{key}"
                self.sums[key] = (
                    self.sums[key] + increment if key in self.sums else increment.clone()
                )

    def pop_means(self, player: str) -> dict[str, float]:
        """Means since they were last asked for."""
        player_keys = [key for key in self.sums if key.startswith(f"{player}/")]
        sums = {key.split("/", 1)[1]: self.sums.pop(key).item() for key in player_keys}
        return {k: value / sums[f"{k}#"] for k, value in sums.items() if not k.endswith("#")}

    def final_weights(self) -> dict[str, Tensor]:
        """What every command but resume reads: selected by validation, else averaged, else last."""
        if self.best_weights is not None:
            return self.best_weights
        return self.ema.tensors if self.ema else self.model.state_dict()

    def select_weights(self) -> None:
        current = self.ema.tensors if self.ema else self.model.state_dict()
        self.best_weights = {k: v.detach().clone() for k, v in current.items()}

    def save(self, path: Path, log_bytes: int) -> None:
        sections = {
            "model": self.model.state_dict(),
            "averaged": self.ema.tensors if self.ema else {},
            "selected": self.best_weights or {},
            "sums": self.sums,
        }
        for name, optimizer in self.optimizers.items():
            sections[f"optim:{name}"] = collect_moments(optimizer, self.players[name].module)
        tensors = {
            f"{section}|{k}": v for section, entries in sections.items() for k, v in entries.items()
        }
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
            "log_bytes": log_bytes,
            "weights_of": self.term_weights,
            "groups": groups,
        }
        write_tensors(path, tensors, metadata)

    def load(self, path: Path) -> int:
        """Returns the length of the log that belongs to this state."""
        tensors, metadata = read_tensors(path)
        sections: dict[str, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            section, name = key.split("|", 1)
            sections.setdefault(section, {})[name] = value
        load_weights(self.model, sections.get("model", {}), path)
        device = next(self.model.parameters()).device
        if self.ema:
            self.ema.tensors = {k: v.to(device) for k, v in sections["averaged"].items()}
        self.best_weights = {
            k: v.to(device) for k, v in sections.get("selected", {}).items()
        } or None
        self.sums = {k: v.to(device) for k, v in sections.get("sums", {}).items()}
        for name, optimizer in self.optimizers.items():
            restore_moments(optimizer, self.players[name].module, sections.get(f"optim:{name}", {}))
            for group, group_state in zip(
                optimizer.param_groups, metadata["groups"][name], strict=True
            ):
                betas = {"betas": tuple(group_state["betas"])} if "betas" in group_state else {}
                group.update({**group_state, **betas})
        self.step, self.lr_scale = metadata["step"], metadata["lr_scale"]
        self.failures, self.complete = metadata["failures"], metadata["complete"]
        self.term_weights = metadata.get("weights_of", {})
        self.best_score = float("inf") if metadata["best"] is None else metadata["best"]
        return metadata["log_bytes"]


def load_weights(model: torch.nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Raises: Error if the tensors are not this model's, with the first that differs."""
    if mismatch := find_mismatch(model, tensors):
        raise Error(
            f"no longer fits its recipe: {path.name} {mismatch}; use the version of latentia "
            "named in its run.json, or train again.",
            subject=path.parent,
        )
    model.load_state_dict(tensors)


def find_mismatch(model: torch.nn.Module, tensors: dict[str, Tensor]) -> str:
    """The first name or shape that the model and the tensors do not share; empty: none."""
    expected_shapes = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    actual_shapes = {k: tuple(v.shape) for k, v in tensors.items()}
    for key in {**expected_shapes, **actual_shapes}:
        if (actual := actual_shapes.get(key, "nothing")) != (
            expected := expected_shapes.get(key, "nothing")
        ):
            return f"holds {key} as {actual}, the model wants {expected}"
    return ""
