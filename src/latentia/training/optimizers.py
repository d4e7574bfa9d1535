"""Fused Adam with a learning-rate schedule and gradient clipping, and its state as tensors."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentia.core.schedules import Schedule, constant

CONSTANT_ONE = constant(1.0)


@dataclass(frozen=True)
class Adam:
    """Adam with decoupled weight decay (Kingma & Ba 2015; Loshchilov & Hutter 2019).

    Parameters
    ----------
    lr : float
        highest learning rate, more than 0
    betas : (float, float)
        decay rates of the moving averages of gradient and squared gradient, from 0 to less than 1
    eps : float
        number added to the denominator, more than 0
    weight_decay : float
        decoupled weight decay, at least 0
    clip : float, optional
        largest gradient norm, in nats per image; None does not clip
    schedule : callable
        factor of the learning rate as a function of the run's progress in [0, 1]

    Examples
    --------
    >>> import latentia
    >>> from latentia.core.schedules import cosine
    >>> adam = latentia.Adam(1e-3, clip=1.0, schedule=cosine())
    >>> adam.lr * adam.schedule(0.5)
    0.0005
    """

    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip: float | None = None
    schedule: Schedule = CONSTANT_ONE

    def build_optimizer(self, module: nn.Module) -> "FusedAdamW":
        """Build the optimizer of a module's parameters."""
        settings = self.lr, self.betas, self.eps, self.weight_decay
        return FusedAdamW(module.parameters(), *settings, fused=True)


class FusedAdamW(torch.optim.AdamW):
    """AdamW that calls PyTorch's fused kernel directly.

    The wrappers around PyTorch's own methods import its compiler: 1.6 seconds before the first
    step, and a tenth of every small step.

    Attributes
    ----------
    found_inf : Tensor, optional
        a number on the device; where it is 1, `step` changes no parameter
    """

    found_inf: Tensor | None = None
    lr_on_gpu: Tensor | None = None  # where a CUDA graph reads it
    add_param_group = torch.optim.Optimizer.add_param_group.__wrapped__  # pyright: ignore
    zero_grad = torch.optim.Optimizer.zero_grad.__wrapped__  # pyright: ignore

    def set_learning_rate(self, lr: float) -> None:
        """Set the learning rate of the next step."""
        for group in self.param_groups:
            group["lr"] = lr
        device = self.param_groups[0]["params"][0].device
        if device.type == "cuda":
            if self.lr_on_gpu is None:
                self.lr_on_gpu = torch.zeros((), device=device)
            self.lr_on_gpu.fill_(lr)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update the parameters once."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            tensor_lists: list[list[Tensor]] = [[], [], [], [], [], []]
            self._init_group(group, *tensor_lists)
            if not tensor_lists[0]:  # no gradient
                continue
            torch._foreach_add_(tensor_lists[-1], 1)  # step counts  # pyright: ignore
            torch._fused_adamw_(  # pyright: ignore
                *tensor_lists,
                lr=group["lr"] if self.lr_on_gpu is None else self.lr_on_gpu,
                beta1=beta1,
                beta2=beta2,
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
                found_inf=self.found_inf,
            )

    # else the constructor wraps the method
    step.hooked = True  # pyright: ignore[reportFunctionMemberAccess]


def collect_moments(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """Return the optimizer's state by parameter name, such as "heads.0.weight/exp_avg"."""
    return {
        f"{name}/{key}": value
        for name, parameter in module.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore_moments(
    optimizer: torch.optim.Optimizer, module: nn.Module, tensors: dict[str, Tensor]
) -> None:
    """Load the state that `collect_moments` returned.

    Each moment takes its parameter's strides: the fused kernel ignores strides, and a contiguous
    moment beside a channels-last weight would train wrongly without an error.
    """
    optimizer.state.clear()
    parameters = dict(module.named_parameters())
    for path, value in tensors.items():
        name, key = path.rsplit("/", 1)
        parameter = parameters[name]
        if value.shape == parameter.shape:
            value = torch.empty_like(parameter, requires_grad=False).copy_(value)
        optimizer.state[parameter][key] = value.to(parameter.device)
