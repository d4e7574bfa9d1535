"""What is asked of a model that draws: its condition, and how it samples."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentia.core.contract import HasTrajectory, Model
from latentia.core.errors import Error
from latentia.core.parameters import validate_parameters
from latentia.core.text import pluralize
from latentia.data.decode import Preprocessing
from latentia.data.preprocess import preprocess_images
from latentia.runs.folder import RunFolder


def resolve_sampling(
    run: RunFolder, model: Model, sampling_params: dict[str, Any], is_conditional: bool = False
) -> tuple[dict[str, Any], str]:
    """What `model.sample` wants to be told, and the prior in words; asked: for a condition.

    Raises: Error if the model has no such options, or a value is out of its range.
    """
    if not isinstance(model, HasTrajectory):
        if sampling_params:
            raise Error(
                f"{run.path} draws from N(0, I), which has no --{next(iter(sampling_params))}; leave it out,"
                " or learn a prior: latentia train latent_prior --autoencoder RUN."
            )
        return {}, "prior N(0, I)"
    validate_parameters("latentia sample", type(model.sampling), sampling_params)
    options = replace(model.sampling, **sampling_params)
    description = f"learned prior, {options.sampler}, {pluralize(options.steps, 'step')}"
    if model.column is not None and (is_conditional or model.num_classes):
        description += f", guidance {options.guidance:g}"
    elif model.column is not None:
        description += ", without a condition"
    return {"sampling": options}, description


def list_classes(run: RunFolder, model: Model) -> list[str]:
    """The classes that a model may be asked for: names of labels, or numbers of groups."""
    if not isinstance(model, HasTrajectory) or not model.num_classes:
        return []
    return run.metadata["images"]["labels"].get(model.column) or [
        *map(str, range(model.num_classes))
    ]


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
    image_metadata = run.metadata["images"]
    if shape := image_metadata["columns"].get(column):
        if text.isdecimal():
            split = run.split(None, data)
            if column not in split.columns:
                raise Error(f"{data} holds no {column}, which {run.path} wants; give the file.")
            if int(text) >= len(split):
                raise Error(
                    f"There is no image {text} in {split.name}; it has {len(split)}, from 0."
                )
            row = slice(int(text), int(text) + 1)
            return split.get_batch(row).columns[column]
        if not Path(text).is_file():
            raise Error(
                f"There is no file {text}; --cond is a file, or the number of a test image."
            )
        preprocessing = image_metadata["preprocessing"]
        c, h, w = shape
        return preprocess_images(
            text, Preprocessing(h, w, c, preprocessing["white"], preprocessing["background"])
        )[:1]
    class_names = list_classes(run, model)
    class_numbers = [*map(str, range(len(class_names)))]
    class_indices = []
    words = [word.strip() for word in text.split(",")]
    if len(words) > n:
        raise Error(
            f"--cond names {len(words)} classes for {pluralize(n, 'image')}; give "
            f"-n {len(words)} or more."
        )
    for word in words:
        if word not in class_names and word not in class_numbers:
            raise Error(f"--cond is {word}; the classes are {', '.join(class_names)}.")
        class_indices.append(class_names.index(word) if word in class_names else int(word))
    return torch.tensor([class_indices[k % len(class_indices)] for k in range(n)])
