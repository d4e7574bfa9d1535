"""Edits: functions Plan -> Plan, one a file, whose keyword arguments are flags of `latentia train`.

An edit is made when its first flag, named like the edit, is given.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from latentia.core.errors import Error
from latentia.engine.knobs import check

# iwae before those that it excludes, so that they can say so; multirate after the schedule of beta
NAMES = ("kl_schedule", "iwae", "divergence", "capacity", "free_bits", "supervise", "multirate")


def find(name: str) -> Callable:
    return getattr(importlib.import_module(f"latentia.engine.edits.{name}"), name)


def apply(plan: Any, edits: Mapping[str, Mapping[str, Any]]) -> Any:
    """The plan after all edits, in the order of NAMES."""
    for name in edits:
        if name not in NAMES:
            raise Error(f"There is no edit {name}; there are {', '.join(NAMES)}.")
    for name in NAMES:
        if name in edits:
            check(name, find(name), edits[name])
            plan = find(name)(plan, **edits[name])
    return plan
