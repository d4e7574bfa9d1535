"""Build the plan of a run from its recipe, arguments, modifiers and options."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from latentia.core.contract import Model
from latentia.core.errors import Error
from latentia.core.memory import (
    AllocationGuard,
    check_memory,
    find_available_memory,
    make_memory_error,
)
from latentia.core.seeding import restore_global_generators, seed_global_generators
from latentia.data import Images
from latentia.data.reading import Reading
from latentia.data.sources.registry import LabelledData, make_source
from latentia.runs.modifiers import apply_modifiers
from latentia.runs.recipes import get_recipe
from latentia.training.device import find_device, find_device_memory
from latentia.training.plan import Options, Plan
from latentia.training.precision import find_precision

SPARE_MEMORY = 2**28  # bytes beside four times the trained weights, for a model that is read again
AUTOENCODER = "autoencoder"  # a recipe's parameter, and the folder in a run that holds its value


def build_plan(
    recipe: str,
    arguments: Mapping[str, Any],
    modifiers: Mapping[str, Mapping[str, Any]],
    options: Options,
    parent: Any = None,
    weights: Path | None = None,
) -> Plan:
    """Call the recipe and the modifiers, with initial weights that depend on the seed only.

    parent: run of the autoencoder, for a recipe that has this parameter. weights: file of trained
    ones; a model that is much larger is refused before it takes memory.

    Raises: Error if the recipe does not return a Plan, or the model does not fit into memory.
    """
    arguments = dict(arguments)
    data = arguments.get("data")
    if options.labels is not None and not isinstance(data, Images | LabelledData):
        data = LabelledData(data, options.labels)
    if parent is not None:
        arguments[AUTOENCODER] = parent.autoencoder()
        if parent.condition is not None:
            raise Error(
                f"The networks of {parent.path} depend on {parent.condition}; give --autoencoder "
                "a run without --cond."
            )
        # with the autoencoder's preprocessing and splits: its test images stay unseen
        data = data if isinstance(data, Images) else parent.images(data)
    arguments["data"] = (
        data if isinstance(data, Images) else make_source(data, Reading.from_options(options))
    )
    limit = available = find_available_memory()
    if weights is not None and weights.exists():
        limit = min(available, SPARE_MEMORY + 4 * weights.stat().st_size)
    function, guard = get_recipe(recipe), AllocationGuard(limit)
    plan = None
    try:
        with restore_global_generators(), guard:
            seed_global_generators(options.seed, "initialisation")
            plan = function(**arguments)
            if not isinstance(plan, Plan):
                raise Error(f"{recipe} returned {type(plan).__name__}; return a latentia.Plan.")
            plan = apply_modifiers(plan, modifiers)
    except (RuntimeError, TypeError):  # such as that a tensor without memory has no values
        if not guard.is_exceeded:
            raise
    if plan is not None and not guard.is_exceeded:
        return plan
    if weights is not None and limit < available:
        text = (
            f"no longer fits its recipe: a model of more than {limit / 1e9:,.1f} GB is not that of "
            f"{weights.name}; use the version of its run.json."
        )
        raise Error(text, subject=weights.parent)
    n_bytes = math.inf if plan is None else sum(p.nbytes for p in plan.model.parameters())
    advice = advise_smaller(function, arguments)
    raise make_memory_error(n_bytes, f"A model of {recipe}", advice, limit)


def check_training_memory(
    recipe: str, arguments: Mapping[str, Any], plan: Plan, device: torch.device
) -> None:
    """Check weights, gradients, optimizer moments, averages and one batch before training.

    Raises: Error if they need more memory than is free on the device
    """
    weights = sum(p.nbytes for p in plan.model.parameters() if p.requires_grad)
    batch = 4 * plan.batch_size() * math.prod(plan.images.shape)
    copies = 5 + (plan.average is not None)  # gradient, two moments, the best, the one to save
    draws = getattr(plan.model, "k", 1)  # importance samples of an image
    n_bytes = (1 + copies) * weights + (1 + 2 * draws) * batch  # images, output and its gradient
    subject, advice = f"Training {recipe}", advise_smaller(get_recipe(recipe), arguments)
    check_memory(n_bytes, subject, advice, find_device_memory(device))


def advise_smaller(function: Callable, arguments: Mapping[str, Any]) -> str:
    """Name the parameters whose whole numbers are above their defaults."""
    defaults = {k: p.default for k, p in inspect.signature(function).parameters.items()}
    larger = [
        f"--{name.replace('_', '-')}"
        for name, value in arguments.items()
        if name != "epochs"
        and isinstance(value, int)
        and isinstance(defaults[name], int)
        and value > defaults[name]
    ]
    return f"lower {' or '.join(larger)}" if larger else "take a smaller --size or another recipe"


def resolve_auto_options(options: Options, model: Model) -> Options:
    """Replace precision "auto" and the default number of threads by this machine's values."""
    return replace(
        options,
        precision=find_precision(options.precision, find_device(options.device), model),
        threads=options.threads or torch.get_num_threads(),
    )


def make_paths_absolute(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Make paths absolute for run.json, since a run may be opened from another folder."""
    return {k: str(v.resolve()) if isinstance(v, Path) else v for k, v in parameters.items()}
