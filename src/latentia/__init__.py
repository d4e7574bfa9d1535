"""Learn the hidden variables of a set of images and draw new images from them."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentia.api.training import load, resume, train
    from latentia.core.errors import Error
    from latentia.runs.folder import RunFolder as Run
    from latentia.training.optimizers import Adam
    from latentia.training.plan import Options, Plan
    from latentia.training.registries import recipe

__all__ = ["Adam", "Error", "Options", "Plan", "Run", "load", "recipe", "resume", "train"]

_HOMES = {
    "Adam": "training.optimizers:Adam",
    "Error": "core.errors:Error",
    "Options": "training.plan:Options",
    "Plan": "training.plan:Plan",
    "Run": "runs.folder:RunFolder",
    "load": "api.training:load",
    "recipe": "training.registries:recipe",
    "resume": "api.training:resume",
    "train": "api.training:train",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: `latentia --help` must not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'latentia' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(importlib.import_module(f"latentia.{module}"), attribute)
