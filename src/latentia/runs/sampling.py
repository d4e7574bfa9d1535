"""Condition and sampling options of a model that generates images."""

import inspect
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentia.core.contract import HasTrajectory, Model, get_autoencoder
from latentia.core.errors import Error
from latentia.core.parameters import validate_parameters
from latentia.core.text import pluralize, split_list
from latentia.data.preprocess import preprocess_images
from latentia.data.reader import LoadOptions
from latentia.data.reading import Reading
from latentia.data.splits import load_image
from latentia.nets.column_condition import get_condition
from latentia.runs.folder import RunFolder
from latentia.runs.priors import find_learned_prior

TEMPERATURE = "temperature"  # the parameter of `VAE.sample`


def resolve_sampling(
    run: RunFolder, model: Model, sampling_params: dict[str, Any], is_conditional: bool = False
) -> tuple[dict[str, Any], str]:
    """Return the arguments of `model.sample`, and the description of the prior for captions.

    Raises: Error if the model has no such options, or a value is out of its range.
    """
    details = ", sharpened" if getattr(get_autoencoder(model), "sharpener", None) else ""
    if not isinstance(model, HasTrajectory):
        prior = name_prior(model)
        allowed = {TEMPERATURE} & inspect.signature(model.sample).parameters.keys()
        if unknown := [name for name in sampling_params if name not in allowed]:
            raise Error(
                f"{run.path} draws from {prior}, which has no --{unknown[0]}; "
                "leave it out, or learn a prior: latentia train latent_prior --autoencoder RUN."
            )
        temperature = sampling_params.get(TEMPERATURE, 1)
        if not 0 <= temperature < math.inf:
            raise Error(f"--temperature is {temperature:g}; it must be a number, at least 0.")
        return sampling_params, f"prior {name_prior(model, temperature)}{details}"
    if TEMPERATURE in sampling_params:
        raise Error(
            f"{run.path} draws from a learned prior, which has no --temperature; leave it out, or "
            "give --guidance."
        )
    validate_parameters("latentia sample", type(model.sampling), sampling_params)
    options = replace(model.sampling, **sampling_params)
    description = f"learned prior, {options.sampler}, {pluralize(options.steps, 'step')}"
    if model.column is not None and (is_conditional or model.num_classes):
        description += f", guidance {options.guidance:g}"
    elif model.column is not None:
        description += ", without a condition"
    return {"sampling": options}, description + details


def name_prior(model: Any, temperature: float = 1.0) -> str:
    """Name the prior that a model without a trajectory samples."""
    if prior := getattr(model, "prior", None):
        return prior.caption + (f", temperature {temperature:g}" if temperature != 1 else "")
    return f"N(0, {'' if temperature == 1 else f'{temperature:g}² '}I)"


def list_classes(run: RunFolder, model: Model) -> list[str]:
    """List the classes of a conditional model: names of labels, or numbers of groups."""
    names = run.metadata["images"]["labels"].get(getattr(model, "column", None))
    return names or list(map(str, range(getattr(model, "num_classes", 0))))


def format_labels(run: RunFolder, model: Any, values: Tensor) -> list[str]:
    """Return the names of classes, or numbers, as text."""
    classes = list_classes(run, model)
    return [classes[value] if classes else f"{value:g}" for value in values.tolist()]


def parse_condition(
    run: RunFolder, model: Model, cond: Any, n: int | None = None, data: Any = None
) -> Tensor | None:
    """Parse --cond for n samples: class names or numbers, taken in turn; or one image.

    cond: text, or a name, a number or a list of these; None is no condition. The image is a file,
    or a row number of the test split; `data` holds the images, if not the run's own. Without n
    there is one label for each name or number.

    Raises: Error if the model takes no condition, or not this one.
    """
    if cond is None:
        return None
    is_several = isinstance(cond, Sequence) and not isinstance(cond, str)
    text = ",".join(map(str, cond)) if is_several else str(cond)
    column: str | None = getattr(model, "column", None)
    if column is None:
        prior = find_learned_prior(run)
        advice = f"give its learned prior, {prior.path}, or omit --cond" if prior else "omit --cond"
        raise Error(f"{run.path} was trained without --cond, and has no condition; {advice}.")
    if shape := run.metadata["images"]["columns"].get(column):
        return _load_condition_image(run, column, shape, text, data)
    if (condition := get_condition(model)) and not condition.num_classes:
        return take_in_turn(parse_numbers(text, column, condition.distribution), n)
    names = list_classes(run, model)
    has_words = not all(word.strip().isdecimal() for word in text.split(","))
    if column not in run.metadata["images"]["labels"] and has_words:
        raise Error(
            f"{run.path} was trained without labels, by {len(names)} groups of similar latents, and"
            f" --cond is '{text}'; give numbers of groups from 0, or train latent_prior --cond"
            " COLUMN."
        )
    return take_in_turn(parse_classes(text, names), n)


def take_in_turn(values: list, n: int | None) -> Tensor:
    n = len(values) if n is None else n
    if len(values) > n:
        raise Error(f"--cond names {len(values)} labels and -n is {n}; give as many at least.")
    return torch.tensor([values[k % len(values)] for k in range(n)])


def parse_numbers(text: str, column: str, training_values: Tensor) -> list[float]:
    """Return the numbers in a list such as "0.5,2".

    Raises: Error if a word is no number, or outside the range of the training images.
    """
    low, high = training_values.aminmax()
    with suppress(ValueError):
        numbers = [float(word) for word in text.split(",")]
        if all(low <= number <= high for number in numbers):
            return numbers
    raise Error(f"--cond is '{text}'; {column} of the training images is {low:g} to {high:g}.")


def parse_classes(text: str, names: list[str]) -> list[int]:
    """Return the numbers of the classes in a list such as "cat,dog"; a name may hold a comma.

    A number is the number of a class only if no class has a number as name.

    Raises: Error if a word is no class.
    """
    numbers = {name: k for k, name in enumerate(names)}
    if not any(name.isdecimal() for name in names):
        numbers |= {str(k): k for k in range(len(names))}
    words = split_list(text, numbers)
    if unknown := [word for word in words if word not in numbers]:
        listing = ", ".join(f"'{name}'" for name in names)
        raise Error(f"--cond is '{unknown[0]}'; the classes are {listing}.")
    return [numbers[word] for word in words]


def _load_condition_image(
    run: RunFolder, column: str, shape: list[int], text: str, data: Any
) -> Tensor:
    if text.isdecimal():
        split = run.split(None, data)
        if column not in split.columns:
            source = run.images(data).source.name
            raise Error(f"{source} holds no {column}, which {run.path} needs; give the file.")
        return load_image(text, split).columns[column]
    file = Path(text).expanduser()
    if not file.is_file():
        raise Error(f"There is no file {text}; --cond is a file, or the number of a test image.")
    channels, height, width = shape
    options = LoadOptions(None, None, Reading.from_metadata(run.metadata["images"]))
    preprocessing = options.make_preprocessing((height, width), channels)
    return preprocess_images(str(file), preprocessing)[:1]
