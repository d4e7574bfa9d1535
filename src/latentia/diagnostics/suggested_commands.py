"""Commands that mend: what a run was trained with, where it differs from the defaults, changed."""

import inspect
import math
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from latentia.core.errors import Error
from latentia.data import cache
from latentia.diagnostics.run_context import RunContext
from latentia.runs import modifiers as all_edits
from latentia.runs import recipes
from latentia.runs.build import AUTOENCODER
from latentia.training.plan import Options

IMAGE_OPTIONS = (
    "white",
    "background",
    "validation",
    "seed",
    "stream",
)  # how images are read and split


def get_defaults(function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.items()
    return {name: parameter.default for name, parameter in parameters if name != "plan"}


def get_recipe_parameters(recipe: str) -> dict[str, Any]:
    """A recipe's knobs and their defaults; none if it cannot be found any more."""
    try:
        return get_defaults(recipes.find_recipe(recipe))
    except Error:
        return {}


def has_parameter(context: RunContext, parameter: str) -> bool:
    return parameter in get_recipe_parameters(context.run.metadata["recipe"])


def retrain(
    context: RunContext, suffix: str, *, modifiers: Any = None, **changes: Any
) -> list[str]:
    """The run's own command with these knobs or options changed, into a folder of its own.

    edits: edits to add or change, by name. [] if the recipe lacks a knob that is to be changed.
    """
    metadata = context.run.metadata
    recipe, default_options = metadata["recipe"], asdict(Options())
    default_parameters = get_recipe_parameters(recipe)
    if (
        not default_parameters
        or changes.keys() - default_parameters.keys() - default_options.keys()
    ):
        return []
    arguments = {
        **metadata["arguments"],
        **{k: v for k, v in changes.items() if k in default_parameters},
    }
    is_from_diffusers = str(arguments.get(AUTOENCODER)).startswith(
        f"{recipes.DIFFUSERS}:"
    )  # brings no images
    if (
        AUTOENCODER in arguments
        and "data" not in changes
        and not is_from_diffusers
        and has_parent_images(context)
    ):
        arguments.pop("data")  # the autoencoder's own
    known_defaults = {
        k: v for k, v in default_parameters.items() if k not in changes
    }  # what mends is said
    flags = _format_flags(arguments, known_defaults)
    run_options = {
        **metadata["options"],
        **{k: v for k, v in changes.items() if k in default_options},
    }
    flags += _format_flags(run_options, {**default_options, **_find_auto_values()})
    for name, modifier_changes in {**metadata["modifiers"], **(modifiers or {})}.items():
        modifier_arguments = {**metadata["modifiers"].get(name, {}), **modifier_changes}
        known_defaults = {
            **get_defaults(all_edits.find_modifier(name)),
            name: object(),
        }  # its flag is what makes it
        flags += _format_flags(modifier_arguments, known_defaults)
    return _format_training_command(context, recipe, flags, suffix)


def has_parent_images(context: RunContext) -> bool:
    """Whether a prior was trained on the images where its autoencoder says they are."""
    if context.parent is None:
        return True
    source, parent_source = (
        run.metadata["images"]["source"] for run in (context.run, context.parent)
    )
    return source == parent_source


def reset_parameters(context: RunContext, *names: str) -> list[str]:
    """Those of these knobs that are twice or half the recipe's own, or further, back to it."""
    default_values, current_values = (
        get_recipe_parameters(context.run.metadata["recipe"]),
        context.parameters,
    )
    comparable = [
        k for k in names if k in default_values and k in current_values
    ]  # an older run may lack one
    resets = {
        k: default_values[k]
        for k in comparable
        if not is_within_factor_two(current_values[k], default_values[k])
    }
    suffix = "-".join(f"{k}{v:g}" for k, v in resets.items())
    return retrain(context, suffix, **resets) if resets else []


def is_within_factor_two(a: float | None, b: float | None) -> bool:
    """Equal, or less than twice each other."""
    return a == b or bool(a and b and b / 2 < a < b * 2)


def lower_learning_rate(context: RunContext) -> list[str]:
    """At the recipe's own learning rate, or at a tenth of the run's."""
    default_lr = get_recipe_parameters(context.run.metadata["recipe"]).get("lr")
    if default_lr is None or context.parameters["lr"] >= 2 * default_lr:
        return reset_parameters(context, "lr")
    new_lr = round_to_two_digits(context.parameters["lr"] / 10)
    return retrain(context, f"lr{new_lr:g}", lr=new_lr)


def train_longer(context: RunContext, steps: int, min_factor: float = 3) -> list[str]:
    """At least so many steps, and `least` times the epochs."""
    epochs = context.parameters.get("epochs", 0)
    new_epochs = math.ceil(max(min_factor * epochs, epochs * steps / max(1, context.total_steps)))
    return retrain(context, f"epochs{new_epochs}", epochs=new_epochs) if epochs else []


def suggest_beta_choice(context: RunContext, purpose: str) -> list[str]:
    """Of a run that has learned many betas: the one for a purpose."""
    run = context.run
    return (
        [format_command("latentia", "choose", str(run.path), "--for", purpose)]
        if run.beta_range
        else []
    )


def use_recipe(context: RunContext, recipe: str, suffix: str, **parameters: Any) -> list[str]:
    """Another recipe on the same images, read in the same way."""
    flags = _format_flags(
        {"data": context.parameters["data"], **parameters}, get_recipe_parameters(recipe)
    )
    default_options = asdict(Options())
    image_options = {
        name: context.run.metadata["options"].get(name, default_options[name])
        for name in IMAGE_OPTIONS
    }
    return _format_training_command(
        context, recipe, flags + _format_flags(image_options, default_options), suffix
    )


def train_prior(context: RunContext, steps: int) -> list[str]:
    """A learned prior over this run's latents, for at least so many steps."""
    n_images, batch = context.run.metadata["images"]["count"]["train"], 512
    if n_images < 16 * batch:  # so few batches an epoch that smaller ones teach more
        batch = 128
    steps_per_epoch = max(1, n_images // min(n_images, batch))
    epochs = max(30, -(-steps // steps_per_epoch))
    arguments = {AUTOENCODER: str(context.run.path), "batch": batch, "epochs": epochs}
    return _format_training_command(
        context,
        "latent_prior",
        _format_flags(arguments, get_recipe_parameters("latent_prior")),
        "prior",
    )


def suggest_resume(path: str | Path) -> list[str]:
    return [format_command("latentia", "resume", str(path))]


def format_command(*arguments: str) -> str:
    return shlex.join(arguments)


def _format_training_command(
    context: RunContext, recipe: str, flags: list[str], suffix: str
) -> list[str]:
    path = context.run.path
    if path.is_relative_to(cache.cache_root()):  # a run of the hub: what mends it is the user's own
        path = Path(path.name)
    run = ["--run", str(unused_path(Path(f"{path}-{suffix}")))]
    return [format_command("latentia", "train", recipe, *flags, *run)]


def unused_path(path: Path) -> Path:
    """The path, or, where it exists, the first numbered one that does not."""
    candidate, number = path, 2
    while candidate.exists():
        candidate, number = path.with_name(f"{path.name}-{number}"), number + 1
    return candidate


def _find_auto_values() -> dict[str, Any]:
    """What `auto` means, which run.json holds in its place."""
    from latentia.training.device import find_device, find_precision

    bf16 = find_precision("auto", find_device("auto")) == torch.bfloat16
    return {"precision": "bf16" if bf16 else "fp32", "threads": torch.get_num_threads()}


def _format_flags(values: dict[str, Any], default_values: dict[str, Any]) -> list[str]:
    """Those that are not as usual."""
    flags = []
    for name, value in values.items():
        if name in default_values and value == default_values[name]:
            continue
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            text = f"{value:.10g}" if isinstance(value, float) else str(value)
            flags += [f"--{flag}", text]
    return flags


def round_to_two_digits(value: float) -> float:
    """As a person would type it."""
    return float(f"{value:.2g}")
