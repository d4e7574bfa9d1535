"""Learn the hidden variables of a set of images and draw new images from them."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentia.core.errors import Error
    from latentia.engine.optim import Adam
    from latentia.engine.plan import Options, Plan
    from latentia.engine.recipe import recipe
    from latentia.engine.run import Run
    from latentia.session import load, resume, train

__all__ = ["Adam", "Error", "Options", "Plan", "Run", "load", "recipe", "resume", "train"]

_HOMES = {
    "Adam": "engine.optim",
    "Error": "core.errors",
    "Options": "engine.plan",
    "Plan": "engine.plan",
    "Run": "engine.run",
    "load": "session",
    "recipe": "engine.recipe",
    "resume": "session",
    "train": "session",
}


def __getattr__(name: str) -> Any:
    """Imported at first use: `latentia --help` must not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'latentia' has no attribute {name!r}")
    return getattr(importlib.import_module(f"latentia.{_HOMES[name]}"), name)
