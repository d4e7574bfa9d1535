"""Decorators that mark recipes."""

from collections.abc import Callable


def recipe(function: Callable) -> Callable:
    """Marks a function (knobs -> Plan) as a recipe."""
    function.is_recipe = True  # pyright: ignore[reportFunctionMemberAccess]
    return function
