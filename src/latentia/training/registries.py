"""Decorator that marks recipes."""

from collections.abc import Callable


def recipe(function: Callable) -> Callable:
    """Mark a function, from parameters to a Plan, as a recipe."""
    function.is_recipe = True  # pyright: ignore[reportFunctionMemberAccess]
    return function
