"""Supervision: heads that predict labels from the first latent dimensions."""

from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.contract import Batch, Role, Term, Terms
from latentia.core.errors import Error
from latentia.core.gaussian import LOG_2PI
from latentia.core.tensors import to_float32, to_float64


class Supervision(nn.Module):
    """Linear heads on the first `dims` dimensions of the posterior mean, one for each column.

    An image without a label (NaN, or class -1) has no term: the mean over a batch is that over its
    images with labels.

    Initial weights are random: heads of zero weight have no gradient by the latents, and did not
    learn labels that are hard to see.

    Parameters
    ----------
    columns : number of classes of each label column by name, or None for a column of numbers
    dims : number of latent dimensions that predict the labels
    weight : weight of each column's loss
    """

    def __init__(self, columns: Mapping[str, int | None], dims: int, weight: float = 1.0):
        super().__init__()
        self.dims, self.weight, self.names = dims, weight, list(columns)
        # a list, since the name of a module must not contain a dot
        self.heads = nn.ModuleList(
            NumberHead(dims) if classes is None else ClassHead(dims, classes)
            for classes in columns.values()
        )

    def forward(self, mean: Float[Tensor, "b *latent"], batch: Batch) -> Terms:
        """Return one loss term for each column, nats per image."""
        latents = mean.flatten(1)[:, : self.dims]
        terms = {}
        for name, head in zip(self.names, self.heads, strict=True):
            values = batch.columns[name]
            is_present = values >= 0 if isinstance(head, ClassHead) else ~values.isnan()
            nats = head(latents, torch.where(is_present, values, 0))
            share = is_present.float().mean().clamp_min(1 / len(values))
            nats = torch.where(is_present, nats, 0) / share
            terms[f"label {name}"] = Term(self.weight, nats, Role.SUPERVISION)
        return terms

    @torch.no_grad()
    def measure_labels(self, batches: Iterable[Batch]) -> None:
        """Compute mean and standard deviation of each column of numbers.

        Raises: Error if a column holds infinity, a single value or none
        """
        pairs = zip(self.names, self.heads, strict=True)
        heads = {name: head for name, head in pairs if isinstance(head, NumberHead)}
        if not heads:
            return
        chunks = [[to_float64(batch.columns[name]) for name in heads] for batch in batches]
        columns = map(torch.cat, zip(*chunks, strict=True))
        for (name, head), values in zip(heads.items(), columns, strict=True):
            values = values[~values.isnan()]
            sd = values.std(correction=0)
            if not sd > 0:  # NaN is not
                raise Error(
                    f"--supervise {name} cannot be learned: over the training images it holds no "
                    "value, infinity or a single value; correct the column, or leave it out."
                )
            head.centre.copy_(values.mean())
            head.scale.copy_(sd)


class ClassHead(nn.Linear):
    """Cross-entropy head of a column of classes, nats per image."""

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=self.in_features**-0.5)
        nn.init.zeros_(self.bias)

    def forward(self, latents: Float[Tensor, "b k"], values: Tensor) -> Float[Tensor, " b"]:
        return F.cross_entropy(to_float32(super().forward(latents)), values, reduction="none")


class NumberHead(nn.Module):
    """-log N(value; output, sigma^2) of a standardised column, sigma learned; nats per image."""

    centre: Tensor
    scale: Tensor

    def __init__(self, dims: int):
        super().__init__()
        self.slope = nn.Parameter(torch.randn(dims) * dims**-0.5)
        self.offset = nn.Parameter(torch.zeros(()))
        self.log_sigma = nn.Parameter(torch.zeros(()))
        self.register_buffer("centre", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, latents: Float[Tensor, "b k"], values: Tensor) -> Float[Tensor, " b"]:
        output = (to_float32(latents) * self.slope).sum(1) + self.offset
        error = (values.to(output) - self.centre) / self.scale - output
        return 0.5 * error.square() * (-2 * self.log_sigma).exp() + self.log_sigma + 0.5 * LOG_2PI
