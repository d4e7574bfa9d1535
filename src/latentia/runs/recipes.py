"""Find and describe recipes: functions whose signature is the configuration of a run."""

import ast
import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from latentia.core.errors import Error
from latentia.core.parameters import PARAMETERS_SECTION, validate_parameters
from latentia.core.plugins import load_file
from latentia.core.registries import RECIPES

RECIPES_FOLDER = Path(__file__).parents[1] / "recipes"
DIFFUSERS = "diffusers"  # recipe of an autoencoder of diffusers; not listed, as it trains nothing


class RecipeCard(NamedTuple):
    """Description of a recipe, from its docstring and signature."""

    name: str
    summary: str
    details: str
    default_data: str


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
        pairs = zip([a.arg for a in node.args.args], node.args.defaults, strict=False)
        defaults = {key: value.value for key, value in pairs if isinstance(value, ast.Constant)}
        text = ast.get_docstring(node)
    else:
        function = find_recipe(name)
        parameters = inspect.signature(function).parameters
        defaults = {key: parameter.default for key, parameter in parameters.items()}
        text = inspect.getdoc(function)
    description = (text or "").partition(PARAMETERS_SECTION)[0]
    summary, _, details = description.partition("\n")
    return RecipeCard(name, summary, details.strip(), str(defaults.get("data") or ""))


def find_recipe(name: str) -> Callable:
    """Return the function of a recipe, whose help shows its parameters.

    Parameters
    ----------
    name : str
        name of a recipe, or "my.py:mine" for a function in a file

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
    if ".py" in name:
        return _check_signature(_find_in_file(name), name)
    if name == DIFFUSERS:
        return importlib.import_module("latentia.recipes.diffusers_autoencoder").diffusers
    return _check_signature(RECIPES[name], name)


def register_recipe(recipe: str | Callable) -> str:
    """Return the name of a recipe; a function that has none is registered by its own."""
    if isinstance(recipe, str):
        return recipe
    if not callable(recipe):
        raise Error(
            f"The recipe is {recipe!r}; it must be a name that latentia.list_recipes() shows, "
            "my.py:mine for a function in a file, or a function."
        )
    if not RECIPES.find_name(recipe):
        RECIPES.register(recipe)
    return str(RECIPES.find_name(recipe))


def split_recipe_name(name: str) -> tuple[str, str]:
    """Return file and function of my.py:mine; a file of Windows may begin with a drive, C:."""
    file, _, function_name = name.rpartition(":")
    return (file, function_name) if ".py" in file else (name, "")


def _find_in_file(name: str) -> Callable:
    file, function_name = split_recipe_name(name)
    path = Path(file).expanduser()
    if not path.is_file():
        raise Error(f"There is no file {file}; a recipe of your own is given as my.py:mine.")
    with RECIPES.keep_first():  # a recipe of another file may have the name: this has its file's
        module = load_file(str(path.resolve()))
    function = getattr(module, function_name, None)
    if not callable(function):
        names = [
            k
            for k, v in vars(module).items()
            if callable(v) and getattr(v, "is_recipe", False) and v.__module__ == module.__name__
        ]
        hint = f"it holds {', '.join(names)}" if names else "mark one with @latentia.recipe"
        raise Error(f"{file} has no recipe {function_name or '(none was named)'}; {hint}.")
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
        return inspect.getsource(find_recipe(name))
    except OSError:  # code that was typed or executed
        return ""


def to_python_numbers(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Replace numbers of NumPy by those of Python, which run.json can hold."""
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in arguments.items()}


def resolve_parameters(name: str, user_params: dict[str, Any]) -> dict[str, Any]:
    """Check the given parameters of a recipe, and add the others with their defaults."""
    function = find_recipe(name)
    params = to_python_numbers(user_params)
    validate_parameters(name, function, params)
    defaults = {k: p.default for k, p in inspect.signature(function).parameters.items()}
    return defaults | params
