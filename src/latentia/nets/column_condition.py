"""Conditioning of a VAE on a label column: each layer of both networks gets the image's label."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from latentia.core.errors import Error
from latentia.core.missing import MASK_COLUMN, get_mask, use_mask
from latentia.core.tensors import ImageTensor, Latents, max_batch_size
from latentia.core.text import pluralize
from latentia.nets.conditioning import draw_labels
from latentia.nets.film import WIDTH, make_number_features

N_QUANTILES = 257  # of the training images' numbers
# of the vectors: at scale 1 networks learn the label so late that the latents hold it too
SCALE = 12.0


class ColumnCondition(nn.Module):
    """Vectors of the labels of a column: a class is one-hot, a number has learned features.

    Within `use` the networks get one vector for each image, or one for all. If `target` is given,
    latents are decoded with it: the image under another label.

    Parameters
    ----------
    column : name of the column
    num_classes : number of classes; 0 if the column holds numbers
    """

    distribution: Tensor
    rows: Tensor | None = None
    target: Tensor | None = None

    def __init__(self, column: str, num_classes: int):
        super().__init__()
        self.column, self.num_classes, self.width = column, num_classes, num_classes or WIDTH
        self.features = nn.Identity() if num_classes else make_number_features()
        # of the training images: shares of the classes, or quantiles of the numbers
        self.register_buffer("distribution", torch.linspace(0, 1, num_classes or N_QUANTILES))

    def fit(self, values: Shaped[Tensor, " n"]) -> None:
        """Measure the distribution of the training images' labels."""
        shares = torch.bincount(values[values >= 0].long(), minlength=self.num_classes)
        levels = torch.linspace(0, len(values) - 1, N_QUANTILES).round().long()
        is_class = self.num_classes > 0
        self.distribution.copy_(shares / len(values) if is_class else values.sort()[0][levels])

    def forward(self) -> Float[Tensor, "one_or_b width"]:
        return SCALE * self.features(self.get_rows())

    def get_rows(self) -> Float[Tensor, "one_or_b k"]:
        """Return the labels in use, as `encode` returns them."""
        if self.rows is None:
            raise Error(
                f"The networks depend on {self.column}, which is unknown here; give --cond, or "
                f"images with a column {self.column}."
            )
        return self.rows

    def encode(self, values: Shaped[Tensor, " b"]) -> Float[Tensor, "b k"]:
        """Return labels as the networks get them: one-hot, or in standard deviations.

        Raises: Error if a label is missing, or a class without training images
        """
        distribution = self.distribution
        values = values.to(distribution.device)
        if not self.num_classes:
            rows = (values.to(distribution) - distribution.mean()) / distribution.std()
            rows, is_bad = rows[:, None], ~values.isfinite()
        else:
            rows = (values[:, None] == torch.arange(self.num_classes).to(values)).to(distribution)
            is_bad = rows @ distribution <= 0
        if not self.training and not torch.compiler.is_compiling() and is_bad.any():
            raise Error(
                f"{pluralize(int(is_bad.sum()), 'image')} of {len(values)} have no {self.column}, "
                "or one that no training image has; leave them out."
            )
        return rows

    def draw(self, n: int, seed: int) -> Shaped[Tensor, " n"]:
        """Draw labels as often as the training images have them."""
        return draw_labels(n, seed, self.distribution, self.num_classes > 0)

    @property
    def typical(self) -> Shaped[Tensor, "1"]:
        """The most frequent class, or the mean number, of the training images."""
        return (self.distribution.argmax if self.num_classes else self.distribution.mean)()[None]

    @contextmanager
    def use(self, rows: Tensor | None, target: Tensor | None = None) -> Iterator[None]:
        """Give these vectors to the networks within the block."""
        previous = self.rows, self.target
        self.rows, self.target = rows, rows if target is None else target
        try:
            yield
        finally:
            self.rows, self.target = previous


def get_condition(model: Any) -> ColumnCondition | None:
    """Return the condition of a model's networks on a column; None without one."""
    condition = getattr(model, "condition", None)
    return condition if isinstance(condition, ColumnCondition) else None


def get_classes(model: Any) -> Float[Tensor, "one_or_b k"] | None:
    """Return the classes in use, one-hot; None if the networks depend on no column of classes."""
    condition = get_condition(model)
    return condition.rows if condition and condition.num_classes else None


@contextmanager
def use_columns(
    model: Any, columns: Mapping[str, Tensor], target: Tensor | None = None
) -> Iterator[None]:
    """Give the networks the images' labels within the block, if they depend on a column.

    Missing pixels of the images are left out of the likelihood. target: labels with which latents
    are decoded; those of images without a label too.
    """
    condition, labels = get_condition(model), nullcontext()
    values = columns.get(condition.column, target) if condition else None
    if condition and values is not None:
        labels = condition.use(*(x if x is None else condition.encode(x) for x in (values, target)))
    with use_mask(model, columns.get(MASK_COLUMN)), labels:
        yield


@contextmanager
def use_rows(model: Any, rows: Any) -> Iterator[None]:
    """Give the networks labels and masks of some of the images in use, within the block."""
    condition, mask, labels = get_condition(model), get_mask(model), nullcontext()
    if condition and condition.rows is not None and condition.target is not None:
        parts = condition.rows, condition.target
        labels = condition.use(*(x if len(x) == 1 else x[rows] for x in parts))
    with use_mask(model, mask if mask is None or len(mask) == 1 else mask[rows]), labels:
        yield


def split_rows(model: Any, x: Tensor, size: int) -> Iterator[Tensor]:
    """Yield images or latents in batches, with the labels of each in use."""
    for k, chunk in enumerate(x.split(size)):
        with use_rows(model, slice(k * size, (k + 1) * size)):
            yield chunk


def decode_latents(model: Any, z: Latents) -> ImageTensor:
    """Decode latents in the batches of every sampling, so that equal rows have equal bits.

    Rows are contiguous: on some processors those of a table, stored by column, give other bits.
    """
    rows, z = max_batch_size(getattr(model, "image_shape", ()), 256), z.contiguous()
    return torch.cat([model.decode(chunk) for chunk in split_rows(model, z, rows)])


def draw_images(model: Any, z: Latents) -> ImageTensor:
    """Decode latents of new images, in the batches of every sampling, and add their details."""
    return add_details(model, decode_latents(model, z))


def add_details(model: Any, decoded: ImageTensor) -> ImageTensor:
    """Return new images with the details that the model adds to what it decodes, if it does."""
    refine = getattr(model, "refine", None)
    return refine(decoded) if refine else decoded


def use_path(model: Any, k: int, fractions: Sequence[float]) -> AbstractContextManager[None]:
    """Decode within the block with labels between those of image k and of the next."""
    condition = get_condition(model)
    if condition is None or condition.target is None or len(condition.target) == 1:
        return nullcontext()
    start, end = condition.target[k : k + 2]
    weights = start.new_tensor(fractions)[:, None]
    return condition.use(torch.lerp(start[None], end[None], weights))


def with_columns(method: Any) -> Any:
    """Decorate a model's method so that its networks get the labels of its batch."""

    @wraps(method)
    def call(model: Any, batch: Any, *arguments: Any, **keywords: Any) -> Any:
        with use_columns(model, batch.columns):
            return method(model, batch, *arguments, **keywords)

    return call
