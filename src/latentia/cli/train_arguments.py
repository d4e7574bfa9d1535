"""Arguments of `latentia train RECIPE`: parameters of the recipe, options, and modifiers."""

import inspect
from itertools import chain
from typing import Any, NamedTuple

from latentia.cli.arguments import (
    check_option_names,
    check_option_values,
    list_option_names,
    list_parameters,
    make_options,
    parse_groups,
    read_hints,
)
from latentia.core.errors import Error
from latentia.core.parameters import validate_parameters
from latentia.core.registries import MODIFIERS
from latentia.data.reading import READING_OPTIONS
from latentia.runs.modifiers import load_modifiers
from latentia.runs.recipes import check_other_recipes, find_recipe
from latentia.training.plan import Options

IMAGE_OPTIONS = {*READING_OPTIONS, "labels", "balance"}  # a group of their own in the help


class TrainArguments(NamedTuple):
    """Arguments of a training; modifiers: by name, each with its arguments."""

    run: str | None
    minutes: float | None
    profile: bool
    parameters: dict[str, Any]
    options: Options
    modifiers: dict[str, dict[str, Any]]


def run_options(
    run: str | None = None, minutes: float | None = None, profile: bool = False
) -> None:
    """Options of every recipe that are not saved with the run.

    Parameters
    ----------
    run : DIR
        folder of the new run; the default is runs/RECIPE, with a number if that exists
    minutes : MINUTES
        time for the whole command, in place of --epochs: it measures some steps, computes how many
        epochs fit, and prints their number
    profile
        measure where the time of a training step goes, and write a trace
    """


def parse_train_arguments(recipe: str, words: list[str]) -> TrainArguments:
    """Parse the words after the recipe.

    Raises: Error if an option is unknown, has a wrong value, or belongs to a modifier that is off
    """
    function = find_recipe(recipe)
    modifiers = load_modifiers(list_parameters(function))
    owners = {"recipe": function, "options": Options, **modifiers}
    names = {key: list_parameters(owner) for key, owner in owners.items()}
    all_names = ["run", "minutes", *chain.from_iterable(names.values()), "profile"]
    for key, owned in names.items():
        for name in (each for each in owned if all_names.count(each) > 1):
            text = f"{recipe} has a parameter {name}, which is an option of every recipe"
            if MODIFIERS.describe_origin(key):
                text = f"The modifier {key} has a parameter {name}, which is another option"
            raise Error(f"{text}; rename it.")
    hints = {name: hint for owner in owners.values() for name, hint in read_hints(owner).items()}
    check_other_recipes(recipe, list_option_names(words), all_names)
    check_option_names(recipe, words, all_names, f"latentia train {recipe}")
    hints |= {**read_hints(run_options), **{name: hints[name] | None for name in modifiers}}
    check_option_values(words, hints)
    defaults: dict[str, Any] = {
        name: None if name in modifiers else parameter.default
        for owner in (*owners.values(), run_options)
        for name, parameter in inspect.signature(owner).parameters.items()
    }
    # tyro needs 0.5 ms for each option, so it gets those that are given or required
    flags = {word.partition("=")[0].strip("-").replace("-", "_") for word in words}
    parsed = {
        name
        for name, default in defaults.items()
        if {name, f"no_{name}", "help", "h"} & flags or default is inspect.Parameter.empty
    } - {"plan"}
    basic, advanced = ({*list_parameters(Options, advanced=each)} for each in (False, True))
    of_images = advanced & IMAGE_OPTIONS
    groups = {
        "recipe": make_options(function, parsed),
        "training": make_options(Options, parsed & basic),
        "image": make_options(Options, parsed & of_images),
        "advanced": make_options(Options, parsed & advanced - of_images),
        **{key: make_options(each, parsed, switch=key) for key, each in modifiers.items()},
    }
    main, program = make_options(run_options, parsed), f"latentia train {recipe}"
    values = defaults | parse_groups(main, groups, function, program, words)
    arguments = {key: {name: values[name] for name in each} for key, each in names.items()}
    validate_parameters("latentia train", Options, arguments["options"])
    for key in modifiers:
        changed = [n for n in names[key] if n != key and values[n] != defaults[n]]
        if values[key] is None and changed:
            flag, switch = (text.replace("_", "-") for text in (changed[0], key))
            raise Error(f"--{flag} does nothing without --{switch}; give both or neither.")
    active = {key: arguments[key] for key in modifiers if values[key] is not None}
    options, parameters = Options(**arguments["options"]), arguments["recipe"]
    if values["minutes"] is not None and "--epochs" not in {w.partition("=")[0] for w in words}:
        parameters.pop("epochs", None)  # its default
    run, minutes, profile = (values[name] for name in ("run", "minutes", "profile"))
    return TrainArguments(run, minutes, profile, parameters, options, active)
