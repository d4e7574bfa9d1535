"""Suggested commands: a run's own command, without its defaults, with the changes of a check."""

import inspect
import math
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from latentia.core.errors import Error
from latentia.core.registries import MODIFIERS, RECIPES
from latentia.data.cache import cache_root
from latentia.data.reading import Reading
from latentia.data.sources.registry import Source, SourceKind
from latentia.diagnostics.command_text import (
    DATA,
    Name,
    format_call,
    format_command,
    format_fit,
    format_flags,
    format_value,
    name_labels,
)
from latentia.diagnostics.run_context import RunContext
from latentia.diagnostics.validation_curve import count_extensible_epochs
from latentia.runs import recipes
from latentia.runs.build import AUTOENCODER
from latentia.runs.create import FIT_FILE
from latentia.runs.folder import find_unused_path
from latentia.training.checkpoint import read_json
from latentia.training.plan import Options

MNIST_SHAPE = [1, 28, 28]  # of all images that a recipe of the name mnist_* trains on
TARGET_STEPS, PRIOR_TARGET_STEPS = 1500, 2000  # of a suggested training, at least
CHOICE_POINTS = 13  # betas that `latentia choose` compares, unless told otherwise


def needs_python(context: RunContext) -> bool:
    """Whether the images or the recipe's code are of a Python session, or it gave labels."""
    is_notebook_code = RECIPES.describe_origin(context.run.metadata["recipe"]) == "__main__"
    return is_notebook_code or is_in_memory(context) or bool(name_labels(context.run))


