"""What a label column adds to values of images, fitted in closed form."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentia.core.tensors import to_float32
from latentia.nets.column_condition import ColumnCondition


class LabelEffect(nn.Module):
    """Linear map from labels to what they add to the values of images; zero until it is fitted.

    For each value, that of a class is the difference of its mean from the mean of all images, and
    that of a number is the slope of a regression. Values that are NaN take no part.

    Parameters
    ----------
    condition : ColumnCondition
        condition on the label column, which the model holds
    width : int
        number of values of an image
    """

    condition: ColumnCondition
    table: Tensor

    def __init__(self, condition: ColumnCondition, width: int):
        super().__init__()
        self.__dict__["condition"] = condition  # not registered: the model holds it once
        self.register_buffer("table", torch.zeros(condition.num_classes or 1, width))
        # of labels times values: 1 * 1, 1 * x, l * 1, l * x, l^2 * 1
        self.sums: list[Tensor] = []

    def forward(self) -> Float[Tensor, "one_or_b width"]:
        rows = self.condition.get_rows()
        with torch.autocast(rows.device.type, enabled=False):
            return to_float32(rows) @ to_float32(self.table)

    def add(self, labels: Float[Tensor, "n k"], values: Float[Tensor, "n width"]) -> None:
        """Add training images, of which labels are those that `ColumnCondition.encode` returns."""
        labels, values = labels.cpu().double(), values.cpu().double()
        observed, values = (~values.isnan()).double(), values.nan_to_num(0.0)
        parts = observed.sum(0), values.sum(0), labels.T @ observed, labels.T @ values
        parts = [*parts, labels.T.square() @ observed]
        self.sums = [a + b for a, b in zip(self.sums, parts, strict=True)] if self.sums else parts

    def fit(self) -> None:
        """Fit the map to the images that were added."""
        count, total, label_sums, products, squares = self.sums
        mean = total / count.clamp_min(1)
        if self.condition.num_classes:
            table = products / label_sums.clamp_min(1) - mean * (label_sums > 0)
        else:
            spread = squares - label_sums.square() / count.clamp_min(1)
            table = (products - label_sums * mean) / spread.clamp_min(1e-12)
            table = table * (spread > 0)
        self.table.copy_(table)
        self.sums = []

    def separate(
        self, labels: Float[Tensor, "n k"], values: Float[Tensor, "n width"]
    ) -> Float[Tensor, "n width"]:
        """Fit the map to all training images, and return their values without it."""
        self.add(labels, values)
        self.fit()
        return self.subtract(labels, values)

    def subtract(
        self, labels: Float[Tensor, "n k"], values: Float[Tensor, "n width"]
    ) -> Float[Tensor, "n width"]:
        """Return the values of images without what their labels add."""
        return values - labels.to(values) @ self.table.to(values)
