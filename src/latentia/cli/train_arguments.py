"""Arguments of `latentia train RECIPE`: parameters of the recipe, options, and modifiers."""

import inspect
from typing import Annotated, Any, NamedTuple, get_type_hints

from typing_extensions import Doc
from tyro.conf import arg

from latentia.cli.arguments import make_options, parse_groups, refuse_unknown, refuse_unreadable
from latentia.core.errors import Error
from latentia.runs.modifiers import NAMES, find_modifier
from latentia.runs.recipes import find_recipe
from latentia.training.parameter_types import check
from latentia.training.plan import Options


class TrainArguments(NamedTuple):
    """What `latentia train` is given: `modifiers` by name, each with its arguments."""

    run: str | None
    profile: bool
    parameters: dict[str, Any]
    options: Options
    modifiers: dict[str, dict[str, Any]]


def run_options(
    run: Annotated[
        str | None,
        arg(metavar="DIR"),
        Doc("folder of the new run; the default is runs/RECIPE, with a number if that exists"),
    ] = None,
    profile: Annotated[
        bool, Doc("measure where the time of a training step goes, and write a trace")
    ] = False,
) -> None:
    """Options of every recipe that are no part of a run's settings."""


def parse_train_arguments(recipe: str, words: list[str]) -> TrainArguments:
    """Read the words after the recipe.

    Raises: Error if an option is unknown, has a wrong value, or belongs to a modifier that is off.
    """
    function = find_recipe(recipe)
    modifiers = {name: find_modifier(name) for name in NAMES}
    owners = {"recipe": function, "options": Options, **modifiers}
    names = {
        key: [name for name in inspect.signature(owner).parameters if name != "plan"]
        for key, owner in owners.items()
    }
    known = [name for each in names.values() for name in each]
    for name in names["recipe"]:
        if name in ("run", "profile") or known.count(name) > 1:
            raise Error(
                f"{recipe} has a knob {name}, which is an option of every recipe; rename it."
            )
    refuse_unknown(recipe, words, ["run", *known, "profile"])
    hints: dict[str, Any] = {}
    for owner in owners.values():
        hints |= get_type_hints(owner, include_extras=True)
    for name in modifiers:  # off, which is None, unless it is given
        hints[name] = hints[name] | None
    refuse_unreadable(words, hints)
    parameters = inspect.signature(Options).parameters.values()
    advanced = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]
    usual = [name for name in names["options"] if name not in advanced]
    groups = {
        "recipe": make_options("recipe", function, names["recipe"]),
        "training": make_options("training", Options, usual),
        "advanced": make_options("advanced", Options, advanced),
        **{k: make_options(k, each, names[k], switch=k) for k, each in modifiers.items()},
    }
    main = make_options("options", run_options, ("run", "profile"))
    values = parse_groups(main, groups, f"latentia train {recipe}", words, function)
    given = {key: {name: values[name] for name in each} for key, each in names.items()}
    check("latentia train", Options, given["options"])
    for key, modifier in modifiers.items():
        defaults = inspect.signature(modifier).parameters
        stray = [n for n in names[key] if n != key and values[n] != defaults[n].default]
        if values[key] is None and stray:
            flag, switch = (text.replace("_", "-") for text in (stray[0], key))
            raise Error(f"--{flag} does nothing without --{switch}; give both or neither.")
    return TrainArguments(
        values["run"],
        values["profile"],
        given["recipe"],
        Options(**given["options"]),
        {key: given[key] for key in modifiers if values[key] is not None},
    )
