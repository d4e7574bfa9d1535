"""Find and describe recipes: functions whose signature is the configuration of a run."""

import ast
import importlib
import inspect
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from latentia.core.errors import Error
from latentia.core.parameters import PARAMETERS_SECTION, validate_parameters
from latentia.core.registries import RECIPES
from latentia.core.text import abbreviate_list
from latentia.runs.recipe_files import RecipeFile, parse_recipe_file, split_recipe_name

RECIPES_FOLDER = Path(__file__).parents[1] / "recipes"
FIXED = {"size": ", as its images have one size", "channels": ", as its channels are fixed"}
DIFFUSERS = "diffusers"  # recipe of an autoencoder of diffusers; not listed, as it trains nothing


class RecipeCard(NamedTuple):
    """Description of a recipe, from its docstring and signature."""

    name: str
    summary: str
    details: str
    default_data: str
    parameters: list[str]


def list_recipes() -> list[str]:
    """List the names of latentia's own recipes.

    Returns
    -------
    list of str
        names that `latentia.train` takes, in alphabetical order

    Examples
    --------
    >>> import latentia
    >>> "conv_vae" in latentia.list_recipes()
    True
    """
    return RECIPES.list_builtin_names()


def read_card(name: str) -> RecipeCard:
    """Describe a recipe; a built-in one from its syntax tree, without an import of torch."""
    if name in list_recipes():
        tree = ast.parse((RECIPES_FOLDER / f"{name}.py").read_text("utf-8"))
        node = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name)
        parameters = [a.arg for a in node.args.args]
        pairs = zip(parameters, node.args.defaults, strict=False)
        defaults = {key: value.value for key, value in pairs if isinstance(value, ast.Constant)}
        text = ast.get_docstring(node)
    else:
        function = get_recipe(name)
        parameters = inspect.signature(function).parameters
        defaults = {key: parameter.default for key, parameter in parameters.items()}
        text = inspect.getdoc(function)
    description = (text or "").partition(PARAMETERS_SECTION)[0]
    summary, _, details = description.partition("\n")
    data = str(defaults.get("data") or "")
    return RecipeCard(name, summary, details.strip(), data, [*parameters])


def find_recipe(name: str) -> Callable:
    """Return the function of a recipe, whose help shows its parameters.

    Parameters
    ----------
    name : str
        name of a recipe, or "my.py:mine" for a function in a file, which is executed

    Returns
    -------
    callable
        function from parameters to a `Plan`

    Raises
    ------
    Error
        if there is no such recipe, with the nearest name, or it cannot be configured

    Examples
    --------
    >>> import inspect, latentia
    >>> "latent" in inspect.signature(latentia.find_recipe("conv_vae")).parameters
    True
    """
    load_recipe_file(name)
    return get_recipe(name)


def load_recipe_file(name: str) -> None:
    """Execute the file of my.py:mine, which a person named; a registered recipe has none."""
    with RECIPES.keep_first():  # a recipe of another file may have the name: this has its file's
        if file := parse_recipe_file(name):
            file.load()


def get_recipe(name: str) -> Callable:
    """Return the function of a recipe that a run may name.

    Raises: Error if there is none, or its file is neither loaded nor one of this user's
    """
    if file := parse_recipe_file(name):
        return _check_signature(_find_in_file(file), name)
    if name == DIFFUSERS:
        return importlib.import_module("latentia.recipes.diffusers_autoencoder").diffusers
    return _check_signature(RECIPES[name], name)


def register_recipe(recipe: str | Callable) -> str:
    """Return the name of a recipe, whose file is executed; a function is registered by its own."""
    if isinstance(recipe, str):
        load_recipe_file(recipe)
        return recipe
    if not callable(recipe):
        raise Error(
            f"The recipe is {recipe!r}; it must be a name that latentia.list_recipes() shows, "
            "my.py:mine for a function in a file, or a function."
        )
    if not RECIPES.find_name(recipe):
        RECIPES.register(recipe)
    return str(RECIPES.find_name(recipe))


def _find_in_file(file: RecipeFile) -> Callable:
    with RECIPES.keep_first():
        module = file.load_if_trusted()
    function = getattr(module, file.function_name, None)
    if not callable(function):
        names = [
            k
            for k, v in vars(module).items()
            if callable(v) and getattr(v, "is_recipe", False) and v.__module__ == module.__name__
        ]
        hint = f"it holds {', '.join(names)}" if names else "mark one with @latentia.recipe"
        name = file.function_name or "(none was named)"
        raise Error(f"{file.path} has no recipe {name}; {hint}.")
    return function


def _check_signature(function: Callable, name: str) -> Callable:
    parameters = inspect.signature(function).parameters
    file, function_name = split_recipe_name(name)
    label = f"{function_name} of {file}" if function_name else name
    if "data" not in parameters:
        raise Error(f"{label} takes no data; give it a parameter `data`.")
    for key, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty:
            raise Error(f"{label} has a parameter {key} without default; give it one.")
    return function


def recipe_source(name: str) -> str:
    """Return a recipe's source text, which run.json keeps for reading; "" if there is none."""
    try:
        return inspect.getsource(get_recipe(name))
    except OSError:  # code that was typed or executed
        return ""


def check_other_recipes(name: str, parameters: Iterable[str], own_names: Container[str]) -> None:
    """Raises: Error if a parameter is not the recipe's own, and other recipes have it."""
    for parameter in (each for each in parameters if each not in own_names):
        others = [each for each in list_recipes() if parameter in read_card(each).parameters]
        option, reason = parameter.replace("_", "-"), FIXED.get(parameter, "")
        if others:
            raise Error(
                f"{name} has no parameter --{option}{reason}; leave it out, or take a recipe that "
                f"has it, such as {abbreviate_list(others, 3)}."
            )


def to_python_numbers(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Replace numbers of NumPy by those of Python, which run.json can hold."""
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in arguments.items()}


def resolve_parameters(name: str, user_params: dict[str, Any]) -> dict[str, Any]:
    """Check the given parameters of a recipe, and add the others with their defaults."""
    function = get_recipe(name)
    params = to_python_numbers(user_params)
    check_other_recipes(name, params, inspect.signature(function).parameters)
    validate_parameters(name, function, params)
    defaults = {k: p.default for k, p in inspect.signature(function).parameters.items()}
    return defaults | params
