"""A model whose networks may get the label of each image."""

from contextlib import AbstractContextManager, nullcontext

from torch import Tensor

from latentia.core.contract import Model
from latentia.nets.column_condition import ColumnCondition, use_columns
from latentia.nets.conditioning import expand_condition
from latentia.nets.film import modulate_layers


class ConditionalModel(Model):
    """Base class of models that `--cond` gives a condition.

    Attributes
    ----------
    condition : ColumnCondition or None
        condition of the networks on a label column: its `use` gives them the labels of images
    """

    condition: ColumnCondition | None
    conditioned: tuple[str, ...] = ("encoder", "decoder")  # names of the networks with a condition

    def __init__(self):
        super().__init__()
        self.condition = None

    def add_condition(self, condition: ColumnCondition) -> None:
        """Let the networks get the label of each image."""
        self.condition = condition
        for name in self.conditioned:
            modulate_layers(getattr(self, name), condition)

    @property
    def column(self) -> str | None:
        """Column of the condition; None without one."""
        return self.condition.column if self.condition else None

    @property
    def num_classes(self) -> int:
        """Number of classes of the condition; 0: numbers, or no condition."""
        return self.condition.num_classes if self.condition else 0

    def use_labels(
        self, n: int, seed: int = 0, cond: Tensor | None = None
    ) -> AbstractContextManager[None]:
        """Give the decoder these labels in the block, or n as often as in the training images."""
        if self.condition is None:
            return nullcontext()
        labels = self.condition.draw(n, seed) if cond is None else expand_condition(cond, n)
        return use_columns(self, {self.condition.column: labels})

    def use_target(self) -> AbstractContextManager[None]:
        """Decode in the block with the target labels."""
        return self.condition.use(self.condition.target) if self.condition else nullcontext()
