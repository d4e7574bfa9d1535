"""Suggested commands: a run's own command, without its defaults, with the changes of a check."""

import inspect
import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from latentia.core.errors import Error
from latentia.core.plugins import list_plugin_words
from latentia.core.registries import MODIFIERS
from latentia.data.cache import cache_root
from latentia.data.reading import READING_OPTIONS
from latentia.data.sources.registry import SourceKind
from latentia.diagnostics.run_context import RunContext
from latentia.runs import recipes
from latentia.runs.build import AUTOENCODER
from latentia.runs.folder import find_unused_path
from latentia.training.plan import Options


class Name(NamedTuple):
    """A variable of the user, in a call."""

    name: str

    def __repr__(self) -> str:
        return self.name


DATA, LABELS = Name("data"), Name("labels")  # the user's images and labels in memory


def get_defaults(function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.items()
    return {name: parameter.default for name, parameter in parameters if name != "plan"}


def get_recipe_defaults(recipe: str) -> dict[str, Any]:
    """Return a recipe's parameters and their defaults; none if it no longer exists."""
    try:
        return get_defaults(recipes.find_recipe(recipe))
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
    metadata, arguments = context.run.metadata, context.parameters
    defaults, options = get_run_defaults(context), asdict(Options())
    if not defaults or changes.keys() - defaults.keys() - options.keys():
        return []
    # a diffusers autoencoder brings no images; a run of latentia brings its own
    is_run = not str(arguments.get(AUTOENCODER)).startswith(f"{recipes.DIFFUSERS}:")
    if AUTOENCODER in arguments and "data" not in changes and is_run and has_parent_images(context):
        arguments = {k: v for k, v in arguments.items() if k != "data"}
    arguments = {**arguments, **{k: v for k, v in changes.items() if k in defaults}}
    # a changed parameter is written out even if its new value is the default
    keywords = _omit_defaults(arguments, {k: v for k, v in defaults.items() if k not in changes})
    run_options = {**metadata["options"], **{k: v for k, v in changes.items() if k in options}}
    # a value that the machine chose is chosen anew
    chosen = {name: metadata["options"][name] for name in metadata.get("auto_options", ())}
    keywords |= _omit_defaults(run_options, {**options, **chosen})
    for name, changed in {**metadata["modifiers"], **(modifiers or {})}.items():
        modifier = {**metadata["modifiers"].get(name, {}), **changed}
        # the flag with the modifier's own name turns it on
        keywords |= _omit_defaults(modifier, {**get_defaults(MODIFIERS[name]), name: object()})
    return _format_training(context, metadata["recipe"], keywords, suffix)


def has_parent_images(context: RunContext) -> bool:
    """Whether a prior was trained on the images at the address that its autoencoder holds."""
    if context.parent is None:
        return True
    sources = [run.metadata["images"]["source"] for run in (context.run, context.parent)]
    return sources[0] == sources[1]


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


def train_longer(context: RunContext, steps: int, min_factor: float = 3) -> list[str]:
    """Train for at least so many steps, and at least `min_factor` times the epochs."""
    old = context.parameters.get("epochs", 0)
    epochs = math.ceil(max(min_factor * old, old * steps / max(1, context.total_steps)))
    return retrain_run(context, f"epochs{epochs}", epochs=epochs) if epochs else []


def choose_beta(context: RunContext, purpose: str) -> list[str]:
    """Choose the beta for a purpose from the run's range of betas, or train at beta 1."""
    if not context.run.beta_range:
        return retrain_run(context, "beta1", beta=1.0)
    return [format_command("latentia", "choose", str(context.run.path), "--for", purpose)]


def use_recipe(context: RunContext, recipe: str, suffix: str, **parameters: Any) -> list[str]:
    """Train another recipe on the same images, read and split in the same way."""
    arguments = {"data": context.parameters["data"], **parameters}
    defaults, options = asdict(Options()), context.run.metadata["options"]
    image_options = {name: options.get(name, defaults[name]) for name in READING_OPTIONS}
    keywords = _omit_defaults(arguments, get_recipe_defaults(recipe))
    keywords |= _omit_defaults(image_options, defaults)
    return _format_training(context, recipe, keywords, suffix)


def train_prior(context: RunContext, steps: int) -> list[str]:
    """Learn a prior over this run's latents, for at least so many steps."""
    n, batch = context.run.metadata["images"]["count"]["train"], 512
    if n < 16 * batch:  # an epoch would have too few batches
        batch = 128
    epochs = max(30, math.ceil(steps / max(1, n // min(n, batch))))
    arguments = {AUTOENCODER: str(context.run.path), "batch": batch, "epochs": epochs}
    keywords = _omit_defaults(arguments, get_recipe_defaults("latent_prior"))
    return _format_training(context, "latent_prior", keywords, "prior")


def resume_training(path: str | Path, images: Mapping[str, Any]) -> list[str]:
    """Resume a run. images: the entry of run.json on its images."""
    if SourceKind.MEMORY in (images["kind"], images.get("label_source")):
        return [format_resume_call(path, images)]
    return [format_command("latentia", "resume", str(path))]


def format_resume_call(path: str | Path, images: Mapping[str, Any]) -> str:
    """Format the call of Python that resumes a run. images: as in `resume_training`."""
    data = [DATA] if images["kind"] == SourceKind.MEMORY else []
    return format_call("resume", path, *data, **_name_labels(images))


def _name_labels(images: Mapping[str, Any]) -> dict[str, Any]:
    """Return the argument `labels` of a run that has it."""
    source = images.get("label_source")
    return {"labels": LABELS if source == SourceKind.MEMORY else source} if source else {}


def format_command(*arguments: str) -> str:
    return shlex.join([*arguments, *list_plugin_words()])


def format_call(function: str, *arguments: Any, **keywords: Any) -> str:
    """Format a call of latentia in Python."""
    words = [format_value(each) for each in arguments]
    words += [f"{name}={format_value(value)}" for name, value in keywords.items()]
    return f"latentia.{function}({', '.join(words)})"


def format_value(value: Any) -> str:
    """Format text in double quotes, as `latentia` does, and numbers without rounding errors."""
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)
    return repr(float(f"{value:.10g}") if isinstance(value, float) else value)


def _format_training(
    context: RunContext, recipe: str, keywords: Mapping[str, Any], suffix: str
) -> list[str]:
    """Format the training of a recipe: in Python, if its images are an object in memory."""
    path = context.run.path
    if path.is_relative_to(cache_root()):  # a downloaded run: the new one is the user's own
        path = Path(path.name)
    path = find_unused_path(Path(f"{path}-{suffix}"))
    images = context.run.metadata["images"]
    if keywords.get("data", images["source"]) == images["source"]:
        data, labels = [], _name_labels(images)
        if images["kind"] == SourceKind.MEMORY:
            data, keywords = [DATA], {k: v for k, v in keywords.items() if k != "data"}
        if data or labels:
            return [format_call("train", recipe, *data, **labels, **keywords, run=path)]
    return [
        format_command("latentia", "train", recipe, *_format_flags(keywords), "--run", str(path))
    ]


def _omit_defaults(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if k not in defaults or v != defaults[k]}


def _format_flags(values: Mapping[str, Any]) -> list[str]:
    """Format values as options of the command line."""
    flags = []
    for name, value in values.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            flags += [f"--{flag}", f"{value:.10g}" if isinstance(value, float) else str(value)]
    return flags


def round_to_two_digits(value: float) -> float:
    return float(f"{value:.2g}")
