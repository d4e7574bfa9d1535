"""Adam, fused, with a learning-rate schedule and clipping; and its state as plain tensors."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentia.core.schedules import Schedule, constant

CONSTANT_ONE = constant(1.0)


@dataclass(frozen=True)
class Adam:
    """lr times `schedule(share of the run)`; clip: the largest gradient norm, None for no limit."""

    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip: float | None = None
    schedule: Schedule = CONSTANT_ONE

    def build_optimizer(self, module: nn.Module) -> "FusedAdamW":
        """AdamW, which without weight decay is Adam."""
        return FusedAdamW(
            module.parameters(),
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=True,
        )


class FusedAdamW(torch.optim.AdamW):
    """PyTorch's AdamW, its fused kernel called straight.

    The wrappers of PyTorch's own methods are for its compiler, which they import: 1.6 seconds
    before the first step, and a tenth of a small step ever after.
    """

    add_param_group = torch.optim.Optimizer.add_param_group.__wrapped__  # pyright: ignore
    zero_grad = torch.optim.Optimizer.zero_grad.__wrapped__  # pyright: ignore

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            tensor_lists: list[list[Tensor]] = [[], [], [], [], [], []]
            self._init_group(group, *tensor_lists)
            if not tensor_lists[0]:  # no gradient
                continue
            torch._foreach_add_(tensor_lists[-1], 1)  # the steps  # pyright: ignore
            torch._fused_adamw_(  # pyright: ignore
                *tensor_lists,
                lr=group["lr"],
                beta1=beta1,
                beta2=beta2,
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
            )

    step.hooked = True  # pyright: ignore[reportFunctionMemberAccess]  # by the constructor, else


def collect_moments(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """The optimizer's state by parameter name: "heads.0.weight/exp_avg"."""
    return {
        f"{name}/{key}": value
        for name, parameter in module.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore_moments(
    optimizer: torch.optim.Optimizer, module: nn.Module, tensors: dict[str, Tensor]
) -> None:
    """The inverse of `moments`.

    Each moment takes its parameter's strides: the fused kernel ignores strides, and a contiguous
    moment beside a channels-last weight trains wrongly without a word (trap 23).
    """
    optimizer.state.clear()
    for name, parameter in module.named_parameters():
        parameter_moments = {
            k.split("/")[-1]: v for k, v in tensors.items() if k.rsplit("/", 1)[0] == name
        }
        for key, value in parameter_moments.items():
            if value.shape == parameter.shape:
                value = torch.empty_like(parameter, requires_grad=False).copy_(value)
            optimizer.state[parameter][key] = value.to(parameter.device)
