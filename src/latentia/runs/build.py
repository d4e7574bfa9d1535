"""Build the plan of a run from its recipe, arguments, modifiers and options."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from latentia.core.contract import Model
from latentia.core.errors import Error
from latentia.core.seeding import restore_global_generators, seed_global_generators
from latentia.data import Images
from latentia.data.reading import Reading
from latentia.data.sources.registry import LabelledData, make_source
from latentia.runs.modifiers import apply_modifiers
from latentia.runs.recipes import get_recipe
from latentia.training.device import find_device
from latentia.training.plan import Options, Plan
from latentia.training.precision import find_precision

AUTOENCODER = "autoencoder"  # a recipe's parameter, and the folder in a run that holds its value


def build_plan(
    recipe: str,
    arguments: Mapping[str, Any],
    modifiers: Mapping[str, Mapping[str, Any]],
    options: Options,
    parent: Any = None,
) -> Plan:
    """Call the recipe and the modifiers, with initial weights that depend on the seed only.

    parent: run of the autoencoder, for a recipe that has this parameter.

    Raises: Error if the recipe does not return a Plan.
    """
    arguments = dict(arguments)
    data = arguments.get("data")
    if options.labels is not None and not isinstance(data, Images | LabelledData):
        data = LabelledData(data, options.labels)
    if parent is not None:
        arguments[AUTOENCODER] = parent.autoencoder()
        # with the autoencoder's preprocessing and splits: its test images stay unseen
        data = data if isinstance(data, Images) else parent.images(data)
    arguments["data"] = (
        data if isinstance(data, Images) else make_source(data, Reading.from_options(options))
    )
    with restore_global_generators():
        seed_global_generators(options.seed, "initialisation")
        plan = get_recipe(recipe)(**arguments)
        if not isinstance(plan, Plan):
            raise Error(
                f"{recipe} returned {type(plan).__name__}; a recipe returns a latentia.Plan."
            )
        return apply_modifiers(plan, modifiers)


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
