"""Learn the hidden variables of a set of images and draw new images from them."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentia.api.training import load, resume, train
    from latentia.core.errors import Error
    from latentia.runs.folder import RunFolder
    from latentia.training.optimizers import Adam
    from latentia.training.plan import Options, Plan
    from latentia.training.registries import recipe

__all__ = ["Adam", "Error", "Options", "Plan", "RunFolder", "load", "recipe", "resume", "train"]

_HOMES = {
    "Adam": "training.optimizers",
    "Error": "core.errors",
    "Options": "training.plan",
    "Plan": "training.plan",
    "RunFolder": "runs.folder",
    "load": "api.training",
    "recipe": "training.registries",
    "resume": "api.training",
    "train": "api.training",
}


def __getattr__(name: str) -> Any:
    """Imported at first use: `latentia --help` must not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'latentia' has no attribute {name!r}")
    return getattr(importlib.import_module(f"latentia.{_HOMES[name]}"), name)
