"""Registries of recipes and modifiers, and the decorators that add to them."""

import inspect
from collections.abc import Callable
from typing import Any

from latentia.core.errors import Error
from latentia.core.registry import PACKAGE, Registry

RECIPES: Registry[Callable] = Registry("recipe", PACKAGE.glob("recipes/*.py"))
MODIFIERS: Registry[Callable] = Registry("modifier", PACKAGE.glob("modifiers/*.py"))


def recipe(name: Any = None) -> Any:
    """Register a function as a recipe: its signature is the configuration, and it returns a Plan.

    Parameters
    ----------
    name : str, optional
        name of the recipe; the default is the function's. Its parameters have default values, and
        a parameter `data` takes the images

    Returns
    -------
    callable
        the same function, which `latentia train NAME --plugin my.py`, `latentia train my.py:NAME`
        and `latentia.train` find

    Raises
    ------
    Error
        if there is a recipe of this name

    Examples
    --------
    >>> import latentia
    >>> from latentia.recipes.mnist_mlp_vae import mnist_mlp_vae
    >>> @latentia.recipe
    ... def small_vae(data: str = "digits:200", latent: int = 2) -> latentia.Plan:
    ...     return mnist_mlp_vae(data=data, latent=latent, hidden=32, epochs=1)
    >>> small_vae().epochs
    1
    """

    def mark_recipe(function: Callable) -> Callable:
        function.is_recipe = True  # pyright: ignore[reportFunctionMemberAccess]
        return function

    return RECIPES.register(name, mark_recipe)


def modifier(name: Any = None, *, before: str | tuple[str, ...] = ()) -> Any:
    """Register a function as a modifier: it changes the Plan of any recipe.

    Its first parameter is the plan, its second has the modifier's name. `latentia train` takes both
    it and the others as options, and applies the modifier if the second is given.

    Parameters
    ----------
    name : str, optional
        name of the modifier; the default is the function's
    before : str or tuple of str
        modifiers that are applied after this one; the default is none, so that it is the last

    Returns
    -------
    callable
        the same function

    Raises
    ------
    Error
        if there is a modifier of this name, or the second parameter has another

    Examples
    --------
    >>> import latentia
    >>> @latentia.modifier
    ... def keep_average(plan: latentia.Plan, keep_average: float = 1000.0) -> latentia.Plan:
    ...     plan.average = keep_average
    ...     return plan
    >>> run = latentia.train("mnist_mlp_vae", "digits:200", epochs=1, keep_average=500.0)
    >>> run.metadata["modifiers"]
    {'keep_average': {'keep_average': 500.0}}
    """

    def check_signature(function: Callable) -> Callable:
        key = name if isinstance(name, str) else function.__name__
        if [*inspect.signature(function).parameters][:2] != ["plan", key]:
            raise Error(f"The modifier {key} must begin with def {key}(plan, {key}=...).")
        return function

    return MODIFIERS.register(name, check_signature, before)
