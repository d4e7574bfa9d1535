"""--supervise: train the first latent dimensions to predict labels."""

import math
from typing import Annotated

import torch
from annotated_types import Ge, Gt

from latentia.core.contract import Batch
from latentia.core.errors import Error
from latentia.core.registries import modifier
from latentia.core.text import split_list
from latentia.data import Images
from latentia.models.hvae import HVAE
from latentia.models.supervision import Supervision
from latentia.training.plan import Plan

DEFAULT_DIMS = 10


@modifier(before="multirate")
def supervise(
    plan: Plan,
    supervise: str = "label",
    supervise_dims: Annotated[int | None, Ge(1)] = None,
    supervise_weight: Annotated[float, Gt(0)] = 1.0,
) -> Plan:
    """Let the first latent dimensions predict labels.

    A column of classes is classified, a column of numbers is regressed. An image without a label is
    trained without its term.

    Parameters
    ----------
    supervise : COLUMN,...
        label columns of the data, or of --labels, that the first latent dimensions learn to
        predict, such as Year,Body
    supervise_dims : N
        number of latent dimensions that predict the labels, at least 1; the default is 10, or all
        if there are fewer
    supervise_weight : FLOAT
        weight of each label's loss, more than 0; 1 adds its nats per image
    """
    model = plan.model
    if not hasattr(model, "supervision"):
        raise Error("--supervise needs a model with a posterior; leave it out of this recipe.")
    n_dims = math.prod(model.latent_shape)  # pyright: ignore
    if isinstance(model, HVAE):  # those of the top level
        n_dims = model.level_sizes[0]
    if supervise_dims is not None and supervise_dims > n_dims:
        raise Error(f"--supervise-dims is {supervise_dims}; the model has {n_dims}: lower it.")
    classes = plan.images.to_metadata()["labels"]
    names = split_list(supervise, classes)
    check_label_columns("--supervise", names, plan.images)
    columns = {name: len(classes[name] or []) or None for name in names}
    dims = min(DEFAULT_DIMS, n_dims) if supervise_dims is None else supervise_dims
    model.supervision = supervision = Supervision(columns, dims, supervise_weight)  # pyright: ignore
    if not plan.images.is_recorded:  # a useless column is refused before a run is made
        if constant := [name for name, count in columns.items() if count == 1]:
            text = "cannot be learned: all images have one label; name another column, or omit it."
            raise Error(f"--supervise {constant[0]} {text}")
        supervision.measure_labels([Batch(torch.empty(0), plan.images.split("train").columns)])
    return plan


def check_label_columns(option: str, names: list[str], images: Images) -> None:
    """Raises: Error if a name is not that of a column of classes or numbers."""
    columns = images.to_metadata()["columns"]
    scalars = [name for name, shape in columns.items() if not shape]
    if unknown := [name for name in names if name not in scalars]:
        has = f"{', '.join(scalars)}: name one of them, or" if scalars else "no label columns:"
        raise Error(
            f"{option} names {', '.join(unknown)}; {images.source.name} has {has} give --labels "
            "FILE."
        )
