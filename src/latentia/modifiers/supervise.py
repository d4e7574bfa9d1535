"""--supervise: the first latent dimensions learn to tell labels."""

import math
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Gt
from typing_extensions import Doc

from latentia.core.errors import Error
from latentia.data.labels import Labels
from latentia.models.supervision import Supervision
from latentia.training.parameter_types import Metavar
from latentia.training.plan import Plan

DEFAULT_DIMS = 10


def supervise(
    plan: Plan,
    supervise: Annotated[
        str,
        Metavar("COLUMN,..."),
        Doc("label columns that the first latent dimensions learn to predict, such as Year,Body"),
    ] = "label",
    labels: Annotated[
        Path | str | None,
        Metavar("FILE"),
        Doc(
            "table (.csv or .parquet) that holds the columns of --supervise, joined to the images "
            "by file name; the default is the labels of the data"
        ),
    ] = None,
    supervise_dims: Annotated[
        int | None,
        Ge(1),
        Doc(
            f"number of latent dimensions that predict the labels, at least 1; the default is the "
            f"first {DEFAULT_DIMS}"
        ),
    ] = None,
    supervise_weight: Annotated[
        float, Gt(0), Doc("weight of each label's loss, more than 0; 1 adds its nats per image")
    ] = 1.0,
) -> Plan:
    """Columns with class names are classes, all others numbers."""
    model, source = plan.model, plan.images.source.name
    if not hasattr(model, "supervision"):
        raise Error(
            "--supervise needs a model with a posterior; this recipe has none: leave it out."
        )
    latent_dims = math.prod(model.latent_shape)  # pyright: ignore
    if supervise_dims is not None and supervise_dims > latent_dims:
        raise Error(
            f"--supervise-dims is {supervise_dims}; the model has {latent_dims} latent dimensions: give no "
            "more."
        )
    label_names = [name.strip() for name in supervise.split(",")]
    if labels is not None:
        plan.images = plan.images.labelled(Labels(labels, label_names))
    image_metadata = plan.images.spec()
    available_labels = {
        name: image_metadata["labels"][name]
        for name, shape in image_metadata["columns"].items()
        if not shape
    }
    if unknown_names := [name for name in label_names if name not in available_labels]:
        raise Error(
            f"--supervise names {', '.join(unknown_names)}; {source} has "
            f"{', '.join(available_labels) or 'no label columns'}: name one of them, or give --labels FILE."
        )
    columns = {name: len(available_labels[name] or []) or None for name in label_names}
    dims = min(DEFAULT_DIMS, latent_dims) if supervise_dims is None else supervise_dims
    model.supervision = Supervision(columns, dims, supervise_weight)  # pyright: ignore
    return plan
