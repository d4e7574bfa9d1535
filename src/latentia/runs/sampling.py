"""What is asked of a model that draws: its condition, and how it samples."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentia.core.contract import HasTrajectory, Model
from latentia.core.errors import Error
from latentia.core.text import counted
from latentia.data.decode import Preprocessing
from latentia.data.preprocess import incoming
from latentia.runs.folder import RunFolder
from latentia.training.parameter_types import check


def resolve_sampling(
    run: RunFolder, model: Model, wanted: dict[str, Any], asked: bool = False
) -> tuple[dict[str, Any], str]:
    """What `model.sample` wants to be told, and the prior in words; asked: for a condition.

    Raises: Error if the model has no such options, or a value is out of its range.
    """
    if not isinstance(model, HasTrajectory):
        if wanted:
            raise Error(
                f"{run.path} draws from N(0, I), which has no --{next(iter(wanted))}; leave it out,"
                " or learn a prior: latentia train latent_prior --autoencoder RUN."
            )
        return {}, "prior N(0, I)"
    check("latentia sample", type(model.sampling), wanted)
    how = replace(model.sampling, **wanted)
    told = f"learned prior, {how.sampler}, {counted(how.steps, 'step')}"
    if model.column is not None and (asked or model.classes):
        told += f", guidance {how.guidance:g}"
    elif model.column is not None:
        told += ", without a condition"
    return {"sampling": how}, told


def list_classes(run: RunFolder, model: Model) -> list[str]:
    """The classes that a model may be asked for: names of labels, or numbers of groups."""
    if not isinstance(model, HasTrajectory) or not model.classes:
        return []
    return run.metadata["images"]["labels"].get(model.column) or [*map(str, range(model.classes))]


def parse_condition(
    run: RunFolder, model: Model, text: str, n: int, data: str | None = None
) -> Tensor:
    """Of n images: class names or numbers, each in its turn; or an image, by file or test index.

    data: where the run's images are now, or others.

    Raises: Error if the model takes no condition, or not this one.
    """
    column = model.column if isinstance(model, HasTrajectory) else None
    if column is None:
        raise Error(f"{run.path} draws without a condition; leave --cond out.")
    spec = run.metadata["images"]
    if shape := spec["columns"].get(column):
        if text.isdecimal():
            part = run.split(None, data)
            if column not in part.columns:
                raise Error(f"{data} holds no {column}, which {run.path} wants; give the file.")
            if int(text) >= len(part):
                raise Error(f"There is no image {text} in {part.name}; it has {len(part)}, from 0.")
            row = slice(int(text), int(text) + 1)
            return part.batch(row).columns[column]
        if not Path(text).is_file():
            raise Error(
                f"There is no file {text}; --cond is a file, or the number of a test image."
            )
        how = spec["preprocessing"]
        c, h, w = shape
        return incoming(text, Preprocessing(h, w, c, how["white"], how["background"]))[:1]
    names = list_classes(run, model)
    known = [*map(str, range(len(names)))]
    rows = []
    words = [word.strip() for word in text.split(",")]
    if len(words) > n:
        raise Error(
            f"--cond names {len(words)} classes for {counted(n, 'image')}; give "
            f"-n {len(words)} or more."
        )
    for word in words:
        if word not in names and word not in known:
            raise Error(f"--cond is {word}; the classes are {', '.join(names)}.")
        rows.append(names.index(word) if word in names else int(word))
    return torch.tensor([rows[k % len(rows)] for k in range(n)])
