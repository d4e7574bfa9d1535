"""Modifiers: functions Plan -> Plan whose keyword arguments are options of `latentia train`.

A modifier is applied when its first option, which has the modifier's name, is given.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from latentia.core.errors import Error
from latentia.core.parameters import validate_parameters

# iwae before those that refuse to follow it; multirate after the schedule of beta that it changes
MODIFIER_NAMES = "kl_schedule", "iwae", "divergence", "capacity", "free_bits"
MODIFIER_NAMES += "supervise", "multirate"


def find_modifier(name: str) -> Callable:
    """Return the modifier of this name."""
    return getattr(importlib.import_module(f"latentia.modifiers.{name}"), name)


def apply_modifiers(plan: Any, modifiers: Mapping[str, Mapping[str, Any]]) -> Any:
    """Apply modifiers in the order of MODIFIER_NAMES. Raises: Error if there is no such one."""
    for name in modifiers:
        if name not in MODIFIER_NAMES:
            raise Error(f"There is no modifier {name}; there are {', '.join(MODIFIER_NAMES)}.")
    for name in MODIFIER_NAMES:
        if name in modifiers:
            validate_parameters(name, find_modifier(name), modifiers[name])
            plan = find_modifier(name)(plan, **modifiers[name])
    return plan
