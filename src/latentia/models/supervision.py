"""Label heads: what the first latent dimensions are taught to tell, in nats per image."""

from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.contract import Batch, Terms
from latentia.core.errors import Error
from latentia.core.gaussian import LOG_2PI
from latentia.core.tensors import wide


class Supervision(nn.Module):
    """Linear heads on the first `dims` coordinates of the posterior mean, one a column.

    columns: name -> number of classes, or None for a number. Classes: cross-entropy; numbers:
    -log N(value; output, sigma^2) with a learned sigma, in units of the column's own mean and
    standard deviation over the training images. Heads start at 0: at the labels' ignorance.
    """

    def __init__(self, columns: Mapping[str, int | None], dims: int, weight: float = 1.0):
        super().__init__()
        self.columns, self.dims, self.weight = dict(columns), dims, weight
        # by place, not by name: a module's name may hold no dot
        self.heads = nn.ModuleList(Head(dims, classes) for classes in self.columns.values())

    def forward(self, mean: Float[Tensor, "b *latent"], batch: Batch) -> Terms:
        told = mean.flatten(1)[:, : self.dims]
        named = zip(self.columns, self.heads, strict=True)
        return {f"label {k}": (self.weight, head(told, batch.columns[k])) for k, head in named}

    @torch.no_grad()
    def measure(self, batches: Iterable[Batch]) -> None:
        """The mean and standard deviation of each column of numbers.

        Raises: Error if one holds NaN or infinity, or a single value.
        """
        numbers = {k: h for k, h in zip(self.columns, self.heads, strict=True) if not h.classes}
        if not numbers:
            return
        rows = [[batch.columns[k].double() for k in numbers] for batch in batches]
        for (name, head), parts in zip(numbers.items(), zip(*rows, strict=True), strict=True):
            values = torch.cat(parts)
            sd = values.std(correction=0)
            if not sd > 0:  # NaN is not
                raise Error(
                    f"--supervise {name} cannot be learned: over the training images it holds NaN, "
                    "infinity or a single value; mend the column, or leave it out."
                )
            head.centre.copy_(values.mean())
            head.scale.copy_(sd)


class Head(nn.Module):
    """One column's negative log-likelihood, nats per image."""

    centre: Tensor
    scale: Tensor

    def __init__(self, dims: int, classes: int | None):
        super().__init__()
        self.classes = classes
        self.linear = nn.Linear(dims, classes or 1)
        for parameter in self.linear.parameters():
            nn.init.zeros_(parameter)
        if not classes:
            self.log_sigma = nn.Parameter(torch.zeros(()))
            self.register_buffer("centre", torch.zeros(()))
            self.register_buffer("scale", torch.ones(()))

    def forward(self, told: Float[Tensor, "b k"], values: Tensor) -> Float[Tensor, " b"]:
        output = wide(self.linear(told))
        if self.classes:
            return F.cross_entropy(output, values, reduction="none")
        error = (values.to(output) - self.centre) / self.scale - output.squeeze(1)
        return 0.5 * error.square() * (-2 * self.log_sigma).exp() + self.log_sigma + 0.5 * LOG_2PI
