"""Adam, fused, with a learning-rate schedule and clipping; and its state as plain tensors."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentia.core.schedules import Schedule, constant

STEADY = constant(1.0)


@dataclass(frozen=True)
class Adam:
    """lr times `schedule(share of the run)`; clip: the largest gradient norm, None for no limit."""

    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip: float | None = None
    schedule: Schedule = STEADY

    def build(self, module: nn.Module) -> torch.optim.AdamW:
        """AdamW, which without weight decay is Adam."""
        return torch.optim.AdamW(
            module.parameters(),
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=True,
        )


def moments(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """The optimizer's state by parameter name: "heads.0.weight/exp_avg"."""
    return {
        f"{name}/{key}": value
        for name, parameter in module.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore(
    optimizer: torch.optim.Optimizer, module: nn.Module, tensors: dict[str, Tensor]
) -> None:
    """The inverse of `moments`.

    Each moment takes its parameter's strides: the fused kernel ignores strides, and a contiguous
    moment beside a channels-last weight trains wrongly without a word (trap 23).
    """
    optimizer.state.clear()
    for name, parameter in module.named_parameters():
        found = {k.split("/")[-1]: v for k, v in tensors.items() if k.rsplit("/", 1)[0] == name}
        for key, value in found.items():
            if value.shape == parameter.shape:
                value = torch.empty_like(parameter, requires_grad=False).copy_(value)
            optimizer.state[parameter][key] = value.to(parameter.device)
