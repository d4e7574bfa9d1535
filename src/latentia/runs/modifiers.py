"""Apply modifiers: functions Plan -> Plan whose keyword arguments are options of `latentia train`.

A modifier is applied when its first option, which has the modifier's name, is given.
"""

import inspect
from collections.abc import Callable, Container, Mapping
from typing import Any

from latentia.core.errors import Error
from latentia.core.parameters import validate_parameters
from latentia.core.registries import MODIFIERS


def load_modifiers(parameters: Container[str] = ()) -> dict[str, Callable]:
    """Import all modifiers; return them by name, in the order of their application.

    parameters: those of a recipe, which take the place of a built-in modifier of the same name.
    """
    for name in MODIFIERS.list_builtin_names():
        MODIFIERS[name]  # its decorator says which others it comes before
    replaced = [name for name in MODIFIERS.list_builtin_names() if name in parameters]
    return {name: MODIFIERS[name] for name in MODIFIERS if name not in replaced}


def take_modifiers(
    arguments: dict[str, Any], parameters: Container[str]
) -> dict[str, dict[str, Any]]:
    """Take the arguments that belong to modifiers out of a training's; return them by modifier.

    parameters: those of the recipe.

    Raises: Error if a modifier's first argument, which turns it on, is missing.
    """
    taken = {}
    for name, function in load_modifiers(parameters).items():
        own = [key for key in inspect.signature(function).parameters if key in arguments]
        if own and name not in own:
            raise Error(f"{own[0]} does nothing without {name}; give both or neither.")
        taken |= {name: {key: arguments.pop(key) for key in own}} if own else {}
    return taken


def apply_modifiers(plan: Any, modifiers: Mapping[str, Mapping[str, Any]]) -> Any:
    """Apply modifiers in their order. Raises: Error if there is no such one."""
    functions = load_modifiers() if modifiers else {}
    if unknown := modifiers.keys() - functions.keys():
        raise Error(MODIFIERS.describe_missing(min(unknown)))
    for name in (name for name in functions if name in modifiers):
        validate_parameters(name, functions[name], modifiers[name])
        plan = functions[name](plan, **modifiers[name])
    return plan
