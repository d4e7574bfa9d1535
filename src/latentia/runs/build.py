"""From a recipe's name, its arguments, edits and options to a plan."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from latentia.core.errors import Error
from latentia.core.seeding import restore_global_generators, seed_global_generators
from latentia.data import Images
from latentia.data.sources.registry import make_source
from latentia.runs.modifiers import apply_modifiers
from latentia.runs.recipes import find_recipe
from latentia.training.device import find_device, find_precision
from latentia.training.plan import Options, Plan

AUTOENCODER = "autoencoder"  # the knob, and the folder in a run, of the run that it was built from


def build_plan(
    recipe: str,
    arguments: Mapping[str, Any],
    modifiers: Mapping[str, Mapping[str, Any]],
    options: Options,
    parent: Any = None,
) -> Plan:
    """One seed fixes the initialisation: it is set before the recipe makes its networks.

    parent: the run that it is built on, where the recipe has a knob for one.
    """
    data = arguments.get("data")
    overrides: dict[str, Any] = {}
    if parent is not None:
        overrides[AUTOENCODER] = parent.autoencoder()
        # as the autoencoder was shown them, and in its splits: what it never saw stays unseen
        data = data if isinstance(data, Images) else parent.images(data)
    if not isinstance(data, Images):
        source_options = options
        data = make_source(
            data,
            source_options.white,
            source_options.background,
            source_options.seed,
            source_options.validation,
            source_options.stream,
        )
    overrides["data"] = data
    with restore_global_generators():
        seed_global_generators(options.seed, "initialisation")
        plan = find_recipe(recipe)(**{**arguments, **overrides})
        if not isinstance(plan, Plan):
            hint = "a recipe returns a latentia.Plan."
            raise Error(f"{recipe} returned {type(plan).__name__}; {hint}")
        return apply_modifiers(plan, modifiers)


def resolve_auto_options(options: Options) -> Options:
    """What "auto" means here, so that a resume elsewhere does the same."""
    device = find_device(options.device)
    precision = find_precision(options.precision, device)
    return replace(
        options,
        precision="bf16" if precision == torch.bfloat16 else "fp32",
        threads=options.threads or torch.get_num_threads(),
    )


def make_paths_absolute(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """As run.json holds them: paths in full, since a run may be opened from another folder."""
    return {k: str(v.resolve()) if isinstance(v, Path) else v for k, v in parameters.items()}
