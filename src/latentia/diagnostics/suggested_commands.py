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
from latentia.core.plugins import is_installed, list_plugin_words
from latentia.core.registries import MODIFIERS, RECIPES
from latentia.data.cache import cache_root
from latentia.data.reading import Reading
from latentia.data.sources.registry import Source, SourceKind
from latentia.diagnostics.run_context import RunContext
from latentia.runs import recipes
from latentia.runs.build import AUTOENCODER
from latentia.runs.folder import find_unused_path
from latentia.training.plan import Options

MNIST_SHAPE = [1, 28, 28]  # of all images that a recipe of the name mnist_* trains on
CHOICE_POINTS = 13  # betas that `latentia choose` compares, unless told otherwise


class Name(NamedTuple):
    """A variable of the user, in a call."""

    name: str

    def __repr__(self) -> str:
        return self.name


DATA = Name("data")  # the user's images in memory


def needs_python(context: RunContext) -> bool:
    """Whether only the present Python session has the run's images, or the code of its recipe."""
    origin = RECIPES.describe_origin(context.run.metadata["recipe"])
    is_session_code = bool(origin) and not origin.endswith(".py") and not is_installed(origin)
    return is_session_code or is_in_memory(context)


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
    metadata, arguments = context.run.metadata, dict(context.parameters)
    defaults, options = get_run_defaults(context), asdict(Options())
    if not defaults or changes.keys() - defaults.keys() - options.keys():
        return []
    before = {**metadata["options"], **arguments}
    is_changed = any(before.get(name) != value for name, value in changes.items()) or any(
        not changed.items() <= metadata["modifiers"].get(name, {}).items()
        for name, changed in (modifiers or {}).items()
    )
    if (changes or modifiers) and not is_changed:
        return []
    arguments["data"] = find_data(context)
    # a diffusers autoencoder brings no images; a run of latentia brings its own
    is_run = not str(arguments.get(AUTOENCODER)).startswith(f"{recipes.DIFFUSERS}:")
    if AUTOENCODER in arguments and is_run:
        if context.data is None and has_parent_images(context):
            del arguments["data"]
        if not Path(arguments[AUTOENCODER]).exists():  # the run has a copy
            arguments[AUTOENCODER] = str(context.run.path / AUTOENCODER)
    arguments |= {k: v for k, v in changes.items() if k in defaults}
    # a changed parameter is written out even if its new value is the default
    keywords = _omit_defaults(arguments, {k: v for k, v in defaults.items() if k not in changes})
    keywords |= _list_options(context, {k: v for k, v in changes.items() if k in options})
    return _format_training(
        context, metadata["recipe"], {**keywords, **_list_modifiers(context, modifiers)}, suffix
    )


