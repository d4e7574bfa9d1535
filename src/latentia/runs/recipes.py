"""Recipes: functions whose signature is the configuration; listed without importing torch."""

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
from latentia.training.parameter_types import check, nearest

FOLDER = Path(__file__).parents[1] / "recipes"
DIFFUSERS = "diffusers"  # of an autoencoder that no recipe trained; not among the names


class RecipeCard(NamedTuple):
    """What a recipe says of itself, read from its source."""

    name: str
    summary: str
    about: str
    data: str


def list_recipes() -> list[str]:
    return sorted(p.stem for p in FOLDER.glob("*.py") if "\n@recipe\n" in p.read_text())


def read_card(name: str) -> RecipeCard:
    """From the syntax tree: listing recipes must not wait for torch."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text())
    function = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name)
    summary, _, about = (ast.get_docstring(function) or "").partition("\n")
    arguments = function.args
    defaults = dict(zip([a.arg for a in arguments.args], arguments.defaults, strict=False))
    data = defaults.get("data")
    default = str(data.value) if isinstance(data, ast.Constant) and data.value else ""
    return RecipeCard(name, summary, about.strip(), default)


def find_recipe(name: str) -> Callable:
    """The function of a recipe's name, or of `my.py:mine`.

    Raises: Error if there is none, with the nearest name.
    """
    if ".py" in name:
        return _find_in_file(name)
    if name == DIFFUSERS:
        return importlib.import_module("latentia.recipes.diffusers_autoencoder").diffusers
    if name not in list_recipes():
        near = nearest(name, list_recipes(), " did you mean {}?")
        raise Error(
            f"There is no recipe {name};{near} The recipes are {', '.join(list_recipes())}; "
            "one of your own is my.py:mine."
        )
    return getattr(importlib.import_module(f"latentia.recipes.{name}"), name)


@cache
def _find_in_file(name: str) -> Callable:
    file, _, function = name.partition(":")
    path = Path(file)
    if not path.is_file():
        raise Error(f"There is no file {file}; a recipe of your own is given as my.py:mine.")
    unique = hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
    private = f"_latentia_recipe_{unique[:16]}"  # by the file's own name it could replace a module
    spec = importlib.util.spec_from_file_location(private, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[private] = module  # dataclasses with written-out annotations look there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[private]
        raise
    own = [
        k
        for k, v in vars(module).items()
        if getattr(v, "is_recipe", False) and v.__module__ == private
    ]
    found = getattr(module, function, None)
    if not callable(found):
        near = f"; it holds {', '.join(own)}" if own else "; mark one with @latentia.recipe"
        raise Error(f"{file} has no recipe {function or '(none was named)'}{near}.")
    parameters = inspect.signature(found).parameters
    if "data" not in parameters:
        raise Error(f"{function} of {file} takes no data; give it a parameter `data`.")
    for knob, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty:
            raise Error(f"{function} of {file} has a knob {knob} without default; give it one.")
    return found


def recipe_source(name: str) -> str:
    """The recipe's text, kept in run.json for reading."""
    return inspect.getsource(find_recipe(name))


def resolve_parameters(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """All knobs of a recipe: the given ones checked, the others at their defaults."""
    function = find_recipe(name)
    given = {k: v.item() if isinstance(v, np.generic) else v for k, v in given.items()}
    check(name, function, given)
    bound = inspect.signature(function).bind_partial(**given)
    bound.apply_defaults()
    return dict(bound.arguments)
