"""Find and describe recipes: functions whose signature is the configuration of a run."""

import ast
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from latentia.core.errors import Error
from latentia.core.parameters import PARAMETERS_SECTION, validate_parameters
from latentia.core.text import suggest_name

RECIPES_FOLDER = Path(__file__).parents[1] / "recipes"
DIFFUSERS = "diffusers"  # recipe of an autoencoder of diffusers; not listed, as it trains nothing


class RecipeCard(NamedTuple):
    """Description of a recipe, from its docstring and signature."""

    name: str
    summary: str
    details: str
    default_data: str


@cache
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
    return sorted(p.stem for p in RECIPES_FOLDER.glob("*.py") if "\n@recipe\n" in p.read_text())


def read_card(name: str) -> RecipeCard:
    """Describe a recipe from its syntax tree, since listing recipes must not import torch."""
    tree = ast.parse((RECIPES_FOLDER / f"{name}.py").read_text())
    function = next(
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name
    )
    description = (ast.get_docstring(function) or "").partition(PARAMETERS_SECTION)[0]
    summary, _, details = description.partition("\n")
    signature = function.args
    defaults = dict(zip([a.arg for a in signature.args], signature.defaults, strict=False))
    data = defaults.get("data")
    default_data = str(data.value) if isinstance(data, ast.Constant) and data.value else ""
    return RecipeCard(name, summary, details.strip(), default_data)


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
        if there is no such recipe, with the nearest name

    Examples
    --------
    >>> import inspect, latentia
    >>> "latent" in inspect.signature(latentia.find_recipe("conv_vae")).parameters
    True
    """
    if ".py" in name:
        return _find_in_file(name)
    if name == DIFFUSERS:
        return importlib.import_module("latentia.recipes.diffusers_autoencoder").diffusers
    if name not in list_recipes():
        near = suggest_name(name, list_recipes(), " did you mean {}?")
        raise Error(
            f"There is no recipe {name};{near} The recipes are {', '.join(list_recipes())}; "
            "one of your own is my.py:mine."
        )
    return getattr(importlib.import_module(f"latentia.recipes.{name}"), name)


@cache
def _find_in_file(name: str) -> Callable:
    file, _, function_name = name.partition(":")
    path = Path(file)
    if not path.is_file():
        raise Error(f"There is no file {file}; a recipe of your own is given as my.py:mine.")
    path_hash = hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
    module_name = f"_latentia_recipe_{path_hash[:16]}"  # the file's own name could hide a module
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses with written-out annotations look there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    function = getattr(module, function_name, None)
    if not callable(function):
        names = [
            k
            for k, v in vars(module).items()
            if getattr(v, "is_recipe", False) and v.__module__ == module_name
        ]
        hint = f"it holds {', '.join(names)}" if names else "mark one with @latentia.recipe"
        raise Error(f"{file} has no recipe {function_name or '(none was named)'}; {hint}.")
    parameters = inspect.signature(function).parameters
    if "data" not in parameters:
        raise Error(f"{function_name} of {file} takes no data; give it a parameter `data`.")
    for key, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty:
            raise Error(
                f"{function_name} of {file} has a parameter {key} without default; give it one."
            )
    return function


def recipe_source(name: str) -> str:
    """Return a recipe's source text, which run.json keeps for reading."""
    return inspect.getsource(find_recipe(name))


def resolve_parameters(name: str, user_params: dict[str, Any]) -> dict[str, Any]:
    """Check the given parameters of a recipe, and add the others with their defaults."""
    function = find_recipe(name)
    params = {k: v.item() if isinstance(v, np.generic) else v for k, v in user_params.items()}
    validate_parameters(name, function, params)
    defaults = {k: p.default for k, p in inspect.signature(function).parameters.items()}
    return defaults | params