def _list_options(context: RunContext, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the run that are not the defaults, with changes."""
    metadata, defaults = context.run.metadata, asdict(Options())
    # a value that the machine chose is chosen anew
    chosen = {name: metadata["options"][name] for name in metadata.get("auto_options", ())}
    return _omit_defaults({**metadata["options"], **changes}, {**defaults, **chosen})


def _list_modifiers(context: RunContext, changes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the arguments of the run's modifiers that are not the defaults, with changes."""
    modifiers, keywords = context.run.metadata["modifiers"], {}
    for name, changed in {**modifiers, **(changes or {})}.items():
        arguments = {**modifiers.get(name, {}), **changed}
        # the flag with the modifier's own name turns it on
        keywords |= _omit_defaults(arguments, {**get_defaults(MODIFIERS[name]), name: object()})
    return keywords


def find_data(context: RunContext) -> str:
    """Return the present address of the run's images, absolute if it is a path."""
    if isinstance(context.data, str | Path):
        stream = context.run.metadata["images"].get("streamed", False)
        return Source(context.data, Reading(stream=stream)).name
    return context.parameters["data"]


def list_moved_data(context: RunContext) -> list[Any]:
    """Return the run's images in memory, or their new address; nothing if they are in place."""
    if is_in_memory(context):
        return [DATA]
    return [] if context.data is None else [find_data(context)]


def is_in_memory(context: RunContext) -> bool:
    """Whether the run's images are an object of a Python session."""
    if context.data is not None:
        return not isinstance(context.data, str | Path)
    return context.run.metadata["images"]["kind"] == SourceKind.MEMORY


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
    path, data = str(context.run.path), list_moved_data(context)
    if not needs_python(context):
        flags = ["--data", *data] if data else []
        return [format_command("latentia", "choose", path, "--for", purpose, *flags)]
    candidates = Name(format_call("find_candidates", path, CHOICE_POINTS))
    selection = Name(format_call("sweep.beta_choice.ImageSelection", *data))
    return [format_call("choose_beta", candidates, purpose, selection)]


def shrink_network(context: RunContext, sizes: Mapping[str, int]) -> list[str]:
    """Reduce parameters of the run's perceptrons to these sizes; else take `mnist_mlp_vae`."""
    if "hidden" not in get_run_defaults(context):
        return use_recipe(context, "mnist_mlp_vae", "small", **sizes)
    values = context.parameters
    smaller = {name: n for name, n in sizes.items() if n < values.get(name, 0)}
    return retrain_run(context, "small", **smaller) if smaller else []


def use_recipe(context: RunContext, recipe: str, suffix: str, **parameters: Any) -> list[str]:
    """Train another recipe of MNIST with the run's options, if the images are of this shape."""
    if context.run.metadata["images"]["shape"] != MNIST_SHAPE:
        return []
    arguments = {"data": find_data(context), **parameters}
    keywords = _omit_defaults(arguments, get_recipe_defaults(recipe))
    keywords |= _list_options(context, {})
    return _format_training(context, recipe, {**keywords, **_list_modifiers(context, None)}, suffix)


def train_prior(context: RunContext, steps: int) -> list[str]:
    """Learn a prior over this run's latents, for at least so many steps."""
    n, batch = context.run.metadata["images"]["count"]["train"], 512
    if n < 16 * batch:  # an epoch would have too few batches
        batch = 128
    epochs = max(30, math.ceil(steps / max(1, n // min(n, batch))))
    arguments = {AUTOENCODER: str(context.run.path), "batch": batch, "epochs": epochs}
    arguments |= {} if context.data is None else {"data": find_data(context)}
    keywords = _omit_defaults(arguments, get_recipe_defaults("latent_prior"))
    keywords |= _list_options(context, {})
    return _format_training(context, "latent_prior", keywords, "prior")


def resume_training(context: RunContext, path: Path) -> list[str]:
    """Resume the run, or the run at the path of its autoencoder, which has the same images."""
    has_same_images = path == context.run.path or has_parent_images(context)
    data = list_moved_data(context) if has_same_images else []
    if needs_python(context):
        return [format_call("resume", str(path), *data)]
    flags = ["--data", *data] if data else []
    return [format_command("latentia", "resume", str(path), *flags)]


def write_image_table(context: RunContext) -> list[str]:
    """Write a table of the images of the findings."""
    path, data = str(context.run.path), list_moved_data(context)
    table = str(find_unused_path(Path(_name_stem(context)), "-images.csv"))
    if needs_python(context):
        report = f"{format_call('load', path, *data)}.diagnose()"
        return [f"{report}.to_frame().to_csv({format_value(table)}, index=False)"]
    flags = ["--data", *data] if data else []
    return [format_command("latentia", "doctor", path, *flags, "--table", table)]


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
    """Format the training of a recipe: in Python if its images or its code are in memory."""
    call = recipe, tuple(keywords.items())
    # two commands of one diagnosis never have the same folder
    path = context.suggested_paths.get(call) or find_unused_path(
        Path(f"{_name_stem(context)}-{suffix}"), taken=context.suggested_paths.values()
    )
    context.suggested_paths[call] = path
    if needs_python(context):
        data = []
        if is_in_memory(context) and keywords.get("data", find_data(context)) == find_data(context):
            keywords = {name: value for name, value in keywords.items() if name != "data"}
            data = [DATA]
        return [format_call("train", recipe, *data, **keywords, run=path)]
    return [
        format_command("latentia", "train", recipe, *_format_flags(keywords), "--run", str(path))
    ]


def _name_stem(context: RunContext) -> str:
    """Return the beginning of the names of new files and folders, beside the run."""
    path = context.run.path
    # beside a downloaded run is the cache: what is new is the user's own
    return path.name if path.is_relative_to(cache_root()) else str(path)


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