def get_defaults(function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.items()
    return {name: parameter.default for name, parameter in parameters if name != "plan"}


def get_recipe_defaults(recipe: str) -> dict[str, Any]:
    """Return a recipe's parameters and their defaults; none if it no longer exists."""
    try:
        return get_defaults(recipes.get_recipe(recipe))
    except Error:
        return {}


def get_run_defaults(context: RunContext) -> dict[str, Any]:
    return get_recipe_defaults(context.run.metadata["recipe"])


def retrain_run(
    context: RunContext, suffix: str, *, modifiers: Any = None, **changes: Any
) -> list[str]:
    """Return the run's command with changed parameters or options, into a new folder.

    modifiers: arguments to add or change, by modifier. The list is empty if the recipe lacks a
    changed parameter.
    """
    metadata, arguments = context.run.metadata, dict(context.parameters)
    defaults, options = get_run_defaults(context), asdict(Options())
    if not defaults or changes.keys() - defaults.keys() - options.keys():
        return []
    before = ChainMap(arguments, metadata["options"], *metadata["modifiers"].values())
    requested = ChainMap(changes, *(modifiers or {}).values())
    if requested and all(before.get(name) == value for name, value in requested.items()):
        return []
    arguments["data"] = find_data(context)
    # a diffusers autoencoder brings no images; a run of latentia brings its own
    is_run = not str(arguments.get(AUTOENCODER)).startswith(f"{recipes.DIFFUSERS}:")
    if AUTOENCODER in arguments and is_run:
        if not list_moved_data(context) and has_parent_images(context):
            del arguments["data"]
        if not Path(arguments[AUTOENCODER]).exists():  # the run has a copy
            arguments[AUTOENCODER] = str(context.run.path / AUTOENCODER)
    arguments |= {k: v for k, v in changes.items() if k in defaults}
    # a changed parameter is written out even if its new value is the default
    keywords = _omit_defaults(arguments, {k: v for k, v in defaults.items() if k not in changes})
    keywords |= _list_options(context, {k: v for k, v in changes.items() if k in options})
    keywords |= _list_modifiers(context, modifiers or {})
    return _format_training(context, metadata["recipe"], keywords, suffix)


def _list_options(context: RunContext, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the run that are not the defaults, with changes."""
    metadata, defaults = context.run.metadata, asdict(Options())
    # a value that the machine chose is chosen anew
    chosen = {name: metadata["options"][name] for name in metadata.get("auto_options", ())}
    return _omit_defaults({**metadata["options"], **changes}, {**defaults, **chosen})


def _list_modifiers(context: RunContext, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the run's modifiers that are not the defaults, with changes."""
    modifiers, keywords = context.run.metadata["modifiers"], {}
    for name, changed in {**modifiers, **changes}.items():
        arguments = {**modifiers.get(name, {}), **changed}
        # the flag with the modifier's own name turns it on
        keywords |= _omit_defaults(arguments, {**get_defaults(MODIFIERS[name]), name: object()})
    return keywords


def find_data(context: RunContext) -> Any:
    """Return the name of the images in memory, or their present address, absolute if a path."""
    if is_in_memory(context):
        return DATA
    if context.data is None:
        return context.parameters["data"]
    stream = context.run.metadata["images"].get("streamed", False)
    return Source(context.data, Reading(stream=stream)).name


def list_moved_data(context: RunContext) -> list[Any]:
    """Return the run's images in memory, or their new address; nothing if they are in place."""
    is_in_place = context.data is None and not is_in_memory(context)
    return [] if is_in_place else [find_data(context)]


def is_in_memory(context: RunContext) -> bool:
    """Whether the run's images are an object of a Python session."""
    if context.data is not None:
        return not isinstance(context.data, str | Path)
    return context.run.metadata["images"]["kind"] == SourceKind.MEMORY


def has_parent_images(context: RunContext) -> bool:
    """Whether a prior was trained on the images at the address that its autoencoder holds."""
    runs = (context.run, context.parent or context.run)
    return len({run.metadata["images"]["source"] for run in runs}) == 1


def reset_parameters(context: RunContext, *names: str) -> list[str]:
    """Reset those of these parameters to the default that differ from it by a factor of two."""
    defaults, values = get_run_defaults(context), context.parameters
    resets = {
        name: defaults[name]
        for name in names
        if name in defaults
        and name in values  # a run of an older version may lack a parameter
        and not is_within_factor_two(values[name], defaults[name])
    }
    suffix = "-".join(f"{name}{value:g}" for name, value in resets.items())
    return retrain_run(context, suffix, **resets) if resets else []


def is_within_factor_two(a: float | None, b: float | None) -> bool:
    return a == b or bool(a and b and b / 2 < a < b * 2)


def lower_learning_rate(context: RunContext) -> list[str]:
    """Reset the learning rate to the recipe's default, or divide the run's by ten."""
    default = get_run_defaults(context).get("lr")
    if default is None or context.parameters["lr"] >= 2 * default:
        return reset_parameters(context, "lr")
    lr = round_to_two_digits(context.parameters["lr"] / 10)
    return retrain_run(context, f"lr{lr:g}", lr=lr)


def train_longer(context: RunContext, min_factor: float = 3) -> list[str]:
    """Train for enough steps and at least `min_factor` times the epochs, unless it overfits."""
    old = count_extensible_epochs(context)
    steps = PRIOR_TARGET_STEPS if context.is_prior else TARGET_STEPS
    epochs = math.ceil(max(min_factor * old, old * steps / max(1, context.total_steps)))
    return retrain_run(context, f"epochs{epochs}", epochs=epochs) if epochs else []


def train_closer(context: RunContext) -> list[str]:
    """Train three times the epochs with a tenth of beta, unless the run overfits."""
    epochs, beta = 3 * count_extensible_epochs(context), context.parameters.get("beta")
    changes = {"epochs": epochs} | ({"beta": round_to_two_digits(beta / 10)} if beta else {})
    return retrain_run(context, f"epochs{epochs}", **changes) if epochs else []


def lower_weight(context: RunContext) -> list[str]:
    """Train with half the weight of the features, for a smaller error of the pixels."""
    weight = round_to_two_digits(context.run.metadata["closed_form"]["feature_weight"] / 2)
    return retrain_run(context, f"weight{weight:g}", weight=weight)


def choose_beta(context: RunContext, purpose: str) -> list[str]:
    """Choose the beta for a purpose from the run's range of betas, or train at beta 1."""
    if not context.run.beta_range:
        return retrain_run(context, "beta1", beta=1.0)
    path, data = str(context.run.path), list_moved_data(context)
    if not needs_python(context):
        return [format_command("latentia", "choose", path, "--for", purpose, data=data)]
    candidates = Name(format_call("find_candidates", path, CHOICE_POINTS))
    selection = Name(format_call("sweep.beta_choice.ImageSelection", *data))
    return [format_call("choose_beta", candidates, purpose, selection)]


def use_recipe(context: RunContext, recipe: str, suffix: str, **parameters: Any) -> list[str]:
    """Train another recipe of MNIST with the run's options, if the images are of this shape."""
    if context.run.metadata["images"]["shape"] != MNIST_SHAPE:
        return []
    arguments = {"data": find_data(context), **parameters}
    keywords = _omit_defaults(arguments, get_recipe_defaults(recipe))
    keywords |= _list_options(context, {}) | _list_modifiers(context, {})
    return _format_training(context, recipe, keywords, suffix)


def train_prior(context: RunContext) -> list[str]:
    """Learn a prior over this run's latents, for enough steps."""
    n = context.run.metadata["images"]["count"]["train"]
    batch = 512 if n >= 16 * 512 else 128  # an epoch needs a few batches
    epochs = max(30, math.ceil(PRIOR_TARGET_STEPS / max(1, n // min(n, batch))))
    arguments = {AUTOENCODER: str(context.run.path), "batch": batch, "epochs": epochs}
    if data := list_moved_data(context):
        arguments["data"] = data[0]
    keywords = _omit_defaults(arguments, get_recipe_defaults("latent_prior"))
    keywords |= _list_options(context, {})
    return _format_training(context, "latent_prior", keywords, "prior")


def draw_samples(context: RunContext, prior: Path) -> list[str]:
    """Draw samples with the learned prior of this run's latents, which is in this folder."""
    path, data = str(prior), list_moved_data(context)
    if needs_python(context):
        return [f"{format_call('load', path, *data)}.sample(64)"]
    out = str(find_unused_path(Path(_name_stem(context)), "-samples.png"))
    return [format_command("latentia", "sample", path, "-n", "64", "--out", out, data=data)]


def resume_training(context: RunContext, path: Path) -> list[str]:
    """Resume the run, or the run at the path of its autoencoder, which has the same images."""
    has_same_images = path == context.run.path or has_parent_images(context)
    data = list_moved_data(context) if has_same_images else []
    if needs_python(context):
        return [format_call("resume", str(path), *data, **name_labels(context.run))]
    fit = read_json(path / FIT_FILE)
    if fit and not fit["is_complete"] and not data:  # the same command plans what is left
        return [format_fit(fit["request"], path)]
    return [format_command("latentia", "resume", str(path), data=data)]


def use_principal_axes(context: RunContext) -> list[str]:
    """Traverse an image along the principal axes of the latents, and write coordinates of all."""
    path, data = str(context.run.path), list_moved_data(context)
    if needs_python(context):
        return [f'{format_call("load", path, *data)}.encode(axes="principal")']
    table = str(find_unused_path(Path(_name_stem(context)), "-principal.csv"))
    axes = ("--axes", "principal")
    return [
        format_command("latentia", "traverse", path, "0", *axes, data=data),
        format_command("latentia", "encode", path, *axes, "--out", table, data=data),
    ]


def write_image_table(context: RunContext) -> list[str]:
    """Write a table of the images of the findings."""
    path, data = str(context.run.path), list_moved_data(context)
    table = str(find_unused_path(Path(_name_stem(context)), "-images.csv"))
    if needs_python(context):
        report = f"{format_call('load', path, *data)}.diagnose()"
        return [f"{report}.to_frame().to_csv({format_value(table)}, index=False)"]
    return [format_command("latentia", "doctor", path, "--table", table, data=data)]


def _format_training(
    context: RunContext, recipe: str, keywords: Mapping[str, Any], suffix: str
) -> list[str]:
    """Format the training of a recipe: in Python if its images or its code are in memory."""
    call = repr((recipe, keywords))
    # two commands of one diagnosis never have the same folder
    path = context.suggested_paths.get(call) or find_unused_path(
        Path(f"{_name_stem(context)}-{suffix}"), taken=context.suggested_paths.values()
    )
    context.suggested_paths[call] = path
    if needs_python(context):
        data = [value for value in keywords.values() if value is DATA]
        keywords = {name: value for name, value in keywords.items() if value is not DATA}
        labels = name_labels(context.run)
        return [format_call("train", recipe, *data, **labels, **keywords, run=path)]
    words = (recipe, *format_flags(keywords), "--run", str(path))
    return [format_command("latentia", "train", *words)]


def _name_stem(context: RunContext) -> str:
    """Return the beginning of the names of new files and folders, beside the run."""
    path = context.run.path
    # beside a downloaded run is the cache: what is new is the user's own
    return path.name if path.is_relative_to(cache_root()) else str(path)


def _omit_defaults(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if k not in defaults or v != defaults[k]}


def round_to_two_digits(value: float) -> float:
    return float(f"{value:.2g}")
